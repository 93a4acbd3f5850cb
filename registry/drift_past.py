"""Declared against observed as it was: the log says what was declared, the documents that are kept what was observed.

The finders are those of today. They are given a site and services made from the states of then, which belong to no
session: nothing can be accepted into the past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.principals import Principal
from hanse.revisions import History
from registry import cloud_history, states
from registry.drift import Standing
from registry.drift_finding import found_in
from registry.drifting.difference import Difference, Look
from registry.models import CloudDocument, DriftDecision, Endpoint, Ngi, Service, Site, VoShare
from registry.rights import READ_DRIFT, may_site
from registry.schemas.fields import parse_time
from registry.states import Moment, State


@dataclass(frozen=True)
class _Known:
    """What is read at once for all sites that are looked at."""

    services: Mapping[str, Sequence[State]]
    documents: Mapping[int, Sequence[CloudDocument]]
    decisions: Mapping[tuple[str, str], State]
    closed: frozenset[int]


def of_site(session: Session, site: State, moment: Moment) -> list[Difference]:
    """The differences of a site with their decisions, as they were: open ones first, in the order of their kinds."""
    return _found(site, _known(session, moment, [site]), moment)


def of_all(session: Session, principal: Principal, moment: Moment) -> list[Standing]:
    """Sites that published and over which the principal may read this, those that differed most first."""
    published = _documents(session, moment, None)
    numbers = [History.entity_id.in_([str(number) for number in published])]
    sites = states.by_id(session, "site", where=numbers, as_of=str(moment.number))
    rows = {row.id: row for row in session.scalars(select(Site).where(Site.id.in_(list(published))))}
    sites = [one for one in sites if may_site(principal, READ_DRIFT, rows.get(int(one.id)) or _site(one))]
    known = _known(session, moment, sites)
    found = []
    for site in sites:
        seen = _found(site, known, moment)
        ignored = sum(one.ignored for one in seen)
        until = max(one.held_until for one in known.documents[int(site.id)])
        found.append(Standing(site.body["name"], len(seen) - ignored, ignored, until))
    return sorted(found, key=lambda one: (-one.open, one.site))


def row_of(session: Session, site: State) -> Site:
    """The site as it is now, since rights are those of today; one that has gone since, as it was."""
    return session.get(Site, int(site.id)) or _site(site)


def _known(session: Session, moment: Moment, sites: Sequence[State]) -> _Known:
    as_of = str(moment.number)
    where = [states.text_of("site").in_([site.body["name"] for site in sites])]
    services: dict[str, list[State]] = {}
    for service in states.by_id(session, "service", where=where, as_of=as_of):
        services.setdefault(service.body["site"], []).append(service)
    decisions = {
        (one.body["site"], one.body["name"]): one
        for one in states.by_name(session, "drift", where=where, as_of=as_of)
    }
    ongoing = [states.text_of("state") == "ongoing"]
    closed = {
        int(number)
        for downtime in states.by_id(session, "downtime", where=ongoing, as_of=as_of)
        for number in downtime.body["services"]
    }
    documents = _documents(session, moment, [int(site.id) for site in sites])
    return _Known(services, documents, decisions, frozenset(closed))


def _documents(
    session: Session, moment: Moment, numbers: Sequence[int] | None
) -> dict[int, list[CloudDocument]]:
    """What stood published by the number of the site, also what was too old by then."""
    found: dict[int, list[CloudDocument]] = {}
    for document in cloud_history.then(session, moment.at, site_ids=numbers, stale=True):
        found.setdefault(document.site_id, []).append(document)
    return found


def _found(site: State, known: _Known, moment: Moment) -> list[Difference]:
    published = known.documents.get(int(site.id), ())
    look = Look(
        _site(site),
        [_service(one) for one in known.services.get(site.body["name"], ())],
        [one for one in published if one.held_until > moment.at],
        [one for one in published if one.held_until <= moment.at],
        known.closed,
    )
    found = [
        replace(one, decision=_decision(known, site, one.fact), looked_at=moment.at, accept=None)
        for one in found_in(look)
    ]
    return sorted(found, key=lambda one: one.ignored)


def _site(state: State) -> Site:
    body = state.body
    return Site(
        id=int(state.id),
        name=body["name"],
        ngi=Ngi(name=body["ngi"]),
        middleware=body["middleware"],
        vcpu=body["capacity"]["vcpu"],
        ram_gb=body["capacity"]["ram_gb"],
        scopes=body["scopes"],
        shares=[VoShare(vo=one["vo"], vcpu=one["vcpu"]) for one in body["supports"]],
    )


def _service(state: State) -> Service:
    body = state.body
    return Service(
        id=int(state.id),
        hostname=body["hostname"],
        service_type=body["service_type"],
        production=body["production"],
        endpoints=[
            Endpoint(id=int(one["id"]), name=one["name"], url=one["url"], interface_name=one["interface"])
            for one in body["endpoints"]
        ],
    )


def _decision(known: _Known, site: State, fact: str) -> DriftDecision | None:
    state = known.decisions.get((site.body["name"], fact))
    if state is None:
        return None
    body = state.body
    return DriftDecision(
        site_id=int(site.id),
        fact=fact,
        seen={"declared": body["declared"], "observed": body["observed"]},
        reason=body["reason"],
        until=None if body["until"] is None else parse_time(body["until"]),
        at=state.at,
        by_name=body["by"],
    )
