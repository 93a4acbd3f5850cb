"""Accelerators of machines by month; the same machine, month, type and model sent again replaces the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.formats.rows import AcceleratorRecord
from accounting.formats.times import month_start
from accounting.stores.contract import Placed, Store, Touched
from accounting.stores.upsert import first_day, upsert
from hanse.database import Database

_GROUP = "service, vo, vo_group, vo_role, user_name, type, model, benchmark_type, benchmark"
_RESUM = text(
    f"insert into accelerator_summary (site, month, part, {_GROUP}, accelerators, available_s, active_s, vms)"  # noqa: S608
    f" select site, month, row_number() over (order by {_GROUP}), {_GROUP}, sum(accelerators),"
    " round(sum(accelerators * available_s)), round(sum(accelerators * active_s)), count(distinct vmuuid)"
    f" from accelerator_record where site = :site and month = :month group by site, month, {_GROUP}"
)


def store(db: Database, session: Session, placed: Sequence[Placed[AcceleratorRecord]]) -> Touched:
    """Upsert what each machine had in each month."""
    months: set[tuple[str, date]] = set()
    for each in sorted(placed, key=attrgetter("receipt")):
        upsert(db, session, "accelerator_record", each)
        months.update((each.site, first_day(row.month)) for _, row in each.rows)
    return Touched(frozenset(months))


def resum(session: Session, site: str, month: date) -> None:
    """Make the accelerator summary of a site and month anew."""
    given = {"site": site, "month": month}
    session.execute(text("delete from accelerator_summary where site = :site and month = :month"), given)
    session.execute(_RESUM, given)


def _until(row: AcceleratorRecord) -> int:
    """The record does not say when in its month it was made."""
    return month_start(row.month)


STORE = Store("accelerator", AcceleratorRecord, store, resum, _until)
