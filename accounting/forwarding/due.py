"""Which site-months were summed since they were last compared with what was forwarded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.models import ForwardDue, JobSummary, UsageSummary

CLOUD, JOBS = "vm", "job"
"""The kinds that are forwarded, by their names in `summary_due`."""
_FIGURES: Final[Mapping[str, type[UsageSummary | JobSummary]]] = {CLOUD: UsageSummary, JOBS: JobSummary}
SiteMonth = tuple[str, str, date]


def note_summed(session: Session, summed: Iterable[SiteMonth]) -> None:
    """Note in the transaction that sums them that these (kind, site, month) may be told anew.

    An update, not only an insert: it waits for a forwarder that has just taken the note, so none is lost.
    """
    rows = [
        {"kind": kind, "site": site, "month": month}
        for kind, site, month in sorted(set(summed))
        if kind in (CLOUD, JOBS)
    ]
    if rows:
        statement = insert(ForwardDue).values(rows)
        key = ["kind", "site", "month"]
        session.execute(
            statement.on_conflict_do_update(index_elements=key, set_={"month": statement.excluded.month})
        )


def note_everything(
    session: Session,
    site: str | None = None,
    month: date | None = None,
    kinds: Iterable[str] = (CLOUD, JOBS),
) -> None:
    """Note every site-month with figures, or those of one site, month or kind."""
    for kind in kinds:
        table = _FIGURES[kind]
        wanted = select(literal(kind), table.site, table.month).distinct()
        if site is not None:
            wanted = wanted.where(table.site == site)
        if month is not None:
            wanted = wanted.where(table.month == month)
        statement = insert(ForwardDue).from_select(["kind", "site", "month"], wanted)
        session.execute(statement.on_conflict_do_nothing())


def note_named(session: Session, name: str) -> None:
    """Note every site-month with usage of a user, before that name is replaced by another one."""
    for kind, table in _FIGURES.items():
        wanted = select(literal(kind), table.site, table.month).where(table.user_name == name).distinct()
        statement = insert(ForwardDue).from_select(["kind", "site", "month"], wanted)
        session.execute(statement.on_conflict_do_nothing())


def take(session: Session, kinds: Iterable[str], first: date | None) -> SiteMonth | None:
    """Take one note of these kinds that nobody else has, oldest month first; None when there is none. Notes of months
    before `first` stay: they are told when the beginning is set earlier.
    """
    wanted = (
        select(ForwardDue)
        .where(ForwardDue.kind.in_(kinds), *([] if first is None else [ForwardDue.month >= first]))
        .order_by(ForwardDue.month, ForwardDue.site, ForwardDue.kind)
        .limit(1)
    )
    row = session.scalars(wanted.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    session.execute(
        delete(ForwardDue).where(
            ForwardDue.kind == row.kind, ForwardDue.site == row.site, ForwardDue.month == row.month
        )
    )
    return row.kind, row.site, row.month
