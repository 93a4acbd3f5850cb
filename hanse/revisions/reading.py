"""Reading the log: what entities are and were, and which revision a moment means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hanse.revisions.tables import Body, History, Revision


def head(session: Session) -> int:
    """The highest committed revision number; 0 for an empty log."""
    return session.scalar(select(func.max(Revision.number))) or 0


def current(session: Session, kind: str) -> dict[str, Body]:
    """All entities of `kind` as they are now, by id."""
    return _bodies(session, select(History).where(History.kind == kind, History.to_revision.is_(None)))


def as_of(session: Session, kind: str, at: datetime | int) -> dict[str, Body]:
    """All entities of `kind` as they were at a time (aware) or after a revision, by id."""
    number = at if isinstance(at, int) else number_at_time(session, at)
    return _bodies(
        session,
        select(History).where(
            History.kind == kind,
            History.from_revision <= number,
            (History.to_revision > number) | History.to_revision.is_(None),
        ),
    )


def number_at_time(session: Session, at: datetime) -> int:
    """The last revision at or before an aware time; 0 before the first."""
    if at.tzinfo is None:
        raise ValueError("as_of needs an aware time")
    # numbers, not times, order the log: equal times belong to it up to the highest of them
    newest = (
        select(Revision.number).where(Revision.at <= at).order_by(Revision.at.desc(), Revision.number.desc())
    )
    return session.scalar(newest.limit(1)) or 0


def _bodies(session: Session, statement: Select[Any]) -> dict[str, Body]:
    columns = statement.with_only_columns(History.entity_id, History.body).where(History.op == "put")
    return {row.entity_id: row.body for row in session.execute(columns)}


@dataclass(frozen=True)
class HistoryEntry:
    """One state of one entity: from which revision, until which (None = still), by whom and why."""

    revision: int
    until: int | None
    at: datetime
    actor: str
    actor_name: str
    reason: str
    op: str
    body: Body | None


def history_of(session: Session, kind: str, entity_id: str) -> list[HistoryEntry]:
    """All that an entity has been, oldest first; empty when it never was."""
    statement = (
        select(History, Revision)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == kind, History.entity_id == entity_id)
        .order_by(History.from_revision)
    )
    return [
        HistoryEntry(revision.number, row.to_revision, *_who_and_why(revision), row.op, row.body)
        for row, revision in session.execute(statement)
    ]


def _who_and_why(revision: Revision) -> tuple[datetime, str, str, str]:
    return revision.at, revision.actor, revision.actor_name, revision.reason
