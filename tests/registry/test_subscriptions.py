"""Subscriptions: who hears of what, by mail at once, in a digest, on a webhook; and the way out."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from registry import subscriptions, webhooks
from registry.models import Mail, WebhookDelivery
from registry.schemas.listening import WebhookIn

from .conftest import Registry

ANNA = "anna@lab.example"


@pytest.fixture(autouse=True)
def anna_has_an_address(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/me", {"name": "Anna Lindqvist", "email": ANNA}, "Anna Lindqvist")


def subscribe(
    registry: Registry, who: str = "Anna Lindqvist", status: int = 201, **form: Any
) -> dict[str, Any]:
    made: dict[str, Any] = registry.send("POST", "/api/v1/subscriptions", form, who, status=status)
    return made


def mails_of(registry: Registry, address: str = ANNA) -> list[Mail]:
    with registry.db.transaction() as session:
        return list(session.scalars(select(Mail).where(Mail.recipient == address).order_by(Mail.id)))


def tell(registry: Registry) -> list[Mail]:
    before = len(mails_of(registry))
    subscriptions.tell(registry.db, registry.settings)
    return mails_of(registry)[before:]


def test_a_mail_tells_who_what_and_why(registry: Registry) -> None:
    subscribe(registry, target="site", name="BIFI")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza", "reason": "A town"}, "Laura Gil")
    (mail,) = tell(registry)
    assert mail.subject == f"{registry.settings.federation}: A town"
    assert "site BIFI: changed" in mail.body
    assert "location: nothing -> Zaragoza" in mail.body
    assert "A town - Laura Gil" in mail.body
    assert re.search(r"http://127.0.0.1:7010/history/\d+\n", mail.body)
    assert mail.unsubscribe_url in mail.body
    assert tell(registry) == []  # once


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"target": "federation"}, {"site", "downtime", "ngi"}),
        ({"target": "site", "name": "BIFI"}, {"site", "downtime"}),
        ({"target": "site", "name": "BIFI", "subject": "downtimes"}, {"downtime"}),
        ({"target": "site", "name": "BIFI", "subject": "changes"}, {"site"}),
        ({"target": "ngi", "name": "NGI_IBERGRID"}, {"site", "downtime", "ngi"}),
        ({"target": "vo", "name": "training.egi.eu", "subject": "downtimes"}, {"downtime"}),
        ({"target": "service", "service": "BIFI", "subject": "downtimes"}, {"downtime"}),
        ({"target": "service", "service": "UKIM"}, set()),
        ({"target": "site", "name": "UKIM"}, set()),
        ({"target": "vo", "name": "chipster"}, set()),
    ],
)
def test_what_is_told_of(registry: Registry, form: dict[str, Any], told: set[str]) -> None:
    if "service" in form:
        (service,) = registry.get(f"/api/v1/services?site={form['service']}")["items"]
        form = {**form, "service": service["id"]}
    subscribe(registry, **form)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    registry.send("PATCH", "/api/v1/ngis/NGI_IBERGRID", {"description": "x"})
    mails = tell(registry)
    seen = set(
        re.findall(r"^       (\w+) .*: (?:added|changed|removed)$", "\n".join(m.body for m in mails), re.M)
    )
    assert seen == told


def test_two_subscriptions_that_meet_make_one_mail(registry: Registry) -> None:
    subscribe(registry, target="site", name="BIFI")
    subscribe(registry, target="vo", name="training.egi.eu")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    (mail,) = tell(registry)
    assert mail.subject.endswith(" and 1 more")
    assert mail.body.count("/history/") == 2


def test_a_site_is_followed_under_another_name(registry: Registry) -> None:
    made = subscribe(registry, target="site", name="BIFI")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-CLOUD"})
    tell(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI-CLOUD", {"location": "Zaragoza"})
    assert len(tell(registry)) == 1
    (held,) = registry.get("/api/v1/subscriptions", "Anna Lindqvist")["items"]
    assert (held["id"], held["about"]) == (made["id"], "BIFI-CLOUD")
    registry.ask("DELETE", "/api/v1/sites/BIFI-CLOUD")
    (mail,) = tell(registry)
    assert "site BIFI-CLOUD: removed" in mail.body


def test_a_digest_is_one_mail_a_day(registry: Registry) -> None:
    subscribe(registry, target="site", name="BIFI", means="digest")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    assert tell(registry) == []
    assert subscriptions.digest(registry.db, registry.settings) == "1 digests queued."
    (mail,) = mails_of(registry)
    assert "2 changes that you follow" in mail.subject
    assert "New network switches" in mail.body
    assert subscriptions.digest(registry.db, registry.settings) == "0 digests queued."


def test_on_a_webhook(registry: Registry) -> None:
    form = WebhookIn(url="https://example.org/hook")
    number, _ = webhooks.register(registry.db, registry.principal("Laura Gil"), form, registry.settings)
    subscribe(registry, "Laura Gil", target="site", name="UKIM", means="webhook", webhook=number)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    webhooks.spread(registry.db)
    with registry.db.transaction() as session:
        (one,) = session.scalars(select(WebhookDelivery))
    assert "Skopje" in one.body  # told of what was asked for, not of everything


def test_somebody_elses_webhook_cannot_be_used(registry: Registry) -> None:
    form = WebhookIn(url="https://example.org/hook")
    number, _ = webhooks.register(registry.db, registry.principal("Laura Gil"), form, registry.settings)
    subscribe(registry, status=404, target="site", name="UKIM", means="webhook", webhook=number)


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"target": "site", "name": "NOWHERE"}, 404, "NOWHERE"),
        ({"target": "site"}, 422, "name"),
        ({"target": "service", "service": 999}, 404, "999"),
        ({"target": "site", "name": "BIFI", "means": "webhook"}, 422, "webhook"),
        ({"target": "galaxy", "name": "M31"}, 422, "target"),
    ],
)
def test_what_cannot_be_subscribed_to(
    registry: Registry, form: dict[str, Any], status: int, words: str
) -> None:
    answer = registry.ask("POST", "/api/v1/subscriptions", "Anna Lindqvist", json=form)
    assert answer.status_code == status
    assert words in answer.text


def test_once_is_enough(registry: Registry) -> None:
    subscribe(registry, target="site", name="BIFI")
    subscribe(registry, status=409, target="site", name="BIFI", subject="downtimes")


def test_without_an_address_there_is_no_mail(registry: Registry) -> None:
    answer = subscribe(registry, "Goran Petrov", status=422, target="site", name="BIFI")
    assert "Account" in str(answer)


def test_own_ones_only(registry: Registry) -> None:
    made = subscribe(registry, target="site", name="BIFI")
    assert registry.get("/api/v1/subscriptions", "Laura Gil")["items"] == []
    assert registry.ask("DELETE", f"/api/v1/subscriptions/{made['id']}", "Laura Gil").status_code == 404
    assert registry.ask("DELETE", f"/api/v1/subscriptions/{made['id']}", "Anna Lindqvist").status_code == 204
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    assert tell(registry) == []


def test_the_link_in_a_mail_asks_before_it_ends_anything(registry: Registry) -> None:
    first = subscribe(registry, target="site", name="BIFI")
    subscribe(registry, target="site", name="UKIM", means="digest")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"})
    (mail,) = tell(registry)
    path = mail.unsubscribe_url.removeprefix("http://127.0.0.1:7010")
    who = path.partition("who=")[2]
    shown = registry.ask("GET", path, None)  # without signing in; a mail program may open it
    assert "BIFI" in shown.text
    assert len(registry.get("/api/v1/subscriptions", "Anna Lindqvist")["items"]) == 2
    ended = registry.ask("POST", "/unsubscribe", None, data={"who": who, "which": first["id"]})
    assert "1 subscription was ended" in ended.text
    (left,) = registry.get("/api/v1/subscriptions", "Anna Lindqvist")["items"]
    assert left["about"] == "UKIM"
    registry.ask("POST", "/unsubscribe", None, data={"who": who})
    assert registry.get("/api/v1/subscriptions", "Anna Lindqvist")["items"] == []
    assert registry.ask("GET", path.replace("who=", "who=x"), None).status_code == 404


def test_the_page(registry: Registry) -> None:
    offered = registry.ask("GET", "/subscriptions?site=BIFI&subject=downtimes", "Anna Lindqvist").text
    assert '<option value="site:BIFI" selected>' in offered
    form = {"whom": "site:BIFI", "subject": "downtimes", "means": "mail"}
    assert registry.ask("POST", "/subscriptions", "Anna Lindqvist", data=form).status_code == 303
    refused = registry.ask("POST", "/subscriptions", "Anna Lindqvist", data=form)
    assert refused.status_code == 409
    assert "subscribed to this already" in refused.text
    shown = registry.ask("GET", "/subscriptions", "Anna Lindqvist").text
    number = re.search(r"/subscriptions/(\d+)/end", shown)
    assert number
    assert registry.ask("POST", number[0], "Anna Lindqvist").status_code == 303
    assert "subscribed to nothing" in registry.ask("GET", "/subscriptions", "Anna Lindqvist").text
