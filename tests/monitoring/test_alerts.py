"""Alerts on their way: real webhooks and a real mail relay, good ones and bad ones."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from hanse.database import Database
from monitoring import alerts
from monitoring.alerts import Audience, audience_of, contacts
from monitoring.dispatch import MOST_ATTEMPTS, dispatch, send_due, wait_after
from monitoring.letters import Letter, public_recipient
from monitoring.models import IncidentNote, Notification
from monitoring.notifiers import NOTIFIERS
from tests.monitoring.federation import Federation
from tests.monitoring.hostile import serving, silence
from tests.peers.occi import free_port


@dataclass
class Hook:
    """A webhook receiver: what came, and what it answers next (the last answer stays)."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    came: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.came.append(body)
            made.headers.append(dict(self.headers.items()))
            self.send_response(made.answers[0] if len(made.answers) == 1 else made.answers.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/alerts?key=s3cret"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


class Mailbox:
    """What the relay took; `refuse` is its answer to recipients, "" = welcome."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuse = ""
        self.port = 0

    async def handle_RCPT(
        self, server: object, session: object, envelope: Any, address: str, options: object
    ) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    box.port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def senders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def reaching(federation: Federation, hook: Hook | None, mailbox: Mailbox | None) -> None:
    federation.settings = federation.settings.model_copy(
        update={
            "webhook_urls": [hook.url] if hook else [],
            "smtp_host": "127.0.0.1" if mailbox else "",
            "smtp_port": mailbox.port if mailbox else 25,
            "mail_from": "monitoring@hanse.example",
        }
    )
    federation.audience = audience_of(federation.settings)


def hurry(federation: Federation) -> None:
    """What waits for another attempt is due now."""
    with federation.session() as session:
        session.execute(update(Notification).values(next_at=datetime.now(UTC)))


def queue(federation: Federation) -> list[Notification]:
    with federation.session() as session:
        return list(session.scalars(select(Notification).order_by(Notification.created_at)))


# --- sent ---


def test_an_outage_and_its_recovery_reach_webhook_and_mailbox_once(
    trio: Federation, hook: Hook, mailbox: Mailbox, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, mailbox)
    trio.outage("bifi")
    assert send_due(trio.db, trio.settings, senders)
    trio.recover("bifi")
    assert send_due(trio.db, trio.settings, senders)
    assert not send_due(trio.db, trio.settings, senders)
    assert [(body["event"], body["site"], body["state"]) for body in hook.came] == [
        ("outage", "BIFI", "down"),
        ("recovery", "BIFI", "ok"),
    ]
    outage, recovery = mailbox.mails
    assert outage["To"] == "laura.gil@bifi.example"
    assert outage["Subject"] == "[Research Cloud Federation · demo] BIFI: TCP connection refused"
    assert "Cause: the port refuses TCP connections" in outage.get_content()
    assert "http://monitoring.example:7030/incidents/1" in outage.get_content()
    assert "in order again" in recovery["Subject"]
    assert outage["References"] == recovery["References"]
    assert outage["Message-ID"] != recovery["Message-ID"]


def test_a_webhook_gets_everything_a_machine_needs(
    trio: Federation, hook: Hook, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, None)
    trio.settings = trio.settings.model_copy(update={"webhook_token": trio.settings.secret_key})
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    (body,), (headers,) = hook.came, hook.headers
    assert body["cause"] == "the port refuses TCP connections"
    assert (body["reason"], body["probe"], body["incident"]) == ("tcp-refused", "tcp", 1)
    assert body["endpoints"] == ["https://occi.bifi.example:8787/"]
    assert datetime.fromisoformat(body["since"]).tzinfo is not None
    assert body["key"] == headers["Idempotency-Key"]
    assert headers["Authorization"] == f"Bearer {trio.settings.secret_key.get_secret_value()}"
    assert "s3cret" not in json.dumps(body)


def test_who_was_told_stands_in_the_story_without_the_hooks_secret(
    trio: Federation, hook: Hook, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, None)
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    with trio.session() as session:
        (note,) = session.scalars(select(IncidentNote).where(IncidentNote.kind == "told"))
    assert note.text.startswith("Webhook to 127.0.0.1:")
    assert "s3cret" not in note.text
    assert public_recipient("webhook", "https://user:pw@hooks.example/x?y=z") == "hooks.example"


# --- not sent ---


def test_a_failing_hook_is_tried_again_with_the_same_key_and_then_left_alone(
    trio: Federation, hook: Hook, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, None)
    hook.answers = [500, 503, 200]
    trio.outage("bifi")
    for _ in range(5):
        send_due(trio.db, trio.settings, senders)
        hurry(trio)
    assert len(hook.came) == 3
    assert len({body["key"] for body in hook.came}) == 1
    (row,) = queue(trio)
    assert (row.outcome, row.attempts) == ("sent", 3)


def test_between_attempts_there_is_a_growing_wait(
    trio: Federation, hook: Hook, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, None)
    hook.answers = [500]
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    assert not send_due(trio.db, trio.settings, senders)
    (row,) = queue(trio)
    assert 10 < (row.next_at - datetime.now(UTC)).total_seconds() <= 15
    assert row.detail == "the receiver answered 500"
    waits = [wait_after(attempt) for attempt in range(1, MOST_ATTEMPTS)]
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    assert sum(wait or 0 for wait in waits) > 24 * 3600
    assert wait_after(MOST_ATTEMPTS) is None


def test_what_a_receiver_will_never_take_is_given_up_and_said(
    trio: Federation, hook: Hook, mailbox: Mailbox, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, mailbox)
    hook.answers = [422]
    mailbox.refuse = "550 no such user"
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    hurry(trio)
    assert not send_due(trio.db, trio.settings, senders)
    assert {row.outcome for row in queue(trio)} == {"given up"}
    assert "550" in next(row.detail for row in queue(trio) if row.notifier == "smtp")


def test_a_busy_relay_and_an_absent_one_are_tried_again(
    trio: Federation, mailbox: Mailbox, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, None, mailbox)
    mailbox.refuse = "451 come back later"
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    absent = trio.settings.model_copy(update={"smtp_port": free_port()})
    hurry(trio)
    send_due(trio.db, absent, senders)
    assert "cannot be reached" in queue(trio)[0].detail
    mailbox.refuse = ""
    hurry(trio)
    send_due(trio.db, trio.settings, senders)
    assert len(mailbox.mails) == 1


def test_a_recovery_never_overtakes_its_outage(
    trio: Federation, hook: Hook, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, hook, None)
    hook.answers = [500]
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    trio.recover("bifi")
    send_due(trio.db, trio.settings, senders)
    assert [body["event"] for body in hook.came] == ["outage"]
    hook.answers = [200]
    hurry(trio)
    send_due(trio.db, trio.settings, senders)
    send_due(trio.db, trio.settings, senders)
    assert [body["event"] for body in hook.came] == ["outage", "outage", "recovery"]


def test_a_silent_hook_holds_up_no_other(
    trio: Federation, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.notifiers.posting.DEADLINE_S", 1)
    with serving(silence) as port:
        trio.settings = trio.settings.model_copy(
            update={"webhook_urls": [f"http://127.0.0.1:{port}/", hook.url]}
        )
        trio.audience = Audience(tuple(trio.settings.webhook_urls), mail=False)
        trio.outage("bifi")
        db, stop = Database(trio.settings.database_url), threading.Event()
        thread = threading.Thread(target=dispatch, args=(db, trio.settings, stop), kwargs={"poll_s": 0.1})
        thread.start()
        ends = time.monotonic() + 10
        while not hook.came and time.monotonic() < ends:
            time.sleep(0.05)
        stop.set()
        thread.join()
        db.close()
    assert len(hook.came) == 1


# --- the queue ---


def test_a_message_is_leased_to_one_sender(trio: Federation) -> None:
    trio.outage("bifi")
    with trio.session() as session:
        first = alerts.claim(session, 10)
        assert len(first) == 2
    with trio.session() as session:
        assert alerts.claim(session, 10) == []
        session.execute(text("update notification set lease_until = clock_timestamp() - interval '1 second'"))
        again = alerts.claim(session, 10)
    assert sorted(letter.key for letter in again) == sorted(letter.key for letter in first)
    assert {letter.attempt for letter in again} == {2}
    assert {letter.fingerprint for letter in again} == {letter.fingerprint for letter in first}


def test_what_was_sent_is_not_sent_again_by_a_late_second_sender(trio: Federation) -> None:
    trio.outage("bifi")
    with trio.session() as session:
        letter = alerts.claim(session, 1)[0]
    with trio.session() as session:
        alerts.sent(session, letter, "accepted (200)")
    with trio.session() as session:
        alerts.not_sent(session, letter, "too late", None)
        row = session.get_one(Notification, letter.key)
        assert row.outcome == "sent"


def test_a_database_that_goes_away_after_the_sending_makes_no_second_message(
    trio: Federation,
    hook: Hook,
    mailbox: Mailbox,
    senders: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reaching(trio, hook, mailbox)
    trio.outage("bifi")
    noted, lost = alerts.sent, []

    def cut_off(session: Session, letter: Letter, detail: str) -> None:
        if letter.notifier == "webhook" and not lost:
            lost.append(letter.key)
            session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
        noted(session, letter, detail)

    monkeypatch.setattr(alerts, "sent", cut_off)
    assert send_due(trio.db, trio.settings, senders)
    assert lost
    assert {row.outcome for row in queue(trio)} == {"sent"}
    trio.recover("bifi")
    assert send_due(trio.db, trio.settings, senders)
    assert [body["event"] for body in hook.came] == ["outage", "recovery"]


def test_the_same_event_is_queued_once_whatever_asks_for_it(trio: Federation) -> None:
    trio.outage("bifi")
    before = trio.messages()
    with trio.session() as session:
        incident = trio.incidents()[0]
        alerts.tell(session, session.merge(incident), trio.audience)
    assert trio.messages() == before


def test_contacts_are_those_for_alarms_where_there_are_some(trio: Federation) -> None:
    people = [
        {"kind": "admin", "name": "Laura Gil", "email": "laura.gil@bifi.example"},
        {"kind": "alarm", "name": "On duty", "email": "alarm@bifi.example"},
        {"kind": "alarm", "name": "No address", "email": ""},
    ]
    trio.put("site", "BIFI", {"id": "BIFI", "name": "BIFI", "contacts": people})
    with trio.session() as session:
        assert contacts(session, "BIFI") == [
            {"kind": "alarm", "name": "On duty", "email": "alarm@bifi.example"}
        ]
        assert contacts(session, "NOWHERE") == []


def test_without_a_relay_nobody_is_mailed_and_the_operators_are_mailed_with_one(trio: Federation) -> None:
    trio.audience = Audience(webhooks=(), operators=("noc@hanse.example",), mail=True)
    trio.outage("bifi")
    assert sorted(recipient for _, _, recipient in trio.messages()) == [
        "laura.gil@bifi.example",
        "noc@hanse.example",
    ]
    trio.audience = Audience(webhooks=(), operators=("noc@hanse.example",), mail=False)
    trio.outage("ukim")
    assert len(trio.messages()) == 2
    assert not trio.incidents()[-1].told


def test_a_hostile_cause_cannot_add_a_mail_header(
    trio: Federation, mailbox: Mailbox, senders: ThreadPoolExecutor
) -> None:
    reaching(trio, None, mailbox)
    trio.settings = trio.settings.model_copy(update={"federation": "Evil\r\nBcc: victim@example.org"})
    trio.audience = audience_of(trio.settings)
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[Evil Bcc: victim@example.org]")


def test_a_notifier_that_fails_in_itself_does_not_stop_the_others(
    trio: Federation,
    hook: Hook,
    mailbox: Mailbox,
    senders: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(letter: object, means: object) -> str:
        raise ZeroDivisionError

    reaching(trio, hook, mailbox)
    monkeypatch.setitem(NOTIFIERS, "smtp", broken)
    trio.outage("bifi")
    send_due(trio.db, trio.settings, senders)
    assert len(hook.came) == 1
    failed = next(row for row in queue(trio) if row.notifier == "smtp")
    assert (failed.outcome, failed.attempts) == (None, 1)
    assert "ZeroDivisionError" in failed.detail
