"""What is archived: each table with the time that decides its month, and what must stay for figures to stay right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Table, func, select, text
from sqlalchemy.orm import Session

from accounting.models import ArchivePart, Base


@dataclass(frozen=True)
class Kept:
    """One table of the archive, told in SQL about a row `k`: `month` is its month as a date, `may_go` whether figures
    to come can do without it. `emptied` columns go to the file and are emptied, while the row stays. `kind` is the
    store of its records ("" = none).
    """

    title: str
    month: str
    kind: str = ""
    may_go: str = "true"
    emptied: tuple[str, ...] = ()


# A machine's next report is counted against its last one, so that one stays; unless the machine has ended with it.
# A site that has to be counted anew needs all of them.
_NOT_NEEDED = """
 not exists (select from uncounted u where u.site = k.site)
 and (exists (select from vm_snapshot n where n.site = k.site and n.vmuuid = k.vmuuid
               and n.measured_at > k.measured_at and n.measured_at < :before)
      or k.status = 'completed'
         and not exists (select from vm_snapshot n where n.site = k.site and n.vmuuid = k.vmuuid
                          and n.measured_at > k.measured_at))
"""
_JUDGED = """
 k.archived_at is null and k.state <> 'waiting'
 and not exists (select from refused_record r where r.message_id = k.id and r.state = 'refused')
"""
_MONTH = "(date_trunc('month', k.{}, 'UTC') at time zone 'UTC')::date"
KEPT: Final[Mapping[str, Kept]] = {
    "vm_snapshot": Kept("records of machines", _MONTH.format("measured_at"), "vm", _NOT_NEEDED),
    "job_record": Kept("records of jobs", _MONTH.format("ended_at"), "job"),
    "storage_record": Kept("records of storage", _MONTH.format("ended_at"), "storage"),
    "accelerator_record": Kept("records of accelerators", "k.month", "accelerator"),
    "ip_snapshot": Kept("records of public addresses", _MONTH.format("measured_at"), "ip"),
    "message": Kept("raw messages", _MONTH.format("received_at"), "", _JUDGED, emptied=("body",)),
}


def table_of(name: str) -> Table:
    """The table of that name. Raises KeyError."""
    return Base.metadata.tables[name]


def month_after(month: date) -> date:
    """The first day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def open_since(session: Session) -> dict[str, date]:
    """For each kind of store the first day from which on nothing lies in the archive only; kinds of which nothing does
    are left out.
    """
    latest = (
        select(ArchivePart.kept, func.max(ArchivePart.month))
        .where(ArchivePart.restored_at.is_(None))
        .group_by(ArchivePart.kept)
    )
    return {KEPT[name].kind: month_after(month) for name, month in session.execute(latest) if KEPT[name].kind}


def closed(session: Session, kind: str, month: date) -> bool:
    """Whether records of a month lie in the archive only, so that its summaries must not be made anew from tables."""
    return closes(kind) and month < open_since(session).get(kind, date.min)


def closes(kind: str) -> bool:
    """Whether months of a kind close with the archive. What machines used by month stays, and is summed."""
    return kind != "vm"


LOADING, ARCHIVING = (
    text(f"select pg_advisory_xact_lock{how}(hashtextextended('accounting archive of records', 0))")
    for how in ("_shared", "")
)
"""Loaders hold the first while they store, archiving the second: no record is stored into a month that goes."""
