"""Answers to questions about usage: one query over the smallest table that keeps what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import FromClause, Numeric, Row, Select, cast, func, literal_column, select
from sqlalchemy.orm import Session

from accounting.asking.contract import Column, Source
from accounting.asking.dimensions import DIMENSIONS
from accounting.asking.kinds import KINDS
from accounting.asking.measures import DECLARED
from accounting.asking.question import Question, months_back
from accounting.asking.sight import Sight, in_sight
from accounting.places import UNKNOWN
from hanse.database import Followed
from hanse.errors import FieldFault, Refused

READ_AT_ONCE = 5000
NUMBERS = ("cores", "ip_version")
# written out: as a parameter it would not be the same expression in the groups as in the columns
_UNKNOWN: Column = literal_column(f"'{UNKNOWN}'")


@dataclass(frozen=True)
class Line:
    """One group: its values in the order of the question's dimensions, and its sums in base units."""

    values: tuple[str, ...]
    sums: dict[str, float]


def answer(
    session: Session, question: Question, sight: Sight, sums: Sequence[str] = (), most: int | None = None
) -> list[Line]:
    """Usage grouped as asked, in the order of the groups, with the sums of the measure and `sums`.

    With users among the dimensions or filters, only those in sight; with `most` at most so many lines.
    """
    statement, names = _statement(question, sight, sums)
    return list(_lines(session.execute(statement.limit(most)), question, names))


def stream(session: Session, question: Question, sight: Sight, sums: Sequence[str] = ()) -> Iterator[Line]:
    """The same, a few thousand lines at a time, for answers that are too long to be held."""
    statement, names = _statement(question, sight, sums)
    with session.execute(statement.execution_options(yield_per=READ_AT_ONCE)) as rows:
        yield from _lines(rows, question, names)


def length(session: Session, question: Question, sight: Sight, most: int) -> int:
    """How many lines the answer has; `most` + 1 for more than that."""
    statement, _ = _statement(question, sight, ())
    few = statement.limit(most + 1).subquery()
    return session.scalar(select(func.count()).select_from(few)) or 0


def _lines(rows: Iterable[Row[Any]], question: Question, names: Sequence[str]) -> Iterator[Line]:
    many = len(question.by)
    for row in rows:
        if row[-1]:
            yield Line(
                tuple(shown(name, value) for name, value in zip(question.by, row, strict=False)),
                {name: _number(value) for name, value in zip(names, row[many:], strict=False)},
            )


def _statement(
    question: Question, sight: Sight, beside: Sequence[str]
) -> tuple[Select[Any], tuple[str, ...]]:
    """The query, and the sums that it gives behind the dimensions; a count of rows stands last."""
    sums = tuple(dict.fromkeys((*question.figures.sums, *beside)))
    filters = [name for name, _ in question.only]
    source = KINDS[question.kind].source((*question.by, *filters), sums, filters)
    if source is None:
        raise Refused(f"No table keeps {', '.join(sums)} by {', '.join((*question.by, *filters))}.")
    looked = {*question.by, *filters} | ({"declared"} if question.figures.per == DECLARED else set())
    came_from, columns = _looked_up(source, looked)
    statement = select(
        *(columns[name] for name in question.by),
        *(func.sum(source.sums[name]) for name in sums),
        func.count(),
    ).select_from(came_from)
    statement = statement.where(*source.only, source.when.between(*_span(question, source)))
    for name, values in question.only:
        statement = statement.where(columns[name].in_(_typed(name, values)))
    if "declared" in looked:
        statement = statement.where(columns["declared"] > 0)
    if question.names_people and not sight.everything:
        statement = statement.where(in_sight(sight, columns))
    if question.by:
        groups = [columns[name] for name in question.by]
        statement = statement.group_by(*groups).order_by(*groups)
    return statement, sums


def _span(question: Question, source: Source) -> tuple[date, date]:
    """First and last value of the source's column of time."""
    if "day" not in source.columns:
        return question.first, question.last
    return question.first, months_back(question.last, -1) - timedelta(days=1)


def _looked_up(source: Source, names: Iterable[str]) -> tuple[FromClause, dict[str, Column]]:
    """The table with what registry and membership know about its sites and VOs, and a column a dimension."""
    columns, came_from = dict(source.columns), source.table
    needed = {DIMENSIONS[name].of if name in DIMENSIONS else "site" for name in names}
    joined: FromClause = came_from
    if "site" in needed:
        place = _places()
        joined = joined.outerjoin(place, place.c.site == columns["site"])
        columns |= {name: func.coalesce(place.c[name], _UNKNOWN) for name in ("ngi", "country")}
        columns["declared"] = place.c.declared
    if "vo" in needed:
        field = _disciplines()
        joined = joined.outerjoin(field, field.c.vo == columns["vo"])
        columns["discipline"] = func.coalesce(field.c.discipline, _UNKNOWN)
    return joined, columns


def _places() -> FromClause:
    """Each site of the registry with its NGI, country and declared vCPUs."""
    body = Followed.body
    known = {name: func.max(func.nullif(body[name].astext, "")).label(name) for name in ("ngi", "country")}
    declared = func.max(cast(body["capacity"]["vcpu"].astext, Numeric)).label("declared")
    site = body["name"].astext.label("site")
    return select(site, *known.values(), declared).where(Followed.kind == "site").group_by(site).cte("place")


def _disciplines() -> FromClause:
    """Each VO of the membership service with its discipline, where it tells one."""
    vo = Followed.body["name"].astext.label("vo")
    discipline = func.max(func.nullif(Followed.body["discipline"].astext, "")).label("discipline")
    return select(vo, discipline).where(Followed.kind == "vo").group_by(vo).cte("field")


def _typed(name: str, values: Sequence[str]) -> list[Any]:
    """Values of a filter as its column has them. Raises Refused for what is no number where it is one."""
    if name not in NUMBERS:
        return list(values)
    try:
        found = [Decimal(value) for value in values]
    except InvalidOperation:
        found = []
    if not found or not all(value.is_finite() and abs(value) < 10**7 for value in found):
        raise Refused("The filter cannot be read.", FieldFault(name, "write a number, as 4 or 0.5"))
    return list(found)


def shown(name: str, value: Any) -> str:
    """A value of a dimension as text: months as 2026-11, days as 2026-11-25, 4.000 cores as 4."""
    if isinstance(value, date):
        return f"{value:%Y-%m}" if name == "month" else f"{value:%Y-%m-%d}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value)


def _number(value: Any) -> float:
    """A sum as int where it is whole, so that seconds stay exact."""
    if value is None:
        return 0
    whole = int(value)
    return whole if whole == value else float(value)
