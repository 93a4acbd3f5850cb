"""A queue of mails in a service's own table: written with the change they tell of, sent by a job, tried again.

A service declares its table with the columns of `MailColumns`, names its constraints, and adds what it needs beside
them; delivery is the same for all. Each mail is sent in a transaction of its own, so a job that dies in the middle
sends the one mail it was at once more and loses none.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Final, TypeVar

from sqlalchemy import BigInteger, Identity, Select, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hanse.database import Database, UtcTime

STATES: Final = ("pending", "delivered", "failed")
FIRST_RETRY_S, LONGEST_RETRY_S = 30, 6 * 3600
GIVEN_UP_AFTER: Final = timedelta(days=7)
BATCH: Final = 50


class MailColumns:
    """One mail to one address. `pending` until the relay took it; `failed` when it refused it for good.

    `last_answer` is what the relay said, for people.
    """

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    recipient: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")
    last_answer: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    next_attempt_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    delivered_at: Mapped[datetime | None] = mapped_column(UtcTime)
    attempts: Mapped[int]

    def headers(self) -> Mapping[str, str]:
        """Headers beside those that every mail has."""
        return {}


Letter = TypeVar("Letter", bound=MailColumns)
Send = Callable[[MailColumns], None]


class Undeliverable(Exception):
    """The relay will never take this mail (an answer of 5xx); the text is its answer."""


class Delayed(Exception):
    """The relay did not take the mail this time; the text says why."""


def one_line(subject: str) -> str:
    """A subject without line ends: one would start a header of the writer's choice."""
    return " ".join(subject.split())


@dataclass(frozen=True)
class Relay:
    """The SMTP relay of the settings."""

    host: str
    port: int
    sender: str

    def __call__(self, mail: MailColumns) -> None:
        """Send one mail; raises Undeliverable or Delayed."""
        message = self._written(mail)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=15) as smtp:
                smtp.send_message(message)
        except smtplib.SMTPResponseException as answer:
            raise _answered(answer.smtp_code, answer.smtp_error) from answer
        except smtplib.SMTPRecipientsRefused as refused:
            code, words = next(iter(refused.recipients.values()))
            raise _answered(code, words) from refused
        except (OSError, smtplib.SMTPException) as fault:
            raise Delayed(f"The relay {self.host}:{self.port} cannot be used: {fault}") from fault

    def _written(self, mail: MailColumns) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, mail.recipient, mail.subject
        message["Date"] = mail.created_at
        message["Message-ID"] = make_msgid(f"hanse-{mail.id}", self.sender.rpartition("@")[2] or "localhost")
        message["Auto-Submitted"] = "auto-generated"
        for name, value in mail.headers().items():
            message[name] = value
        message.set_content(mail.body)
        return message


def _answered(code: int, words: bytes | str) -> Undeliverable | Delayed:
    told = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return (Undeliverable if code >= 500 else Delayed)(f"{code} {told}")


def deliver(db: Database, table: type[Letter], send: Send, most: int = BATCH) -> str:
    """Send what is due of a table, `most` mails at a time; a sentence for the run log."""
    outcomes = dict.fromkeys(STATES, 0)
    for _ in range(most):
        with db.transaction() as session:
            mail = session.scalar(_due(table))
            if mail is None:
                break
            outcomes[_try(mail, send)] += 1
    return f"{outcomes['delivered']} mails delivered, {outcomes['pending']} delayed, {outcomes['failed']} refused."


def _due(table: type[Letter]) -> Select[Letter]:
    return (
        select(table)
        .where(table.state == "pending", table.next_attempt_at <= func.now())
        .order_by(table.next_attempt_at, table.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _try(mail: MailColumns, send: Send) -> str:
    now = datetime.now(UTC)
    mail.attempts += 1
    try:
        send(mail)
    except Undeliverable as refusal:
        mail.state, mail.last_answer = "failed", str(refusal)
    except Delayed as delay:
        mail.last_answer = str(delay)
        pause = min(FIRST_RETRY_S * 2 ** min(mail.attempts - 1, 12), LONGEST_RETRY_S)
        mail.next_attempt_at = now + timedelta(seconds=pause)
        if now - mail.created_at > GIVEN_UP_AFTER:
            mail.state = "failed"
    else:
        mail.state, mail.delivered_at, mail.last_answer = "delivered", now, "taken by the relay"
    return mail.state


def newest(table: type[Letter], state: str | None, limit: int) -> Select[Letter]:
    """The newest mails of a table, all or in one state; at most `limit`."""
    asked = select(table).order_by(table.id.desc()).limit(limit)
    return asked if state is None else asked.where(table.state == state)


def count_by_state(session: Session, table: type[MailColumns]) -> dict[str, int]:
    """How many mails of a table are in each state; states without any are left out."""
    rows = session.execute(select(table.state, func.count()).group_by(table.state))
    return {state: count for state, count in rows}
