"""Takes old rows out of the database into files: written, read back, durable, and only then removed.

The rows of a file leave the database in one transaction, which streams them into the file as it removes them. It is
committed after the file is on the disk and reads back as it was written; killed before that, nothing was removed, and
the next run writes the file anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from psycopg import sql
from sqlalchemy import Table, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from accounting import events
from accounting.archive import files
from accounting.archive.kept import ARCHIVING, KEPT, Kept, table_of
from accounting.models import ArchivePart, SummaryDue
from hanse.database import Database, driver_cursor
from hanse.errors import Refused

LOCK = "accounting archive"
LOOKS, WAIT_S = 20, 0.25


@dataclass(frozen=True)
class Archived:
    """One file: of which table and month, and how many rows."""

    kept: str
    month: date
    rows: int
    path: str


def before_of(now: datetime, keep_months: int) -> date:
    """The first month that stays: what lies before it may go. `keep_months` whole months stay beside the current."""
    index = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1 - keep_months
    return date(index // 12, index % 12 + 1, 1)


def due_months(session: Session, name: str, before: date) -> list[date]:
    """Months before `before` of which rows may go."""
    kept = KEPT[name]
    statement = text(
        f"select distinct {kept.month} from {name} k where {_old(kept)} and ({kept.may_go}) order by 1"  # noqa: S608
    )
    return list(session.scalars(statement, {"before": _start(before)}))


def archive(db: Database, folder: Path, before: date, by: str) -> list[Archived]:
    """Archive everything before the month `before` that may go. Returns the files written.

    Raises Refused when another archiving runs, or when a file does not read back; OSError when the folder cannot be
    written.
    """
    done = []
    with alone(db):
        for name in KEPT:
            with db.transaction() as session:
                months = due_months(session, name, before)
            for month in months:
                made = _archive_month(db, folder, name, month, before, by)
                if made is not None:
                    done.append(made)
    return done


@contextmanager
def alone(db: Database) -> Iterator[None]:
    """Nobody else archives or restores during the block. Raises Refused when somebody does, for seconds on end."""
    for left in reversed(range(LOOKS)):
        with db.try_lock(LOCK) as mine:
            if mine:
                yield
                return
        if left:
            time.sleep(WAIT_S)  # the lock of one that has just ended goes with its connection
    raise Refused("Records are being archived or restored at this moment; try again when that is done.")


def _archive_month(
    db: Database, folder: Path, name: str, month: date, before: date, by: str
) -> Archived | None:
    kept, table = KEPT[name], table_of(name)
    columns = columns_of(table, kept)
    with db.transaction() as session:
        session.execute(ARCHIVING)
        if kept.kind and _is_due(session, kept.kind, month):
            return None  # its summary is older than its records: it goes with the next run
        part = _next_part(session, name, month)
        path = f"{name}/{month:%Y-%m}/part-{part}.parquet"
        rows = _take(session, table, kept, columns, month, before)
        written = files.write(folder / path, files.schema_of(table, columns), rows)
        if written is None:
            return None
        session.add(
            ArchivePart(
                kept=name, month=month, part=part, path=path, sha256=written.sha256, rows=written.rows,
                bytes=written.bytes, made_by=by,
            )
        )  # fmt: skip
        words = f"{written.rows:,} {kept.title} of {month:%B %Y} went into the archive file {path}."
        events.tell(session, "archive", words, by=by, month=month, sha256=written.sha256, rows=written.rows)
    return Archived(name, month, written.rows, path)


def _is_due(session: Session, kind: str, month: date) -> bool:
    due = select(SummaryDue.site).where(SummaryDue.kind == kind, SummaryDue.month == month).limit(1)
    return session.scalar(due) is not None


def columns_of(table: Table, kept: Kept) -> tuple[str, ...]:
    """What of a row goes into the file: all of it, or its key and what is emptied."""
    if not kept.emptied:
        return tuple(column.name for column in table.columns)
    return (*(column.name for column in table.primary_key), *kept.emptied)


def _next_part(session: Session, name: str, month: date) -> int:
    wanted = select(func.max(ArchivePart.part)).where(ArchivePart.kept == name, ArchivePart.month == month)
    return int(session.scalar(wanted) or 0) + 1


def _take(
    session: Session, table: Table, kept: Kept, columns: tuple[str, ...], month: date, before: date
) -> Iterator[files.Row]:
    """Remove the rows of a month and give each as it was."""
    chosen = f"{kept.month} = {{month}} and {_old(kept)} and ({kept.may_go})".replace(":before", "{before}")
    given = {
        "month": sql.Literal(month),
        "before": sql.Literal(_start(before)),
        "table": sql.Identifier(table.name),
    }
    names = sql.SQL(", ").join(sql.SQL("k.") + sql.Identifier(name) for name in columns)
    if kept.emptied:
        query = _emptying(table, kept, chosen)
        names = sql.SQL(", ").join(sql.SQL("k.") + sql.Identifier(name) for name in columns)
    else:
        query = "delete from {table} k where " + chosen + " returning {names}"  # noqa: S608 - of KEPT alone
    statement = sql.SQL("copy ({query}) to stdout").format(query=sql.SQL(query).format(**given, names=names))
    yield from _streamed(session, statement, [_pg_type(table, name) for name in columns])


def _emptying(table: Table, kept: Kept, chosen: str) -> str:
    key = ", ".join(column.name for column in table.primary_key)
    emptied = ", ".join(f"{name} = ''" for name in kept.emptied)
    same = " and ".join(f"m.{column.name} = k.{column.name}" for column in table.primary_key)
    held = f"select {key}, {', '.join(kept.emptied)} from {{table}} k where {chosen} for update"  # noqa: S608
    return (
        f"update {{table}} m set {emptied}, archived_at = clock_timestamp()"  # noqa: S608 - of KEPT alone
        f" from ({held}) k where {same} returning {{names}}"
    )


def _streamed(session: Session, statement: sql.Composed, types: list[str]) -> Iterator[files.Row]:
    with driver_cursor(session, "COPY to the archive") as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in copy.rows():
            yield tuple(row)


def _pg_type(table: Table, column: str) -> str:
    """The name of a column's type to the driver; JSON is read as text, so that it comes back as it was."""
    kind = table.c[column].type.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    if kind == "jsonb":
        return "text"
    if "time zone" in kind:
        return "timestamptz"
    dimensions = "[]" if kind.endswith("[]") else ""
    return kind.removesuffix("[]").partition("(")[0].strip() + dimensions


def _old(kept: Kept) -> str:
    return f"{kept.month} < (:before at time zone 'UTC')::date"


def _start(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)
