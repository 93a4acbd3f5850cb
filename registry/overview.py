"""The registry's own figures for the operator's page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.revisions import Body, History, Revision, head
from registry import states, trail
from registry.models import CERTIFICATIONS, Downtime, Endpoint, Service, Site

LATEST = 12


@dataclass(frozen=True)
class Overview:
    """What the registry knows at `at`: sites by certification, downtimes and changes of the UTC day."""

    at: datetime
    revision: int
    sites: dict[str, int]
    services: int
    endpoints: int
    downtimes: list[Body]
    changes_today: int
    changes: list[trail.Event]


def look(session: Session, now: datetime | None = None) -> Overview:
    """The figures of this moment."""
    now = now or datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    counted = dict(
        session.execute(select(Site.certification, func.count()).group_by(Site.certification)).all()
    )
    today = Revision.at >= midnight
    return Overview(
        at=now,
        revision=head(session),
        sites={status: counted.get(status, 0) for status in CERTIFICATIONS},
        services=session.scalar(select(func.count()).select_from(Service)) or 0,
        endpoints=session.scalar(select(func.count()).select_from(Endpoint)) or 0,
        downtimes=_of_day(session, midnight),
        changes_today=session.scalar(select(func.count()).select_from(Revision).where(today)) or 0,
        changes=trail.events(
            session,
            trail.Wanted(since=midnight),
            where=[History.kind.not_in(["grant", "endpoint"])],
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
