"""The same downtime again: once at another time, or repeated by day, week or month."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice, pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from registry import downtimes, entities
from registry.models import Downtime, Service
from registry.recording import recording
from registry.rules import classification
from registry.schemas.downtimes import CloneIn, DowntimeIn, RepeatIn, SeriesIn

FARTHEST = timedelta(days=3 * 366)
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Occurrence:
    """One downtime of a series: its times, its class, its id once declared, and what the rules refuse."""

    start: datetime
    end: datetime
    classification: str
    faults: Sequence[FieldFault] = ()
    id: int | None = None


def spans(start: datetime, end: datetime, repeat: RepeatIn) -> list[Span]:
    """The times of each repetition, the first included, in UTC.

    The hour of the day stays what it is in the zone of `repeat`, and each lasts as long as the first. A month without
    the day of the first is left out and not counted. Raises Refused for an unknown zone, for repetitions that overlap
    and for a last one that is more than three years ahead.
    """
    zone = _zone(repeat.timezone)
    lasts = end - start
    try:
        days = _days(start.astimezone(zone), repeat)
        found = [(begins, begins + lasts) for begins in islice(days, repeat.times)]
    except (OverflowError, ValueError):
        raise Refused(
            "The series is too long.", FieldFault("repeat", "it runs past the end of the calendar")
        ) from None
    if any(before[1] > after[0] for before, after in pairwise(found)):
        raise Refused(
            "The repetitions overlap.",
            FieldFault(
                "repeat", "each must end before the next begins; make it shorter or repeat it less often"
            ),
        )
    if found[-1][0] > start + FARTHEST:
        raise Refused(
            "The series is too long.", FieldFault("repeat", "the last may begin three years after the first")
        )
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(
            "The time zone is not known.",
            FieldFault("repeat", f"{name} is no time zone; write Europe/Madrid or UTC"),
        ) from None


def _days(first: datetime, repeat: RepeatIn) -> Iterator[datetime]:
    for number in count():
        step = number * repeat.interval
        if repeat.every == "month":
            months = first.month - 1 + step
            year, month = first.year + months // 12, months % 12 + 1
            if first.day > monthrange(year, month)[1]:
                continue
            yield first.replace(year=year, month=month).astimezone(UTC)
        else:
            days = step * (7 if repeat.every == "week" else 1)
            # a wall clock of the zone: the offset is looked up anew for each day
            yield (first + timedelta(days=days)).astimezone(UTC)


def tell(db: Database, principal: Principal, form: SeriesIn) -> list[Occurrence]:
    """Each repetition with what would be refused; nothing is kept. Raises what no repetition could mend."""
    now = datetime.now(UTC)
    first = form.downtime.start or now
    with db.transaction() as session:
        found = spans(first, form.downtime.end, form.repeat)
        return [_tried(session, principal, _at(form.downtime, first, span), span, now) for span in found]


def _tried(session: Session, principal: Principal, form: DowntimeIn, span: Span, now: datetime) -> Occurrence:
    faults: Sequence[FieldFault] = ()
    try:
        downtimes.plan(session, principal, form, now)
    except Refused as error:
        faults = error.fields
    return Occurrence(*span, classification(span[0], now), faults)


def declare(db: Database, principal: Principal, form: SeriesIn) -> list[Occurrence]:
    """Declare every repetition in one revision, or none: a fault names the repetition it is in, from 1."""
    now = datetime.now(UTC)
    first = form.downtime.start or now
    reason = form.downtime.reason or f"Downtimes declared: {form.downtime.description}"[:300]
    made: list[Downtime] = []
    faults: list[FieldFault] = []
    with recording(db, principal, reason) as (session, recorded):
        for number, span in enumerate(spans(first, form.downtime.end, form.repeat), start=1):
            try:
                downtime = downtimes.write(session, recorded, principal, _at(form.downtime, first, span), now)
            except Refused as error:
                faults += [FieldFault(fault.field, fault.reason, number) for fault in error.fields]
                continue
            made.append(downtime)
            downtime.series = made[0].id
            session.flush()
            entities.put_downtime(recorded, downtime)
        if faults:
            raise Refused("No downtime of the series was declared.", *faults)
        return [Occurrence(one.start_at, one.end_at, one.classification, id=one.id) for one in made]


def _at(form: DowntimeIn, first: datetime, span: Span) -> DowntimeIn:
    """The downtime `form`, whose start is `first`, moved to `span`; the services' own ends move along."""
    ends = form.service_ends and {one: end + (span[0] - first) for one, end in form.service_ends.items()}
    return form.model_copy(update={"start": span[0], "end": span[1], "service_ends": ends})


def clone(db: Database, principal: Principal, number: int, form: CloneIn) -> int:
    """Declare downtime `number` again at another time; returns the new id. Raises as `downtimes.declare`."""
    reason = form.reason or f"Downtime {number} declared again"
    with recording(db, principal, reason) as (session, recorded):
        again = form_of(session, number, form.start, form.end)
        if form.description:
            again = again.model_copy(update={"description": form.description})
        return downtimes.write(session, recorded, principal, again, datetime.now(UTC)).id


def form_of(session: Session, number: int, start: datetime | None, end: datetime | None) -> DowntimeIn:
    """What somebody would send to declare downtime `number` again. Without `end` it lasts as long.

    What was taken whole is taken whole; a site all of whose services are gone is left out. Raises NotFound, and
    Refused when nothing of it is left.
    """
    downtime = session.get(Downtime, number)
    if downtime is None:
        raise NotFound(f"There is no downtime {number}.")
    start = start or downtime.start_at
    links = [link.service_id for link in downtime.services]
    rows = session.execute(select(Service.id, Service.site_id).where(Service.id.in_(links)))
    site_of = {service: site for service, site in rows}
    whole = {part.site_id for part in downtime.parts if part.whole}
    named = [link for link in downtime.services if site_of.get(link.service_id) not in whole]
    sites = [
        part.site.name
        for part in downtime.parts
        if part.whole or part.site_id in {site_of[link.service_id] for link in named}
    ]
    if not sites:
        raise Refused(
            "Nothing of this downtime is left to take down.", FieldFault("services", "were all removed")
        )
    return DowntimeIn(
        sites=sites,
        services=[link.service_id for link in named] or None,
        endpoints=_single_endpoints(session, downtime) or None,
        severity=downtime.severity,  # type: ignore[arg-type]
        description=downtime.description,
        start=start,
        end=end or start + (downtime.end_at - downtime.start_at),
    )


def _single_endpoints(session: Session, downtime: Downtime) -> list[int]:
    """The endpoints of services that are not taken whole."""
    single = [link.service_id for link in downtime.services if not link.whole]
    services = [session.get_one(Service, number) for number in single]
    affected = {link.endpoint_id for link in downtime.endpoints}
    return [one.id for service in services for one in service.endpoints if one.id in affected]
