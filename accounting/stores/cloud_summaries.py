"""Summaries of cloud usage; the same summary sent again replaces the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy.orm import Session

from accounting.formats.records import Note
from accounting.formats.rows import CloudSummary
from accounting.formats.times import month_start
from accounting.stores import vms
from accounting.stores.contract import Placed, Said, Store, Touched
from accounting.stores.received import has_machines
from accounting.stores.upsert import digest, first_day, upsert
from hanse.database import Database


def store(db: Database, session: Session, placed: Sequence[Placed[CloudSummary]]) -> Touched:
    """Upsert summaries by all that tells them apart."""
    months: set[tuple[str, date]] = set()
    said: list[Said] = []
    for each in sorted(placed, key=attrgetter("receipt")):
        upsert(db, session, "received_cloud_summary", each, key_of)
        told = {first_day(row.month): number for number, row in reversed(each.rows)}
        months.update((each.site, month) for month in told)
        said.extend(_beside(session, each, told))
    return Touched(frozenset(months), tuple(said))


def _beside(session: Session, placed: Placed[CloudSummary], told: dict[date, int]) -> list[Said]:
    made = []
    for month, number in sorted(told.items()):
        if has_machines(session, placed.site, month):
            words = f"{month:%Y-%m} has come as records of machines too; only those count, not the summaries."
            made.append(
                Said(placed.message_id, placed.site, number, Note("told_twice", "Month", None, words))
            )
    return made


def key_of(row: CloudSummary) -> bytes:
    """What APEL groups by."""
    return digest(
        row.service, row.user_name, row.vo, row.vo_group, row.vo_role, row.status, row.image, f"{row.cpu_count:.3f}",
        row.benchmark_type, f"{row.benchmark:.3f}",
    )  # fmt: skip


def _until(row: CloudSummary) -> int:
    """Its month for certain; machines of it may have started long before."""
    return min(max(row.latest_start or 0, month_start(row.month)), month_start(row.month + 1) - 1)


STORE = Store(vms.STORE.kind, CloudSummary, store, vms.resum, _until)
