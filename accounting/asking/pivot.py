"""Two dimensions across each other: rows, columns, and what they come to. Ratios are made of sums, never added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from accounting.asking.answers import Line
from accounting.asking.capacity import Capacity
from accounting.asking.measures import DECLARED, Measure

Sums = dict[str, float]


@dataclass(frozen=True)
class Row:
    """A row: a figure a column (None: nothing was reported there), and the figure of the whole row."""

    name: str
    cells: tuple[float | None, ...]
    total: float | None


@dataclass(frozen=True)
class Pivot:
    """Figures by row and column. Rows come largest first; columns as they were given, or largest first."""

    rows_by: str
    columns_by: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[float | None, ...]
    total: float | None

    @cached_property
    def peak(self) -> float:
        """The largest cell."""
        return max((cell or 0 for row in self.rows for cell in row.cells), default=0)


def pivot(
    lines: Sequence[Line], by: tuple[str, str], measure: Measure,
    columns: Sequence[str] | None = None, capacity: Capacity | None = None,
) -> Pivot:  # fmt: skip
    """Lines with two values each, (row, column), as a table. `capacity` is needed for a share of what was declared."""
    cells: dict[str, dict[str, Sums]] = {}
    of_rows: dict[str, Sums] = {}
    of_columns: dict[str, Sums] = {}
    whole: Sums = {}
    for line in lines:
        row, column = line.values
        groups = (
            cells.setdefault(row, {}).setdefault(column, {}), of_rows.setdefault(row, {}),
            of_columns.setdefault(column, {}), whole,
        )  # fmt: skip
        for name in measure.sums:
            value = line.sums[name]
            for sums in groups:
                sums[name] = sums.get(name, 0) + value
    figure = _Figures(measure, capacity)
    rows_by, columns_by = by
    totals = {name: figure.of(sums, {columns_by: name}) for name, sums in of_columns.items()}
    shown = (
        tuple(columns)
        if columns is not None
        else tuple(sorted(totals, key=lambda name: (-(totals[name] or 0), name)))
    )
    rows = [
        Row(
            row,
            tuple(
                figure.of(found[each], {rows_by: row, columns_by: each}) if each in found else None
                for each in shown
            ),
            figure.of(of_rows[row], {rows_by: row}),
        )
        for row, found in cells.items()
    ]
    rows.sort(key=lambda row: (-(row.total or 0), row.name))
    return Pivot(
        rows_by,
        columns_by,
        shown,
        tuple(rows),
        tuple(totals.get(each) for each in shown),
        figure.of(whole, {}) if lines else None,
    )


@dataclass(frozen=True)
class _Figures:
    """Sums of a group, and the group, to a figure."""

    measure: Measure
    capacity: Capacity | None

    def of(self, sums: Sums, group: Mapping[str, str]) -> float | None:
        if self.measure.per == DECLARED and self.capacity is not None:
            sums = sums | {DECLARED: self.capacity.cpu_s(group)}
        return self.measure.figure(sums)
