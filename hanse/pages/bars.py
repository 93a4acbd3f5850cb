"""Geometry of the small bars: ninety days, an age against its limits, a span of a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class DayBar:
    """A day of the 90-day bar; worse is taller. `state` is ok, degraded, down, downtime or none."""

    x: int
    y: float
    height: float
    state: str
    day: date
    tip: str
    anchor: str


_HEIGHTS: Mapping[str, float] = {"ok": 12, "degraded": 18, "down": 22, "downtime": 12, "none": 2}
_DAY_WORDS: Mapping[str, str] = {
    "ok": "in order",
    "degraded": "degraded",
    "down": "down",
    "downtime": "downtime",
    "none": "no result",
}


def ninety_days(
    days: Sequence[Mapping[str, Any]], *, last: date | None = None, length: int = 90
) -> list[DayBar]:
    """Bars for the `length` days to `last` (today), oldest left, 5 units apart and 24 high.

    A day is {"day": date or ISO text, "state": ok|degraded|down|downtime|none, "note": words for the tip,
    "url"}. Days that are not given have no result.
    """
    last = last or datetime.now(UTC).date()
    given = {_day(entry["day"]): entry for entry in days}
    bars = []
    for index in range(length):
        day = last - timedelta(days=length - 1 - index)
        entry = given.get(day, {})
        state = str(entry.get("state", "none"))
        note = str(entry.get("note") or "")
        tip = f"{day:%a} {day.day} {day:%b %Y}: {_DAY_WORDS.get(state, state)}" + (
            f", {note}" if note else ""
        )
        height = _HEIGHTS.get(state, 2)
        bars.append(DayBar(index * 5, 24 - height, height, state, day, tip, str(entry.get("url") or "")))
    return bars


def _day(value: date | str) -> date:
    return date.fromisoformat(value[:10]) if isinstance(value, str) else value


@dataclass(frozen=True)
class AgeScale:
    """An age against a warning and a limit on a bar of 100 units; `level` is ok, warn or over."""

    fill: float
    warn: float
    limit: float
    level: str


def age_scale(seconds: float, warn_s: float, limit_s: float) -> AgeScale:
    """The limit stands at 80 of 100 units; an age past the end of the bar fills it."""
    level = "over" if seconds >= limit_s else "warn" if seconds >= warn_s else "ok"
    unit = 80 / limit_s
    return AgeScale(round(min(max(seconds * unit, 1), 100), 1), round(warn_s * unit, 1), 80, level)


def day_scale(start: datetime, end: datetime, day: date | None = None) -> tuple[float, float]:
    """Where a span lies in a day, as (from, width) of 100 units; what reaches over midnight is cut."""
    day = day or datetime.now(UTC).date()
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    first = min(max((start - midnight).total_seconds() / 864, 0), 100)
    final = min(max((end - midnight).total_seconds() / 864, 0), 100)
    return round(first, 2), round(max(final - first, 0.5), 2)
