"""How the ways in and out go: pulling from an AMS, and what waits to go upward."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounting.models import ForwardedMessage, PullState


@dataclass(frozen=True)
class Carrying:
    """Seconds since each subscription was last read without a failure (None = never), and messages for above that
    wait, with the age of the oldest (None = none waits).
    """

    pull_age_s: dict[str, float | None]
    waiting: int
    oldest_s: float | None


def carrying(session: Session, now: datetime) -> Carrying:
    """As the database has it now."""
    pulls = session.execute(select(PullState.source, PullState.pulled_at))
    ages = {source: (now - at).total_seconds() if at else None for source, at in pulls}
    waits = ForwardedMessage.state == "waiting"
    count, oldest = session.execute(
        select(func.count(), func.min(ForwardedMessage.written_at)).where(waits)
    ).one()
    return Carrying(ages, count, (now - oldest).total_seconds() if oldest else None)
