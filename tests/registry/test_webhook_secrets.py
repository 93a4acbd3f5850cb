"""The secrets of webhooks: shown once, sealed in their table, readable after the secret key was changed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import select, text

from hanse.cli import main
from hanse.sealing import Unreadable
from registry import webhook_secrets, webhook_sending, webhooks
from registry.models import Mail, Webhook, WebhookDelivery
from registry.schemas.listening import WebhookIn
from registry.settings import RegistrySettings

from .conftest import Registry

HOOK = {"url": "https://hooks.example.org/hanse"}


def kept(registry: Registry) -> str:
    with registry.db.transaction() as session:
        return session.scalars(select(Webhook.secret)).one()


def under(registry: Registry, secret_key: str, *before: str) -> RegistrySettings:
    changed = {
        "secret_key": SecretStr(secret_key),
        "previous_secret_keys": tuple(SecretStr(one) for one in before),
    }
    return registry.settings.model_copy(update=changed)


def test_the_secret_is_shown_once_and_stands_nowhere_as_it_is(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")
    secret = made["secret"]
    assert secret.startswith("whsec_")
    assert "secret" not in registry.get(f"/api/v1/webhooks/{made['id']}", "Laura Gil")
    assert secret not in registry.ask("GET", f"/webhooks/{made['id']}", "Laura Gil").text
    assert secret not in json.dumps(registry.get("/api/v1/me/data", "Laura Gil"))
    bare = secret.removeprefix("whsec_")
    with registry.db.transaction() as session:
        tables = session.scalars(
            text("select table_name from information_schema.tables where table_schema = 'public'")
        ).all()
        for table in tables:
            rows = session.scalars(text(f'select t::text from "{table}" t')).all()
            assert not any(bare in row for row in rows), table
    assert webhook_secrets.opened(webhook_secrets.seal_of(registry.settings), kept(registry)) == secret


def test_a_new_secret_is_sealed_too(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")
    renewed = registry.send("POST", f"/api/v1/webhooks/{made['id']}/secret", {}, "Laura Gil")["secret"]
    assert renewed != made["secret"]
    seal = webhook_secrets.seal_of(registry.settings)
    assert webhook_secrets.opened(seal, kept(registry)) == renewed


def test_what_was_kept_plain_is_sealed_at_the_next_round(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")
    with registry.db.transaction() as session:
        session.scalars(select(Webhook)).one().secret = made["secret"]
    webhook_sending.run(registry.db, registry.settings)
    assert "whsec_" not in kept(registry)
    seal = webhook_secrets.seal_of(registry.settings)
    assert webhook_secrets.opened(seal, kept(registry)) == made["secret"]


def test_the_secret_key_is_changed_without_losing_a_webhook(registry: Registry) -> None:
    made = registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")
    old = registry.settings.secret_key.get_secret_value()
    both = under(registry, "a new secret of the tests", old)
    assert webhook_secrets.opened(webhook_secrets.seal_of(both), kept(registry)) == made["secret"]
    assert webhook_secrets.seal_again(registry.db, both) == (1, 0)
    assert webhook_secrets.seal_again(registry.db, both) == (0, 0)
    alone = webhook_secrets.seal_of(under(registry, "a new secret of the tests"))
    assert webhook_secrets.opened(alone, kept(registry)) == made["secret"]
    with pytest.raises(Unreadable):
        webhook_secrets.opened(webhook_secrets.seal_of(registry.settings), kept(registry))


def test_a_webhook_whose_secret_is_lost_is_stopped_and_its_owner_is_told(registry: Registry) -> None:
    with registry.db.transaction() as session:
        session.execute(text("update person set email = 'laura@bifi.example' where name = 'Laura Gil'"))
    form = WebhookIn.model_validate(HOOK)
    laura = registry.principal("Laura Gil")
    number, _ = webhooks.register(registry.db, laura, form, registry.settings)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    lost = under(registry, "a key that never sealed anything")
    assert webhook_secrets.seal_again(registry.db, lost) == (0, 1)
    assert webhook_sending.run(registry.db, lost) == "1 queued, 0 delivered, 0 failed."
    shown = registry.get(f"/api/v1/webhooks/{number}", "Laura Gil")
    assert not shown["active"]
    assert shown["waiting"] == 1
    assert "secret key of the registry was changed" in shown["stopped_reason"]
    with registry.db.transaction() as session:
        (mail,) = session.scalars(select(Mail).where(Mail.about == f"webhook:{number}"))
    assert mail.recipient == "laura@bifi.example"


def spoiled(registry: Registry) -> int:
    """A webhook whose secret was sealed with a key that is lost; its number."""
    number = int(registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")["id"])
    lost = webhook_secrets.seal_of(under(registry, "a key that is lost"))
    with registry.db.transaction() as session:
        session.get_one(Webhook, number).secret = lost.close(webhook_secrets.new())
    return number


def test_deliveries_that_cannot_be_signed_hold_up_no_others(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are claimed at once are due first; what comes after is sent in the same round."""
    monkeypatch.setattr(webhook_sending, "BATCH", 2)
    sent: list[int] = []

    def send(message: webhook_sending.Message, _: RegistrySettings) -> webhook_sending.Outcome:
        sent.append(message.webhook)
        return webhook_sending.Outcome(200, "")

    monkeypatch.setattr(webhook_sending, "send", send)
    lost = spoiled(registry)
    for place in ("Zaragoza", "Huesca", "Teruel"):
        registry.send("PATCH", "/api/v1/sites/BIFI", {"location": place})
    webhooks.spread(registry.db)
    good = int(registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")["id"])
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Jaca"})
    assert webhook_sending.run(registry.db, registry.settings) == "2 queued, 1 delivered, 0 failed."
    assert sent == [good]
    assert not registry.get(f"/api/v1/webhooks/{lost}", "Laura Gil")["active"]


def test_stopping_a_webhook_holds_no_delivery(registry: Registry) -> None:
    """Who settles a delivery locks its webhook first; the round that stops the webhook must not hold the delivery."""
    number = spoiled(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    webhooks.spread(registry.db)
    with ThreadPoolExecutor(1) as others, registry.db.transaction() as session:
        session.get_one(Webhook, number, with_for_update={"of": Webhook})
        round_ = others.submit(webhook_sending.run, registry.db, registry.settings)
        me = session.scalar(text("select pg_backend_pid()"))
        # pg_locks, since a transaction sees pg_stat_activity as it was when it first looked
        blocked = text("select count(*) from pg_locks where not granted and :me = any(pg_blocking_pids(pid))")
        deadline = time.monotonic() + 60
        while not session.scalar(blocked, {"me": me}):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        held = select(WebhookDelivery).where(WebhookDelivery.webhook_id == number)
        assert len(session.scalars(held.with_for_update(nowait=True)).all()) == 1
    assert round_.result(60) == "0 queued, 0 delivered, 0 failed."


def test_the_command_seals_anew_and_says_what_is_lost(registry: Registry, tmp_path: Path) -> None:
    registry.send("POST", "/api/v1/webhooks", HOOK, "Laura Gil")
    old = registry.settings.secret_key.get_secret_value()

    def run(before: list[str]) -> tuple[int, str]:
        config = tmp_path / "hanse.toml"
        config.write_text(
            f'[registry]\ndatabase_url = "{registry.db.url}"\nsecret_key = "the key that counts now"\n'
            f"previous_secret_keys = {json.dumps(before)}\n"
        )
        done = CliRunner().invoke(main, ["--config", str(config), "registry", "reseal"])
        return done.exit_code, done.output

    code, said = run([])
    assert code == 1
    assert "1 cannot be read" in said
    assert old not in said
    assert run([old]) == (0, "1 secrets sealed anew.\n")
    assert run([]) == (0, "0 secrets sealed anew.\n")
