"""The database's clock: one clock for all workers, whatever the machines' own say."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


def database_time(session: Session) -> datetime:
    """Now, aware, UTC. Not the transaction's start: a lock may have been waited for."""
    now = session.scalar(text("select clock_timestamp()"))
    assert isinstance(now, datetime)
    return now


def local_time() -> datetime:
    """This machine's own idea of now, aware, UTC: for a mail's date and a log line, never for judging."""
    return datetime.now(UTC)
