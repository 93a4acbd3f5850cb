"""The registry's queue of mails: with the change they tell of, tried until the relay took them, their fate seen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select

from registry import mails
from registry.jobs import jobs
from registry.models import Mail

from .conftest import Registry


class Sink:
    """An SMTP server that keeps what it takes; `answer` is what it says to the recipient."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.answer = "250 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.taken.append(bytes(envelope.content or b""))
        return "250 OK"


@pytest.fixture
def sink() -> Iterator[tuple[Sink, mails.Relay]]:
    handler = Sink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, mails.Relay("127.0.0.1", port, "registry@hanse.example")
    controller.stop()


def queue(
    registry: Registry, *addresses: str, subject: str = "A request waits", body: str = "Grüße\n"
) -> None:
    with registry.db.transaction() as session:
        mails.queue(
            session, addresses, subject, body, about="role:5", unsubscribe_url="https://hanse.example/u"
        )


def only(registry: Registry) -> Mail:
    with registry.db.transaction() as session:
        return session.scalars(select(Mail)).one()


def test_a_mail_reaches_the_relay_whole(empty_registry: Registry, sink: tuple[Sink, mails.Relay]) -> None:
    handler, relay = sink
    queue(empty_registry, "laura@bifi.example", subject="Anfrage\r\nBcc: all@example: José")
    assert mails.deliver(empty_registry.db, relay) == "1 mails delivered, 0 delayed, 0 refused."
    [raw] = handler.taken
    message = message_from_bytes(raw, policy=policy.default)
    assert message["To"] == "laura@bifi.example"
    assert message["Subject"] == "Anfrage Bcc: all@example: José"
    assert message["Bcc"] is None
    assert message["List-Unsubscribe"] == "<https://hanse.example/u>"
    assert message.get_content().splitlines() == ["Grüße"]
    assert (only(empty_registry).state, only(empty_registry).attempts) == ("delivered", 1)
    assert mails.deliver(empty_registry.db, relay) == "0 mails delivered, 0 delayed, 0 refused."


def test_everybody_gets_one_mail_of_their_own(empty_registry: Registry) -> None:
    queue(empty_registry, "a@x.example", "b@x.example", "a@x.example")
    with empty_registry.db.transaction() as session:
        assert session.scalars(select(Mail.recipient).order_by(Mail.id)).all() == [
            "a@x.example",
            "b@x.example",
        ]


def test_nothing_is_queued_when_the_change_fails(empty_registry: Registry) -> None:
    def fail() -> None:
        with empty_registry.db.transaction() as session:
            mails.queue(session, "a@x.example", "x", "y")
            raise RuntimeError("the change did not happen")

    with pytest.raises(RuntimeError):
        fail()
    with empty_registry.db.transaction() as session:
        assert mails.count_by_state(session) == {}


def test_a_relay_that_is_away_is_tried_again_later(
    empty_registry: Registry, sink: tuple[Sink, mails.Relay]
) -> None:
    queue(empty_registry, "a@x.example")
    away = mails.Relay("127.0.0.1", 1, "registry@hanse.example")
    assert mails.deliver(empty_registry.db, away) == "0 mails delivered, 1 delayed, 0 refused."
    assert mails.deliver(empty_registry.db, away) == "0 mails delivered, 0 delayed, 0 refused."  # not due yet
    waits = only(empty_registry)
    assert "cannot be used" in waits.last_answer
    assert waits.next_attempt_at > datetime.now(UTC) + timedelta(seconds=20)
    handler, relay = sink
    with empty_registry.db.transaction() as session:
        session.scalars(select(Mail)).one().next_attempt_at = datetime.now(UTC)
    assert mails.deliver(empty_registry.db, relay).startswith("1 mails delivered")
    assert len(handler.taken) == 1


def test_what_the_relay_refuses_is_seen_and_can_be_tried_once_more(
    empty_registry: Registry, sink: tuple[Sink, mails.Relay]
) -> None:
    handler, relay = sink
    handler.answer = "550 no such user"
    queue(empty_registry, "nobody@x.example")
    assert mails.deliver(empty_registry.db, relay).endswith("1 refused.")
    listed = empty_registry.get("/api/v1/mails?state=failed")
    [mail] = listed["items"]
    assert (mail["last_answer"], mail["about"], listed["counts"]) == (
        "550 no such user",
        "role:5",
        {"failed": 1},
    )
    assert "body" not in mail  # codes stand in some
    handler.answer = "250 OK"
    assert empty_registry.ask("POST", f"/api/v1/mails/{mail['id']}/again").status_code == 204
    assert mails.deliver(empty_registry.db, relay).startswith("1 mails delivered")
    assert empty_registry.ask("POST", f"/api/v1/mails/{mail['id']}/again").status_code == 422
    assert empty_registry.ask("POST", "/api/v1/mails/4711/again").status_code == 404


def test_a_mail_is_given_up_after_a_week_and_forgotten_after_the_days_of_the_settings(
    empty_registry: Registry,
) -> None:
    queue(empty_registry, "a@x.example")
    away = mails.Relay("127.0.0.1", 1, "registry@hanse.example")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=8)):
        mails.deliver(empty_registry.db, away)
    assert only(empty_registry).state == "failed"
    assert mails.prune(empty_registry.db, 90) == "0 old mails forgotten."
    with time_machine.travel(datetime.now(UTC) + timedelta(days=91)):
        assert mails.prune(empty_registry.db, 90) == "1 old mails forgotten."


def test_the_jobs_deliver_where_there_is_a_relay(empty_registry: Registry) -> None:
    names = {job.name for job in jobs(empty_registry.settings, empty_registry.db)}
    assert "mails" not in names
    with_relay = empty_registry.settings.model_copy(update={"smtp_host": "127.0.0.1"})
    assert "mails" in {job.name for job in jobs(with_relay, empty_registry.db)}
