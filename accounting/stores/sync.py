"""How many jobs sites say that they ran: nothing to sum, only to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy.orm import Session

from accounting.formats.rows import SyncCount
from accounting.formats.times import month_start
from accounting.stores.contract import Placed, Store, Touched
from accounting.stores.upsert import upsert
from hanse.database import Database


def store(db: Database, session: Session, placed: Sequence[Placed[SyncCount]]) -> Touched:
    """Upsert counts by site, month and submit host."""
    for each in sorted(placed, key=attrgetter("receipt")):
        upsert(db, session, "sync_count", each)
    return Touched(frozenset())


def resum(session: Session, site: str, month: date) -> None:
    """Counts are read as they are."""


def _until(row: SyncCount) -> int:
    return month_start(row.month)


STORE = Store("sync", SyncCount, store, resum, _until)
