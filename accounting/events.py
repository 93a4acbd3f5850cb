"""The log of what was done to the figures: who, when, what, and why. Nothing that changes a total is done silently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from accounting.inbox import plain
from accounting.models import UsageEvent

KINDS: dict[str, str] = {
    "republish": "A month was taken out, to come again",
    "replay": "Refused records were replayed",
    "discard": "Refused records were discarded, or taken back",
    "finding": "A finding of the cross-checks was decided",
    "archive": "Records were archived",
    "restore": "Records were restored",
    "pseudonymise": "A name was replaced",
}


def tell(
    session: Session,
    kind: str,
    sentence: str,
    *,
    by: str,
    site: str = "",
    month: date | None = None,
    **details: Any,
) -> int:
    """Write an event into the caller's transaction, so that it is there if what it tells of was done; its number."""
    assert kind in KINDS
    row = UsageEvent(
        kind=kind, sentence=plain(sentence), done_by=plain(by), site=site, month=month, details=details
    )
    session.add(row)
    session.flush()
    return row.id


def listed(
    session: Session,
    *,
    site: str = "",
    kind: str = "",
    sites: Collection[str] | None = None,
    before: int | None = None,
    limit: int = 51,
) -> Sequence[UsageEvent]:
    """Events, newest first. With `sites`, decisions about findings, which may name people, only of these."""
    statement = select(UsageEvent)
    if site:
        statement = statement.where(UsageEvent.site == site)
    if kind:
        statement = statement.where(UsageEvent.kind == kind)
    if sites is not None:
        statement = statement.where(or_(UsageEvent.kind != "finding", UsageEvent.site.in_(sites)))
    if before is not None:
        statement = statement.where(UsageEvent.id < before)
    return session.scalars(statement.order_by(UsageEvent.id.desc()).limit(limit)).all()


def sites(session: Session) -> list[str]:
    """The sites that events tell of."""
    wanted = select(UsageEvent.site).where(UsageEvent.site != "").distinct().order_by(UsageEvent.site)
    return list(session.scalars(wanted))
