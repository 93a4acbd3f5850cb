"""Mails: queued with the change they tell of, tried until the relay took them, their fate to be seen."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select, update

from vomsdb import mails
from vomsdb.mails import Relay
from vomsdb.models import Mail


class Sink:
    """An SMTP server that keeps what it takes; `answer` is what it says to the recipient."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.answer = "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 OK"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def sink() -> Iterator[tuple[Sink, Relay]]:
    handler = Sink()
    port = _free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, Relay("127.0.0.1", port, "membership@hanse.example")
    controller.stop()


def _mail(house: Any) -> Mail:
    with house.db.transaction() as session:
        return session.scalars(select(Mail).order_by(Mail.id)).one()


def test_a_mail_reaches_the_applicant_with_the_link_alone_on_its_line(
    house: Any, sink: tuple[Sink, Relay]
) -> None:
    server, relay = sink
    application = house.apply("Anna Lindqvist", name="Zoë Müller")
    assert mails.deliver(house.db, relay) == "1 mails delivered, 0 delayed, 0 refused."
    (envelope,) = server.taken
    message = message_from_bytes(envelope.content)
    assert envelope.rcpt_tos == ["anna@example.org"]
    assert message["From"] == "membership@hanse.example"
    assert "Confirm your request" in str(make_header(decode_header(message["Subject"])))
    body = message.get_payload(decode=True).decode()
    assert f"https://hanse.example/confirm/{house.token(application)}" in body.splitlines()
    assert "Dear Zoë Müller," in body
    mail = _mail(house)
    assert (mail.state, mail.attempts, mail.delivered_at is not None) == ("delivered", 1, True)
    assert mails.deliver(house.db, relay).startswith("0 mails delivered")


def test_a_relay_that_asks_to_wait_gets_it_later(house: Any, sink: tuple[Sink, Relay]) -> None:
    server, relay = sink
    server.answer = "451 greylisted"
    house.apply("Anna Lindqvist")
    mails.deliver(house.db, relay)
    mail = _mail(house)
    assert (mail.state, mail.last_answer) == ("pending", "451 greylisted")
    assert mail.next_attempt_at > datetime.now(UTC) + timedelta(seconds=20)
    assert mails.deliver(house.db, relay).startswith("0 mails")
    server.answer = "250 OK"
    with house.db.transaction() as session:
        session.execute(update(Mail).values(next_attempt_at=datetime.now(UTC)))
    mails.deliver(house.db, relay)
    assert (_mail(house).state, _mail(house).attempts) == ("delivered", 2)


def test_an_address_that_the_relay_refuses_for_good_is_not_tried_again(
    house: Any, sink: tuple[Sink, Relay]
) -> None:
    server, relay = sink
    server.answer = "550 no such mailbox"
    house.apply("Anna Lindqvist")
    mails.deliver(house.db, relay)
    assert (_mail(house).state, _mail(house).last_answer) == ("failed", "550 no such mailbox")
    shown = house.browser("Ingrid Holm").get("/api/v1/mails?state=failed").json["items"]
    assert [mail["last_answer"] for mail in shown] == ["550 no such mailbox"]
    assert "confirm/" not in str(shown)


def test_without_a_relay_mails_wait(house: Any) -> None:
    house.apply("Anna Lindqvist")
    away = Relay("127.0.0.1", 1, "membership@hanse.example")
    assert mails.deliver(house.db, away) == "0 mails delivered, 1 delayed, 0 refused."
    assert "cannot be used" in _mail(house).last_answer


def test_a_mail_is_not_sent_when_its_change_is_rolled_back(house: Any) -> None:
    with contextlib.suppress(RuntimeError), house.db.transaction() as session:
        mails.queue(session, "tomas@example.org", "never sent", "body", "x")
        raise RuntimeError
    with house.db.transaction() as session:
        mails.queue(session, "anna@example.org", "Subject\nBcc: x@example.org", "body", "x")
    assert _mail(house).subject == "Subject Bcc: x@example.org"
