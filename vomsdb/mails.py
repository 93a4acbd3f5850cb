"""The membership service's queue of mails (`hanse.mails`): written with the change they tell of, their fate seen."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hanse import mails
from hanse.database import Database
from hanse.mails import Relay, Send
from vomsdb.models import Mail

__all__ = ["Relay", "Send", "count_by_state", "deliver", "listed", "queue"]
BATCH = 20


def queue(session: Session, recipient: str, subject: str, body: str, about: str) -> None:
    """Puts a mail into the queue, in the caller's transaction."""
    session.add(Mail(recipient=recipient, subject=mails.one_line(subject), body=body, about=about))


def deliver(db: Database, send: Send) -> str:
    """Sends what is due; a sentence for the run log."""
    return mails.deliver(db, Mail, send, BATCH)


def listed(session: Session, state: str | None, limit: int = 100) -> list[Mail]:
    """The newest mails, all or in one state."""
    return list(session.scalars(mails.newest(Mail, state, limit)))


def count_by_state(session: Session) -> dict[str, int]:
    """How many mails are in each state."""
    return mails.count_by_state(session, Mail)
