"""Transactions, COPY, advisory locks, forks, and telling a lost connection from a fault of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import LiteralString

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from hanse.database import AdvisoryLock, Database, Followed, driver_cursor, is_connection_loss
from hanse.errors import FieldFault, Refused
from hanse.postgres import PrivatePostgres

SITE = {"source": "registry", "kind": "site", "body": {"name": "CESNET"}, "revision": 1}


def count(db: Database) -> int:
    with db.transaction() as session:
        return session.scalar(select(func.count()).select_from(Followed)) or 0


def test_a_transaction_commits_and_its_objects_can_be_read_after(ground: Database) -> None:
    with ground.transaction() as session:
        row = Followed(id="1", **SITE)
        session.add(row)
    assert row.body == {"name": "CESNET"}
    assert count(ground) == 1


def test_a_transaction_that_raises_leaves_nothing(ground: Database) -> None:
    def fail() -> None:
        with ground.transaction() as session:
            session.add(Followed(id="1", **SITE))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count(ground) == 0


def test_times_come_back_aware_and_in_utc(ground: Database) -> None:
    with ground.transaction() as session:
        now = session.scalar(text("select now()"))
    assert isinstance(now, datetime)
    assert now.utcoffset() == datetime.now(UTC).utcoffset()


def test_copy_writes_rows_within_the_transaction(ground: Database) -> None:
    columns = ["source", "kind", "id", "body", "revision"]
    rows = [("registry", "site", str(number), {"name": "Eliška\t\\N"}, number) for number in range(1000)]
    with ground.transaction() as session:
        assert ground.copy(session, "followed", columns, iter(rows)) == 1000
    assert count(ground) == 1000
    with ground.transaction() as session:
        row = session.get_one(Followed, ("registry", "site", "7"))
        assert row.body == {"name": "Eliška\t\\N"}
        ground.copy(session, "public.followed", columns, [("registry", "site", "more", {}, 1)])
        session.rollback()
    assert count(ground) == 1000


def test_what_copy_cannot_write_fails_like_any_statement(ground: Database) -> None:
    columns = ["source", "kind", "id", "body", "revision"]
    twice: list[tuple[object, ...]] = [("registry", "site", "1", {}, 1)] * 2
    with pytest.raises(IntegrityError, match="followed_pkey"), ground.transaction() as session:
        ground.copy(session, "followed", columns, twice)
    with pytest.raises(OperationalError) as lost, ground.transaction() as session:
        ground.copy(session, "followed", columns, ending(ground, session))
    assert is_connection_loss(lost.value)
    assert count(ground) == 0


def ending(db: Database, session: Session) -> Iterator[tuple[object, ...]]:
    """A first row, then the server ends the connection that writes, then many more."""
    driver = session.connection().connection.driver_connection
    assert driver is not None
    pid = driver.info.backend_pid
    yield ("registry", "site", "0", {}, 1)
    with db.transaction() as other:
        other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
    yield from (("registry", "site", str(number), {"text": "x" * 1000}, 1) for number in range(1, 10_000))


def test_a_cursor_of_the_driver_fails_like_any_statement(ground: Database) -> None:
    def ask(question: LiteralString) -> None:
        with ground.transaction() as session, driver_cursor(session, "a question") as cursor:
            cursor.execute(question)

    with pytest.raises(ProgrammingError, match="no_such_table"):
        ask("select 1 from no_such_table")
    with pytest.raises(OperationalError) as lost:
        ask("select pg_terminate_backend(pg_backend_pid())")
    assert is_connection_loss(lost.value)
    assert count(ground) == 0


def test_one_holds_a_lock_at_a_time(ground: Database) -> None:
    with ground.try_lock("jobs") as first, ground.try_lock("jobs") as second, ground.try_lock("b") as other:
        assert (first, second, other) == (True, False, True)
    with ground.try_lock("jobs") as again:
        assert again


def test_a_lock_whose_connection_died_is_not_held(ground: Database) -> None:
    with AdvisoryLock(ground, "jobs") as lock:
        assert lock.acquire()
        assert lock.held()
        with ground.transaction() as session:
            kill = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
            assert session.scalar(text(kill))
        assert not lock.held()
    with ground.try_lock("jobs") as taken:
        assert taken


def test_the_pool_survives_that_its_connections_are_cut(ground: Database) -> None:
    assert count(ground) == 0
    others = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    with psycopg.connect(ground.url, autocommit=True) as connection:
        assert connection.execute(others).fetchall() == [(True,)]
    assert count(ground) == 0


def test_a_child_does_not_use_the_connections_of_its_parent(ground: Database) -> None:
    with ground.transaction() as session:
        mine = session.scalar(text("select pg_backend_pid()"))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with ground.transaction() as session:
                os.write(writing, str(session.scalar(text("select pg_backend_pid()"))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    theirs = int(os.read(reading, 100))
    os.close(reading)
    os.waitpid(child, 0)
    assert theirs != mine
    with ground.transaction() as session:
        assert session.scalar(text("select pg_backend_pid()")) == mine


def test_a_server_that_is_away_is_a_lost_connection(postgres: PrivatePostgres, ground: Database) -> None:
    nowhere = Database("postgresql://postgres@/x?host=/nowhere/at/all")
    with pytest.raises(OperationalError) as away:
        count(nowhere)
    assert is_connection_loss(away.value)


def test_a_connection_that_is_cut_while_used_is_lost(ground: Database) -> None:
    def cut() -> None:
        with ground.transaction() as session:
            session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(DBAPIError) as lost:
        cut()
    assert is_connection_loss(lost.value)


def test_a_fault_of_ours_is_no_lost_connection(ground: Database) -> None:
    def wrong() -> None:
        with ground.transaction() as session:
            session.execute(text("select wrong"))

    with pytest.raises(ProgrammingError) as fault:
        wrong()
    assert not is_connection_loss(fault.value)
    assert not is_connection_loss(ValueError("no"))


def test_an_error_is_one_sentence_with_its_fields() -> None:
    error = Refused(
        "Two fields are wrong.", FieldFault("vcpu", "below 0"), FieldFault("WallDuration", "late", 17)
    )
    assert error.detail == "Two fields are wrong."
    assert str(error) == "Two fields are wrong. (vcpu: below 0; record 17, WallDuration: late)"
