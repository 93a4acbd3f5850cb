"""The sinks: every mail is a file, every alert a line."""

from __future__ import annotations

import asyncio
import json
import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from demo.ports import free
from demo.sinks import CHANGES, MailSink, WebhookSink


class Sinks(NamedTuple):
    smtp: int
    http: int
    folder: Path

    def mails(self) -> list[str]:
        return [path.read_text() for path in sorted((self.folder / "mail").glob("*.eml"))]

    def alerts(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "webhooks.jsonl").read_text().splitlines()]


@pytest.fixture
def sinks(tmp_path: Path) -> Iterator[Sinks]:
    ports = Sinks(free(), free(), tmp_path)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        smtp = await asyncio.start_server(MailSink(tmp_path / "mail").serve, "127.0.0.1", ports.smtp)
        http = await asyncio.start_server(
            WebhookSink(tmp_path / "webhooks.jsonl").serve, "127.0.0.1", ports.http
        )
        ready.set()
        await stop.wait()
        smtp.close()
        http.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(5)
    yield ports
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def mail(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "hanse@hanse.example",
        "anna@university.example",
        subject,
    )
    message.set_content(text)
    return message


def test_mails_become_files_with_their_envelope(sinks: Sinks) -> None:
    with smtplib.SMTP("127.0.0.1", sinks.smtp, timeout=5) as relay:
        relay.send_message(mail("first", ".a line that begins with a dot\nand another"))
        relay.send_message(mail("second", "text"), to_addrs=["a@example.org", "b@example.org"])
    first, second = sinks.mails()
    assert "X-Envelope-To: <anna@university.example>" in first
    assert "\n.a line that begins with a dot\nand another" in first.replace("\r\n", "\n")
    assert second.count("X-Envelope-To:") == 2


def test_a_sender_that_leaves_in_the_middle_leaves_no_mail(sinks: Sinks) -> None:
    relay = smtplib.SMTP("127.0.0.1", sinks.smtp, timeout=5)
    relay.ehlo()
    relay.mail("a@example.org")
    relay.rcpt("b@example.org")
    relay.putcmd("data")
    relay.getreply()
    relay.send(b"Subject: half\r\n\r\nhal")
    relay.close()
    with smtplib.SMTP("127.0.0.1", sinks.smtp, timeout=5) as other:
        other.send_message(mail("whole", "text"))
    assert len(sinks.mails()) == 1


def test_alerts_become_lines(sinks: Sinks) -> None:
    address = f"http://127.0.0.1:{sinks.http}/alerts"
    assert requests.post(address, json={"event": "outage"}, timeout=5).status_code == 204
    assert requests.post(address, data=b"no json", timeout=5).status_code == 400
    assert requests.get(address, timeout=5).status_code == 405
    assert [(one["path"], one["body"]) for one in sinks.alerts()] == [("/alerts", {"event": "outage"})]


def test_what_the_registry_tells_of_changes_is_kept_apart_from_alerts(sinks: Sinks) -> None:
    url = f"http://127.0.0.1:{sinks.http}"
    sent = (("/alerts", {"site": "BIFI"}), (CHANGES, {"type": "registry.changed"}))
    for path, body in sent:
        assert requests.post(f"{url}{path}", json=body, timeout=5).status_code == 204
    changes = [
        json.loads(line) for line in (sinks.folder / "changes-webhooks.jsonl").read_text().splitlines()
    ]
    assert [one["path"] for one in sinks.alerts()] == ["/alerts"]
    assert [one["body"]["type"] for one in changes] == ["registry.changed"]
