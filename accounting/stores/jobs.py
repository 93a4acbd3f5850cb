"""Individual jobs. The same job (site, LocalJobId, EndTime) sent again replaces the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy.orm import Session

from accounting.formats.rows import JobRecord
from accounting.formats.times import month_of
from accounting.stores.contract import Placed, Said, Store, Touched
from accounting.stores.job_sums import KIND, resum, said_twice
from accounting.stores.upsert import first_day, upsert
from hanse.database import Database


def store(db: Database, session: Session, placed: Sequence[Placed[JobRecord]]) -> Touched:
    """Upsert jobs; a job belongs to the month in which it ended."""
    months: set[tuple[str, date]] = set()
    said: list[Said] = []
    for each in sorted(placed, key=attrgetter("receipt")):
        upsert(db, session, "job_record", each)
        ended = [(number, first_day(month_of(row.ended_at))) for number, row in each.rows]
        months.update((each.site, month) for _, month in ended)
        said.extend(said_twice(session, each, ended))
    return Touched(frozenset(months), tuple(said))


STORE = Store(KIND, JobRecord, store, resum, attrgetter("ended_at"))
