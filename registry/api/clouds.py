"""/api/v1: where a VO can run, and where the registry and what sites publish differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, csv_response, current_principal, ground
from registry import clouds, drift, drift_past, states
from registry.api.answers import Body, SitePath
from registry.drifting.difference import Difference
from registry.places import Place
from registry.recording import find_site
from registry.rights import EDIT_SITE, READ_DRIFT, check_site
from registry.schemas.cloudinfo import (
    AcceptIn,
    CloudOut,
    CloudPage,
    CloudQuery,
    CommandOut,
    DriftList,
    DriftOut,
    FactQuery,
    IgnoreIn,
    ImageOut,
    SiteDriftList,
    SiteDriftOut,
    SizeOut,
)
from registry.schemas.sites import OneQuery

api = Api("registry_clouds", __name__, "Clouds", csv=True)
CSV_COLUMNS = (
    "site",
    "country",
    "middleware",
    "endpoint",
    "interface",
    "vo",
    "project_id",
    "declared_vcpu",
    "quota_vcpu",
    "used_vcpu",
    "free_vcpu",
    "free_machines",
    "size",
    "vcpu",
    "ram_mb",
    "gpu",
    "image",
    "published_at",
)


@api.get("/clouds", permission=PUBLIC, summary="Where a VO can run", responses={200: CloudPage}, csv=False)
def list_clouds(query: CloudQuery) -> Body:
    """Site, endpoint, sizes and images that fit, and the command that starts a machine; most room first."""
    with ground().db.transaction() as session:
        found = clouds.find(session, query)
    start = int(query.cursor or 0)
    shown = found[start : start + query.limit]
    more = len(found) > start + query.limit
    return {
        "items": [place_answer(place) for place in shown],
        "next": str(start + query.limit) if more else None,
        "total": len(found),
    }


@api.get("/clouds.csv", permission=PUBLIC, summary="The same as CSV, a row for each size")
def list_clouds_csv(query: CloudQuery) -> Response:
    """All places that fit; those without a published size have one row."""
    with ground().db.transaction() as session:
        found = clouds.find(session, query)
    return csv_response([row for place in found for row in _rows(place)], CSV_COLUMNS, "clouds.csv")


def _rows(place: Place) -> list[Body]:
    whole = place_answer(place)
    image = place.images[0]["id"] if place.images else None
    sizes: list[Any] = list(place.sizes) or [{}]
    return [
        {
            **whole,
            "size": size.get("id"),
            "vcpu": size.get("vcpu"),
            "ram_mb": size.get("ram_mb"),
            "gpu": size.get("gpu"),
            "image": image,
        }
        for size in sizes
    ]


def place_answer(place: Place) -> Body:
    """A place for the wire."""
    room = place.room
    return CloudOut(
        site=place.site,
        country=place.country,
        middleware=place.middleware,
        endpoint=place.endpoint,
        interface=place.interface,
        vo=place.vo,
        project_id=place.project,
        declared_vcpu=room.declared_vcpu,
        quota_vcpu=room.quota_vcpu,
        used_vcpu=room.used_vcpu,
        free_vcpu=room.free_vcpu,
        free_machines=room.free_machines,
        free_source=room.source,
        sizes=[SizeOut(**{name: size[name] for name in SizeOut.model_fields}) for size in place.sizes],
        images=[ImageOut(**{name: image[name] for name in ImageOut.model_fields}) for image in place.images],
        commands=[CommandOut(client=client, text=text) for client, text in place.commands],
        published_at=place.published_at,
        valid_until=place.valid_until,
        stale=place.stale,
    ).model_dump()


@api.get("/drift", permission=READ_DRIFT, summary="Sites by open differences", responses={200: SiteDriftList})
def list_drift(query: OneQuery) -> Body:
    """Sites that publish, those that differ most from the registry first."""
    with ground().db.transaction() as session:
        moment = states.moment(session, query.as_of)
        if moment is None:
            found = drift.of_all(session, current_principal())
        else:
            found = drift_past.of_all(session, current_principal(), moment)
    return {
        "items": [
            SiteDriftOut(
                site=one.site,
                open=one.open,
                ignored=one.ignored,
                published=True,
                valid_until=one.valid_until,
            ).model_dump()
            for one in found
        ]
    }


@api.get(
    "/sites/<site>/drift",
    permission=READ_DRIFT,
    summary="Declared against observed",
    responses={200: DriftList},
)
def site_drift(path: SitePath, query: OneQuery) -> Body:
    """Where the registry and what the site publishes differ; open ones first."""
    with ground().db.transaction() as session:
        moment = states.moment(session, query.as_of)
        if moment is not None:
            state = states.find_named(session, "site", path.site, query.as_of)
            check_site(current_principal(), READ_DRIFT, drift_past.row_of(session, state))
            return _list(path.site, drift_past.of_site(session, state, moment))
        site = find_site(session, path.site)
        check_site(current_principal(), READ_DRIFT, site)
        return _list(site.name, drift.of_site(session, site))


def _list(site: str, found: list[Difference]) -> Body:
    items = [difference_answer(site, one) for one in found]
    return {"items": items, "open": sum(not one.ignored for one in found)}


def difference_answer(site: str, one: Difference) -> Body:
    """A difference for the wire; a decision that no longer holds is not told."""
    decision = one.decision if one.ignored else None
    return DriftOut(
        site=site,
        fact=one.fact,
        kind=one.kind,
        sentence=one.sentence,
        declared=one.declared,
        observed=one.observed,
        can_accept=one.accept is not None,
        accepting=one.accepting,
        ignored=one.ignored,
        ignored_by=decision.by_name if decision else None,
        ignored_reason=decision.reason if decision else None,
        ignored_until=decision.until if decision else None,
        observed_at=one.at,
    ).model_dump()


@api.post(
    "/sites/<site>/drift/accept",
    permission=EDIT_SITE,
    summary="Take the observed side over into the registry",
    responses={200: DriftList},
)
def accept(path: SitePath, body: AcceptIn) -> Body:
    """One revision by the caller; answers what still differs."""
    drift.accept(ground().db, current_principal(), path.site, body)
    return _again(path.site)


@api.post(
    "/sites/<site>/drift/ignore",
    permission=EDIT_SITE,
    summary="Find a difference to be in order",
    responses={200: DriftList},
)
def ignore(path: SitePath, body: IgnoreIn) -> Body:
    """It comes back when either side changes, or when its time is over."""
    drift.ignore(ground().db, current_principal(), path.site, body)
    return _again(path.site)


@api.delete(
    "/sites/<site>/drift/ignore",
    permission=EDIT_SITE,
    summary="Look at an ignored difference again",
    responses={204: None},
)
def notice(path: SitePath, query: FactQuery) -> None:
    """From then on it is open."""
    drift.notice(ground().db, current_principal(), path.site, query.fact)


def _again(name: str) -> Body:
    with ground().db.transaction() as session:
        site = find_site(session, name)
        return _list(site.name, drift.of_site(session, site, datetime.now(UTC)))
