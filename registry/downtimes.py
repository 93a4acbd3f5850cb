"""Downtimes: declare, change, end, remove, by the rules of GOCDB (`registry.rules`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor, Body, change
from registry import entities
from registry.models import (
    Downtime,
    DowntimeEndpoint,
    DowntimeService,
    Endpoint,
    Service,
    Site,
    downtime_id,
)
from registry.recording import check_unchanged, lock_site, next_id, recording
from registry.rights import DECLARE_DOWNTIME, check_site
from registry.rules import GRACE, classification, delete_fault, edit_faults, new_downtime_faults, state_at
from registry.schemas.downtimes import DowntimeEdit, DowntimeIn

CLOCK = Actor("clock", "the clock")


@dataclass(frozen=True)
class Affected:
    """What a downtime takes: services of one site, and endpoints of these services."""

    services: list[int]
    endpoints: list[int]


def declare(db: Database, principal: Principal, form: DowntimeIn) -> int:
    """Declare a downtime; returns its id. Raises NotFound, Forbidden, Refused with every fault."""
    reason = form.reason or f"Downtime declared: {form.description}"[:300]
    with recording(db, principal, reason) as (session, recorded):
        site = lock_site(session, form.site)
        check_site(principal, DECLARE_DOWNTIME, site)
        downtime = _new(session, principal, site, form)
        session.add(downtime)
        session.flush()
        entities.put_downtime(recorded, downtime)
        return downtime.id


def try_out(db: Database, principal: Principal, form: DowntimeIn) -> Body:
    """What `declare` would make of `form`, all rules checked, nothing kept. `id` and `primary_key` are None."""
    with db.transaction() as session:
        site = lock_site(session, form.site)
        check_site(principal, DECLARE_DOWNTIME, site)
        downtime = _new(session, principal, site, form, number=0)
        return {**entities.downtime_body(downtime), "id": None, "primary_key": None}


def _new(
    session: Session, principal: Principal, site: Site, form: DowntimeIn, *, number: int | None = None
) -> Downtime:
    now = datetime.now(UTC)
    start = form.start or now
    faults = new_downtime_faults(start, form.end, now)
    affected, more = _affected(session, site, form.services, form.endpoints)
    if faults or more:
        raise Refused("The downtime was not declared.", *faults, *more)
    number = next_id(session, downtime_id) if number is None else number
    return Downtime(
        id=number,
        primary_key=f"{number}G0",
        site=site,
        severity=form.severity,
        classification=classification(start, now),
        description=form.description,
        start_at=start,
        end_at=form.end,
        state=state_at(start, form.end, now),
        created_at=now,
        created_by=principal.name,
        services=[DowntimeService(service_id=one) for one in affected.services],
        endpoints=[DowntimeEndpoint(endpoint_id=one) for one in affected.endpoints],
    )


def _affected(
    session: Session, site: Site, services: Sequence[int] | None, endpoints: Sequence[int] | None
) -> tuple[Affected, list[FieldFault]]:
    """The services and endpoints meant, and what is wrong with them. None means all."""
    of_site = set(session.scalars(select(Service.id).where(Service.site_id == site.id)))
    faults = [
        FieldFault("services", f"{one} is not a service of {site.name}; a downtime is for one site only")
        for one in sorted(set(services or ()) - of_site)
    ]
    chosen = sorted(of_site if services is None else set(services) & of_site)
    if not chosen and not faults:
        faults.append(FieldFault("services", f"{site.name} has no service; register one first"))
    of_services = set(session.scalars(select(Endpoint.id).where(Endpoint.service_id.in_(chosen))))
    faults += [
        FieldFault("endpoints", f"{one} does not belong to the services that the downtime affects")
        for one in sorted(set(endpoints or ()) - of_services)
    ]
    return Affected(
        chosen, sorted(of_services if endpoints is None else set(endpoints) & of_services)
    ), faults


def edit(
    db: Database, principal: Principal, number: int, form: DowntimeEdit, expected: int | None = None
) -> None:
    """Change the fields that `form` names. Raises Refused where a rule says no, Conflict when somebody was quicker."""
    with recording(db, principal, form.reason or f"Downtime {number} changed") as (session, recorded):
        downtime = _lock(session, number)
        check_site(principal, DECLARE_DOWNTIME, downtime.site)
        check_unchanged(session, "downtime", number, expected)
        _apply(session, downtime, form)
        session.flush()
        entities.put_downtime(recorded, downtime)


def _apply(session: Session, downtime: Downtime, form: DowntimeEdit) -> None:
    now = datetime.now(UTC)
    start, end = form.start or downtime.start_at, form.end or downtime.end_at
    faults = edit_faults((downtime.start_at, downtime.end_at), (start, end), downtime.classification, now)
    if faults:
        raise Refused("The downtime was not changed.", *faults)
    if form.services is not None or form.endpoints is not None:
        _set_affected(session, downtime, form)
    if start != downtime.start_at:
        downtime.classification = classification(start, now)
    downtime.start_at, downtime.end_at = start, end
    downtime.severity = form.severity or downtime.severity
    downtime.description = form.description or downtime.description
    downtime.state = state_at(start, end, now)


def _set_affected(session: Session, downtime: Downtime, form: DowntimeEdit) -> None:
    services = form.services or [link.service_id for link in downtime.services]
    affected, faults = _affected(session, downtime.site, services, form.endpoints)
    if faults:
        raise Refused("The downtime was not changed.", *faults)
    kept_services = {link.service_id: link for link in downtime.services}
    kept_endpoints = {link.endpoint_id: link for link in downtime.endpoints}
    downtime.services = [
        kept_services.get(one) or DowntimeService(service_id=one) for one in affected.services
    ]
    downtime.endpoints = [
        kept_endpoints.get(one) or DowntimeEndpoint(endpoint_id=one) for one in affected.endpoints
    ]


def end_early(db: Database, principal: Principal, number: int, reason: str) -> None:
    """End an ongoing downtime in 60 s, as GOCDB does. Raises Refused when it is not going on."""
    with recording(db, principal, reason or f"Downtime {number} ended early") as (session, recorded):
        downtime = _lock(session, number)
        check_site(principal, DECLARE_DOWNTIME, downtime.site)
        now = datetime.now(UTC)
        if state_at(downtime.start_at, downtime.end_at, now) != "ongoing":
            raise Refused(
                "Only a downtime that is going on can be ended.",
                FieldFault("id", "delete it while it is planned; after its end there is nothing to end"),
            )
        downtime.end_at = min(downtime.end_at, now + GRACE)
        session.flush()
        entities.put_downtime(recorded, downtime)


def remove(db: Database, principal: Principal, number: int, reason: str, expected: int | None = None) -> None:
    """Delete a downtime that has not begun. Raises Refused where a rule says no."""
    with recording(db, principal, reason or f"Downtime {number} removed") as (session, recorded):
        downtime = _lock(session, number)
        check_site(principal, DECLARE_DOWNTIME, downtime.site)
        check_unchanged(session, "downtime", number, expected)
        fault = delete_fault(downtime.start_at, downtime.classification, datetime.now(UTC))
        if fault is not None:
            raise Refused("The downtime was not deleted.", fault)
        recorded.delete("downtime", str(number))
        session.delete(downtime)


def _lock(session: Session, number: int) -> Downtime:
    downtime = session.scalar(select(Downtime).where(Downtime.id == number).with_for_update(of=Downtime))
    if downtime is None:
        raise NotFound(f"There is no downtime {number}.")
    return downtime


def move_with_clock(db: Database) -> str:
    """Write a revision for every downtime that began or ended since the last look; a sentence for the run log."""
    now = datetime.now(UTC)
    with db.transaction() as session:
        due = select(Downtime.id).where(
            ((Downtime.state == "planned") & (Downtime.start_at <= now))
            | ((Downtime.state == "ongoing") & (Downtime.end_at <= now))
        )
        numbers = sorted(session.scalars(due))
    moved = [sentence for number in numbers if (sentence := _move(db, number))]
    return "; ".join(moved) + "." if moved else "No downtime began or ended."


def _move(db: Database, number: int) -> str | None:
    """One revision a downtime, so that each has its own line and one that fails keeps no other back."""
    with db.transaction() as session:
        downtime = session.scalar(select(Downtime).where(Downtime.id == number).with_for_update(of=Downtime))
        state = None if downtime is None else state_at(downtime.start_at, downtime.end_at, datetime.now(UTC))
        if downtime is None or state is None or state == downtime.state:
            return None
        verb = "began" if state == "ongoing" else "ended"
        with change(session, CLOCK, f"{downtime.site.name}: downtime {verb}") as recorded:
            downtime.state = state
            session.flush()
            entities.put_downtime(recorded, downtime)
        return f"downtime {number} at {downtime.site.name} {verb}"


def overlapping(
    session: Session, start: datetime, end: datetime, *, site_id: int | None = None
) -> list[Downtime]:
    """Downtimes that share time with `start` to `end`, of one site or all, by their start."""
    wanted = select(Downtime).where(Downtime.start_at < end, Downtime.end_at > start)
    if site_id is not None:
        wanted = wanted.where(Downtime.site_id == site_id)
    return list(session.scalars(wanted.order_by(Downtime.start_at, Downtime.id)))


def of_day(session: Session, moment: datetime) -> list[Downtime]:
    """Downtimes that share time with the UTC day of `moment`."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return overlapping(session, midnight, midnight + timedelta(days=1))
