"""Mails: written into a table with the change they tell of, sent by a job, retried until the relay took them."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Final

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import NotFound, Refused
from registry.models import Mail

_FIRST_RETRY_S, _LONGEST_RETRY_S, _BATCH = 30, 6 * 3600, 50
GIVEN_UP_AFTER: Final = timedelta(days=7)
Send = Callable[[Mail], None]


class Undeliverable(Exception):
    """The relay will never take this mail (an answer of 5xx); the text is its answer."""


class Delayed(Exception):
    """The relay did not take the mail this time; the text says why."""


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
    clean = " ".join(subject.split())  # a line end here would start a header of the writer's choice
    for address in addresses:
        session.add(
            Mail(recipient=address, subject=clean, body=body, about=about, unsubscribe_url=unsubscribe_url)
        )
    return len(addresses)


@dataclass(frozen=True)
class Relay:
    """The SMTP relay of the settings."""

    host: str
    port: int
    sender: str

    def __call__(self, mail: Mail) -> None:
        """Send one mail; raises Undeliverable or Delayed."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, mail.recipient, mail.subject
        message["Date"] = mail.created_at
        message["Message-ID"] = make_msgid(f"hanse-{mail.id}", self.sender.rpartition("@")[2] or "localhost")
        message["Auto-Submitted"] = "auto-generated"
        if mail.unsubscribe_url:
            message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        message.set_content(mail.body)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=15) as smtp:
                smtp.send_message(message)
        except smtplib.SMTPResponseException as answer:
            raise _answered(answer.smtp_code, answer.smtp_error) from answer
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = next(iter(refused.recipients.values()))
            raise _answered(code, text) from refused
        except (OSError, smtplib.SMTPException) as fault:
            raise Delayed(f"The relay {self.host}:{self.port} cannot be used: {fault}") from fault


def _answered(code: int, text: bytes | str) -> Undeliverable | Delayed:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return (Undeliverable if code >= 500 else Delayed)(f"{code} {words}")


def deliver(db: Database, send: Send) -> str:
    """Send what is due, each mail in a transaction of its own; a sentence for the run log."""
    outcomes = {"delivered": 0, "pending": 0, "failed": 0}
    for _ in range(_BATCH):
        with db.transaction() as session:
            mail = session.scalar(_due())
            if mail is None:
                break
            outcomes[_try(mail, send)] += 1
    return f"{outcomes['delivered']} mails delivered, {outcomes['pending']} delayed, {outcomes['failed']} refused."


def _due() -> Select[Mail]:
    return (
        select(Mail)
        .where(Mail.state == "pending", Mail.next_attempt_at <= func.now())
        .order_by(Mail.next_attempt_at, Mail.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _try(mail: Mail, send: Send) -> str:
    now = datetime.now(UTC)
    mail.attempts += 1
    try:
        send(mail)
    except Undeliverable as refusal:
        mail.state, mail.last_answer = "failed", str(refusal)
    except Delayed as delay:
        mail.last_answer = str(delay)
        pause = min(_FIRST_RETRY_S * 2 ** min(mail.attempts - 1, 12), _LONGEST_RETRY_S)
        mail.next_attempt_at = now + timedelta(seconds=pause)
        if now - mail.created_at > GIVEN_UP_AFTER:
            mail.state = "failed"
    else:
        mail.state, mail.delivered_at, mail.last_answer = "delivered", now, "taken by the relay"
    return mail.state


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
    query = select(Mail).order_by(Mail.id.desc()).limit(limit)
    if state is not None:
        query = query.where(Mail.state == state)
    if about is not None:
        query = query.where(Mail.about == about)
    return list(session.scalars(query if before is None else query.where(Mail.id < before)))


def count_by_state(session: Session) -> dict[str, int]:
    """How many mails are in each state."""
    rows = session.execute(select(Mail.state, func.count()).group_by(Mail.state))
    return {state: count for state, count in rows}
