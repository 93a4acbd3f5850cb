"""The registry's queue of mails (`hanse.mails`): written with the change they tell of, tried again, forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hanse import mails
from hanse.database import Database
from hanse.errors import NotFound, Refused
from hanse.mails import Relay, Send
from registry.models import Mail

__all__ = ["Relay", "Send", "again", "count_by_state", "deliver", "listed", "prune", "queue"]


def queue(
    session: Session,
    to: str | Iterable[str],
    subject: str,
    body: str,
    *,
    about: str = "",
    unsubscribe_url: str = "",
) -> int:
    """Put a mail to each address into the queue, in the caller's transaction; returns how many.

    `about` says what it tells of (`role:5`); `unsubscribe_url` becomes the header that mail programs offer as a button.
    Nobody is written to twice, and nobody sees the other addresses.
    """
    addresses = list(dict.fromkeys([to] if isinstance(to, str) else to))
    for address in addresses:
        session.add(
            Mail(
                recipient=address,
                subject=mails.one_line(subject),
                body=body,
                about=about,
                unsubscribe_url=unsubscribe_url,
            )
        )
    return len(addresses)


def deliver(db: Database, send: Send) -> str:
    """Send what is due; a sentence for the run log."""
    return mails.deliver(db, Mail, send)


def again(db: Database, number: int) -> None:
    """Try a mail that was given up once more, now. Raises NotFound, Refused when it was delivered."""
    with db.transaction() as session:
        mail = session.get(Mail, number, with_for_update=True)
        if mail is None:
            raise NotFound(f"There is no mail {number}.")
        if mail.state == "delivered":
            raise Refused("The relay took this mail already.")
        mail.state, mail.created_at, mail.next_attempt_at = "pending", datetime.now(UTC), datetime.now(UTC)


def prune(db: Database, days: float) -> str:
    """Forget mails that were delivered or given up longer ago than `days`; a sentence for the run log."""
    before = datetime.now(UTC) - timedelta(days=days)
    with db.transaction() as session:
        gone = session.scalars(
            delete(Mail).where(Mail.state != "pending", Mail.created_at < before).returning(Mail.id)
        ).all()
    return f"{len(gone)} old mails forgotten."


def listed(
    session: Session, state: str | None, about: str | None = None, before: int | None = None, limit: int = 100
) -> list[Mail]:
    """The newest mails: all, in one state, about one thing; `before` is the id of the last one seen."""
    query = mails.newest(Mail, state, limit)
    if about is not None:
        query = query.where(Mail.about == about)
    return list(session.scalars(query if before is None else query.where(Mail.id < before)))


def count_by_state(session: Session) -> dict[str, int]:
    """How many mails are in each state."""
    return mails.count_by_state(session, Mail)
