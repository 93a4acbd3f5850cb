"""What the address of /usage asks for, and addresses of the same view in other forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from accounting import asking
from accounting.asking import (
    DECLARED,
    DIMENSIONS,
    KINDS,
    MEASURES,
    MOST_MONTHS_BY_DAY,
    PLACES,
    TIMES,
    Kind,
    Question,
)
from hanse.errors import FieldFault, Refused

CHARTS: Final = {"stacked": "Stacked", "lines": "Lines", "share": "Share", "map": "Map"}
CELLS: Final = {"figure": "Figures", "row": "Share of row", "column": "Share of column"}
FILTERS: Final = tuple(name for name in DIMENSIONS if name not in TIMES)
OTHERS: Final = ("kind", "measure", "from", "to", "by", "each", "pivot", "rows", "columns", "chart", "cells")


@dataclass(frozen=True)
class Address:
    """A view of usage: a question `by` one dimension over time, a table of two, and how both are drawn.

    `dropped` are words of the address that this kind of usage does not have.
    """

    question: Question
    by: str
    each: str
    across: tuple[str, str]
    chart: str
    cells: str
    dropped: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """The kind of usage."""
        return KINDS[self.question.kind]

    @property
    def over_time(self) -> Question:
        """By the chosen dimension and month or day."""
        return asking.checked(self.question.grouped(self.by, self.each))

    @property
    def crossed(self) -> Question:
        """By the two dimensions of the table."""
        return asking.checked(self.question.grouped(*self.across))

    def pairs(self, **changed: str | None) -> list[tuple[str, str]]:
        """Parameters of this view; None leaves one out, a filter with all its values."""
        asked = self.question
        given: dict[str, str | None] = {
            "kind": asked.kind, "measure": asked.measure, "from": f"{asked.first:%Y-%m}", "to": f"{asked.last:%Y-%m}",
            "by": self.by, "pivot": ",".join(self.across),
        }  # fmt: skip
        usual = (
            ("each", self.each, "month"),
            ("chart", self.chart, "stacked"),
            ("cells", self.cells, "figure"),
        )
        given |= {name: value for name, value, default in usual if value != default}
        pairs = [(name, value) for name, value in (given | changed).items() if value is not None]
        return pairs + [(name, each) for name, values in asked.only if name not in changed for each in values]

    def url(self, **changed: str | None) -> str:
        """The page with some parameters changed."""
        return "/usage?" + urlencode(self.pairs(**changed), safe=",")

    def call(self, path: str, *by: str) -> str:
        """A call of the API that gives the figures of this view by these dimensions."""
        pairs = self.pairs(by=",".join(by), pivot=None, each=None, chart=None, cells=None)
        return f"{path}?{urlencode(pairs, safe=',')}"

    def without(self, name: str, value: str) -> str:
        """The page without one value of a filter."""
        kept = [
            (each, tuple(one for one in values if (each, one) != (name, value)))
            for each, values in self.question.only
        ]
        only = tuple((each, values) for each, values in kept if values)
        return replace(self, question=replace(self.question, only=only)).url()


def read(given: MultiDict[str, str]) -> Address:
    """The view that an address asks for. Raises Refused naming the parameter that cannot be read.

    What only does not go together, as a measure with another kind of usage, is dropped and said: the lists of the
    page change one thing at a time.
    """
    _refuse_unknown(given)
    kind = _kind(given)
    dropped = []
    measure = given.get("measure") or kind.measures[0]
    if measure not in kind.measures:
        dropped.append(MEASURES[measure].label)
        measure = kind.measures[0]
    only = {name: given.getlist(name) for name in FILTERS if any(given.getlist(name))}
    for name in [name for name in only if name not in kind.dimensions]:
        dropped.append(f"the filter by {DIMENSIONS[name].label}")
        del only[name]
    question = asking.asked(
        kind.name, measure, given.get("from"), given.get("to"), "", only, datetime.now(UTC).date()
    )
    by = _dimension(given, "by", kind, dropped, "vo")
    return Address(
        question, by, _each(given, question, by, dropped), _across(given, kind, by, dropped),
        _one_of(given, "chart", tuple(CHARTS)), _one_of(given, "cells", tuple(CELLS)), tuple(dropped),
    )  # fmt: skip


def _refuse_unknown(given: Mapping[str, str]) -> None:
    unknown = next((name for name in given if name not in (*OTHERS, *FILTERS)), None)
    if unknown is not None:
        known = ", ".join((*OTHERS, *FILTERS))
        raise Refused("There is no such view.", FieldFault(unknown[:40], f"is not one of {known}"))


def _kind(given: Mapping[str, str]) -> Kind:
    measure = given.get("measure") or ""
    if measure and measure not in MEASURES:
        raise Refused("There is no such measure.", FieldFault("measure", f"use one of {', '.join(MEASURES)}"))
    if given.get("kind"):
        return KINDS[_one_of(given, "kind", tuple(KINDS))]
    return next(kind for kind in KINDS.values() if not measure or measure in kind.measures)


def _one_of(given: Mapping[str, str], name: str, values: Sequence[str]) -> str:
    value = given.get(name) or values[0]
    if value not in values:
        raise Refused("There is no such view.", FieldFault(name, f"use one of {', '.join(values)}"))
    return value


def _dimension(given: Mapping[str, str], name: str, kind: Kind, dropped: list[str], usual: str) -> str:
    value = given.get(name) or usual
    if value not in FILTERS:
        raise Refused("The grouping cannot be read.", FieldFault(name, f"use one of {', '.join(FILTERS)}"))
    if value in kind.dimensions:
        return value
    dropped.append(f"by {DIMENSIONS[value].label}")
    return usual


def _across(given: Mapping[str, str], kind: Kind, by: str, dropped: list[str]) -> tuple[str, str]:
    """Rows and columns of the table; a person's list of rows or columns changes one of them."""
    words = given.get("pivot") or (f"{by},vo" if by in PLACES else f"site,{by}")
    found = words.split(",")
    if len(found) != 2 or found[0] == found[1] or not {*found} <= {"month", *FILTERS}:
        raise Refused("The table cannot be read.", FieldFault("pivot", "write two dimensions, as site,vo"))
    chosen = [given.get("rows") or found[0], given.get("columns") or found[1]]
    for place, name in enumerate(chosen):
        if name not in ("month", *FILTERS):
            field = ("rows", "columns")[place]
            raise Refused("The table cannot be read.", FieldFault(field, f"use month, {', '.join(FILTERS)}"))
        if name not in kind.dimensions:
            dropped.append(f"the table by {DIMENSIONS[name].label}")
            chosen[place] = "site" if "site" not in chosen else "vo" if "vo" not in chosen else "month"
    if chosen[0] == chosen[1]:  # one was set to what the other is: they change places
        other = found[0] if found[1] == chosen[0] else found[1]
        return (chosen[0], other) if found[0] != chosen[0] else (other, chosen[0])
    return chosen[0], chosen[1]


def _each(given: Mapping[str, str], question: Question, by: str, dropped: list[str]) -> str:
    """Month or day; days are kept by few dimensions and shown of a few months."""
    each = _one_of(given, "each", TIMES)
    if each == "month":
        return each
    names = (by, each, *(name for name, _ in question.only))
    if KINDS[question.kind].source(names, question.figures.sums) is None or question.figures.per == DECLARED:
        dropped.append(f"days by {DIMENSIONS[by].label} for {question.figures.label}")
        return "month"
    if len(asking.months_between(question.first, question.last)) > MOST_MONTHS_BY_DAY:
        dropped.append(f"days of more than {MOST_MONTHS_BY_DAY} months")
        return "month"
    return each
