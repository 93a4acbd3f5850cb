"""The usual case in short: reports of a machine, each measured after the one before it, with counters that grew.

Counts what `vms` counts of such reports at length; all others are left to it. Most reports of running machines pass
here, so it works with plain numbers; that the figures are the same is a property test (adding up is counting anew).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from accounting import usage
from accounting.stores.vm_tables import GROUP_AT, SHOWN_GROUP, New, Parts, StoredRow
from accounting.stores.vm_tally import VO, MonthKey, Tally

Coming = tuple[int, Any, int, Any]
Step = tuple[int, Any, Any, int, int, int, int, int]
"""When a report was measured, its message, itself; from when on, and what it adds: wall, CPU, network in and out."""


def count(
    tally: Tally, parts: Parts, inserted: list[New], reports: Sequence[Coming], last: StoredRow | None
) -> int:
    """Count reports of a machine, in order of measuring, whose last stored one is `last`, up to the first that is not
    the usual case; returns how many were counted.
    """
    site, vmuuid, group = reports[0][1].site, reports[0][3][0], reports[0][3][GROUP_AT]
    vo, days = str(group[VO]), tally.days
    month_before = day_before = -1
    memory_at = disk_at = month_begin = month_end = counted = 0
    line: list[int] | None = None
    if last is not None:
        month_before, day_before = usage.last_month(last[9], last[2]), usage.last_day(last[9], last[2])
        memory_at, disk_at = last[14], last[15]
    for measured, placed, row, begin, wall, cpu, inbound, outbound in _usual(reports, last, group):
        if not month_begin <= begin < month_end:
            month, line = usage.month_of(begin), None
            month_begin, month_end = usage.month_start(month), usage.month_start(month + 1)
        if measured > month_end:
            break
        if line is None:
            fresh = month > month_before
            line = _line(tally, fresh, MonthKey(site, vmuuid, month, parts[group]), group)
            if fresh:
                memory_at = disk_at = 0
                line[6] += 1
        memory, disk = row[9] or 0, row[10] or 0
        line[0] += wall
        line[1] += cpu
        line[2] += inbound
        line[3] += outbound
        line[4] += memory - memory_at
        line[5] += disk - disk_at
        memory_at, disk_at = memory, disk
        for day, wall_then, cpu_then in usage.cut_at_days(begin, measured, wall, cpu):
            total = days.get((site, day, vo))
            if total is None:
                total = days[site, day, vo] = [0, 0, 0]
            total[0] += wall_then
            total[1] += cpu_then
            total[2] += day > day_before
        day_before = day
        inserted.append(New(site, placed.message_id, placed.receipt, row, begin, wall, cpu, None))
        counted += 1
    return counted


def _line(tally: Tally, fresh: bool, key: MonthKey, group: tuple[object, ...]) -> list[int]:
    tally.groups[key.part] = group
    return tally.line(tally.fresh if fresh else tally.changed, key)


def _usual(reports: Sequence[Coming], last: StoredRow | None, group: tuple[object, ...]) -> Iterator[Step]:
    """What reports add, one after the other, up to one whose counters fell or are missing, or of another group."""
    begin, wall_at, cpu_at = -1, 0, 0
    in_at = out_at = None
    if last is not None:
        begin, wall_at, cpu_at, in_at, out_at = last[2], last[4], last[5], last[7], last[8]
        if last[12] is not None or wall_at is None or cpu_at is None or last[SHOWN_GROUP] != group:
            return
    for measured, placed, _, row in reports:
        wall, cpu, inbound, outbound = row[4], row[5], row[7], row[8]
        if wall is None or cpu is None or wall < wall_at or cpu < cpu_at or row[GROUP_AT] != group:
            return
        if begin < 0:
            begin = min(row[2], measured)
        elif measured <= begin:
            return
        if (inbound is None or outbound is None) and not (in_at is None and out_at is None):
            return
        inwards, outwards = (inbound or 0) - (in_at or 0), (outbound or 0) - (out_at or 0)
        if inwards < 0 or outwards < 0:
            return
        yield measured, placed, row, begin, wall - wall_at, cpu - cpu_at, inwards, outwards
        begin, wall_at, cpu_at, in_at, out_at = measured, wall, cpu, inbound, outbound


def as_stored(new: New) -> StoredRow:
    """The report as it will stand in the table, for the next one of its machine."""
    site, _, receipt, row, begin, wall, cpu, _ = new
    return (
        site, row[0], row[1], row[2], row[4], row[5], row.cpu_count, row[7], row[8], begin, wall, cpu, None, receipt,
        row[9] or 0, row[10] or 0, *tuple(row)[GROUP_AT],
    )  # fmt: skip
