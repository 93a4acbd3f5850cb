"""Webhooks: who is told what, signed, tried again until it is taken; a real receiver on this machine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select, text

from hanse.database import Database
from registry import webhook_sending, webhooks
from registry.jobs import jobs
from registry.models import Mail, Webhook, WebhookDelivery
from registry.settings import RegistrySettings

from .conftest import Registry


@dataclass
class Receiver:
    """What a program that is told of changes sees."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    delay_s: float = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            time.sleep(kept.delay_s)
            status = kept.answers.pop(0) if kept.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", kept.url)
            self.end_headers()
            self.wfile.write(b"thank you")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hanse?key=abc"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_settings(registry: Registry) -> RegistrySettings:
    """Settings that let webhooks go to this machine, for the application as well."""
    changed = registry.settings.model_copy(
        update={"webhook_private_addresses": True, "webhook_deadline_s": 2.0}
    )
    from dataclasses import replace

    registry.app.extensions["hanse"] = replace(registry.app.extensions["hanse"], settings=changed)
    return changed


def register(registry: Registry, receiver: Receiver, who: str = "Laura Gil", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = registry.send("POST", "/api/v1/webhooks", {"url": receiver.url, **more}, who)
    return made


def settle(registry: Registry, settings: RegistrySettings) -> str:
    return webhook_sending.run(registry.db, settings)


def due_now(registry: Registry) -> None:
    with registry.db.transaction() as session:
        session.execute(text("update webhook_delivery set next_attempt_at = now() where state = 'pending'"))


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As the Standard Webhooks say, written once more."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.split("_", 1)[1])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


def test_a_change_arrives_signed(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza", "reason": "A town"})
    assert settle(registry, open_settings) == "1 queued, 1 delivered, 0 failed."
    ((headers, body),) = receiver.got
    assert verified(made["secret"], headers, body)
    assert not verified(made["secret"], headers, body + b" ")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 30
    (message,) = receiver.messages
    assert message["type"] == "registry.changed"
    assert message["data"]["reason"] == "A town"
    (change,) = message["data"]["changes"]
    assert (change["kind"], change["act"], change["name"]) == ("site", "changed", "BIFI")
    assert change["fields"] == {"location": [None, "Zaragoza"]}
    assert settle(registry, open_settings) == "0 queued, 0 delivered, 0 failed."


def test_the_secret_is_shown_once_and_stands_in_no_log(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver)
    again = registry.get(f"/api/v1/webhooks/{made['id']}", "Laura Gil")
    assert "secret" not in again
    with registry.db.transaction() as session:
        assert made["secret"] not in str(session.execute(text("select * from history")).all())
    renewed = registry.send("POST", f"/api/v1/webhooks/{made['id']}/secret", {}, "Laura Gil")
    registry.send("POST", f"/api/v1/webhooks/{made['id']}/test", {}, "Laura Gil", status=202)
    settle(registry, open_settings)
    ((headers, body),) = receiver.got
    assert verified(renewed["secret"], headers, body)
    assert not verified(made["secret"], headers, body)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({}, ["site BIFI", "downtime BIFI", "site UKIM", "ngi NGI_CZ"]),
        ({"kinds": ["downtime"]}, ["downtime BIFI"]),
        ({"sites": ["UKIM"]}, ["site UKIM"]),
        ({"ngis": ["NGI_IBERGRID"]}, ["site BIFI", "downtime BIFI"]),
        ({"ngis": ["NGI_CZ"]}, ["ngi NGI_CZ"]),
        ({"vos": ["chipster"]}, ["site UKIM"]),
        ({"sites": ["UKIM"], "kinds": ["downtime"]}, []),
    ],
)
def test_filters(
    registry: Registry,
    receiver: Receiver,
    open_settings: RegistrySettings,
    filters: dict[str, Any],
    told: list[str],
) -> None:
    registry.send("PATCH", "/api/v1/sites/UKIM", {"supports": [{"vo": "chipster"}]})
    register(registry, receiver, "Ingrid Holm", **filters)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    registry.send("PATCH", "/api/v1/ngis/NGI_CZ", {"description": "x"})
    settle(registry, open_settings)
    seen = [
        f"{one['kind']} {one['name'].removeprefix('downtime at ')}"
        for message in receiver.messages
        for one in message["data"]["changes"]
    ]
    assert sorted(seen) == sorted(told)


