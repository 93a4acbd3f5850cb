"""Downtimes: declare, change, end, remove, by the rules of GOCDB (`registry.rules`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor, Body, Change, change
from registry import bodies, downtime_parts, entities
from registry.downtime_parts import Affected
from registry.models import Downtime, DowntimePart, DowntimeService, Site, downtime_id
from registry.recording import check_unchanged, next_id, recording
from registry.rules import (
    GRACE,
    Times,
    classification,
    delete_fault,
    edit_faults,
    new_downtime_faults,
    service_end_faults,
    state_at,
)
from registry.schemas.downtimes import DowntimeEdit, DowntimeIn, EndIn

CLOCK = Actor("clock", "the clock")


@dataclass(frozen=True)
class Plan:
    """A downtime that keeps all rules and is not written yet."""

    parts: Sequence[Affected]
    start: datetime
    end: datetime
    service_ends: Mapping[int, datetime]


def declare(db: Database, principal: Principal, form: DowntimeIn, *, import_uid: str | None = None) -> int:
    """Declare a downtime; returns its id. Raises NotFound, Forbidden, Refused with every fault."""
    reason = form.reason or f"Downtime declared: {form.description}"[:300]
    with recording(db, principal, reason) as (session, recorded):
        downtime = write(session, recorded, principal, form, datetime.now(UTC))
        downtime.import_uid = import_uid
        return downtime.id


def try_out(db: Database, principal: Principal, form: DowntimeIn) -> Body:
    """What `declare` would make of `form`, all rules checked, nothing kept. `id` and `primary_key` are None."""
    now = datetime.now(UTC)
    with db.transaction() as session:
        downtime = _made(principal, form, plan(session, principal, form, now), 0, now)
        return {**bodies.downtime_body(downtime), "id": None, "primary_key": None}


def write(
    session: Session, recorded: Change, principal: Principal, form: DowntimeIn, now: datetime
) -> Downtime:
    """Declare a downtime inside the caller's revision. Raises as `declare`."""
    made = plan(session, principal, form, now)
    downtime = _made(principal, form, made, next_id(session, downtime_id), now)
    session.add(downtime)
    session.flush()
    entities.put_downtime(recorded, downtime)
    return downtime


def plan(session: Session, principal: Principal, form: DowntimeIn, now: datetime) -> Plan:
    """What `form` means, with its sites locked. Raises NotFound, Forbidden, Refused with every fault."""
    names = form.names or _names_of_services(session, form.services)
    if not names:
        raise Refused("The downtime was not declared.", FieldFault("site", "is missing"))
    sites = downtime_parts.lock_sites(session, names)
    downtime_parts.check_rights(principal, sites)
    start = form.start or now
    parts, faults = downtime_parts.resolve(session, sites, form.services, form.endpoints)
    times = Times(start, form.end, form.service_ends or {})
    more = service_end_faults(None, times, _services(parts), now)
    faults = [*new_downtime_faults(start, form.end, now), *faults, *more]
    if faults:
        raise Refused("The downtime was not declared.", *faults)
    return Plan(parts, start, form.end, times.service_ends)


def _names_of_services(session: Session, services: Sequence[int] | None) -> list[str]:
    return list(dict.fromkeys(downtime_parts.sites_of(session, services or ()).values()))


def _services(parts: Sequence[Affected]) -> set[int]:
    return {number for part in parts for number in part.services}


def _made(principal: Principal, form: DowntimeIn, made: Plan, number: int, now: datetime) -> Downtime:
    downtime = Downtime(
        id=number,
        primary_key=f"{number}G0",
        severity=form.severity,
        classification=classification(made.start, now),
        description=form.description,
        start_at=made.start,
        end_at=made.end,
        state=state_at(made.start, made.end, now),
        created_at=now,
        created_by=principal.name,
        parts=[],
        services=[],
        endpoints=[],
    )
    downtime_parts.set_parts(downtime, made.parts)
    _set_service_ends(downtime, made.service_ends)
    return downtime


def _set_service_ends(downtime: Downtime, ends: Mapping[int, datetime]) -> None:
    """Services whose own end is that of the downtime have none of their own."""
    for link in downtime.services:
        end = ends.get(link.service_id)
        link.end_at = end if end is not None and end < downtime.end_at else None


class _Rehearsed(Exception):
    """Everything was checked; the transaction is to be undone."""


