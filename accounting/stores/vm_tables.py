"""Reading stored reports of machines, and writing what counting made of new ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, get_type_hints

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.formats.records import VmSnapshot
from accounting.stores import copied
from accounting.stores.vm_tally import (
    Counted,
    Group,
    Report,
    after,
    carries,
)
from accounting.usage import Before, Interval, Reading, following, part_of
from hanse.database import Database, driver_cursor

Machine = tuple[str, str]
"""Site and VMUUID."""
FIELDS = VmSnapshot._fields
GROUP = FIELDS[FIELDS.index("service") : FIELDS.index("benchmark") + 1]
GROUP_AT = slice(FIELDS.index("service"), FIELDS.index("benchmark") + 1)
SHOWN_GROUP = slice(16, None)
KEY = ("site", "vmuuid", "measured_at")
COUNTED = ("from_at", "used_wall_s", "used_cpu_s", "carried")
COLUMNS = ("site", "message_id", "receipt", *FIELDS, *COUNTED)


class Stored(NamedTuple):
    """A report as the table holds it. `carried`: counters that it left out, as they stood (wall, CPU, network)."""

    counted: Counted
    receipt: int
    carried: list[int | None] | None


Recounted = list[tuple[Machine, Interval, list[int | None] | None]]
"""Intervals of stored reports to write anew, with the counters that each left out."""
StoredRow = tuple[Any, ...]
"""What `_SHOWN` names."""


class New(NamedTuple):
    """A report to write: what it adds from `begin` on, and counters that it left out, as they stood."""

    site: str
    message_id: int
    receipt: int
    row: VmSnapshot
    begin: int
    wall_s: int
    cpu_s: int
    carried: list[int | None] | None


class Parts(dict[Group, int]):
    """The numbers of groups, each worked out once."""

    def __missing__(self, group: Group) -> int:
        self[group] = part_of(group)
        return self[group]


def report_of(row: VmSnapshot, parts: Parts) -> Report:
    """A record as a report to count."""
    reading = Reading(
        row.measured_at, row.started_at, row.wall_s, row.cpu_s, row.cpu_count, row.network_in, row.network_out
    )
    group = tuple(row)[GROUP_AT]
    return Report(reading, parts[group], group, row.memory_mb or 0, row.disk_gb or 0)


_SHOWN = (
    "s.site, s.vmuuid, extract(epoch from s.measured_at)::bigint, extract(epoch from s.started_at)::bigint,"
    " s.wall_s, s.cpu_s, s.cpu_count, s.network_in, s.network_out,"
    " extract(epoch from s.from_at)::bigint, s.used_wall_s, s.used_cpu_s, s.carried, s.receipt,"
    f" coalesce(s.memory_mb, 0), coalesce(s.disk_gb, 0), {', '.join(f's.{name}' for name in GROUP)}"
)
_ASKED = (
    "rows from (json_array_elements_text(%(sites)s::json), json_array_elements_text(%(vms)s::json),"
    " json_array_elements_text(%(since)s::json)) as t (site, vmuuid, since)"
)
_NEWEST = (
    f"select {_SHOWN} from {_ASKED} join lateral (select * from vm_snapshot v where v.site = t.site"  # noqa: S608
    " and v.vmuuid = t.vmuuid order by v.measured_at desc limit 1) s on true"
)
# the report before the earliest new one, and all that follow it
_AROUND = (
    f"select {_SHOWN} from {_ASKED} join vm_snapshot s on s.site = t.site and s.vmuuid = t.vmuuid"  # noqa: S608
    " and s.measured_at >= coalesce((select max(p.measured_at) from vm_snapshot p where p.site = t.site"
    " and p.vmuuid = t.vmuuid and p.measured_at < to_timestamp(t.since::bigint)), '-infinity')"
    " order by s.site, s.vmuuid, s.measured_at"
)


def newest(session: Session, machines: Sequence[Machine]) -> dict[Machine, StoredRow]:
    """The latest stored report of each machine that has one, as it stands in the table."""
    return {row[:2]: row for row in _read(session, _NEWEST, machines, (0,) * len(machines))}


def around(session: Session, since: Mapping[Machine, int], parts: Parts) -> dict[Machine, list[Stored]]:
    """For each machine the stored report before `since` (epoch seconds), if there is one, and all that follow."""
    found: dict[Machine, list[Stored]] = {}
    for row in _read(session, _AROUND, list(since), list(since.values())):
        found.setdefault(row[:2], []).append(stored_of(row, parts))
    return found


def _read(
    session: Session, statement: str, machines: Sequence[Machine], since: Sequence[int]
) -> list[StoredRow]:
    """Rows by the driver itself: they are many, and every step on the way to them counts."""
    if not machines:
        return []
    sites, vms = zip(*machines, strict=True)
    with driver_cursor(session, "reports of machines") as cursor:
        cursor.execute(
            statement, {"sites": json.dumps(sites), "vms": json.dumps(vms), "since": json.dumps(since)}
        )
        rows: list[StoredRow] = cursor.fetchall()
        return rows


def stored_of(row: StoredRow, parts: Parts) -> Stored:
    """A row of `_SHOWN` as a report that was counted."""
    (
        _,
        _,
        measured,
        started,
        wall,
        cpu,
        cores,
        inbound,
        outbound,
        begin,
        used_wall,
        used_cpu,
        carried,
        receipt,
        *_,
    ) = row
    reading = Reading(measured, started, wall, cpu, cores, inbound, outbound)
    group = row[SHOWN_GROUP]
    report = Report(reading, parts[group], group, row[14], row[15])
    return Stored(Counted(Interval(begin, measured, used_wall, used_cpu), report), receipt, carried)


def left_by(stored: Stored) -> Before:
    """Where a stored report left the counters."""
    return after(stored.counted.interval, stored.counted.report.reading, stored.carried)


def counted_after(before: Before | None, stored: Iterable[Stored]) -> list[Counted]:
    """Stored reports with the intervals that they make after `before`, network included, which no table keeps."""
    made: list[Counted] = []
    for each in stored:
        interval, before = following(each.counted.report.reading, before)
        made.append(Counted(interval, each.counted.report))
    return made


_PORTION = 1000
_TIMES = frozenset({"measured_at", "started_at", "ended_at"})
_KINDS = tuple(get_type_hints(VmSnapshot).items())
_WRITTEN: dict[object, Callable[[Any], Iterable[str]]] = {str: copied.texts, Decimal: copied.decimals}


def counted_anew(
    machine: Machine, stored: Stored, before: Before | None, recounted: Recounted
) -> tuple[Counted, Before]:
    """A stored report counted after `before`, and where it leaves the counters; `recounted` notes it where that differs
    from what is stored.
    """
    report = stored.counted.report
    interval, left = following(report.reading, before)
    carried = carries(report.reading, left)
    if interval[:4] != stored.counted.interval[:4] or carried != stored.carried:
        recounted.append((machine, interval, carried))
    return Counted(interval, report), left


def _as_copied(reports: Sequence[New]) -> Iterator[str]:
    """The rows for COPY, in the order of COLUMNS."""
    clock = copied.Clock()
    how = [clock.times if name in _TIMES else _WRITTEN.get(kind, copied.integers) for name, kind in _KINDS]
    for start in range(0, len(reports), _PORTION):
        some = reports[start : start + _PORTION]
        sites, ids, receipts, rows, begins, walls, cpus, carried = zip(*some, strict=True)
        fields = [write(column) for write, column in zip(how, zip(*rows, strict=True), strict=True)]
        yield copied.lines(
            copied.texts(sites), copied.integers(ids), copied.integers(receipts), *fields, clock.times(begins),
            copied.integers(walls), copied.integers(cpus), copied.arrays(carried),
        )  # fmt: skip


def insert(db: Database, session: Session, reports: Sequence[New]) -> None:
    """Write reports of times that are certainly not stored."""
    if reports:
        db.copy_text(session, "vm_snapshot", COLUMNS, _as_copied(reports))


_STAGING = text("create temporary table if not exists vm_staging (like vm_snapshot) on commit delete rows")
_UPSERT = text(
    f"insert into vm_snapshot ({', '.join(COLUMNS)}) select {', '.join(COLUMNS)} from vm_staging"  # noqa: S608
    f" on conflict ({', '.join(KEY)}) do update set"
    f" {', '.join(f'{name} = excluded.{name}' for name in COLUMNS if name not in KEY)}"
)
_RECOUNT = text(
    "update vm_snapshot v set from_at = to_timestamp(t.begun), used_wall_s = t.wall, used_cpu_s = t.cpu,"
    " carried = t.carried from jsonb_to_recordset(cast(:counted as jsonb)) as t (site text, vmuuid text,"
    " measured bigint, begun bigint, wall bigint, cpu bigint, carried bigint[])"
    " where v.site = t.site and v.vmuuid = t.vmuuid and v.measured_at = to_timestamp(t.measured)"
)


def upsert(db: Database, session: Session, reports: Sequence[New]) -> None:
    """Write reports that may stand in the place of stored ones."""
    if not reports:
        return
    session.execute(_STAGING)
    db.copy_text(session, "vm_staging", COLUMNS, _as_copied(reports))
    session.execute(_UPSERT)
    session.execute(text("truncate vm_staging"))


def recount(session: Session, counted: Iterable[tuple[Machine, Interval, list[int | None] | None]]) -> None:
    """Write the intervals of stored reports anew."""
    rows = [
        {
            "site": site, "vmuuid": vmuuid, "measured": interval.end, "begun": interval.begin,
            "wall": interval.wall_s, "cpu": interval.cpu_s, "carried": carried,
        }
        for (site, vmuuid), interval, carried in counted
    ]  # fmt: skip
    if rows:
        session.execute(_RECOUNT, {"counted": json.dumps(rows)})
