"""RRULE of RFC 5545 3.3.10 as far as maintenance needs it: every n days; every n weeks on given days; every n months on
given days of the month, or on "the second Tuesday". What else a rule asks is refused, never guessed.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from registry.renderings.ical_reading import Property, Unreadable, moment

WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_KNOWN: Final = {
    "DAILY": {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"},
    "WEEKLY": {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY"},
    "MONTHLY": {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTHDAY"},
}


@dataclass(frozen=True)
class Rule:
    """A rule that is understood. `days` are (nth in the month or 0, weekday from 0 = Monday)."""

    every: str
    interval: int = 1
    times: int | None = None
    until: datetime | None = None
    days: tuple[tuple[int, int], ...] = ()
    month_days: tuple[int, ...] = ()
    week_starts: int = 0


def rule(one: Property, start: datetime) -> Rule:
    """The rule in `one`, an RRULE of an event that starts at `start`. Raises Unreadable."""
    parts = dict(part.split("=", 1) for part in one.value.upper().split(";") if "=" in part)
    every = parts.get("FREQ", "")
    known = _KNOWN.get(every)
    if known is None:
        raise Unreadable("RRULE must repeat DAILY, WEEKLY or MONTHLY; write other events one by one")
    unknown = sorted(parts.keys() - known)
    if unknown:
        raise Unreadable(
            f"RRULE has {unknown[0][:40]}, which is not understood here; write the events one by one"
        )
    if "COUNT" in parts and "UNTIL" in parts:
        raise Unreadable("RRULE has COUNT and UNTIL, which exclude each other")
    return Rule(
        every,
        _number(parts, "INTERVAL", 1, 1000) or 1,
        _number(parts, "COUNT", 1, 100_000),
        _until(parts.get("UNTIL"), one, start),
        _days(parts.get("BYDAY"), every),
        _month_days(parts.get("BYMONTHDAY")),
        _weekday(parts.get("WKST", "MO")),
    )


def _number(parts: dict[str, str], name: str, least: int, most: int) -> int | None:
    if name not in parts:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", parts[name]) or not least <= int(parts[name]) <= most:
        raise Unreadable(f"RRULE: {name} must be a number from {least} to {most:,}")
    return int(parts[name])


def _until(value: str | None, one: Property, start: datetime) -> datetime | None:
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{8}", value):  # a day: the whole of it, on the event's own clock
        day = moment(Property("UNTIL", {}, value, one.line))
        return day.replace(hour=23, minute=59, second=59, tzinfo=start.tzinfo)
    if not value.endswith("Z"):
        raise Unreadable("RRULE: UNTIL must be in UTC, such as 20270101T000000Z")
    return moment(Property("UNTIL", {}, value, one.line))


def _weekday(word: str) -> int:
    if word not in WEEKDAYS:
        raise Unreadable(f"RRULE: {word[:10]} is no day of the week")
    return WEEKDAYS.index(word)


def _days(value: str | None, every: str) -> tuple[tuple[int, int], ...]:
    if value is None:
        return ()
    found = []
    for part in value.split(","):
        day = re.fullmatch(r"([+-]?[1-5])?([A-Z]{2})", part)
        if day is None or (every == "WEEKLY" and day[1]):
            raise Unreadable("RRULE: BYDAY must be such as MO,TH, or 2TU in a monthly rule")
        found.append((int(day[1] or 0), _weekday(day[2])))
    return tuple(dict.fromkeys(found))


def _month_days(value: str | None) -> tuple[int, ...]:
    if value is None:
        return ()
    if not re.fullmatch(r"[+-]?[0-9]{1,2}(,[+-]?[0-9]{1,2})*", value):
        raise Unreadable("RRULE: BYMONTHDAY must be days such as 1,15 or -1")
    days = tuple(dict.fromkeys(int(part) for part in value.split(",")))
    if any(day == 0 or abs(day) > 31 for day in days):
        raise Unreadable("RRULE: BYMONTHDAY must be from 1 to 31, or from -1 to -31")
    return days


def occurrences(start: datetime, wanted: Rule, last: datetime, most: int) -> list[datetime]:
    """The starts of the event in UTC, `start` the first, none after `last`, at most `most` of them."""
    found = [start.astimezone(UTC)]
    for day in _candidates(start, wanted, last):
        begins = datetime.combine(day, start.timetz()).astimezone(UTC)
        if wanted.until is not None and begins > wanted.until:
            break
        if begins > last or len(found) in (most, wanted.times):
            break
        found.append(begins)
    return found


def _candidates(start: datetime, wanted: Rule, last: datetime) -> Iterator[date]:
    """The days after that of `start` on which the rule repeats, in their order; some may lie after `last`."""
    first = start.date()
    shortest = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 28}[wanted.every] * wanted.interval
    for number in range(max((last - start).days, 0) // shortest + 2):
        try:
            days = _of_period(first, wanted, number * wanted.interval)
        except (OverflowError, ValueError):  # past the year 9999
            return
        yield from sorted(day for day in days if day > first)


def _of_period(first: date, wanted: Rule, step: int) -> set[date]:
    if wanted.every == "DAILY":
        return {first + timedelta(days=step)}
    if wanted.every == "WEEKLY":
        monday = first - timedelta(days=(first.weekday() - wanted.week_starts) % 7) + timedelta(weeks=step)
        days = {day for _, day in wanted.days} or {first.weekday()}
        return {monday + timedelta(days=(day - wanted.week_starts) % 7) for day in days}
    months = first.month - 1 + step
    return _of_month(first, wanted, first.year + months // 12, months % 12 + 1)


def _of_month(first: date, wanted: Rule, year: int, month: int) -> set[date]:
    length = monthrange(year, month)[1]
    month_days = wanted.month_days or (() if wanted.days else (first.day,))
    dates = {
        date(year, month, day if day > 0 else length + 1 + day) for day in month_days if abs(day) <= length
    }
    weekdays = {day for nth, weekday in wanted.days for day in _nth(year, month, length, nth, weekday)}
    if wanted.days and wanted.month_days:  # both must hold
        return dates & weekdays
    return dates | weekdays


def _nth(year: int, month: int, length: int, nth: int, weekday: int) -> list[date]:
    found = [
        date(year, month, day) for day in range(1, length + 1) if date(year, month, day).weekday() == weekday
    ]
    if nth == 0:
        return found
    index = nth - 1 if nth > 0 else nth
    return [found[index]] if -len(found) <= index < len(found) else []
