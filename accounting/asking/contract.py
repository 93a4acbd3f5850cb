"""What a kind of usage is: its measures, and the tables that answer for it, of which the smallest is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, FromClause

from accounting.asking.dimensions import DIMENSIONS

Column = ColumnElement[Any]


@dataclass(frozen=True)
class Source:
    """A table with the dimensions and sums that it keeps. `only` narrows it down to one kind.

    `within` are dimensions without a filter on which the table is not worth reading.
    """

    table: FromClause
    columns: Mapping[str, Column]
    sums: Mapping[str, Column]
    only: tuple[ColumnElement[bool], ...] = ()
    within: frozenset[str] = frozenset()

    @property
    def when(self) -> Column:
        """The column of the month, or of the day."""
        return self.columns["day"] if "day" in self.columns else self.columns["month"]

    def keeps(self, names: Iterable[str], sums: Iterable[str]) -> bool:
        """Whether it can group by all these dimensions and give all these sums."""
        kept = {*self.columns, *(name for name, each in DIMENSIONS.items() if each.of in self.columns)}
        return kept.issuperset(names) and self.sums.keys() >= set(sums)


@dataclass(frozen=True)
class Kind:
    """A kind of usage: its measures, the first of them its own, and its tables, the smallest first.

    `beside` are measures that exports and the API give beside the one that was asked for.
    """

    name: str
    label: str
    measures: tuple[str, ...]
    sources: tuple[Source, ...]
    beside: tuple[str, ...] = ()

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """What its usage can be grouped by."""
        return tuple(name for name in DIMENSIONS if any(source.keeps([name], []) for source in self.sources))

    def source(
        self, names: Sequence[str], sums: Sequence[str], filtered: Iterable[str] = ()
    ) -> Source | None:
        """The smallest table that keeps all this; None when no table keeps it together. `filtered` are the dimensions
        of which only some values are wanted.
        """
        fitting = (each for each in self.sources if each.keeps(names, sums) and each.within <= set(filtered))
        return next(fitting, None)
