"""What probes made at clouds, in the database: noted before it is asked for, found and deleted after any crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hanse.database import Database
from monitoring.clock import database_time
from monitoring.findings import Fault, Status
from monitoring.models.machines import ProbeMachine
from monitoring.wire.journals import Kind, Left

# Longer than any probe runs: what is older was left behind by one that ended badly.
ORPHANED = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class DatabaseJournal:
    """The journal that all workers share."""

    db: Database

    def begin(self, url: str, kind: Kind, title: str) -> None:
        """As Journal."""
        with self._noting() as session:
            session.add(ProbeMachine(url=url, kind=kind, title=title))

    def placed(self, title: str, location: str) -> None:
        """As Journal."""
        self._note(title, location=location)

    def gone(self, title: str) -> None:
        """As Journal."""
        self._note(title, gone_at=func.clock_timestamp())

    def stays(self, title: str, said: str) -> None:
        """As Journal."""
        self._note(title, tries=ProbeMachine.tries + 1, said=said[:400])

    def left(self, url: str) -> list[Left]:
        """As Journal."""
        rows = select(ProbeMachine).where(ProbeMachine.url == url, ProbeMachine.gone_at.is_(None))
        with self._noting() as session:
            return [
                Left(row.title, _kind(row.kind), row.location, row.begun_at)
                for row in session.scalars(rows.order_by(ProbeMachine.id))
            ]

    def _note(self, title: str, **values: object) -> None:
        with self._noting() as session:
            session.execute(update(ProbeMachine).where(ProbeMachine.title == title).values(**values))

    @contextmanager
    def _noting(self) -> Iterator[Session]:
        """A transaction; without the database nothing is made, and what was made is found by its name later."""
        try:
            with self.db.transaction() as session:
                yield session
        except SQLAlchemyError as error:
            said = "What is made cannot be noted: the database is away"
            raise Fault("journal-away", said, Status.UNKNOWN) from error


def _kind(word: str) -> Kind:
    return "storage" if word == "storage" else "compute"


def orphaned(session: Session) -> list[str]:
    """Endpoints at which something was left behind, by what waits longest."""
    before = database_time(session) - ORPHANED
    rows = (
        select(ProbeMachine.url)
        .where(ProbeMachine.gone_at.is_(None), ProbeMachine.begun_at < before)
        .group_by(ProbeMachine.url)
        .order_by(func.min(ProbeMachine.begun_at))
    )
    return list(session.scalars(rows))


def count_orphans(session: Session) -> int:
    """How many things of ours are older than any probe runs."""
    before = database_time(session) - ORPHANED
    return (
        session.scalar(
            select(func.count()).where(ProbeMachine.gone_at.is_(None), ProbeMachine.begun_at < before)
        )
        or 0
    )


def forget(session: Session, before: datetime) -> int:
    """Remove notes of what was gone before; how many."""
    rows = select(ProbeMachine).where(ProbeMachine.gone_at < before)
    old = list(session.scalars(rows.limit(10_000)))
    for row in old:
        session.delete(row)
    return len(old)
