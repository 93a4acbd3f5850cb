"""The job: looks through all checks and writes what it found, what it found again, and what is gone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.crosschecks.checks import CHECKS
from accounting.crosschecks.found import Found, Looked, Scene
from accounting.crosschecks.known import AskMembers, known
from accounting.inbox import plain
from accounting.models import Finding
from hanse.database import Database

WRITTEN_AT_ONCE = 500
LONGEST_FACT = 1000


def look(
    db: Database, now: datetime, *, months: int, silent_days: int, ask_members: AskMembers | None = None,
    issuers: Sequence[str] = (),
) -> str:  # fmt: skip
    """Carry out every check over the last `months` months; a sentence for the run log.

    Each check is a transaction of its own: one that fails leaves the others' findings. What a check could not judge
    keeps its findings, and is told.
    """
    index = now.year * 12 + now.month - months
    first = date(index // 12, index % 12 + 1, 1)
    with db.transaction() as session:
        seen = known(session, ask_members, issuers)
    told: list[str] = []
    blind: list[str] = []
    for kind, check in CHECKS.items():
        with db.transaction() as session:
            looked = check.look(Scene(session, seen, now, first, silent_days))
            write(session, kind, looked, now)
        told.append(f"{kind} {len(looked.found)}")
        blind += looked.blind.values()
    return f"Found: {', '.join(told)}." + "".join(f" {why}" for why in dict.fromkeys(blind))


def write(session: Session, kind: str, looked: Looked, now: datetime) -> None:
    """Write the findings of one look. A fact that comes back begins anew, unless somebody accepted it."""
    rows = [_row(kind, found, now) for found in {found.fact: found for found in looked.found}.values()]
    for start in range(0, len(rows), WRITTEN_AT_ONCE):
        _upsert(session, rows[start : start + WRITTEN_AT_ONCE])
    if "" in looked.blind:
        return  # nothing of the kind could be judged whole: nothing is gone
    gone = update(Finding).where(Finding.kind == kind, Finding.gone_at.is_(None), Finding.seen_at < now)
    if looked.blind:
        gone = gone.where(Finding.vo.not_in(list(looked.blind)))
    session.execute(gone.values(gone_at=now))


def fact_of(found: Found) -> str:
    """The name of a finding within its kind, short enough for an index."""
    fact = plain(found.fact)
    return fact if len(fact.encode()) <= LONGEST_FACT else hashlib.sha256(fact.encode()).hexdigest()


def _row(kind: str, found: Found, now: datetime) -> dict[str, Any]:
    return {
        "kind": kind, "fact": fact_of(found), "owner": plain(found.owner), "site": found.site[:255],
        "vo": plain(found.vo)[:255], "subject": plain(found.subject)[:255], "month": found.month,
        "sentence": plain(found.sentence), "cpu_s": found.cpu_s, "since": now, "seen_at": now,
    }  # fmt: skip


def _upsert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    statement = insert(Finding).values(list(rows))
    new, anew = statement.excluded, Finding.gone_at.is_not(None)
    fresh = anew & (Finding.decision != "accepted")
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "fact"],
            set_={
                **{
                    name: new[name]
                    for name in ("owner", "site", "vo", "subject", "month", "sentence", "cpu_s", "seen_at")
                },
                "gone_at": None,
                "since": case((anew, new.since), else_=Finding.since),
                "told_at": case((fresh, None), else_=Finding.told_at),
                "decision": case((fresh, ""), else_=Finding.decision),
                "reason": case((fresh, ""), else_=Finding.reason),
                "decided_at": case((fresh, None), else_=Finding.decided_at),
                "decided_by": case((fresh, ""), else_=Finding.decided_by),
            },
        )
    )


def open_by_kind(session: Session) -> dict[str, int]:
    """How many findings of each kind stand and were not accepted."""
    rows = session.execute(
        select(Finding.kind, func.count())
        .where(Finding.gone_at.is_(None), Finding.decision != "accepted")
        .group_by(Finding.kind)
    )
    found = {kind: int(count) for kind, count in rows}
    return {kind: found.get(kind, 0) for kind in CHECKS}
