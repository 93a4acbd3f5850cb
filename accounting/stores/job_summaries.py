"""Summaries of jobs that sites have made themselves; the same summary sent again replaces the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy.orm import Session

from accounting.formats.rows import JobSummary
from accounting.formats.times import month_start
from accounting.stores.contract import Placed, Said, Store, Touched
from accounting.stores.job_sums import KIND, resum, said_twice
from accounting.stores.upsert import digest, first_day, upsert
from hanse.database import Database


def store(db: Database, session: Session, placed: Sequence[Placed[JobSummary]]) -> Touched:
    """Upsert summaries by all that tells them apart."""
    months: set[tuple[str, date]] = set()
    said: list[Said] = []
    for each in sorted(placed, key=attrgetter("receipt")):
        upsert(db, session, "received_job_summary", each, key_of)
        told = [(number, first_day(row.month)) for number, row in each.rows]
        months.update((each.site, month) for _, month in told)
        said.extend(said_twice(session, each, told))
    return Touched(frozenset(months), tuple(said))


def key_of(row: JobSummary) -> bytes:
    """APEL's key of a summary, and whether it is normalised."""
    return digest(
        row.normalised, row.user_name, row.vo, row.vo_group, row.vo_role, row.submit_host, row.infrastructure_type,
        row.service_level_type, f"{row.service_level:.3f}", row.node_count, row.processors,
    )  # fmt: skip


def _until(row: JobSummary) -> int:
    return row.latest_end or month_start(row.month)


STORE = Store(KIND, JobSummary, store, resum, _until)
