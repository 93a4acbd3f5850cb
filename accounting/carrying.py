"""How the ways in and out go: pulling from an AMS, and what waits to go upward."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

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


@dataclass(frozen=True)
class Told:
    """Which messages for above are asked for; None = whichever."""

    site: str | None = None
    month: date | None = None
    state: str | None = None


def forwarded(session: Session, told: Told, before: int | None, limit: int) -> list[ForwardedMessage]:
    """Messages for the higher federation, newest first, without their bodies; `before` is the id to go on from."""
    wanted = select(ForwardedMessage).options(defer(ForwardedMessage.body))
    if told.site is not None:
        wanted = wanted.where(ForwardedMessage.site == told.site)
    if told.month is not None:
        wanted = wanted.where(ForwardedMessage.month == told.month)
    if told.state is not None:
        wanted = wanted.where(ForwardedMessage.state == told.state)
    if before is not None:
        wanted = wanted.where(ForwardedMessage.id < before)
    return list(session.scalars(wanted.order_by(ForwardedMessage.id.desc()).limit(limit)))


def pulls(session: Session) -> list[PullState]:
    """Every subscription that was ever pulled from, and how that goes."""
    return list(session.scalars(select(PullState).order_by(PullState.source)))
