"""Geometry of the small charts that the server draws: numbers in, coordinates out;
templates turn them into SVG.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hanse.pages.words import number

MOST_SERIES = 6
OTHERS = "others"


@dataclass(frozen=True)
class Block:
    """A rectangle of series `series` (from 1) in the column `column`; `tip` says it in words."""

    x: float
    y: float
    width: float
    height: float
    series: int
    column: int
    tip: str
    partial: bool = False


@dataclass(frozen=True)
class Tick:
    """A line of the scale at `at`, with its label; "" draws the line alone."""

    at: float
    label: str


@dataclass(frozen=True)
class Legend:
    """A series, its colour number and its figure."""

    name: str
    series: int
    total: float


@dataclass(frozen=True)
class Top:
    """What a whole column comes to, written above it at (x, y)."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Path:
    """The line of series `series` (from 1) as data of an SVG path; `tip` says in words whose it is."""

    d: str
    series: int
    tip: str


@dataclass(frozen=True)
class Stack:
    """A chart of stacked bars, or of lines, ready to draw:
    `width` x `height` units with the plot from `left` to `right`, `top` to `foot`.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    foot: float
    blocks: tuple[Block, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    legend: tuple[Legend, ...]
    line: str
    labels: tuple[str, ...]
    series: tuple[tuple[str, tuple[float | None, ...]], ...]
    unit: str
    summary: str
    decimals: int = 0
    tops: tuple[Top, ...] = ()
    paths: tuple[Path, ...] = ()


def stacked(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    unit: str,
    partial_last: bool = False,
    line: Sequence[float | None] = (),
    width: float = 640,
    height: float = 200,
    decimals: int = 0,
    tops: bool = False,
    side_by_side: bool = False,
) -> Stack:
    """Columns `labels`, one block per series upon another, from zero. None is a gap. The seventh series on
    become "others".

    `line` is a second measure of the same unit drawn dashed (last month, a capacity); `partial_last` draws
    the last column lighter because its period has not ended; `tops` writes each column's sum above it. With
    `side_by_side` each series is a line of its own from zero, for figures that do not add up.
    """
    shown = fold_series(series)
    sums = [sum(values[i] or 0.0 for _, values in shown) for i in range(len(labels))]
    known = [v for _, values in shown for v in values if v is not None]
    peak = max([*(known if side_by_side else sums), *(v for v in line if v is not None)], default=0.0)
    top_value, step = scale(peak)
    left, right, top, foot = 44.0, width - 4, 10.0 if not tops else 18.0, height - 24
    slots = max(len(labels), len(line), 1)
    geometry = _Plot(left, (right - left) / slots, foot, (foot - top) / top_value)
    return Stack(
        width, height, left, right, top, foot,
        blocks=() if side_by_side else tuple(_blocks(labels, shown, unit, geometry, partial_last, decimals)),
        y_ticks=tuple(Tick(geometry.y(v), short(v)) for v in _steps(top_value, step)),
        x_ticks=tuple(_x_ticks(labels, geometry)),
        legend=tuple(Legend(n, i + 1, math.fsum(v or 0 for v in vs)) for i, (n, vs) in enumerate(shown)),
        line=_path(line, geometry),
        labels=tuple(labels),
        series=tuple((name, tuple(values)) for name, values in shown),
        unit=unit,
        summary=_beside(labels, shown, unit) if side_by_side else _summary(labels, shown, sums, unit, partial_last),
        decimals=decimals,
        tops=tuple(_tops(sums, geometry)) if tops and not side_by_side else (),
        paths=tuple(_paths(shown, geometry, unit)) if side_by_side else (),
    )  # fmt: skip


def _tops(sums: Sequence[float], plot: _Plot) -> Iterator[Top]:
    """The sum of each column, where its figure fits the column's width."""
    for column, total in enumerate(sums):
        label = short(float(f"{total:.3g}"))
        if total and len(label) * 6.5 < plot.slot:
            yield Top(round(plot.x(column) + plot.slot / 2, 2), round(plot.y(total) - 4, 2), label)


def _paths(series: list[tuple[str, list[float | None]]], plot: _Plot, unit: str) -> Iterator[Path]:
    for index, (name, values) in enumerate(series):
        yield Path(_path(values, plot), index + 1, f"{name}, {unit}")


