"""The revision log as people read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.revisions import History, Revision

_SHOWN = ("membership", "application", "vo", "group", "role")
PAGE = 100


@dataclass(frozen=True)
class Entry:
    """One revision: what was done, by whom, and whom or what it concerned."""

    revision: int
    at: datetime
    by: str
    reason: str
    concerns: str


def of_vo(session: Session, vo: str, before: int | None = None) -> list[Entry]:
    """What was changed in a VO, newest first."""
    whose = func.coalesce(History.body["vo"].astext, History.body["name"].astext)
    query = (
        select(Revision, History)
        .join(History, History.from_revision == Revision.number)
        .where(History.kind.in_(_SHOWN), whose == vo)
        .order_by(Revision.number.desc(), History.id)
        .limit(PAGE)
    )
    if before is not None:
        query = query.where(Revision.number < before)
    return [_entry(revision, history) for revision, history in session.execute(query)]


def of_member(session: Session, member_id: int) -> list[Entry]:
    """What was changed about one member, newest first."""
    query = (
        select(Revision, History)
        .join(History, History.from_revision == Revision.number)
        .where(History.kind == "membership", History.entity_id == str(member_id))
        .order_by(Revision.number.desc())
        .limit(PAGE)
    )
    return [_entry(revision, history) for revision, history in session.execute(query)]


def _entry(revision: Revision, history: History) -> Entry:
    body = history.body or {}
    concerns = str(body.get("name") or body.get("path") or f"{history.kind} {history.entity_id}")
    return Entry(revision.number, revision.at, revision.actor_name, revision.reason, concerns)
