"""Mails: written into a table with the change they tell of, sent by a job, retried until the relay took them."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import make_msgid

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from vomsdb.models import Mail

_FIRST_RETRY_S, _LONGEST_RETRY_S, _BATCH = 30, 6 * 3600, 20
GIVEN_UP_AFTER = timedelta(days=7)
Send = Callable[[Mail], None]


class Undeliverable(Exception):
    """The relay will never take this mail (an answer of 5xx); the text is its answer."""


class Delayed(Exception):
    """The relay did not take the mail this time; the text says why."""


def queue(session: Session, recipient: str, subject: str, body: str, about: str) -> None:
    """Puts a mail into the queue, in the caller's transaction."""
    clean = " ".join(subject.split())  # a line end here would start a header of the writer's choice
    session.add(Mail(recipient=recipient, subject=clean, body=body, about=about))


@dataclass(frozen=True)
class Relay:
    """The SMTP relay of the settings."""

    host: str
    port: int
    sender: str

    def __call__(self, mail: Mail) -> None:
        """Sends one mail; raises Undeliverable or Delayed."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, mail.recipient, mail.subject
        message["Date"] = mail.created_at
        message["Message-ID"] = make_msgid(f"hanse-{mail.id}", self.sender.rpartition("@")[2] or "localhost")
        message["Auto-Submitted"] = "auto-generated"
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
    """Sends what is due, each mail in a transaction of its own; a sentence for the run log."""
    sent = delayed = refused = 0
    for _ in range(_BATCH):
        with db.transaction() as session:
            mail = session.scalar(_due())
            if mail is None:
                break
            outcome = _try(mail, send)
            sent += outcome == "delivered"
            refused += outcome == "failed"
            delayed += outcome == "pending"
    return f"{sent} mails delivered, {delayed} delayed, {refused} refused."


def _due() -> Select[Mail]:
    return (
        select(Mail)
        .where(Mail.state == "pending", Mail.next_attempt_at <= func.now())
        .order_by(Mail.next_attempt_at)
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


def listed(session: Session, state: str | None, limit: int = 100) -> list[Mail]:
    """The newest mails, all or in one state."""
    query = select(Mail).order_by(Mail.id.desc()).limit(limit)
    return list(session.scalars(query if state is None else query.where(Mail.state == state)))


def count_by_state(session: Session) -> dict[str, int]:
    """How many mails are in each state."""
    return {
        state: count
        for state, count in session.execute(select(Mail.state, func.count()).group_by(Mail.state))
    }
