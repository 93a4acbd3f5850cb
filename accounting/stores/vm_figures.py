"""What a tally adds to the months of machines and to the days of sites."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.stores.vm_tally import AMOUNTS, MonthKey, Tally, day_of, first_day
from hanse.database import Database

MONTH_GROUP = (
    "service",
    "vo",
    "vo_group",
    "vo_role",
    "user_name",
    "status",
    "image",
    "cores",
    "benchmark_type",
    "benchmark",
)
MONTH_COLUMNS = ("site", "vmuuid", "month", "part", *MONTH_GROUP, *AMOUNTS)
_MONTH_KEY = "m.site = s.site and m.vmuuid = s.vmuuid and m.month = s.month and m.part = s.part"
_ADDED = (
    "create temporary table if not exists vm_month_added (like vm_month) on commit delete rows",
    f"insert into vm_month as m ({', '.join(MONTH_COLUMNS)}) select {', '.join(MONTH_COLUMNS)} from vm_month_added"  # noqa: S608
    " on conflict (site, vmuuid, month, part) do update set"
    f" {', '.join(f'{name} = m.{name} + excluded.{name}' for name in AMOUNTS)}",
)
_CHANGED = (
    "create temporary table if not exists vm_month_changed (site text, vmuuid text, month date, part bigint,"
    f" {', '.join(f'{name} bigint' for name in AMOUNTS)}) on commit delete rows",
    f"update vm_month m set {', '.join(f'{name} = m.{name} + s.{name}' for name in AMOUNTS)}"  # noqa: S608
    f" from vm_month_changed s where {_MONTH_KEY}",
)
_FORGET_MONTHS = text(
    f"delete from vm_month m using vm_month_changed s where {_MONTH_KEY}"  # noqa: S608
    f" and {' and '.join(f'm.{name} = 0' for name in AMOUNTS)}"
)
_ADD_DAYS = text(
    "insert into usage_day as d (site, day, vo, wall_s, cpu_s, vms)"
    " select * from jsonb_to_recordset(cast(:days as jsonb)) as t (site text, day date, vo text, wall bigint,"
    " cpu bigint, vms bigint) order by 1, 2, 3"
    " on conflict (site, day, vo) do update set wall_s = d.wall_s + excluded.wall_s,"
    " cpu_s = d.cpu_s + excluded.cpu_s, vms = d.vms + excluded.vms"
)
_FORGET_DAYS = text(
    "delete from usage_day where site = any(cast(:sites as text[])) and wall_s = 0 and cpu_s = 0 and vms = 0"
)


def write_tally(db: Database, session: Session, tally: Tally) -> None:
    """Add what changed to the months of the machines and to the days of their sites."""
    db.copy(session, "vm_month", MONTH_COLUMNS, _months(tally, tally.fresh))
    _add(db, session, tally, tally.added)
    taken = {key for key, amounts in tally.changed.items() if min(*amounts[:4], amounts[6]) < 0}
    _add(db, session, tally, {key: each for key, each in tally.changed.items() if key not in taken})
    if taken:
        _take_away(db, session, {key: tally.changed[key] for key in taken})
    _write_days(session, tally)


def _add(db: Database, session: Session, tally: Tally, table: Mapping[MonthKey, list[int]]) -> None:
    """Add to rows, or insert them. Conflicts are found by the primary key, whatever the planner knows of the table: it
    would rather read all of a table of moderate size, for each batch, to join a few rows.
    """
    if table:
        session.execute(text(_ADDED[0]))
        db.copy(session, "vm_month_added", MONTH_COLUMNS, _months(tally, table))
        session.execute(text(_ADDED[1]))
        session.execute(text("truncate vm_month_added"))


def _take_away(db: Database, session: Session, table: Mapping[MonthKey, list[int]]) -> None:
    """Change rows that are there and lose something; what has nothing left goes."""
    session.execute(text(_CHANGED[0]))
    rows = (
        (site, vmuuid, first_day(month), part, *amounts)
        for (site, vmuuid, month, part), amounts in table.items()
    )
    db.copy(session, "vm_month_changed", (*MONTH_COLUMNS[:4], *AMOUNTS), rows)
    session.execute(text(_CHANGED[1]))
    session.execute(_FORGET_MONTHS)
    session.execute(text("truncate vm_month_changed"))


def _write_days(session: Session, tally: Tally) -> None:
    names = ("site", "day", "vo", "wall", "cpu", "vms")
    days = [
        dict(zip(names, (site, day_of(day).isoformat(), vo, *amounts), strict=True))
        for (site, day, vo), amounts in tally.days.items()
        if any(amounts)
    ]
    if days:
        session.execute(_ADD_DAYS, {"days": json.dumps(days)})
    if any(min(amounts) < 0 for amounts in tally.days.values()):
        session.execute(_FORGET_DAYS, {"sites": sorted({site for site, _, _ in tally.days})})


def _months(tally: Tally, table: Mapping[MonthKey, list[int]]) -> Iterator[tuple[object, ...]]:
    for (site, vmuuid, month, part), amounts in table.items():
        if any(amounts):
            yield site, vmuuid, first_day(month), part, *tally.groups[part], *amounts
