"""A question about usage, as the portal, the API and the exports ask it; and reading one from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from accounting.asking.contract import Kind
from accounting.asking.dimensions import DIMENSIONS
from accounting.asking.kinds import KINDS
from accounting.asking.measures import DECLARED, MEASURES, Measure
from hanse.errors import FieldFault, Refused

MOST_MONTHS = 240
MOST_MONTHS_BY_DAY = 6
MOST_VALUES = 100
LONGEST_VALUE = 255
FIRST_YEAR = 1990


@dataclass(frozen=True)
class Question:
    """Months from `first` to `last` (first days, both included), grouped `by` dimensions, with filters.

    `only` holds pairs of a dimension and the values that are wanted of it.
    """

    kind: str
    measure: str
    first: date
    last: date
    by: tuple[str, ...] = ()
    only: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def names_people(self) -> bool:
        """Whether the answer would tell of persons: then it depends on who asks."""
        return "user" in self.by or any(name == "user" for name, _ in self.only)

    @property
    def figures(self) -> Measure:
        """The measure that was asked for."""
        return MEASURES[self.measure]

    def grouped(self, *by: str) -> Question:
        """The same question by other dimensions."""
        return replace(self, by=by)

    def wanted(self, name: str) -> tuple[str, ...]:
        """Values that a filter lets through; () = all."""
        return dict(self.only).get(name, ())


def asked(
    kind: str,
    measure: str,
    first: str | None,
    last: str | None,
    by: str,
    only: Mapping[str, Sequence[str]],
    today: date,
) -> Question:
    """The question in an address. Raises Refused naming the parameter that cannot be read."""
    measured, chosen = _measure(kind, measure)
    begin, end = period(first, last, today)
    names = parse_by(by, chosen)
    if "day" in names and len(months_between(begin, end)) > MOST_MONTHS_BY_DAY:
        raise Refused(
            "The period is too long.", FieldFault("from", f"at most {MOST_MONTHS_BY_DAY} months by day")
        )
    return checked(Question(chosen.name, measured, begin, end, names, _filters(only, chosen)))


def checked(question: Question) -> Question:
    """The question, when there is a table that can answer it. Raises Refused saying what does not go together."""
    kind = KINDS[question.kind]
    names = (*question.by, *(name for name, _ in question.only))
    if kind.source(names, question.figures.sums) is None:
        words = ", ".join(DIMENSIONS[name].label for name in dict.fromkeys(names)) or "nothing"
        raise Refused(
            f"{question.figures.label} are not kept by {words}.",
            FieldFault(
                "by",
                "ask for fewer at once"
                if "day" not in names
                else "by day: site, NGI, country, VO and discipline",
            ),
        )
    if question.figures.per == DECLARED and "day" in names:
        raise Refused(
            "The share of the capacity is kept by month.", FieldFault("by", "use month instead of day")
        )
    return question


def _measure(kind: str, measure: str) -> tuple[str, Kind]:
    """The measure and its kind; each may be left out: a kind has a first measure, a measure is of some kinds."""
    if kind and kind not in KINDS:
        raise Refused("There is no such kind of usage.", FieldFault("kind", f"use one of {', '.join(KINDS)}"))
    if measure and measure not in MEASURES:
        raise Refused("There is no such measure.", FieldFault("measure", f"use one of {', '.join(MEASURES)}"))
    if not measure:
        chosen = KINDS[kind or "cloud"]
        return chosen.measures[0], chosen
    fitting = [each for each in KINDS.values() if measure in each.measures]
    if kind:
        fitting = [each for each in fitting if each.name == kind]
    if not fitting:
        known = ", ".join(KINDS[kind].measures)
        raise Refused(
            f"{KINDS[kind].label} has no {MEASURES[measure].label}.",
            FieldFault("measure", f"use one of {known}"),
        )
    return measure, fitting[0]


def parse_month(value: str, field: str) -> date:
    """The first day of `YYYY-MM`. Raises Refused naming the field."""
    try:
        if len(value) != 7:
            raise ValueError(value)
        month = datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC).date()
        if month.year < FIRST_YEAR:
            raise ValueError(value)
        return month
    except ValueError:
        raise Refused("The period cannot be read.", FieldFault(field, "write a month as 2026-11")) from None


def period(first: str | None, last: str | None, today: date) -> tuple[date, date]:
    """The months asked for; without them, the twelve that end with the current one. Raises Refused."""
    end = parse_month(last, "to") if last else today.replace(day=1)
    begin = parse_month(first, "from") if first else months_back(end, 11)
    if begin > end:
        raise Refused("The period ends before it begins.", FieldFault("from", "must not be after `to`"))
    if len(months_between(begin, end)) > MOST_MONTHS:
        raise Refused("The period is too long.", FieldFault("from", f"at most {MOST_MONTHS} months"))
    return begin, end


def parse_by(value: str, kind: Kind, field: str = "by") -> tuple[str, ...]:
    """Dimensions from "vo,month". Raises Refused for one that this kind does not have, or that stands twice."""
    names = tuple(name for name in value.split(",") if name)
    wrong = [name for name in names if name not in kind.dimensions]
    if wrong or len(set(names)) != len(names):
        known = ", ".join(kind.dimensions)
        raise Refused("The grouping cannot be read.", FieldFault(field, f"use each of {known} at most once"))
    return names


def _filters(only: Mapping[str, Sequence[str]], kind: Kind) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for name, given in only.items():
        values = tuple(dict.fromkeys(value for value in given if value != ""))
        if not values:
            continue
        if name not in kind.dimensions or name in ("month", "day"):
            known = ", ".join(each for each in kind.dimensions if each not in ("month", "day"))
            raise Refused(f"{kind.label} cannot be filtered by {name}.", FieldFault(name, f"use {known}"))
        if len(values) > MOST_VALUES or any(
            len(value) > LONGEST_VALUE or "\x00" in value for value in values
        ):
            raise Refused(
                "The filter cannot be read.",
                FieldFault(name, f"at most {MOST_VALUES} values of {LONGEST_VALUE} characters"),
            )
        found.append((name, values))
    return tuple(found)


def months_between(first: date, last: date) -> list[date]:
    """First days of the months from `first` to `last`, both included."""
    count = (last.year - first.year) * 12 + last.month - first.month
    return [_later(first, step) for step in range(count + 1)]


def months_back(month: date, months: int) -> date:
    """First day of the month that many before (negative: after)."""
    return _later(month, -months)


def _later(month: date, months: int) -> date:
    index = month.year * 12 + month.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)
