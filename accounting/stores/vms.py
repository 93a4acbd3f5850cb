"""Snapshots of machines into the tables, and from them usage by machine and month.

Everything here is idempotent: the same report stored twice, or reports in any order, end in the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting import usage
from accounting.formats.records import Note, VmSnapshot
from accounting.stores import received
from accounting.stores.contract import Placed, Said, Store, Touched
from hanse.database import Database

TIMES = frozenset({"measured_at", "started_at", "ended_at"})
FIELDS = VmSnapshot._fields
COLUMNS = ("site", "message_id", "receipt", *FIELDS)
KEY = ("site", "vmuuid", "measured_at")
NULLABLE = ("from_at", "used_wall_s", "used_cpu_s")


@dataclass(frozen=True, slots=True)
class Stored:
    """A snapshot as the tables hold it, as far as usage depends on it. `old_from` is None for a new one."""

    vmuuid: str
    reading: usage.Reading
    old_from: int | None


def store(db: Database, session: Session, placed: Sequence[Placed[VmSnapshot]]) -> Touched:
    """Upsert the snapshots of each site and count the machines anew that they concern.

    Of two reports of one machine at one time the later receipt counts, within a message the later record.
    """
    months: set[tuple[str, date]] = set()
    said: list[Said] = []
    by_site = attrgetter("site")
    for site, group in groupby(sorted(placed, key=by_site), key=by_site):
        since: dict[str, int] = {}
        numbers: dict[tuple[str, int], tuple[int, int]] = {}
        for each in sorted(group, key=attrgetter("receipt")):
            rows = {(row.vmuuid, row.measured_at): row for _, row in each.rows}.values()
            _upsert(db, session, site, rows, each.message_id, each.receipt)
            for vmuuid, measured_at in _earliest(rows).items():
                since[vmuuid] = min(measured_at, since.get(vmuuid, measured_at))
            numbers |= {(row.vmuuid, row.measured_at): (each.message_id, number) for number, row in each.rows}
        touched, falls = _recount(db, session, site, since)
        months.update((site, month) for month in touched)
        said.extend(_fall(site, numbers, *fall) for fall in falls)
    return Touched(frozenset(months), tuple(said))


WORDS = {
    "reset": "WallDuration is lower than in the report before: the machine began anew; counted from zero.",
    "cpu_reset": "CpuDuration is lower than in the report before: its counter began anew; counted from zero.",
    "resize": "CpuDuration is lower than before with fewer cores: a resize; counted as wall time x new cores.",
}


def _fall(
    site: str, numbers: Mapping[tuple[str, int], tuple[int, int]], vmuuid: str, measured_at: int, what: str
) -> Said:
    """The remark on a counter that fell; one on a report that was stored before stands with the batch's first."""
    message_id, number = numbers.get((vmuuid, measured_at), (min(numbers.values())[0], 0))
    field = "WallDuration" if what == "reset" else "CpuDuration"
    return Said(message_id, site, number, Note(what, field, None, f"{WORDS[what]} Machine {vmuuid}."))


def _earliest(rows: Iterable[VmSnapshot]) -> dict[str, int]:
    since: dict[str, int] = {}
    for row in rows:
        since[row.vmuuid] = min(row.measured_at, since.get(row.vmuuid, row.measured_at))
    return since


def _upsert(
    db: Database, session: Session, site: str, rows: Iterable[VmSnapshot], message_id: int, receipt: int
) -> None:
    session.execute(_STAGING)
    db.copy(session, "vm_staging", COLUMNS, (_values(site, row, message_id, receipt) for row in rows))
    session.execute(_UPSERT)
    session.execute(text("truncate vm_staging"))


def _values(site: str, row: VmSnapshot, message_id: int, receipt: int) -> list[object]:
    values: list[object] = [site, message_id, receipt]
    for name in FIELDS:
        value = getattr(row, name)
        values.append(at(value) if name in TIMES and value is not None else value)
    return values


