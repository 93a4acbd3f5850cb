"""The usual case in short: a new report of a machine, measured after its last one, with counters that grew.

Counts what `vms` counts of such a report at length; all others are left to it. Most reports of a running machine pass
here, so it works with plain numbers; that the figures are the same is a property test (adding up is counting anew).
"""

from __future__ import annotations

from typing import Any

from accounting import usage
from accounting.stores.vm_tables import GROUP_AT, SHOWN_GROUP, New, Parts, StoredRow
from accounting.stores.vm_tally import VO, MonthKey, Tally
from accounting.usage import Interval

Coming = tuple[int, Any, int, Any]


def count(tally: Tally, parts: Parts, inserted: list[New], coming: Coming, last: StoredRow | None) -> bool:
    """Count the report of a machine whose last stored one is `last`; False, and nothing is done, in other cases."""
    measured, placed, _, row = coming
    wall, cpu, inbound, outbound = row[4], row[5], row[7], row[8]
    group = row[GROUP_AT]
    month_before = day_before = -1
    part = parts[group]
    memory, disk = row[9] or 0, row[10] or 0
    if wall is None or cpu is None:
        return False
    if last is None:
        begin = min(row[2], measured)
        inbound, outbound = inbound or 0, outbound or 0
    else:
        begin = last[2]
        if measured <= begin or last[12] is not None or None in last[4:6] or wall < last[4] or cpu < last[5]:
            return False
        wall, cpu = wall - last[4], cpu - last[5]
        if inbound is None or outbound is None:
            if last[7] is not None or last[8] is not None:
                return False
            inbound, outbound = inbound or 0, outbound or 0
        else:
            inbound, outbound = inbound - (last[7] or 0), outbound - (last[8] or 0)
            if inbound < 0 or outbound < 0:
                return False
        month_before, day_before = usage.last_month(last[9], begin), usage.last_day(last[9], begin)
        if last[SHOWN_GROUP] != group:
            return False
    month = usage.month_of(begin)
    if month != usage.last_month(begin, measured):
        return False
    inserted.append(New(placed.site, placed.message_id, placed.receipt, row, begin, wall, cpu, None))
    tally.groups[part] = group
    key = MonthKey(placed.site, row[0], month, part)
    if month > month_before:
        tally.put(tally.fresh, key, [wall, cpu, inbound, outbound, memory, disk, 1])
    else:
        assert last is not None
        tally.put(tally.changed, key, [wall, cpu, inbound, outbound, memory - last[14], disk - last[15], 0])
    _count_days(tally, placed.site, str(group[VO]), Interval(begin, measured, wall, cpu), day_before)
    return True


def as_stored(new: New) -> StoredRow:
    """The report as it will stand in the table, for the next one of its machine."""
    site, _, receipt, row, begin, wall, cpu, _ = new
    return (
        site, row[0], row[1], row[2], row[4], row[5], row.cpu_count, row[7], row[8], begin, wall, cpu, None, receipt,
        row[9] or 0, row[10] or 0, *tuple(row)[GROUP_AT],
    )  # fmt: skip


def _count_days(tally: Tally, site: str, vo: str, interval: Interval, day_before: int) -> None:
    for day, wall, cpu in usage.by_day(interval):
        total = tally.days.get((site, day, vo))
        if total is None:
            total = tally.days[site, day, vo] = [0, 0, 0]
        total[0] += wall
        total[1] += cpu
        total[2] += day > day_before
