"""The timeline: written once at each change of state, read for bars and availability."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from monitoring.algebra import Change, State, Tally, spans, tally
from monitoring.models import StatusChange

KEPT = timedelta(days=30)


def append(session: Session, level: str, subject: str, state: State, at: datetime, reason: str = "") -> None:
    """Write that `subject` is in `state` from `at` on. A time before the last change counts from that change:
    timelines never run backwards, and a change never rewrites what was said."""
    last = session.scalars(
        select(StatusChange)
        .where(StatusChange.level == level, StatusChange.subject == subject)
        .order_by(StatusChange.at.desc(), StatusChange.id.desc())
        .limit(1)
    ).first()
    if last is not None and last.state == state:
        return
    begins = max(at, last.at) if last is not None else at
    session.add(StatusChange(level=level, subject=subject, at=begins, state=state, reason=reason))
    session.flush()


def changes(
    session: Session, level: str, subjects: Iterable[str], start: datetime, end: datetime
) -> dict[str, list[Change]]:
    """Changes of each subject in order of time, beginning with the one in force at `start`."""
    wanted = list(subjects)
    found: dict[str, list[Change]] = defaultdict(list)
    before = (
        select(StatusChange)
        .ext(distinct_on(StatusChange.subject))
        .where(StatusChange.level == level, StatusChange.subject.in_(wanted), StatusChange.at <= start)
        .order_by(StatusChange.subject, StatusChange.at.desc(), StatusChange.id.desc())
    )
    within = (
        select(StatusChange)
        .where(
            StatusChange.level == level,
            StatusChange.subject.in_(wanted),
            StatusChange.at > start,
            StatusChange.at < end,
        )
        .order_by(StatusChange.at, StatusChange.id)
    )
    for row in (*session.scalars(before), *session.scalars(within)):
        found[row.subject].append(Change(row.at, State(row.state)))
    return {subject: found[subject] for subject in wanted}


def tallies(
    session: Session, level: str, subjects: Iterable[str], start: datetime, end: datetime
) -> dict[str, Tally]:
    """What each subject's timeline amounts to between `start` and `end`."""
    found = changes(session, level, subjects, start, end)
    return {subject: tally(spans(line, start, end)) for subject, line in found.items()}