def at(seconds: int) -> datetime:
    """The aware UTC time of epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)


_STAGING = text(
    "create temporary table if not exists vm_staging (like vm_snapshot including defaults) on commit delete rows"
)
_UPSERT = text(
    f"insert into vm_snapshot ({', '.join(COLUMNS)}) select {', '.join(COLUMNS)} from vm_staging"  # noqa: S608
    f" on conflict ({', '.join(KEY)}) do update set"
    f" {', '.join(f'{name} = excluded.{name}' for name in COLUMNS if name not in KEY)}"
    " where vm_snapshot.receipt <= excluded.receipt"
)
# For each machine: the report before the earliest touched one, every report before it that states what that
# one left out, and all that follow.
_AFFECTED = text(
    """
    select s.vmuuid, extract(epoch from s.measured_at)::bigint as measured_at,
           extract(epoch from s.started_at)::bigint as started_at, s.wall_s, s.cpu_s, s.cpu_count,
           extract(epoch from s.from_at)::bigint as from_at
      from unnest(cast(:vms as text[]), cast(:since as timestamptz[])) as t (vmuuid, since)
      join lateral (
        select * from vm_snapshot v
         where v.site = :site and v.vmuuid = t.vmuuid
           and v.measured_at >= coalesce((
             select max(p.measured_at) from vm_snapshot p
              where p.site = :site and p.vmuuid = t.vmuuid and p.measured_at < t.since
                and p.wall_s is not null and p.cpu_s is not null), '-infinity')
      ) s on true
     order by s.vmuuid, s.measured_at
    """
)


def _recount(
    db: Database, session: Session, site: str, since: Mapping[str, int]
) -> tuple[set[date], list[tuple[str, int, str]]]:
    """Derive the interval of every report from the earliest touched one on, and the months of these machines."""
    given = {"site": site, "vms": list(since), "since": [at(moment) for moment in since.values()]}
    affected = [_stored(row) for row in session.execute(_AFFECTED, given).mappings()]
    updates: list[tuple[str, usage.Reading, usage.Interval]] = []
    falls: list[tuple[str, int, str]] = []
    from_month: dict[str, int] = {}
    for vmuuid, group in groupby(affected, key=attrgetter("vmuuid")):
        snapshots = list(group)
        for snapshot, interval in _changed(snapshots, since[vmuuid]):
            updates.append((vmuuid, snapshot.reading, interval))
            if interval.remark and snapshot.old_from != interval.begin:  # else it was said when it came
                falls.append((vmuuid, snapshot.reading.measured_at, interval.remark))
            begin = interval.begin if snapshot.old_from is None else min(interval.begin, snapshot.old_from)
            from_month[vmuuid] = min(usage.month_of(begin), from_month.get(vmuuid, usage.month_of(begin)))
    _write_intervals(session, site, updates)
    return _write_months(db, session, site, from_month), falls


def _stored(row: Mapping[Any, Any]) -> Stored:
    reading = usage.Reading(
        row["measured_at"], row["started_at"], row["wall_s"], row["cpu_s"], row["cpu_count"]
    )
    return Stored(row["vmuuid"], reading, row["from_at"])


def _changed(snapshots: Sequence[Stored], since: int) -> Iterator[tuple[Stored, usage.Interval]]:
    """Snapshots at or after `since` with their intervals; the ones before only carry the counters."""
    before: usage.Before | None = None
    rest = list(snapshots)
    # The report that begins the list states both counters or is the machine's first; what it left behind is
    # exact.
    while rest and rest[0].reading.measured_at < since:
        before = usage.carried(rest.pop(0).reading, before)
    made = usage.intervals([each.reading for each in rest], before)
    yield from zip(rest, made, strict=True)


def _write_intervals(
    session: Session, site: str, updates: Sequence[tuple[str, usage.Reading, usage.Interval]]
) -> None:
    if not updates:
        return
    session.execute(
        text(
            "update vm_snapshot v set from_at = t.from_at, used_wall_s = t.wall, used_cpu_s = t.cpu"
            " from unnest(cast(:vms as text[]), cast(:measured as timestamptz[]), cast(:begun as timestamptz[]),"
            " cast(:walls as bigint[]), cast(:cpus as bigint[])) as t (vmuuid, measured_at, from_at, wall, cpu)"
            " where v.site = :site and v.vmuuid = t.vmuuid and v.measured_at = t.measured_at"
            " and (v.from_at, v.used_wall_s, v.used_cpu_s) is distinct from (t.from_at, t.wall, t.cpu)"
        ),
        {
            "site": site,
            "vms": [vmuuid for vmuuid, _, _ in updates],
            "measured": [at(reading.measured_at) for _, reading, _ in updates],
            "begun": [at(interval.begin) for _, _, interval in updates],
            "walls": [interval.wall_s for _, _, interval in updates],
            "cpus": [interval.cpu_s for _, _, interval in updates],
        },
    )


_OF_MONTHS = text(
    """
    select v.vmuuid, extract(epoch from v.from_at)::bigint as begin,
           extract(epoch from v.measured_at)::bigint as end, v.used_wall_s, v.used_cpu_s,
           v.service, v.vo, v.vo_group, v.vo_role, v.user_name, v.status, v.image, v.cpu_count,
           v.benchmark_type, v.benchmark, v.memory_mb, v.disk_gb
      from unnest(cast(:vms as text[]), cast(:starts as timestamptz[])) as t (vmuuid, start)
      join vm_snapshot v on v.site = :site and v.vmuuid = t.vmuuid and v.measured_at >= t.start
     order by v.vmuuid, v.measured_at
    """
)
_FORGET = text(
    "delete from vm_month m using unnest(cast(:vms as text[]), cast(:starts as timestamptz[])) as t (vmuuid, start)"
    " where m.site = :site and m.vmuuid = t.vmuuid and m.month >= (t.start at time zone 'UTC')::date"
    " returning m.month"
)
GROUP_COLUMNS = (
    "service", "vo", "vo_group", "vo_role", "user_name", "status", "image", "cores", "benchmark_type", "benchmark",
)  # fmt: skip
MONTH_COLUMNS = (
    "site", "vmuuid", "month", "part", *GROUP_COLUMNS, "wall_s", "cpu_s", "memory_mb", "disk_gb", "vms",
)  # fmt: skip


def _write_months(db: Database, session: Session, site: str, from_month: Mapping[str, int]) -> set[date]:
    """Make the months of each machine anew from the first one that changed; returns the months written or
    emptied.
    """
    if not from_month:
        return set()
    starts = [at(usage.month_start(month)) for month in from_month.values()]
    given = {"site": site, "vms": list(from_month), "starts": starts}
    months = set(session.scalars(_FORGET, given))
    rows: list[tuple[object, ...]] = []
    for vmuuid, group in groupby(session.execute(_OF_MONTHS, given), key=lambda row: row.vmuuid):
        for month, parts in _parts(group, from_month[vmuuid]).items():
            first = date(month // 12, month % 12 + 1, 1)
            months.add(first)
            last = len(parts) - 1
            for number, (who, (wall, cpu, memory, disk)) in enumerate(parts.items()):
                held = (memory, disk, 1) if number == last else (0, 0, 0)
                rows.append((site, vmuuid, first, usage.part_of(who), *who, wall, cpu, *held))
    db.copy(session, "vm_month", MONTH_COLUMNS, rows)
    return months


def _parts(
    rows: Iterable[Any], first_month: int
) -> dict[int, dict[tuple[object, ...], tuple[int, int, int, int]]]:
    """Usage by month and by who ran it, in order of measurement; the last to run it in a month stands last."""
    months: dict[int, dict[tuple[object, ...], tuple[int, int, int, int]]] = {}
    for row in rows:
        who = (
            row.service, row.vo, row.vo_group, row.vo_role, row.user_name, row.status, row.image, row.cpu_count,
            row.benchmark_type, row.benchmark,
        )  # fmt: skip
        for month, wall, cpu in usage.cut(
            usage.Interval(row.begin, row.end, row.used_wall_s, row.used_cpu_s)
        ):
            if month < first_month:
                continue
            parts = months.setdefault(month, {})
            wall_so_far, cpu_so_far, _, _ = parts.pop(who, (0, 0, 0, 0))
            parts[who] = (wall_so_far + wall, cpu_so_far + cpu, row.memory_mb or 0, row.disk_gb or 0)
    return months


def resum(session: Session, site: str, month: date) -> None:
    """Make the usage summary of a site and month anew from its machines, or from summaries where there are none."""
    given = {"site": site, "month": month}
    session.execute(text("delete from usage_summary where site = :site and month = :month"), given)
    session.execute(_RESUM, given)
    received.add_to_usage(session, site, month)


_GROUP = ", ".join(GROUP_COLUMNS)
_RESUM = text(
    f"insert into usage_summary (site, month, part, {_GROUP}, wall_s, cpu_s, wall_core_s, network_in, network_out,"  # noqa: S608
    f" memory_mb, disk_gb, vms) select site, month, part, {_GROUP}, sum(wall_s), sum(cpu_s), sum(wall_s) * cores,"
    " sum(network_in), sum(network_out), sum(memory_mb), sum(disk_gb), sum(vms)"
    f" from vm_month where site = :site and month = :month group by site, month, part, {_GROUP}"
)

STORE = Store("vm", VmSnapshot, store, resum, attrgetter("measured_at"))
