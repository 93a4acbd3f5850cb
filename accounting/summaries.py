"""Summaries by site and month, made anew only where usage changed, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, case, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.archive.kept import closed, closes, open_since
from accounting.forwarding.due import note_summed
from accounting.models import SitePublishing, SummaryDue, Uncounted, UsageDay
from accounting.rollup import roll_up
from accounting.stores import stores, vm_anew
from hanse.database import Database

SUMMED_AT_ONCE = 20


def mark_due(session: Session, touched: Iterable[tuple[str, str, date]]) -> None:
    """Note in this transaction that these (kind, site, month) must be summed again.

    An update, not only an insert: the row stays locked until the usage is committed, so no summariser can
    take the note and miss the usage. Two ways of telling one month may both name it.
    """
    rows = [{"kind": kind, "site": site, "month": month} for kind, site, month in sorted(set(touched))]
    if rows:
        statement = insert(SummaryDue).values(rows)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "site", "month"], set_={"since": SummaryDue.since}
            )
        )


def summarise(db: Database) -> int:
    """Sum again what is due and no other summariser holds; returns how many site-months were summed.

    What is due of months whose records lie in the archive stays noted until they are restored.
    """
    _count_anew(db)
    total = 0
    while True:
        with db.transaction() as session:
            due = _take_due(session)
            # Tables that fill within minutes have no statistics yet; a loop over pairs would take them for empty.
            session.execute(text("set local enable_nestloop = off"))
            for kind, site, month in due:
                stores()[kind].resum(session, site, month)
                roll_up(session, kind, site, month)
            note_summed(session, due)
        total += len(due)
        if not due:
            return total


def _count_anew(db: Database) -> None:
    """Count the machines of sites anew that wait for it (`Uncounted`)."""
    with db.transaction() as session:
        sites = session.scalars(select(Uncounted.site).order_by(Uncounted.site)).all()
    for site in sites:
        with db.transaction() as session:
            lock_sites(session, [site])
            months = vm_anew.count(db, session, [site])
            mark_due(session, [("vm", *each) for each in months])


def lock_sites(session: Session, sites: Iterable[str]) -> None:
    """Take the lock of each site until the transaction ends: two loaders never write records of one site at once."""
    for site in sorted(sites):
        session.execute(text("select pg_advisory_xact_lock(hashtextextended(:site, 7))"), {"site": site})


def is_due(session: Session) -> bool:
    """Whether something can be summed now."""
    return session.scalar(select(SummaryDue.kind).where(*_open(session)).limit(1)) is not None


def waits_for_archive(session: Session) -> list[tuple[str, str, date]]:
    """(kind, site, month) of what is due and whose records lie in the archive."""
    key = (SummaryDue.kind, SummaryDue.site, SummaryDue.month)
    rows = session.execute(select(*key).order_by(*key)).all()
    return [(kind, site, month) for kind, site, month in rows if closed(session, kind, month)]


def _open(session: Session) -> list[ColumnElement[bool]]:
    """What can be summed: its records are at hand. A kind that newer code notes is left to that."""
    shut = [
        (SummaryDue.kind == kind) & (SummaryDue.month < since)
        for kind, since in open_since(session).items()
        if closes(kind)
    ]
    return [SummaryDue.kind.in_(list(stores())), *(~each for each in shut)]


def _take_due(session: Session) -> list[tuple[str, str, date]]:
    key = (SummaryDue.kind, SummaryDue.site, SummaryDue.month)
    chosen = (
        select(*key)
        .where(*_open(session))
        .order_by(SummaryDue.since)
        .limit(SUMMED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    taken = [(kind, site, month) for kind, site, month in session.execute(chosen)]
    if taken:
        session.execute(delete(SummaryDue).where(tuple_(*key).in_(taken)))
    return taken


def by_day(session: Session, since: datetime, until: datetime) -> list[tuple[date, float]]:
    """(day, CPU hours) of every day from `since` to `until`, cut in proportion to time like the months."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    statement = select(UsageDay.day, func.sum(UsageDay.cpu_s)).where(UsageDay.day.between(first, last))
    hours = {day: int(cpu) / 3600 for day, cpu in session.execute(statement.group_by(UsageDay.day))}
    days = [first + timedelta(days=step) for step in range((last - first).days + 1)]
    return [(day, hours.get(day, 0.0)) for day in days]


@dataclass(frozen=True)
class Freshness:
    """Until when a site's usage is known, and when it last sent something."""

    site: str
    last_message_at: datetime
    measured_until: datetime

    def age(self, now: datetime) -> timedelta:
        """Time since its last message."""
        return now - self.last_message_at


def freshness(session: Session) -> list[Freshness]:
    """Every site that ever brought records, by name."""
    rows = session.scalars(select(SitePublishing).order_by(SitePublishing.site))
    return [Freshness(row.site, row.last_message_at, row.measured_until) for row in rows]


def note_publishing(session: Session, heard: Iterable[tuple[str, int, datetime, datetime]]) -> None:
    """Remember for each site its last message (number, when it came) and until when it tells of usage; an older
    message changes nothing.
    """
    names = ("site", "message_id", "last_message_at", "measured_until")
    rows = [dict(zip(names, each, strict=True)) for each in sorted(heard)]
    if not rows:
        return
    statement = insert(SitePublishing).values(rows)
    new = statement.excluded
    newer = new.last_message_at >= SitePublishing.last_message_at
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["site"],
            set_={
                "message_id": case((newer, new.message_id), else_=SitePublishing.message_id),
                "last_message_at": func.greatest(SitePublishing.last_message_at, new.last_message_at),
                "measured_until": func.greatest(SitePublishing.measured_until, new.measured_until),
            },
        )
    )