def test_nobodys_roles_and_credentials_are_told(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    register(registry, receiver, "Ingrid Holm")
    registry.send("POST", "/api/v1/me/tokens", {"name": "mine"}, "Anna Lindqvist")
    settle(registry, open_settings)
    assert receiver.got == []


def test_what_is_not_taken_is_sent_again_under_its_id(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver)
    receiver.answers = [500, 302, 200]
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    path = f"/api/v1/webhooks/{made['id']}/deliveries"
    for attempt, status in enumerate((500, 302), 1):
        settle(registry, open_settings)
        (one,) = registry.get(path, "Laura Gil")["items"]
        assert (one["state"], one["attempts"], one["last_status"]) == ("pending", attempt, status)
        assert one["next_attempt_at"] is not None
        settle(registry, open_settings)  # not before its time
        assert len(receiver.got) == attempt
        due_now(registry)
    settle(registry, open_settings)
    (one,) = registry.get(path, "Laura Gil")["items"]
    assert (one["state"], one["attempts"], one["last_answer"]) == ("delivered", 3, "thank you")
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {one["id"]}
    assert len({body for _, body in receiver.got}) == 1
    assert registry.get(f"/api/v1/webhooks/{made['id']}", "Laura Gil")["failing_since"] is None


def test_pauses_grow_and_have_an_end() -> None:
    assert [webhook_sending.pause_s(number) for number in (1, 2, 3, 4)] == [10, 30, 90, 270]
    assert webhook_sending.pause_s(19) == 6 * 3600


def test_a_receiver_that_hangs_is_left_at_the_deadline(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver)
    receiver.delay_s = 1.5
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    begun = time.monotonic()
    settle(registry, open_settings.model_copy(update={"webhook_deadline_s": 0.3}))
    assert time.monotonic() - begun < 1.4
    (one,) = registry.get(f"/api/v1/webhooks/{made['id']}/deliveries", "Laura Gil")["items"]
    assert "0.3 s" in one["last_answer"]
    assert "key=abc" not in one["last_answer"]


def test_a_webhook_that_fails_for_days_is_stopped_and_its_owner_told(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    registry.send("PATCH", "/api/v1/me", {"name": "Laura Gil", "email": "laura@bifi.example"}, "Laura Gil")
    made = register(registry, receiver)
    receiver.answers = [500, 500, 200]
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    settle(registry, open_settings)
    with registry.db.transaction() as session:
        session.execute(text("update webhook set failing_since = now() - interval '4 days'"))
    due_now(registry)
    settle(registry, open_settings)
    stopped = registry.get(f"/api/v1/webhooks/{made['id']}", "Laura Gil")
    assert (stopped["active"], stopped["waiting"]) == (False, 1)
    assert "3 days" in stopped["stopped_reason"]
    with registry.db.transaction() as session:
        (mail,) = session.scalars(select(Mail).where(Mail.recipient == "laura@bifi.example"))
        assert f"/webhooks/{made['id']}" in mail.body
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    due_now(registry)
    settle(registry, open_settings)
    assert len(receiver.got) == 2  # a stopped one is told nothing
    registry.send("PATCH", f"/api/v1/webhooks/{made['id']}", {"active": True}, "Laura Gil")
    settle(registry, open_settings)
    assert len(receiver.got) == 3  # what waited comes; what happened meanwhile does not


def test_a_receiver_that_is_gone_is_believed(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver)
    receiver.answers = [410]
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    settle(registry, open_settings)
    assert registry.get(f"/api/v1/webhooks/{made['id']}", "Laura Gil")["active"] is False


def test_sent_again_by_hand(registry: Registry, receiver: Receiver, open_settings: RegistrySettings) -> None:
    made = register(registry, receiver)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    settle(registry, open_settings)
    path = f"/api/v1/webhooks/{made['id']}/deliveries"
    (one,) = registry.get(path, "Laura Gil")["items"]
    registry.send("POST", f"{path}/{one['id']}/resend", {}, "Laura Gil", status=202)
    assert registry.ask("POST", f"{path}/{one['id']}/resend", "Goran Petrov", json={}).status_code == 404
    settle(registry, open_settings)
    assert [headers["webhook-id"] for headers, _ in receiver.got] == [one["id"]] * 2


def _deliver(url: str, settings: RegistrySettings) -> None:
    db = Database(url)
    webhook_sending.run(db, settings)


def test_a_deliverer_killed_in_the_middle_loses_nothing(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    """Ten changes; the first process is killed while messages are on their way, another one takes over."""
    register(registry, receiver)
    for number in range(10):
        registry.send("PATCH", "/api/v1/sites/BIFI", {"location": f"Town {number}"})
    receiver.delay_s = 0.3
    slow = multiprocessing.get_context("spawn").Process(
        target=_deliver, args=(registry.db.url, open_settings)
    )
    slow.start()
    deadline = time.monotonic() + 30
    while len(receiver.got) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert slow.pid is not None
    os.kill(slow.pid, signal.SIGKILL)
    slow.join(10)
    receiver.delay_s = 0
    due_now(registry)
    settle(registry, open_settings)
    with registry.db.transaction() as session:
        states = set(session.scalars(select(WebhookDelivery.state)))
    assert states == {"delivered"}
    once = {headers["webhook-id"]: json.loads(body)["data"]["revision"] for headers, body in receiver.got}
    assert len(once) == len(set(once.values())) == 10  # what came twice came under one id
    assert len(receiver.got) > 10


def test_two_deliverers_share_the_work(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    register(registry, receiver)
    for number in range(12):
        registry.send("PATCH", "/api/v1/sites/BIFI", {"location": f"Town {number}"})
    threads = [threading.Thread(target=settle, args=(registry, open_settings)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    settle(registry, open_settings)
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert len(ids) == len(set(ids)) == 12


# --- who, and where to ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org/",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "javascript:alert(1)",
        "https://" + "a" * 600 + ".example/",
    ],
)
def test_addresses_that_are_not_taken(registry: Registry, url: str) -> None:
    answer = registry.ask("POST", "/api/v1/webhooks", json={"url": url})
    assert answer.status_code == 422
    assert "url" in answer.text


def test_the_inside_of_the_house_is_out_of_reach(registry: Registry, receiver: Receiver) -> None:
    """Whatever a name resolves to: nothing goes to this machine or a private network without the setting."""
    registry.send("POST", "/api/v1/webhooks", {"url": "https://localhost:1/"}, "Laura Gil")
    with registry.db.transaction() as session:
        session.execute(text("update webhook set url = :url"), {"url": receiver.url})
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    assert settle(registry, registry.settings) == "1 queued, 0 delivered, 1 failed."
    assert receiver.got == []
    with registry.db.transaction() as session:
        (row,) = session.scalars(select(WebhookDelivery))
        assert "may not go" in row.last_answer


def test_who_may_keep_webhooks(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver, "Laura Gil")
    path = f"/api/v1/webhooks/{made['id']}"
    assert (
        registry.ask("POST", "/api/v1/webhooks", "Anna Lindqvist", json={"url": receiver.url}).status_code
        == 403
    )
    assert registry.ask("GET", path, "Goran Petrov").status_code == 404
    assert registry.ask("DELETE", path, "Goran Petrov").status_code == 404
    assert registry.ask("GET", path).status_code == 200  # the operator helps
    assert [one["id"] for one in registry.get("/api/v1/webhooks", "Goran Petrov")["items"]] == []
    assert registry.ask("DELETE", path, "Laura Gil").status_code == 204


def test_who_lost_every_role_is_told_nothing_more(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    made = register(registry, receiver, "Laura Gil")
    (role,) = registry.get("/api/v1/roles?scope=site:BIFI")["items"]
    registry.ask("DELETE", f"/api/v1/roles/{role['id']}")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    settle(registry, open_settings)
    assert receiver.got == []
    assert "no role" in registry.get(f"/api/v1/webhooks/{made['id']}")["stopped_reason"]


def test_there_is_a_limit(registry: Registry, open_settings: RegistrySettings) -> None:
    for number in range(webhooks.MOST):
        registry.send("POST", "/api/v1/webhooks", {"url": f"https://example.org/{number}"})
    answer = registry.ask("POST", "/api/v1/webhooks", json={"url": "https://example.org/more"})
    assert answer.status_code == 422


def test_what_is_old_and_done_is_forgotten(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    register(registry, receiver)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    settle(registry, open_settings)
    with registry.db.transaction() as session:
        session.execute(text("update webhook_delivery set created_at = now() - interval '31 days'"))
    settle(registry, open_settings)
    with registry.db.transaction() as session:
        assert session.scalars(select(WebhookDelivery)).all() == []


def test_the_pages(registry: Registry, receiver: Receiver, open_settings: RegistrySettings) -> None:
    refused = registry.ask("POST", "/webhooks", data={"url": "ftp://x", "description": "mine"})
    assert refused.status_code == 422
    assert "mine" in refused.text
    made = registry.ask("POST", "/webhooks", data={"url": receiver.url, "kinds": ["site"], "sites": ["BIFI"]})
    assert made.status_code == 201
    assert "whsec_" in made.text
    with registry.db.transaction() as session:
        number = session.scalar(select(Webhook.id))
    assert registry.ask("POST", f"/webhooks/{number}/test").status_code == 303
    settle(registry, open_settings)
    shown = registry.ask("GET", f"/webhooks/{number}").text
    assert "delivered" in shown
    assert "whsec_" not in shown
    assert registry.ask("POST", f"/webhooks/{number}/stop").status_code == 303
    assert "stopped" in registry.ask("GET", "/webhooks").text
    assert registry.ask("POST", f"/webhooks/{number}/start").status_code == 303
    assert "whsec_" in registry.ask("POST", f"/webhooks/{number}/secret").text
    assert registry.ask("POST", f"/webhooks/{number}/dance").status_code == 404
    assert registry.ask("POST", f"/webhooks/{number}/remove").status_code == 303
    assert "No webhook is registered" in registry.ask("GET", "/webhooks").text


def test_the_jobs_look_at_the_queues(
    registry: Registry, receiver: Receiver, open_settings: RegistrySettings
) -> None:
    scheduled = {job.name: job for job in jobs(open_settings, registry.db)}
    register(registry, receiver)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    assert scheduled["webhooks"].run() == "1 queued, 1 delivered, 0 failed."
    assert scheduled["subscriptions"].run() == "Nothing to tell."
    assert scheduled["digests"].run() == "0 digests queued."
    assert scheduled["digests"].daily_at == "06:00"
    copy = open_settings.model_copy(update={"read_only": True})
    assert jobs(copy, registry.db) == []  # a copy for fail-over tells nobody
