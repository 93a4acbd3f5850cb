"""How states combine, and what a timeline amounts to.

The tables are EGI's operations profile (egi_ops): both are symmetric and associative, so the order of
folding does not matter. EXCLUDED intervals are simply left out by the caller.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce

DAY = timedelta(days=1)


class State(StrEnum):
    """A state on a timeline."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    MISSING = "missing"
    CRITICAL = "critical"
    DOWNTIME = "downtime"


_LETTERS = dict(zip("OWUMCD", State, strict=True))
_ORDER = "OWUMCD"


def _table(rows: str) -> dict[tuple[State, State], State]:
    return {
        (_LETTERS[_ORDER[row]], _LETTERS[_ORDER[column]]): _LETTERS[letter]
        for row, line in enumerate(rows.split())
        for column, letter in enumerate(line)
    }


AND = _table("OWUMCD WWUMCD UUUMCD MMMMCD CCCCCC DDDDCD")
OR = _table("OOOOOO OWWWWW OWUUCU OWUMCD OWCCCC OWUDCD")


def both(states: Iterable[State]) -> State:
    """All are needed (checks of an endpoint, services of a site); MISSING where there is none."""
    found = list(states)
    return reduce(lambda a, b: AND[a, b], found) if found else State.MISSING


def either(states: Iterable[State]) -> State:
    """One is enough (endpoints of a service); MISSING where there is none."""
    found = list(states)
    return reduce(lambda a, b: OR[a, b], found) if found else State.MISSING


@dataclass(frozen=True, slots=True)
class Change:
    """The state that holds from `at` on."""

    at: datetime
    state: State


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in one state; `end` is not part of it."""

    start: datetime
    end: datetime
    state: State

    @property
    def seconds(self) -> float:
        """Length in seconds, never negative."""
        return max((self.end - self.start).total_seconds(), 0.0)


def spans(changes: Sequence[Change], start: datetime, end: datetime) -> list[Span]:
    """The timeline between `start` and `end` without gaps; before the first change it is MISSING.

    `changes` in order of time; several at one instant: the last holds."""
    current, since, found = State.MISSING, start, []
    for change in changes:
        if change.at >= end:
            break
        if change.at > since:
            found.append(Span(since, change.at, current))
            since = change.at
        current = change.state
    if since < end:
        found.append(Span(since, end, current))
    return found


@dataclass(frozen=True, slots=True)
class Tally:
    """Seconds of an interval by what they count as: T = up + down + unknown + downtime."""

    up: float
    critical: float
    unknown: float
    downtime: float

    @property
    def availability(self) -> float | None:
        """Percent: 100 * up / (T - unknown); None where nothing is known."""
        known = self.up + self.critical + self.downtime
        return 100 * (self.up / known) if known else None

    @property
    def reliability(self) -> float | None:
        """Percent: 100 * up / (T - unknown - downtime); None where nothing is known outside downtime."""
        expected = self.up + self.critical
        return 100 * (self.up / expected) if expected else None


def tally(stretches: Iterable[Span]) -> Tally:
    """Sums of the spans: OK and WARNING are up, UNKNOWN and MISSING unknown (ARGO's reading)."""
    sums = dict.fromkeys(State, 0.0)
    for span in stretches:
        sums[span.state] += span.seconds
    return Tally(
        sums[State.OK] + sums[State.WARNING],
        sums[State.CRITICAL],
        sums[State.UNKNOWN] + sums[State.MISSING],
        sums[State.DOWNTIME],
    )


def worst_of_day(stretches: Iterable[Span]) -> State:
    """What a day's bar shows: the worst that lasted; downtime and no result only where nothing worse or
    better was."""
    present = {span.state for span in stretches if span.seconds > 0}
    for state in (State.CRITICAL, State.WARNING, State.DOWNTIME, State.OK, State.UNKNOWN):
        if state in present:
            return state
    return State.MISSING


def days(changes: Sequence[Change], first: datetime, count: int, now: datetime) -> list[list[Span]]:
    """The spans of `count` UTC days from `first` (a midnight); today ends now, days to come are empty."""
    found = []
    for number in range(count):
        start = first + number * DAY
        end = min(start + DAY, now)
        found.append(spans(changes, start, end) if end > start else [])
    return found
