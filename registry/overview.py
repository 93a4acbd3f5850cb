"""The registry's own figures for the operator's page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.revisions import Body, History, Revision
from registry import directory, downtime_finding, states, trail
from registry.directory import Federation
from registry.models import CERTIFICATIONS, Downtime
from registry.schemas.downtimes import DowntimeFilter
from registry.states import Moment

LATEST = 12


@dataclass(frozen=True)
class Overview:
    """What the registry knows, or knew, at `at`: sites by certification, downtimes and changes of the UTC day."""

    at: datetime
    revision: int
    sites: dict[str, int]
    services: int
    endpoints: int
    downtimes: list[Body]
    changes_today: int
    changes: list[trail.Event]


def look(session: Session, federation: Federation, now: datetime | None = None) -> Overview:
    """The figures of this moment."""
    now = now or datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    counted = Counter(site.certification for site in federation.sites)
    today = Revision.at >= midnight
    return Overview(
        at=now,
        revision=federation.revision,
        sites={status: counted[status] for status in CERTIFICATIONS},
        services=federation.services,
        endpoints=federation.endpoints,
        downtimes=_of_day(session, midnight),
        changes_today=session.scalar(select(func.count()).select_from(Revision).where(today)) or 0,
        changes=trail.events(
            session,
            trail.Wanted(since=midnight),
            where=[History.kind.not_in(["grant", "endpoint"])],
            limit=LATEST,
        ),
    )


def look_then(db: Database, session: Session, moment: Moment) -> Overview:
    """The figures as they stood at a moment: its UTC day, as far as it had come."""
    as_of = str(moment.number)
    midnight = moment.at.replace(hour=0, minute=0, second=0, microsecond=0)
    known = Revision.number <= moment.number
    certified = Counter(site.certification for site in directory.sites(db, session, as_of))
    counted = directory.counted_then(db, session, moment.number)
    day = DowntimeFilter(since=midnight, until=midnight + timedelta(days=1))
    downtimes = [one.body for one in downtime_finding.find(session, day, as_of=as_of)]
    return Overview(
        at=moment.at,
        revision=moment.number,
        sites={status: certified[status] for status in CERTIFICATIONS},
        services=counted.get("service", 0),
        endpoints=counted.get("endpoint", 0),
        downtimes=sorted(downtimes, key=lambda one: (one["start"], int(one["id"]))),
        changes_today=session.scalar(
            select(func.count()).select_from(Revision).where(known, Revision.at >= midnight)
        )
        or 0,
        changes=trail.events(
            session,
            trail.Wanted(since=midnight),
            where=[History.kind.not_in(["grant", "endpoint"]), History.from_revision <= moment.number],
            limit=LATEST,
        ),
    )


def _of_day(session: Session, midnight: datetime) -> list[Body]:
    """Downtimes that share time with a UTC day, by their start."""
    found = session.scalars(
        select(Downtime.id)
        .where(Downtime.start_at < midnight + timedelta(days=1), Downtime.end_at > midnight)
        .order_by(Downtime.start_at, Downtime.id)
    )
    numbers = [str(number) for number in found]
    bodies = {
        state.id: state.body
        for state in states.by_id(session, "downtime", where=[History.entity_id.in_(numbers)])
    }
    return [bodies[number] for number in numbers if number in bodies]