def edit(
    db: Database,
    principal: Principal,
    number: int,
    form: DowntimeEdit,
    expected: int | None = None,
    *,
    dry_run: bool = False,
) -> None:
    """Change the fields that `form` names; with `dry_run` check everything and keep nothing.

    Raises Refused where a rule says no, Conflict when somebody was quicker.
    """
    reason = form.reason or f"Downtime {number} changed"
    with suppress(_Rehearsed), recording(db, principal, reason) as (session, recorded):
        downtime, sites = lock(session, number, form.names)
        downtime_parts.check_rights(principal, sites)
        check_unchanged(session, "downtime", number, expected)
        apply(session, downtime, form, datetime.now(UTC))
        session.flush()
        entities.put_downtime(recorded, downtime)
        if dry_run:
            raise _Rehearsed


def apply(session: Session, downtime: Downtime, form: DowntimeEdit, now: datetime) -> None:
    """Change a locked downtime inside the caller's revision. Raises Refused with every fault."""
    old = times_of(downtime)
    start, end = form.start or old.start, form.end or old.end
    times = Times(start, end, _moved_ends(old, start, form.service_ends))
    faults = edit_faults((old.start, old.end), (start, end), downtime.classification, now)
    parts: Sequence[Affected] | None = None
    if not faults and (form.names or form.services or form.endpoints):
        parts, faults = _parts_of_edit(session, downtime, form)
    services = {link.service_id for link in downtime.services} if parts is None else _services(parts)
    if not faults:
        # what leaves the downtime takes its own end along
        kept = {one: at for one, at in times.service_ends.items() if one in services or form.service_ends}
        times = Times(start, end, kept)
        faults = service_end_faults(old, times, services, now)
    if faults:
        raise Refused("The downtime was not changed.", *faults)
    if parts is not None:
        downtime_parts.set_parts(downtime, parts)
    if start != downtime.start_at:
        downtime.classification = classification(start, now)
    downtime.start_at, downtime.end_at = start, end
    _set_service_ends(downtime, times.service_ends)
    downtime.severity = form.severity or downtime.severity
    downtime.description = form.description or downtime.description
    downtime.state = state_at(start, end, now)


def times_of(downtime: Downtime) -> Times:
    """The times of a downtime as the rules look at them."""
    ends = {link.service_id: link.end_at for link in downtime.services if link.end_at is not None}
    return Times(downtime.start_at, downtime.end_at, ends)


def _moved_ends(old: Times, start: datetime, wanted: Mapping[int, datetime] | None) -> Mapping[int, datetime]:
    """The services' own ends: as `wanted`, or as they were, moved along with the start."""
    if wanted is not None:
        return wanted
    return {number: end + (start - old.start) for number, end in old.service_ends.items()}


def _parts_of_edit(
    session: Session, downtime: Downtime, form: DowntimeEdit
) -> tuple[list[Affected], list[FieldFault]]:
    """What the edit means. Without sites those that it has; of these only where something is named."""
    sites = [part.site for part in downtime.parts]
    services = form.services
    if form.names:
        by_name = {site.name: site for site in downtime_parts.lock_sites(session, form.names)}
        sites = [by_name[name] for name in form.names]
    elif services:
        named = set(downtime_parts.sites_of(session, services).values())
        sites = [site for site in sites if site.name in named] or sites
    else:
        services = [link.service_id for link in downtime.services]
    return downtime_parts.resolve(session, sites, services, form.endpoints)


def end_early(db: Database, principal: Principal, number: int, form: EndIn, *, dry_run: bool = False) -> None:
    """End an ongoing downtime, or some of its services, in 60 s, as GOCDB does.

    Once every service has its own end, the downtime ends with the last of them. Raises Refused when it is not going
    on or a service is not one of its own.
    """
    reason = form.reason or f"Downtime {number} ended early"
    with suppress(_Rehearsed), recording(db, principal, reason) as (session, recorded):
        downtime, sites = lock(session, number)
        chosen = _to_end(session, downtime, form)
        if chosen is not None:
            names = set(downtime_parts.sites_of(session, chosen).values())
            sites = [site for site in sites if site.name in names]
        downtime_parts.check_rights(principal, sites)
        now = datetime.now(UTC)
        if state_at(downtime.start_at, downtime.end_at, now) != "ongoing":
            raise Refused(
                "Only a downtime that is going on can be ended.",
                FieldFault("id", "delete it while it is planned; after its end there is nothing to end"),
            )
        _end(downtime, chosen, now + GRACE)
        session.flush()
        entities.put_downtime(recorded, downtime)
        if dry_run:
            raise _Rehearsed


