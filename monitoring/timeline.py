"""The timeline: written once at each change of state, read for bars and availability."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from monitoring.algebra import Change, State, Tally, spans, tally
from monitoring.models import StatusChange

KEPT = timedelta(days=30)
# One look into the index a subject: years of changes before `start` are not read.
_BEFORE = text(
    """
    select w.subject, c.at, c.state
    from unnest(cast(:subjects as text[])) as w (subject),
    lateral (select at, state from status_change
             where level = :level and subject = w.subject and at <= :start
             order by at desc, id desc limit 1) as c
    """
)
_WITHIN = text(
    """
    select c.subject, c.at, c.state
    from unnest(cast(:subjects as text[])) as w (subject)
    join status_change c on c.level = :level and c.subject = w.subject and c.at > :start and c.at < :end
    order by c.at, c.id
    """
)


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
    given = {"level": level, "subjects": wanted, "start": start, "end": end}
    for statement in (_BEFORE, _WITHIN):
        for subject, at, state in session.execute(statement, given):
            found[subject].append(Change(at, State(state)))
    return {subject: found[subject] for subject in wanted}


def tallies(
    session: Session, level: str, subjects: Iterable[str], start: datetime, end: datetime
) -> dict[str, Tally]:
    """What each subject's timeline amounts to between `start` and `end`."""
    found = changes(session, level, subjects, start, end)
    return {subject: tally(spans(line, start, end)) for subject, line in found.items()}
