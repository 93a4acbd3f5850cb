"""Rows of one message into their table: COPY to a staging table, one statement from there, later receipts win."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.models import Base
from accounting.stores.contract import Placed
from hanse.database import Database

TIMES = frozenset({
    "started_at", "ended_at", "created_at", "measured_at", "earliest_end", "latest_end", "earliest_start",
    "latest_start",
})  # fmt: skip
_NEVER_ANALYSED = text(
    "select reltuples < 0 from pg_class where oid = cast(cast(:table as text) as regclass)"
)


def upsert(
    db: Database,
    session: Session,
    table: str,
    placed: Placed[Any],
    key_of: Callable[[Any], bytes] | None = None,
) -> None:
    """Write the rows (named tuples whose fields are columns); times become UTC times and months first days.

    `key_of` fills the column `key` of tables whose natural key is wider than an index can be. Of two records with
    one key the later receipt counts, within a message the later record.
    """
    if not placed.rows:
        return
    fields: tuple[str, ...] = type(placed.rows[0][1])._fields
    columns = ["site", "message_id", "receipt", *fields, *(["key"] if key_of else [])]
    key = [column.name for column in Base.metadata.tables[table].primary_key]
    places = [columns.index(name) for name in key]
    made: dict[tuple[object, ...], list[object]] = {}
    for _, row in placed.rows:
        values: list[object] = [placed.site, placed.message_id, placed.receipt]
        values += [_column(name, value) for name, value in zip(fields, row, strict=True)]
        values += [key_of(row)] if key_of else []
        made[tuple(values[place] for place in places)] = values
    staging = f"staging_{table}"
    session.execute(
        text(
            f"create temporary table if not exists {staging} (like {table} including defaults) on commit delete rows"
        )
    )
    db.copy(session, staging, columns, made.values())
    session.execute(text(_written(table, staging, columns, key)))
    session.execute(text(f"truncate {staging}"))
    if session.scalar(
        _NEVER_ANALYSED, {"table": table}
    ):  # else the first hours' statements read it whole for each row
        session.execute(text(f"analyze {table}"))


def _written(table: str, staging: str, columns: list[str], key: list[str]) -> str:
    listed = ", ".join(columns)
    renewed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return (
        f"insert into {table} ({listed}) select {listed} from {staging}"  # noqa: S608  (names of our own tables)
        f" on conflict ({', '.join(key)}) do update set {renewed} where {table}.receipt <= excluded.receipt"
    )


def _column(name: str, value: Any) -> object:
    if name in TIMES and value is not None:
        return datetime.fromtimestamp(value, UTC)
    return first_day(value) if name == "month" else value


def first_day(month: int) -> date:
    """The first day of a month that counts as years * 12 + months - 1."""
    return date(month // 12, month % 12 + 1, 1)


def digest(*values: object) -> bytes:
    """A key of fixed length for values of any length."""
    return sha256("\x00".join(map(str, values)).encode()).digest()


def span_of(month: date) -> dict[str, datetime]:
    """The first second of a month (`begin`) and of the next (`until`), as parameters of a statement."""
    index = month.year * 12 + month.month
    begin = datetime(month.year, month.month, 1, tzinfo=UTC)
    if index == 120_000:  # no time lies after the year 9999
        return {"begin": begin, "until": datetime.max.replace(tzinfo=UTC)}
    return {"begin": begin, "until": datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)}
