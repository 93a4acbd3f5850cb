"""What a timeline amounts to, by ARGO's formulas to the last digit. No floating point: exact fractions, rounded once.

Undefined (0/0) is -1 for a day. A period divides by 1.00000001, as ARGO does, so a perfect month is a little below
100 and one of which nothing is known is 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache

from monitoring.algebra import State
from monitoring.figures.lines import DAY_S, Held, Line, seconds

UNDEFINED = Decimal(-1)
_FIVE = Decimal("0.00001")
_ALMOST_ONE = Fraction(100_000_001, 100_000_000)


@dataclass(frozen=True, slots=True)
class Figures:
    """Percent (-1 = undefined) and fractions of one day or period."""

    availability: Decimal
    reliability: Decimal
    uptime: Decimal
    unknown: Decimal
    downtime: Decimal


@dataclass(frozen=True, slots=True)
class Pair:
    """Availability and reliability of a supergroup in percent; None = nothing to say (ARGO writes nan)."""

    availability: Decimal | None
    reliability: Decimal | None


def five(value: Fraction) -> Decimal:
    """Five decimals, half up."""
    shifted = value * 100_000
    whole = (2 * shifted.numerator + shifted.denominator) // (2 * shifted.denominator)
    return Decimal(whole) * _FIVE


@lru_cache(maxsize=4096)
def of_day(line: Line, until: int = DAY_S) -> Figures:
    """The figures of a day, or of its part before second `until`; all -1 where that is none."""
    return of_seconds(seconds(line, until), until)


def of_seconds(sums: Mapping[Held, int], total: int) -> Figures:
    """The figures of `total` seconds by state; what was excluded counts as unknown."""
    up = sums.get(State.OK, 0) + sums.get(State.WARNING, 0)
    unknown = sums.get(State.UNKNOWN, 0) + sums.get(State.MISSING, 0) + sums.get(None, 0)
    down = sums.get(State.DOWNTIME, 0)
    return Figures(
        _share(100 * up, total - unknown),
        _share(100 * up, total - unknown - down),
        _share(up, total),
        _share(unknown, total),
        _share(down, total),
    )


def _share(part: int, whole: int) -> Decimal:
    return five(Fraction(part, whole)) if whole else UNDEFINED


def of_period(days: Sequence[Figures]) -> Figures | None:
    """The figures of several days from the means of their fractions, not rounded (to fifteen digits); None where no
    day has any."""
    if not days:
        return None
    return of_sums(
        len(days),
        sum((day.uptime for day in days), Decimal(0)),
        sum((day.unknown for day in days), Decimal(0)),
        sum((day.downtime for day in days), Decimal(0)),
    )


def of_sums(days: int, up: Decimal, unknown: Decimal, down: Decimal) -> Figures:
    """The same from the number of days and the sums of their fractions."""
    mean_up, mean_unknown, mean_down = (Fraction(total) / days for total in (up, unknown, down))
    return Figures(
        _period_share(mean_up, _ALMOST_ONE - mean_unknown),
        _period_share(mean_up, _ALMOST_ONE - mean_unknown - mean_down),
        _digits(mean_up),
        _digits(mean_unknown),
        _digits(mean_down),
    )


def _period_share(part: Fraction, whole: Fraction) -> Decimal:
    return _digits(100 * part / whole) if whole > 0 else Decimal(0)


def _digits(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(
        Decimal("1e-15"), rounding=ROUND_HALF_UP
    )


def of_supergroup(members: Iterable[tuple[Decimal, Decimal, Decimal]]) -> Pair:
    """A day of an NGI: the mean of its sites' (availability, reliability, weight), each weighted by weight + 1; what is
    undefined has no weight."""
    rows = list(members)
    return Pair(
        _weighted((availability, weight) for availability, _, weight in rows),
        _weighted((reliability, weight) for _, reliability, weight in rows),
    )


def _weighted(rows: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    above, below = Decimal(0), Decimal(0)  # sums of products with few digits: exact in 28
    for value, weight in rows:
        if value >= 0:
            above += value * (weight + 1)
            below += weight + 1
    return five(Fraction(above) / Fraction(below)) if below else None


def mean_of_days(days: Iterable[Pair]) -> Pair:
    """An NGI's month: the plain mean of its days, those with nothing to say left out."""
    known = list(days)
    return Pair(
        _plain_mean([day.availability for day in known]), _plain_mean([day.reliability for day in known])
    )


def _plain_mean(values: Iterable[Decimal | None]) -> Decimal | None:
    known = [Fraction(value) for value in values if value is not None]
    return _digits(sum(known, Fraction(0)) / len(known)) if known else None
