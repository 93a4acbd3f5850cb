"""Downtimes: their rules about the past hold for undo as well."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Refused
from hanse.revisions import Body
from registry import downtime_parts, downtimes, entities
from registry.models import Downtime, Endpoint
from registry.restoring.work import Work, form_of
from registry.rules import delete_fault, new_downtime_faults, state_at
from registry.schemas.downtimes import DowntimeEdit
from registry.schemas.fields import parse_time

_AFFECTED = frozenset({"sites", "whole_sites", "services", "endpoints"})


class Downtimes:
    """Downtimes with all that they affect."""

    fields = _AFFECTED | {"severity", "description", "start", "end", "service_ends"}

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        downtime, sites = downtimes.lock(work.session, int(entity_id), wanted.get("sites", ()))
        downtime_parts.check_rights(work.principal, sites)
        if work.whole_site:
            # it went on without a site that now comes back: no rule about times has a say in that
            _affect(work, downtime, wanted)
        else:
            names = fields - _AFFECTED
            if fields & _AFFECTED:
                names |= {"sites", "services", "endpoints"}
                services, endpoints = _named(work.session, wanted)
                wanted = {**wanted, "services": services, "endpoints": endpoints}
            form = form_of(DowntimeEdit, wanted, names)
            downtimes.apply(work.session, downtime, form, datetime.now(UTC))
        work.session.flush()
        entities.put_downtime(work.change, downtime)

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        downtime, sites = downtimes.lock(work.session, int(entity_id))
        downtime_parts.check_rights(work.principal, sites)
        fault = delete_fault(downtime.start_at, downtime.classification, datetime.now(UTC))
        if fault is not None:
            raise Refused("The downtime was not taken back.", fault)
        work.change.delete("downtime", entity_id)
        work.session.delete(downtime)
        work.session.flush()

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        now = datetime.now(UTC)
        start, end = parse_time(wanted["start"]), parse_time(wanted["end"])
        faults = [] if work.whole_site else new_downtime_faults(start, end, now)
        if faults:
            raise Refused("The downtime does not come back.", *faults)
        series = wanted.get("series")
        downtime = Downtime(
            id=int(entity_id),
            primary_key=wanted["primary_key"],
            severity=wanted["severity"],
            # as it was declared: who takes a removal back at once keeps the notice that was given
            classification=wanted["classification"],
            description=wanted["description"],
            start_at=start,
            end_at=end,
            state=state_at(start, end, now),
            created_at=parse_time(wanted["created_at"]),
            created_by=wanted["created_by"],
            series=None if series is None else int(series),
            parts=[],
            services=[],
            endpoints=[],
        )
        sites = downtime_parts.lock_sites(work.session, _sites(wanted))
        downtime_parts.check_rights(work.principal, sites)
        _affect(work, downtime, wanted)
        work.session.add(downtime)
        work.session.flush()
        entities.put_downtime(work.change, downtime)


def _sites(body: Body) -> list[str]:
    return list(body.get("sites") or [body["site"]])


def _named(session: Session, body: Body) -> tuple[list[int], list[int]]:
    """The services and endpoints to name so that the downtime affects what it did: nothing of what is taken whole."""
    wholes = set(body.get("whole_sites") or ())
    endpoints = {int(one) for one in body["endpoints"]}
    of_sites = downtime_parts.sites_of(session, [int(one) for one in body["services"]])
    services = [number for number, site in of_sites.items() if site not in wholes]
    owned = select(Endpoint.id, Endpoint.service_id).where(Endpoint.service_id.in_(services))
    of_services: dict[int, set[int]] = {}
    for endpoint, service in session.execute(owned):
        of_services.setdefault(service, set()).add(endpoint)
    single = {
        one
        for has in of_services.values()
        if has & endpoints and not has <= endpoints
        for one in has & endpoints
    }
    return services, sorted(single)


def _affect(work: Work, downtime: Downtime, body: Body) -> None:
    """Let the downtime affect what the body says. Raises Refused where that is not there any more."""
    sites = downtime_parts.lock_sites(work.session, _sites(body))
    services, endpoints = _named(work.session, body)
    with work.session.no_autoflush:
        parts, faults = downtime_parts.resolve(work.session, sites, services, endpoints)
    if faults:
        raise Refused("What the downtime affected is not all there any more.", *faults)
    downtime_parts.set_parts(downtime, parts)
    ends = {int(number): parse_time(end) for number, end in body.get("service_ends", {}).items()}
    for link in downtime.services:
        link.end_at = ends.get(link.service_id)
