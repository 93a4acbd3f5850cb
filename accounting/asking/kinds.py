"""The kinds of usage, and the tables that answer for each: the smallest that keeps what is asked for is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Numeric, cast, func

from accounting.asking.dimensions import DIMENSIONS
from accounting.models import UsageDay, UsageMonth, UsageSummary

Column = ColumnElement[Any]


@dataclass(frozen=True)
class Source:
    """A table with the dimensions and sums that it keeps. `only` narrows it down to one kind."""

    table: FromClause
    columns: Mapping[str, Column]
    sums: Mapping[str, Column]
    only: tuple[ColumnElement[bool], ...] = ()

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
    """A kind of usage: its measures, the first of them its own, and its tables, the smallest first."""

    name: str
    label: str
    measures: tuple[str, ...]
    sources: tuple[Source, ...]

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """What its usage can be grouped by."""
        return tuple(name for name in DIMENSIONS if any(source.keeps([name], []) for source in self.sources))

    def source(self, names: Sequence[str], sums: Sequence[str]) -> Source | None:
        """The smallest table that keeps all this; None when no table keeps it together."""
        return next((each for each in self.sources if each.keeps(names, sums)), None)


def _columns(table: FromClause, **named: str) -> dict[str, Column]:
    """Columns of a table by the names of dimensions, those called otherwise by `named`."""
    return {name: table.c[column] for name, column in named.items()}


_MONTHS: Final = UsageMonth.__table__
_DAYS: Final = UsageDay.__table__
_CLOUD: Final = UsageSummary.__table__


def _sums(table: FromClause, *names: str) -> dict[str, Column]:
    return {name: table.c[name] for name in names}


def _month_source(kind: str, *sums: str) -> Source:
    columns = _columns(_MONTHS, month="month", site="site", vo="vo")
    return Source(_MONTHS, columns, _sums(_MONTHS, *sums), (_MONTHS.c.kind == kind,))


CLOUD: Final = Kind(
    "cloud",
    "Cloud",
    (
        "cpu_hours", "wall_hours", "core_hours", "vms", "efficiency", "share", "normalised_cpu_hours",
        "normalised_wall_hours", "network",
    ),
    (
        _month_source(
            "cloud", "wall_s", "cpu_s", "wall_core_s", "normalised_wall_s", "normalised_cpu_s", "network_in",
            "network_out", "vms", "begun",
        ),
        Source(
            _DAYS, _columns(_DAYS, day="day", site="site", vo="vo"), _sums(_DAYS, "wall_s", "cpu_s", "vms")
        ),
        Source(
            _CLOUD,
            _columns(
                _CLOUD, month="month", site="site", vo="vo", group="vo_group", role="vo_role", user="user_name",
                service="service", status="status", image="image", cores="cores",
            )
            | {"benchmark": func.concat_ws(" ", _CLOUD.c.benchmark_type, cast(_CLOUD.c.benchmark, Numeric(10, 2)))},
            _sums(_CLOUD, "wall_s", "cpu_s", "wall_core_s", "network_in", "network_out", "vms")
            | {
                "normalised_wall_s": _CLOUD.c.wall_s * _CLOUD.c.benchmark,
                "normalised_cpu_s": _CLOUD.c.cpu_s * _CLOUD.c.benchmark,
            },
        ),
    ),
)  # fmt: skip
KINDS: Final[Mapping[str, Kind]] = {each.name: each for each in (CLOUD,)}
