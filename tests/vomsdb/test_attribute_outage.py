"""The attribute authority's own connections: an outage of the database ends with the outage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from hanse.database import Database, is_connection_loss
from vomsdb.protocols.voms_connections import DirectQueries


class _Outage:
    """Questions to a database that refuses connections while it is `down`."""

    def __init__(self, db: Database) -> None:
        self.queries, self.down = DirectQueries(db), False
        event.listen(db.engine, "do_connect", self._connect)

    def _connect(self, *_of: object) -> None:
        if self.down:
            raise psycopg.OperationalError("connection refused")


@pytest.fixture
def outage(house: Any) -> Iterator[_Outage]:
    db = Database(house.settings.database_url)
    prepared = _Outage(db)
    yield prepared
    prepared.queries._give_up(prepared.queries._kept())
    db.close()


def test_a_thread_asks_again_after_an_outage(house: Any, outage: _Outage) -> None:
    queries = outage.queries
    ((pid,),) = queries.query("select pg_backend_pid()", {})
    outage.down = True
    with house.db.transaction() as session:
        session.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    for _ in range(2):
        with pytest.raises(DBAPIError) as lost:
            queries.query("select 1", {})
        assert is_connection_loss(lost.value)
    outage.down = False
    assert queries.query("select 1", {}) == [(1,)]


def test_a_first_question_during_an_outage_is_told_as_one(outage: _Outage) -> None:
    queries = outage.queries
    outage.down = True
    with pytest.raises(DBAPIError) as lost:
        queries.query("select 1", {})
    assert is_connection_loss(lost.value)
    outage.down = False
    assert queries.query("select 1", {}) == [(1,)]


def test_a_fault_of_the_statement_is_no_outage(outage: _Outage) -> None:
    queries = outage.queries
    queries.query("select 1", {})
    with pytest.raises(DBAPIError) as wrong:
        queries.query("select no_such_column", {})
    assert not is_connection_loss(wrong.value)
    assert queries.query("select 1", {}) == [(1,)]
