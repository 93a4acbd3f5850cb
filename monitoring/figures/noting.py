"""Days whose figures must be made anew, noted in the transaction that changed what they are made of."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from monitoring.clock import database_time
from monitoring.models.figures import ComputedDay, NotedDay

# the most days that one change notes: what is older stays as it was reported
FURTHEST = timedelta(days=400)


def today(session: Session) -> date:
    """The UTC day now, by the database's clock."""
    return database_time(session).astimezone(UTC).date()


def note(session: Session, days: Iterable[date], why: str) -> int:
    """Note the days that are over; how many."""
    now = today(session)
    wanted = sorted({day for day in days if now - FURTHEST <= day < now})
    if wanted:
        row = insert(NotedDay).values([{"day": day, "why": why[:200]} for day in wanted])
        again = {"noted_at": func.clock_timestamp(), "why": row.excluded.why}
        session.execute(row.on_conflict_do_update(index_elements=["day"], set_=again))
    return len(wanted)


def note_between(session: Session, start: datetime, end: datetime, why: str) -> int:
    """Note every day that the stretch of time touches, up to yesterday."""
    first = max(start.astimezone(UTC).date(), today(session) - FURTHEST)
    last = min(end.astimezone(UTC).date(), today(session))
    return note(session, (first + timedelta(days=n) for n in range((last - first).days + 1)), why)


def note_since(session: Session, first: date, why: str) -> int:
    """Note every computed day from `first` on."""
    days = select(ComputedDay.day).where(ComputedDay.day >= first).distinct()
    return note(session, session.scalars(days), why)
