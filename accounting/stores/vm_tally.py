"""Counting one machine after the other: what new reports add to its months and days, and take away where they stand
between reports that were counted before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from operator import add
from typing import NamedTuple

from accounting import usage
from accounting.usage import Before, Interval, Reading

EPOCH = date(1970, 1, 1)
AMOUNTS = ("wall_s", "cpu_s", "network_in", "network_out", "memory_mb", "disk_gb", "vms")
Group = tuple[object, ...]
"""Service, VO, group, role, user, status, image, cores, benchmark type and benchmark."""
VO = 1


class Report(NamedTuple):
    """A report as far as counting depends on it. `part` is the number of `group`."""

    reading: Reading
    part: int
    group: Group
    memory_mb: int
    disk_gb: int


class Counted(NamedTuple):
    """A report with the interval that ends with it."""

    interval: Interval
    report: Report


class MonthKey(NamedTuple):
    """One row of `vm_month`; months count as years * 12 + months - 1."""

    site: str
    vmuuid: str
    month: int
    part: int


class Tally:
    """What changes, over all machines: rows of `vm_month` that are `fresh` (certainly not there), `added` (there or
    not) and `changed` (certainly there), each as amounts in the order of AMOUNTS to add; days by (site, day, VO) as
    wall and CPU seconds and machines; groups by their numbers.
    """

    def __init__(self) -> None:
        self.fresh: dict[MonthKey, list[int]] = {}
        self.added: dict[MonthKey, list[int]] = {}
        self.changed: dict[MonthKey, list[int]] = {}
        self.days: dict[tuple[str, int, str], list[int]] = {}
        self.groups: dict[int, Group] = {}

    def months(self) -> frozenset[tuple[str, date]]:
        """The (site, first day of the month) that changed."""
        keys = {(key.site, key.month) for table in (self.fresh, self.added, self.changed) for key in table}
        months = {(site, first_day(month)) for site, month in keys}
        return frozenset(months | {(site, day_of(day).replace(day=1)) for site, day, _ in self.days})

    def count(
        self, site: str, vmuuid: str, last: Counted | None, old: Sequence[Counted], new: Sequence[Counted]
    ) -> None:
        """Put `new` in the place of `old`; `last` is the report before them, which stays as it is."""
        months: dict[tuple[int, int], list[int]] = {}
        for made, sign in ((old, -1), (new, 1)):
            _add_months(made, last, sign, months)
            self._add_days(site, made, last, sign)
            for _, report in made:
                self.groups[report.part] = report.group
        if last is not None:
            self.groups[last.report.part] = last.report.group
        self._take_months(site, vmuuid, last, bool(old), months)

    def _add_days(self, site: str, made: Iterable[Counted], last: Counted | None, sign: int) -> None:
        """A machine counts on a day under the VO that it began it with; `last` has had its last day already."""
        begun = -1 if last is None else usage.last_day(last.interval.begin, last.interval.end)
        for interval, report in made:
            vo = str(report.group[VO])
            for day, wall, cpu in usage.by_day(interval):
                total = self.days.get((site, day, vo))
                if total is None:
                    total = self.days[site, day, vo] = [0, 0, 0]
                total[0] += sign * wall
                total[1] += sign * cpu
                if day > begun:
                    total[2] += sign
                    begun = day

    def _take_months(
        self, site: str, vmuuid: str, last: Counted | None, rearranged: bool,
        months: dict[tuple[int, int], list[int]],
    ) -> None:  # fmt: skip
        counted = -1 if last is None else usage.last_month(last.interval.begin, last.interval.end)
        for (month, part), amounts in months.items():
            if not any(amounts):
                continue
            if month > counted and not rearranged:
                table = self.fresh
            elif min(amounts) < 0 or (not rearranged and last and last.report.part == part):
                # the row is there: something of it is taken away, or the last report counted in it
                table = self.changed
            else:
                table = self.added
            line = self.line(table, MonthKey(site, vmuuid, month, part))
            line[:] = map(add, line, amounts)

    def line(self, table: dict[MonthKey, list[int]], key: MonthKey) -> list[int]:
        """The amounts to add to a row; of one that is written for the first time now, there."""
        there = self.fresh.get(key) or table.get(key)
        if there is None:
            there = table[key] = [0] * len(AMOUNTS)
        return there


def _add_months(
    made: Iterable[Counted], last: Counted | None, sign: int, months: dict[tuple[int, int], list[int]]
) -> None:
    """Add a stretch of reports. A machine counts in a month under the part that it ended it with."""
    held: dict[int, Report] = {}
    if last is not None:
        held[usage.last_month(last.interval.begin, last.interval.end)] = last.report
    for interval, report in made:
        for month, wall, cpu, inbound, outbound in usage.by_month(interval):
            line = months.get((month, report.part))
            if line is None:
                line = months[month, report.part] = [0] * len(AMOUNTS)
            line[0] += sign * wall
            line[1] += sign * cpu
            line[2] += sign * inbound
            line[3] += sign * outbound
            held[month] = report
    for month, report in held.items():
        line = months.setdefault((month, report.part), [0] * len(AMOUNTS))
        line[4] += sign * report.memory_mb
        line[5] += sign * report.disk_gb
        line[6] += sign


def after(interval: Interval, reading: Reading, carried: Sequence[int | None] | None) -> Before:
    """Where a stored report left the counters; `carried` tells those that it did not state."""
    stated = (reading.wall_s, reading.cpu_s, reading.network_in, reading.network_out)
    wall, cpu, inbound, outbound = (
        (before or 0) if own is None else own
        for own, before in zip(stated, carried or (None,) * 4, strict=True)
    )
    return Before(interval.end, wall, cpu, reading.cores, inbound, outbound)


def carries(reading: Reading, left: Before) -> list[int | None] | None:
    """The counters after `reading` where it leaves one out that was stated before; None where there is none."""
    stated = (reading.wall_s, reading.cpu_s, reading.network_in, reading.network_out)
    if None not in stated:
        return None
    left_at = (left.wall_s, left.cpu_s, left.network_in, left.network_out)
    carried = [at if own is None and at else None for own, at in zip(stated, left_at, strict=True)]
    return carried if any(carried) else None


def first_day(month: int) -> date:
    """The first day of a month."""
    return date(month // 12, month % 12 + 1, 1)


def day_of(day: int) -> date:
    """A day counted from 1970."""
    return EPOCH + timedelta(days=day)
