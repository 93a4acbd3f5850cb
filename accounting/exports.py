"""Answers as files: rows with named columns, and Parquet written while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy.orm import Session

from accounting import asking
from accounting.asking import MEASURES, NOBODY, TIMES, Line, Question, Sight
from hanse.database import Database
from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal

MOST_ROWS: Final = 1_000_000
ROW_GROUP: Final = 50_000
Cell = str | float | None


def sight_for(session: Session, question: Question, principal: Principal) -> Sight:
    """What the principal may see of an answer. Raises Unauthorised or Forbidden when that is no user at all."""
    if not question.names_people:
        return NOBODY
    sight = asking.sight_of(session, principal)
    asking.demand_sight(principal, sight)
    return sight


def columns(question: Question) -> tuple[str, ...]:
    """Dimensions, the measures that stand beside, and the measure."""
    return tuple(dict.fromkeys((*question.by, *asking.beside(question), question.measure)))


@dataclass(frozen=True)
class Answer:
    """A whole answer that fits into memory: its rows, and everything in one."""

    rows: list[dict[str, Cell]]
    total: dict[str, Cell]


def held(session: Session, question: Question, principal: Principal, most: int) -> Answer:
    """The answer at once. Raises Unauthorised, Forbidden, and Refused when it has more than `most` rows."""
    sight = sight_for(session, question, principal)
    lines = asking.answer(session, question, sight, _sums(question), most + 1)
    if len(lines) > most:
        raise _too_long(most)
    now = datetime.now(UTC)
    whole, beside = question.grouped(), asking.beside(question)
    figure, of_whole = asking.figures(session, question, now), asking.figures(session, whole, now)
    total = _row(whole, asking.added(lines), of_whole, beside)
    return Answer([_row(question, line, figure, beside) for line in lines], total)


def rows(
    db: Database, question: Question, principal: Principal, most: int = MOST_ROWS
) -> Iterator[dict[str, Cell]]:
    """The answer row by row, as it is read. Raises Unauthorised, Forbidden, and Refused as `held` does."""
    with db.transaction() as session:
        sight = sight_for(session, question, principal)
        if asking.length(session, question, sight, most) > most:
            raise _too_long(most)
    return _rows(db, question, sight)


def _too_long(most: int) -> Refused:
    reason = "narrow it down with filters or a shorter period, or ask for fewer dimensions"
    return Refused(f"This answer has more than {most:,} rows.", FieldFault("by", reason))


def _rows(db: Database, question: Question, sight: Sight) -> Iterator[dict[str, Cell]]:
    beside = asking.beside(question)
    with db.transaction() as session:
        figure = asking.figures(session, question, datetime.now(UTC))
        for line in asking.stream(session, question, sight, _sums(question)):
            yield _row(question, line, figure, beside)


def _sums(question: Question) -> tuple[str, ...]:
    return asking.sums_of(asking.beside(question))


def _row(
    question: Question, line: Line, figure: Callable[[Line], float | None], beside: Sequence[str]
) -> dict[str, Cell]:
    row: dict[str, Cell] = dict(zip(question.by, line.values, strict=True))
    row |= {name: MEASURES[name].figure(line.sums) for name in beside}
    row[question.measure] = figure(line)
    return row


def parquet(names: Sequence[str], given: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Rows as a Parquet file, a row group at a time; months and days are dates, measures are doubles."""
    import pyarrow as pa  # 30 MB of every process that has it; few make files
    import pyarrow.parquet as pq

    types = {name: pa.type_for_alias(_type(name)) for name in names}
    schema = pa.schema(list(types.items()))
    sink = _Sink()
    found = iter(given)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        while some := list(islice(found, ROW_GROUP)):
            arrays = [
                pa.array([_typed(name, row.get(name)) for row in some], kind) for name, kind in types.items()
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


def _type(name: str) -> str:
    if name in TIMES:
        return "date32"
    return "double" if name in MEASURES else "string"


def _typed(name: str, value: Cell) -> Any:
    if name in TIMES and isinstance(value, str):
        return date.fromisoformat(f"{value}-01" if name == "month" else value)
    return float(value) if name in MEASURES and value is not None else value


class _Sink:
    """What the writer writes into, and the answer is sent from."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Everything that was written is sent with the next row group."""

    def close(self) -> None:
        """The answer ends by itself."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
