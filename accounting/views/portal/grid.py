"""The table of two dimensions as the page shows it: words, shades, links; what is too much for a page is summed up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from accounting.asking import DIMENSIONS, PLACES, TIMES, Capacity, Measure, Pivot, Row
from accounting.views.portal.address import Address
from hanse.pages.words import NONE, number, percent

MOST_COLUMNS: Final = 12
MOST_ROWS: Final = 100
SHADES: Final = 5


@dataclass(frozen=True)
class Cell:
    """A figure in words; `heat` from 1 to 5 = how large it is beside the largest, 0 = nothing there."""

    words: str
    heat: int


@dataclass(frozen=True)
class Shown:
    """A row in words. `of_declared` is its share of the declared capacity, from 0 to 1."""

    label: str
    url: str
    cells: tuple[Cell, ...]
    total: str
    share: float | None
    of_declared: float | None


@dataclass(frozen=True)
class Head:
    """A column with its words and the address that narrows the view to it."""

    label: str
    url: str


@dataclass(frozen=True)
class Grid:
    """The table in words. `others` columns and `left_out` rows stand in the sums alone."""

    columns: tuple[Head, ...]
    rows: tuple[Shown, ...]
    totals: tuple[str, ...]
    total: str
    others: int
    left_out: int
    capacity: bool
    of_declared: float | None


def grid(view: Address, table: Pivot, capacity: Capacity) -> Grid:
    """The table as the address wants its cells: figures, or shares of the row or of the column."""
    measure = view.question.figures
    few = table.columns[:MOST_COLUMNS]
    others = len(table.columns) - len(few) if measure.adds_up else 0
    words = _words(view, table, measure)
    declared = _declared(view, table, capacity)
    rows = tuple(
        Shown(
            name(row.name, table.rows_by),
            _narrowed(view, table.rows_by, row.name),
            _cells(row, table, len(few), others, words),
            number(row.total, measure.decimals),
            row.total / table.total if row.total is not None and table.total and measure.adds_up else None,
            declared(row.name, row.total),
        )
        for row in table.rows[:MOST_ROWS]
    )
    totals = [words(total, table.total, total) for total in table.totals[: len(few)]]
    if others:
        rest = math.fsum(total or 0 for total in table.totals[len(few) :])
        totals.append(words(rest, table.total, rest))
    return Grid(
        tuple(Head(name(column, table.columns_by), _narrowed(view, table.columns_by, column)) for column in few),
        rows, tuple(totals), number(table.total, measure.decimals), others, len(table.rows) - len(rows), declared.shown,
        declared.of_all(table.total),
    )  # fmt: skip


def name(value: str, dimension: str) -> str:
    """A value in words; records that state none have one too."""
    if dimension == "month":
        return f"{date.fromisoformat(f'{value}-01'):%b %Y}"
    return value if value not in ("", "None") else f"no {DIMENSIONS[dimension].label}"


def _narrowed(view: Address, dimension: str, value: str) -> str:
    return "" if dimension in TIMES or value in ("", "unknown") else view.url(**{dimension: value})


Words = Callable[[float | None, float | None, float | None], str]


def _words(view: Address, table: Pivot, measure: Measure) -> Words:
    """(figure, total of its row, total of its column) to the words of a cell."""

    def words(value: float | None, row: float | None, column: float | None) -> str:
        if value is None or not measure.adds_up or view.cells == "figure":
            return number(value, measure.decimals)
        whole = row if view.cells == "row" else column
        return percent(value / whole, 1) if whole else NONE

    return words


def _cells(row: Row, table: Pivot, shown: int, others: int, words: Words) -> tuple[Cell, ...]:
    peak = table.peak
    cells = [
        Cell(
            words(value, row.total, table.totals[at]),
            math.ceil(value / peak * SHADES) if value and peak else 0,
        )
        for at, value in enumerate(row.cells[:shown])
    ]
    if others:
        rest = math.fsum(value or 0 for value in row.cells[shown:])
        of_column = math.fsum(total or 0 for total in table.totals[shown:])
        cells.append(Cell(words(rest or None, row.total, of_column), 0))
    return tuple(cells)


@dataclass(frozen=True)
class _Declared:
    """Whether rows are measured against declared capacity, and how: hours of use over hours that were declared."""

    shown: bool
    dimension: str
    capacity: Capacity

    def __call__(self, value: str, hours: float | None) -> float | None:
        declared = self.capacity.cpu_s({self.dimension: value}) / 3600
        return hours / declared if self.shown and hours is not None and declared else None

    def of_all(self, hours: float | None) -> float | None:
        """The share of all rows."""
        declared = self.capacity.cpu_s({}) / 3600
        return hours / declared if self.shown and hours is not None and declared else None


def _declared(view: Address, table: Pivot, capacity: Capacity) -> _Declared:
    """CPU hours of places can be measured so, as long as no filter hides a part of them."""
    asked = view.question
    hidden = any(name not in PLACES for name, _ in asked.only)
    fits = asked.measure == "cpu_hours" and table.rows_by in (*PLACES, "month") and not hidden
    return _Declared(fits, table.rows_by, capacity)
