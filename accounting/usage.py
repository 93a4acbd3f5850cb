"""From cumulative reports to usage by month and day: what was used between two reports, cut at month and day ends.

Pure integer arithmetic: nothing is rounded away. The sum over all months equals the last cumulative value of
every reset-free stretch of every machine, whatever was missed, shuffled or repeated between (a property
test); the days of a month add up to the month.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import sub
from typing import NamedTuple

DAY_S = 86_400


class Reading(NamedTuple):
    """The counters of one machine at one time. Epoch seconds; None = this report did not state the counter."""

    measured_at: int
    started_at: int
    wall_s: int | None
    cpu_s: int | None
    cores: Decimal = Decimal(0)
    network_in: int | None = None
    network_out: int | None = None


class Interval(NamedTuple):
    """What a machine used from `begin` to `end` (epoch seconds). `remark` is "", "reset", "cpu_reset" or
    "resize".
    """

    begin: int
    end: int
    wall_s: int
    cpu_s: int
    remark: str = ""
    network_in: int = 0
    network_out: int = 0


class Before(NamedTuple):
    """Where the last report left the counters; carried over reports that did not state them."""

    measured_at: int
    wall_s: int
    cpu_s: int
    cores: Decimal
    network_in: int = 0
    network_out: int = 0


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
        interval, before = following(reading, before)
        made.append(interval)
    return made


def carried(reading: Reading, before: Before | None) -> Before:
    """The state of the counters after `reading`."""
    return following(reading, before)[1]


def following(reading: Reading, before: Before | None) -> tuple[Interval, Before]:
    """The interval that ends with `reading`, and where it leaves the counters."""
    measured, started, wall, cpu, cores, inbound, outbound = reading
    if before is None:
        after = Before(measured, wall or 0, cpu or 0, cores, inbound or 0, outbound or 0)
        return Interval(min(started, measured), measured, *after[1:3], "", *after[4:6]), after
    if wall is not None and wall < before.wall_s:  # the machine began anew, and with it all counters
        begin = min(max(before.measured_at, started), measured)
        after = Before(measured, wall, cpu or 0, cores, inbound or 0, outbound or 0)
        return Interval(begin, measured, *after[1:3], "reset", *after[4:6]), after
    after = Before(
        measured,
        before.wall_s if wall is None else wall,
        before.cpu_s if cpu is None else cpu,
        cores,
        before.network_in if inbound is None else inbound,
        before.network_out if outbound is None else outbound,
    )
    wall_used = after.wall_s - before.wall_s
    cpu_used, remark = after.cpu_s - before.cpu_s, ""
    if cpu_used < 0:
        cpu_used, remark = _fallen(after, before, wall_used)
    network = (_grown(after.network_in, before.network_in), _grown(after.network_out, before.network_out))
    return Interval(before.measured_at, measured, wall_used, cpu_used, remark, *network), after


def _fallen(after: Before, before: Before, wall_used: int) -> tuple[int, str]:
    if after.cores and before.cores and after.cores < before.cores:
        return min(after.cpu_s, int(wall_used * after.cores)), "resize"
    return after.cpu_s, "cpu_reset"


def _grown(now: int, before: int) -> int:
    return now - before if now >= before else now


def part_of(group: Sequence[object]) -> int:
    """The number by which a combination of VO, user, size and so on is known: 64 bits of a hash over its texts."""
    told = "\x00".join([f"{each:.3f}" if isinstance(each, Decimal) else str(each) for each in group])
    digest = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


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


def last_month(begin: int, end: int) -> int:
    """The last month of a time from `begin` to `end`: one that ends with a month does not touch the next."""
    month = month_of(end)
    return month - 1 if end > begin and month_start(month) == end else month


def last_day(begin: int, end: int) -> int:
    """The last day of a time from `begin` to `end`; days count from 1970."""
    return (end - 1 if end > begin else end) // DAY_S


class Share(NamedTuple):
    """What of an interval lies in one month or day (`period`)."""

    period: int
    wall_s: int
    cpu_s: int
    network_in: int
    network_out: int


def by_month(interval: Interval) -> list[Share]:
    """An interval cut at month ends in proportion to time; the parts add up exactly.

    Each month gets floor(total up to its end) - floor(total up to its start), so no second is lost or made.
    An interval without length lies in the month of its instant.
    """
    first, last = month_of(interval.begin), last_month(interval.begin, interval.end)
    if first >= last:
        return [Share(first, interval.wall_s, interval.cpu_s, interval.network_in, interval.network_out)]
    return _cut(interval, range(first, last + 1), [month_start(month + 1) for month in range(first, last)])


def by_day(interval: Interval) -> list[tuple[int, int, int]]:
    """(day, wall seconds, CPU seconds), cut at day ends (UTC) in the same way."""
    return cut_at_days(*interval[:4])


def cut_at_days(begin: int, end: int, wall_s: int, cpu_s: int) -> list[tuple[int, int, int]]:
    """`by_day` of plain numbers: most of what is counted passes here."""
    first, last = begin // DAY_S, last_day(begin, end)
    if first >= last:
        return [(first, wall_s, cpu_s)]
    made: list[tuple[int, int, int]] = []
    length, upto = end - begin, (first + 1) * DAY_S - begin
    wall_before = cpu_before = 0
    for day in range(first, last):
        wall, cpu = wall_s * upto // length, cpu_s * upto // length
        made.append((day, wall - wall_before, cpu - cpu_before))
        wall_before, cpu_before, upto = wall, cpu, upto + DAY_S
    made.append((last, wall_s - wall_before, cpu_s - cpu_before))
    return made


def _cut(interval: Interval, periods: Sequence[int], ends: Sequence[int]) -> list[Share]:
    """`ends`: where each period but the last ends."""
    columns = [
        _amounts(interval, amount, ends)
        for amount in (interval.wall_s, interval.cpu_s, interval.network_in, interval.network_out)
    ]
    return list(map(Share, periods, *columns))


def _amounts(interval: Interval, amount: int, ends: Sequence[int]) -> list[int]:
    begin, length = interval.begin, interval.end - interval.begin
    upto = [amount * (end - begin) // length for end in ends]
    return list(map(sub, [*upto, amount], [0, *upto])) if amount else [0] * (len(ends) + 1)


def cut(interval: Interval) -> Iterator[tuple[int, int, int]]:
    """(month, wall seconds, CPU seconds) of an interval."""
    for share in by_month(interval):
        yield share[:3]


_FIRST = 1999 * 12
_STARTS = [month_start(_FIRST + index) for index in range(101 * 12)]
