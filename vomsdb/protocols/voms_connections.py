"""Statements of the attribute authority: a connection of the driver for each thread, each statement by itself.

A pool that asks whether a connection lives before it lends it, and a transaction around a single statement, are four
ways to the database where one is enough.
"""

from __future__ import annotations

import threading
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.pool import PoolProxiedConnection

from hanse.database import Database


class DirectQueries:
    """Keeps a connection in each thread that asks; a lost one is replaced, and the statement sent once more."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._own = threading.local()

    def query(self, statement: str, given: dict[str, str]) -> list[tuple[object, ...]]:
        """The rows of a statement that only reads. Raises SQLAlchemy's errors."""
        kept = self._kept()
        if kept is not None:
            try:
                return self._rows(kept, statement, given)
            except psycopg.OperationalError:
                self._give_up(kept)
            except psycopg.Error as fault:
                raise _translated(fault) from fault
        try:
            return self._rows(self._fresh(), statement, given)
        except psycopg.Error as fault:
            self._give_up(self._kept())
            raise _translated(fault) from fault

    def _give_up(self, kept: PoolProxiedConnection | None) -> None:
        """The next question of this thread asks for another connection, also when none can be had now."""
        self._own.connection = None
        if kept is not None:
            kept.invalidate()

    def _kept(self) -> PoolProxiedConnection | None:
        kept: PoolProxiedConnection | None = getattr(self._own, "connection", None)
        return kept

    def _fresh(self) -> PoolProxiedConnection:
        made = self._db.engine.raw_connection()
        _driver(made).autocommit = True
        self._own.connection = made
        return made

    @staticmethod
    def _rows(
        connection: PoolProxiedConnection, statement: str, given: dict[str, str]
    ) -> list[tuple[object, ...]]:
        return _driver(connection).execute(statement, given).fetchall()


def _driver(connection: PoolProxiedConnection) -> psycopg.Connection[Any]:
    driver = connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _translated(fault: psycopg.Error) -> StatementError:
    lost = isinstance(fault, psycopg.OperationalError)
    return DBAPIError.instance("standing", None, fault, psycopg.Error, connection_invalidated=lost)
