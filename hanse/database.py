"""PostgreSQL: engine, transactions, COPY, advisory locks, and the three tables that every service's database
has.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.types.json import JsonbDumper
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Engine,
    Identity,
    Index,
    UniqueConstraint,
    create_engine,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

UtcTime = TIMESTAMP(timezone=True)


class GroundBase(DeclarativeBase):
    """The tables of the ground floor, in every service's database."""


class JobRun(GroundBase):
    """One line of the run log: a job, when it was due, and how it went. `detail` is a sentence for people."""

    __tablename__ = "job_run"
    __table_args__ = (
        UniqueConstraint("job", "due_at", name="job_run_once"),
        CheckConstraint("outcome in ('ok', 'failed')", name="job_run_outcome"),
        CheckConstraint("(finished_at is null) = (outcome is null)", name="job_run_finished"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job: Mapped[str]
    due_at: Mapped[datetime] = mapped_column(UtcTime)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
    outcome: Mapped[str | None]
    detail: Mapped[str] = mapped_column(server_default="")


class Followed(GroundBase):
    """An entity that another service owns, as its feed last told it. Source "local" is what this machine
    added.
    """

    __tablename__ = "followed"
    __table_args__ = (
        Index("followed_kind", "kind"),
        Index("followed_principal", "kind", text("(body ->> 'principal')")),
        Index("followed_person", "kind", text("(body ->> 'person')")),
        Index("followed_site", "kind", text("(body ->> 'site')")),
    )

    source: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    revision: Mapped[int] = mapped_column(BigInteger)


class FollowCursor(GroundBase):
    """How far this service has read another's feed, and how the last attempts went."""

    __tablename__ = "follow_cursor"

    source: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[str | None]
    cursor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    head: Mapped[int] = mapped_column(BigInteger, server_default="0")
    pulled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    attempted_at: Mapped[datetime | None] = mapped_column(UtcTime)
    error: Mapped[str | None]


class Database:
    """One service's database. Safe to make before a fork: each child opens connections of its own."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = url
        self.engine: Engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=10,
            hide_parameters=True,  # errors go to logs and run logs, and parameters name people
            # no question is long enough for compiling it to pay, and planners take careful ones for long
            connect_args={"connect_timeout": 5, "options": "-c timezone=UTC -c jit=off"},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        _forget_connections_after_fork(self.engine)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end of the block, or rolled back when the block raises."""
        with self._sessions() as session, session.begin():
            yield session

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Take the advisory lock `name` for the block if nobody has it; gives whether it was taken. Never
        waits.
        """
        with AdvisoryLock(self, name) as lock:
            yield lock.acquire()

    def copy(
        self, session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> int:
        """COPY `rows` into `table` inside the session's transaction; dicts become jsonb. Returns how many.

        Raises SQLAlchemy's errors, as every other statement of the session does.
        """
        count = 0
        with self._copying(session, table, columns) as copy:
            for count, row in enumerate(rows, start=1):  # noqa: B007
                copy.write_row(row)
        return count

    def copy_text(
        self, session: Session, table: str, columns: Sequence[str], portions: Iterable[str]
    ) -> None:
        """COPY what is in PostgreSQL's text format already, whole lines in each portion. Raises as `copy`."""
        with self._copying(session, table, columns) as copy:
            for portion in portions:
                copy.write(portion)

    @contextmanager
    def _copying(self, session: Session, table: str, columns: Sequence[str]) -> Iterator[psycopg.Copy]:
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with driver_cursor(session, f"COPY {table}") as cursor:
            cursor.adapters.register_dumper(dict, JsonbDumper)
            with cursor.copy(statement) as copy:
                yield copy

    def close(self) -> None:
        """Close all connections. The database can be used again after."""
        self.engine.dispose()


@contextmanager
def driver_cursor(session: Session, doing: str) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of the driver itself inside the session's transaction, for COPY and for very many rows.

    Raises SQLAlchemy's errors, as every other statement of the session does; `doing` stands in them for the statement.
    """
    driver = session.connection().connection.driver_connection
    assert driver is not None
    try:
        with driver.cursor() as cursor:
            yield cursor
    except psycopg.Error as error:
        raise DBAPIError.instance(
            doing, None, error, psycopg.Error, connection_invalidated=driver.closed
        ) from error


class AdvisoryLock:
    """A session-level advisory lock with a connection of its own, so that it lives exactly as long as its
    holder.
    """

    def __init__(self, db: Database, name: str) -> None:
        self._db = db
        self._name = name
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def acquire(self) -> bool:
        """Take the lock if it is free; False when another holds it."""
        connection = self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            taken = connection.scalar(
                text("select pg_try_advisory_lock(hashtextextended(:name, 0))"), {"name": self._name}
            )
        except BaseException:
            connection.close()
            raise
        if not taken:
            connection.close()
            return False
        self._connection = connection
        return True

    def held(self) -> bool:
        """Whether the connection that carries the lock still lives."""
        if self._connection is None:
            return False
        try:
            self._connection.execute(text("select 1"))
        except DBAPIError:
            self._drop()
            return False
        return True

    def release(self) -> None:
        """Give the lock back; closing the connection frees it, also when an unlock could not be sent."""
        if self._connection is not None:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def is_connection_loss(error: BaseException) -> bool:
    """Whether `error` means that PostgreSQL is away or went away (the web edge answers 503), not a fault of
    ours.
    """
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:  # psycopg gives no SQLSTATE when it could not connect at all
        return type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"}
    # class 08: connection exceptions; 57P0x: shut down, crashed, starting up; 53300: too many connections
    return bool(sqlstate.startswith(("08", "57P0")) or sqlstate == "53300")


def is_out_of_room(error: BaseException) -> bool:
    """Whether PostgreSQL took nothing for want of room, or only reads: the same may work later, so 503, not 500."""
    if not isinstance(error, DBAPIError):
        return False
    sqlstate = getattr(error.orig, "sqlstate", None)
    # class 53: disk full, out of memory, too many connections; 25006: a standby; 58030: the disk fails
    return bool(sqlstate and (sqlstate.startswith("53") or sqlstate in ("25006", "58030")))


def _forget_connections_after_fork(engine: Engine) -> None:
    """A connection shared with a parent mixes up both conversations; the child starts with an empty pool."""
    reference = weakref.ref(engine)

    def forget() -> None:
        forked = reference()
        if forked is not None:
            forked.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