def _to_end(session: Session, downtime: Downtime, form: EndIn) -> set[int] | None:
    """The services that are to end; None for all of them. Raises Refused for what is none of the downtime's."""
    if form.services is None and form.sites is None:
        return None
    own = downtime_parts.sites_of(session, [link.service_id for link in downtime.services])
    faults = [
        FieldFault("services", f"{one} is not affected by this downtime")
        for one in sorted(set(form.services or ()) - own.keys())
    ]
    faults += [
        FieldFault("sites", f"{name} is not affected by this downtime")
        for name in dict.fromkeys(form.sites or ())
        if name not in own.values()
    ]
    if faults:
        raise Refused("Nothing was ended.", *faults)
    return set(form.services or ()) | {one for one, name in own.items() if name in (form.sites or ())}


def _end(downtime: Downtime, chosen: set[int] | None, moment: datetime) -> None:
    ends = dict(times_of(downtime).service_ends)
    for link in downtime.services:
        if chosen is None or link.service_id in chosen:
            ends[link.service_id] = min(ends.get(link.service_id, downtime.end_at), moment)
    if chosen is None or len(ends) == len(downtime.services):
        downtime.end_at = max(ends.values(), default=min(moment, downtime.end_at))
    _set_service_ends(downtime, ends)


def remove(
    db: Database,
    principal: Principal,
    number: int,
    reason: str,
    expected: int | None = None,
    *,
    dry_run: bool = False,
) -> None:
    """Delete a downtime that has not begun. Raises Refused where a rule says no."""
    reason = reason or f"Downtime {number} removed"
    with suppress(_Rehearsed), recording(db, principal, reason) as (session, recorded):
        downtime, sites = lock(session, number)
        downtime_parts.check_rights(principal, sites)
        check_unchanged(session, "downtime", number, expected)
        fault = delete_fault(downtime.start_at, downtime.classification, datetime.now(UTC))
        if fault is not None:
            raise Refused("The downtime was not deleted.", fault)
        recorded.delete("downtime", str(number))
        session.delete(downtime)
        if dry_run:
            raise _Rehearsed


def lock(session: Session, number: int, more: Sequence[str] = ()) -> tuple[Downtime, list[Site]]:
    """The downtime and its sites, and the sites `more`, locked against other writers. Raises NotFound.

    Sites come before downtimes, as in every use case that changes both.
    """
    names = session.scalars(select(Site.name).join(DowntimePart).where(DowntimePart.downtime_id == number))
    sites = downtime_parts.lock_sites(session, [*names, *more])
    downtime = session.scalar(
        select(Downtime)
        .where(Downtime.id == number)
        .with_for_update(of=Downtime)
        .execution_options(populate_existing=True)
    )
    if downtime is None:
        raise NotFound(f"There is no downtime {number}.")
    if not set(downtime.site_names) <= {site.name for site in sites}:
        raise Conflict(f"Somebody changed the sites of downtime {number} at the same moment; try again.")
    return downtime, sites


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
        where = ", ".join(downtime.site_names)
        with change(session, CLOCK, f"{where}: downtime {verb}"[:300]) as recorded:
            downtime.state = state
            session.flush()
            entities.put_downtime(recorded, downtime)
        return f"downtime {number} at {where} {verb}"


def overlapping(
    session: Session, start: datetime, end: datetime, *, site_id: int | None = None
) -> list[Downtime]:
    """Downtimes that share time with `start` to `end`, of one site or all, by their start.

    A service that ended before keeps its downtime in the list: look at `covered` for what is away at a moment.
    """
    wanted = select(Downtime).where(Downtime.start_at < end, Downtime.end_at > start)
    if site_id is not None:
        parts = select(DowntimePart.downtime_id).where(DowntimePart.site_id == site_id)
        wanted = wanted.where(Downtime.id.in_(parts))
    return list(session.scalars(wanted.order_by(Downtime.start_at, Downtime.id)))


def covered(downtime: Downtime, start: datetime, end: datetime) -> list[DowntimeService]:
    """The services of the downtime that are affected at some moment between `start` and `end`."""
    return [
        link
        for link in downtime.services
        if downtime.start_at < end and (link.end_at or downtime.end_at) > start
    ]


def of_day(session: Session, moment: datetime) -> list[Downtime]:
    """Downtimes that share time with the UTC day of `moment`."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return overlapping(session, midnight, midnight + timedelta(days=1))
