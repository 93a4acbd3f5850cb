"""The membership service's queue of mails (`hanse.mails`): written with the change they tell of, their fate seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from hanse import mails
from hanse.database import Database
from hanse.mails import STATES, Relay, Send
from vomsdb import own_letters
from vomsdb.models import Mail

__all__ = [
    "STATES",
    "Relay",
    "Send",
    "count_by_state",
    "deliver",
    "listed",
    "of_vo",
    "queue",
    "quiet",
    "write",
]
BATCH = 20
_QUIET = "no mails"


def queue(session: Session, recipient: str, subject: str, body: str, about: str, vo: str = "") -> None:
    """Puts a mail into the queue, in the caller's transaction; `vo` says whose managers may see its fate."""
    mail = Mail(recipient=recipient, subject=mails.one_line(subject), body=body, about=about, vo=vo or None)
    session.add(mail)


def write(session: Session, recipient: str, template: str, about: str, vo: str, **facts: object) -> None:
    """Queues the mail of a template, in the VO's own words where it has some (`vomsdb.own_letters`).

    Whoever gave no address, or was erased, gets none.
    """
    if recipient and not session.info.get(_QUIET):
        subject, body = own_letters.written(session, template, vo, **facts)
        queue(session, recipient, subject, body, about, vo)


@contextmanager
def quiet(session: Session, *, quiet: bool = True) -> Iterator[None]:
    """Until the block ends nobody gets a mail about what this session changes; with `quiet=False` all do as ever."""
    session.info[_QUIET] = quiet
    try:
        yield
    finally:
        session.info.pop(_QUIET, None)


def deliver(db: Database, send: Send) -> str:
    """Sends what is due; a sentence for the run log."""
    return mails.deliver(db, Mail, send, BATCH)


def listed(session: Session, state: str | None, limit: int = 100) -> list[Mail]:
    """The newest mails, all or in one state."""
    return list(session.scalars(mails.newest(Mail, state, limit)))


def count_by_state(session: Session) -> dict[str, int]:
    """How many mails are in each state."""
    return mails.count_by_state(session, Mail)


def of_vo(
    session: Session, vo: str, state: str | None = None, before: int = 0, limit: int = 50
) -> list[Mail]:
    """What was written on behalf of a VO, newest first, below the id `before` (0 = from the newest)."""
    query = mails.newest(Mail, state, limit).where(Mail.vo == vo)
    return list(session.scalars(query.where(Mail.id < before) if before else query))
