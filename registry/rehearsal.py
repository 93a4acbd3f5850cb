"""A change carried out to see what would be refused, and taken back: forms ask it while somebody types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from hanse.database import Database


class Rehearsal(Database):
    """The same database, in which nothing is kept: each transaction is rolled back at its end.

    Use cases run as they are, rules, locks and constraints included; only the commit is missing. Numbers of sequences
    are used up, as they are by a change that is refused.
    """

    def __init__(self, db: Database) -> None:  # the connections are those of `db`
        self._db = db
        self.url = db.url
        self.engine = db.engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is rolled back at the end of the block."""
        with Session(self._db.engine, expire_on_commit=False) as session, session.begin() as whole:
            yield session
            session.flush()
            whole.rollback()