@dataclass(frozen=True)
class _Plot:
    left: float
    slot: float
    foot: float
    per_unit: float

    def x(self, column: int) -> float:
        return self.left + column * self.slot

    def y(self, value: float) -> float:
        return round(self.foot - value * self.per_unit, 2)


def fold_series(series: Mapping[str, Sequence[float | None]]) -> list[tuple[str, list[float | None]]]:
    """At most six series in the given order;
    what is past the fifth is added up as "others" when there are more.
    """
    items = [(name, list(values)) for name, values in series.items()]
    if len(items) <= MOST_SERIES:
        return items
    kept, rest = items[: MOST_SERIES - 1], items[MOST_SERIES - 1 :]
    return [*kept, (OTHERS, [_sum_or_gap(column) for column in zip(*(v for _, v in rest), strict=True)])]


def _sum_or_gap(column: Sequence[float | None]) -> float | None:
    known = [value for value in column if value is not None]
    return math.fsum(known) if known else None


def _blocks(
    labels: Sequence[str], series: list[tuple[str, list[float | None]]], unit: str, plot: _Plot, partial: bool,
    decimals: int,
) -> list[Block]:  # fmt: skip
    gap = min(plot.slot * 0.2, 8)
    blocks = []
    for column, label in enumerate(labels):
        base = 0.0
        for index, (name, values) in enumerate(series):
            value = values[column]
            if not value:
                continue
            y, foot = plot.y(base + value), plot.y(base)
            tip = (
                f"{label}: {name} {number(value, decimals)} {unit}"
                if len(series) > 1
                else f"{label}: {number(value, decimals)} {unit}"
            )
            last = partial and column == len(labels) - 1
            x, width = round(plot.x(column) + gap / 2, 2), round(plot.slot - gap, 2)
            blocks.append(Block(x, y, width, round(foot - y, 2), index + 1, column, tip, last))
            base += value
    return blocks


def scale(peak: float) -> tuple[float, float]:
    """Top of the axis and its step (1, 2, 2.5 or 5 times a power of ten), with 2 to 5 steps and `peak` below
    the top.
    """
    if peak <= 0 or not math.isfinite(peak):
        return 1.0, 1.0
    power = 10 ** math.floor(math.log10(peak / 3))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if peak / (m * power) <= 5)
    return math.ceil(peak / step - 1e-9) * step, step


def _steps(top: float, step: float) -> list[float]:
    return [i * step for i in range(round(top / step) + 1)]


def short(value: float) -> str:
    """An axis label: 30000 -> "30k", 1500000 -> "1.5M"."""
    for limit, mark in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{mark}"
    return f"{value:g}"


def _x_ticks(labels: Sequence[str], plot: _Plot) -> list[Tick]:
    widest = max((len(label) for label in labels), default=1) * 6.5 + 10
    every = max(1, math.ceil(widest / plot.slot))
    return [
        Tick(round(plot.x(i) + plot.slot / 2, 2), label)
        for i, label in enumerate(labels)
        if i % every == 0
    ]  # fmt: skip


def _path(line: Sequence[float | None], plot: _Plot) -> str:
    """An SVG path through the values; a gap stays a gap."""
    parts, pen_down = [], False
    for i, value in enumerate(line):
        if value is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{plot.x(i) + plot.slot / 2:.1f} {plot.y(value):.1f}")
        pen_down = True
    return " ".join(parts)


def _beside(labels: Sequence[str], series: list[tuple[str, list[float | None]]], unit: str) -> str:
    if not labels:
        return f"No {unit}."
    return f"{unit}, {labels[0]} to {labels[-1]}: {', '.join(name for name, _ in series)}."


def _summary(
    labels: Sequence[str],
    series: list[tuple[str, list[float | None]]],
    sums: list[float],
    unit: str,
    partial: bool,
) -> str:
    if not labels:
        return f"No {unit}."
    most = max(range(len(sums)), key=sums.__getitem__)
    total = math.fsum(sums)
    names = ", ".join(f"{name} {number(math.fsum(v or 0 for v in vs))}" for name, vs in series)
    end = f" {labels[-1]} has not ended." if partial else ""
    return (
        f"{number(total)} {unit} from {labels[0]} to {labels[-1]} ({names}); "
        f"most in {labels[most]}, {number(sums[most])}.{end}"
    )
