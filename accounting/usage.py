"""From cumulative reports to usage by month: what was used between two reports, cut at month ends.

Pure integer arithmetic: nothing is rounded away. The sum over all months equals the last cumulative value of
every reset-free stretch of every machine, whatever was missed, shuffled or repeated between (a property
test).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of one machine at one time. Epoch seconds; None = this report did not state the counter."""

    measured_at: int
    started_at: int
    wall_s: int | None
    cpu_s: int | None
    cores: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Interval:
    """What a machine used from `begin` to `end` (epoch seconds). `remark` is "", "reset", "cpu_reset" or
    "resize".
    """

    begin: int
    end: int
    wall_s: int
    cpu_s: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """Where the last report left the counters; carried over reports that did not state them."""

    measured_at: int
    wall_s: int
    cpu_s: int
    cores: Decimal


def intervals(readings: Sequence[Reading], before: Before | None = None) -> list[Interval]:
    """One interval a reading, in order of measurement time; `before` is the state at the reading ahead of
    them.

    The first covers the machine's life so far. A counter that falls has been reset: the new value counts from
    zero, so that the total is the last value of each stretch. CPU that falls while wall time and the number
    of cores show a resize is no reset (cASO writes wall x cores): what the new size could have used since
    then counts.
    """
    made = []
    for reading in readings:
        interval, before = _next(reading, before)
        made.append(interval)
    return made


def carried(reading: Reading, before: Before | None) -> Before:
    """The state of the counters after `reading`."""
    return _next(reading, before)[1]


def _next(reading: Reading, before: Before | None) -> tuple[Interval, Before]:
    if before is None:
        wall, cpu = reading.wall_s or 0, reading.cpu_s or 0
        begin = min(reading.started_at, reading.measured_at)
        after = Before(reading.measured_at, wall, cpu, reading.cores)
        return Interval(begin, reading.measured_at, wall, cpu), after
    wall = before.wall_s if reading.wall_s is None else reading.wall_s
    cpu = before.cpu_s if reading.cpu_s is None else reading.cpu_s
    begin, (wall_used, cpu_used, remark) = before.measured_at, _used(reading, before, wall, cpu)
    if remark == "reset":
        begin = min(max(begin, reading.started_at), reading.measured_at)
        wall, cpu = reading.wall_s or 0, reading.cpu_s or 0
    after = Before(reading.measured_at, wall, cpu, reading.cores)
    return Interval(begin, reading.measured_at, wall_used, cpu_used, remark), after


def _used(reading: Reading, before: Before, wall: int, cpu: int) -> tuple[int, int, str]:
    if wall < before.wall_s:  # the machine began anew, and with it both counters
        return wall, reading.cpu_s or 0, "reset"
    wall_used = wall - before.wall_s
    if cpu >= before.cpu_s:
        return wall_used, cpu - before.cpu_s, ""
    if reading.cores and before.cores and reading.cores < before.cores:
        return wall_used, min(cpu, int(wall_used * reading.cores)), "resize"
    return wall_used, cpu, "cpu_reset"


def part_of(group: Sequence[object]) -> int:
    """The number by which a combination of VO, user, size and so on is known: 64 bits of a hash over its texts."""
    told = "\x1f".join(map(str, group)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big", signed=True)


@lru_cache(maxsize=4096)
def month_start(month: int) -> int:
    """Epoch second at which a month begins (UTC); months count as years * 12 + months - 1."""
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def month_of(seconds: int) -> int:
    """The month in which an epoch second lies: years * 12 + months - 1."""
    index = bisect_right(_STARTS, seconds) - 1
    if 0 <= index < len(_STARTS) - 1:
        return _FIRST + index
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.year * 12 + moment.month - 1


def cut(interval: Interval) -> Iterator[tuple[int, int, int]]:
    """(month, wall seconds, CPU seconds) of an interval, in proportion to time; the parts add up exactly.

    Each month gets floor(total up to its end) - floor(total up to its start), so no second is lost or made.
    An interval without length lies in the month of its instant.
    """
    first, last = month_of(interval.begin), month_of(interval.end)
    if last > first and month_start(last) == interval.end:
        last -= 1  # it ends with the month, not in the next
    if first >= last:
        yield first, interval.wall_s, interval.cpu_s
        return
    length = interval.end - interval.begin
    wall_before = cpu_before = 0
    for month in range(first, last + 1):
        done = min(month_start(month + 1), interval.end) - interval.begin
        wall, cpu = interval.wall_s * done // length, interval.cpu_s * done // length
        yield month, wall - wall_before, cpu - cpu_before
        wall_before, cpu_before = wall, cpu


_FIRST = 1999 * 12
_STARTS = [month_start(_FIRST + index) for index in range(101 * 12)]
