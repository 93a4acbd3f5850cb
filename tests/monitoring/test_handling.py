"""Incidents in people's hands: assigned, silenced, escalated, told again; flapping; ways to tell; trying them out."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from monitoring import attending
from monitoring.app import create_app
from monitoring.letters import Letter, Means
from monitoring.models import Incident
from monitoring.notifiers import NOTIFIERS, NotSent
from monitoring.notifiers.chat import plain
from monitoring.notifiers.ticket import DEFAULT, filled
from monitoring.settings import MonitoringSettings
from tests.monitoring.federation import ENDING, Federation
from tests.monitoring.test_alerts import Hook, hook

__all__ = ["hook"]
AsPerson = Callable[[str, str, str], dict[str, str]]


@pytest.fixture
def laura(as_person: AsPerson) -> dict[str, str]:
    return as_person("Laura Gil", "site_administrator", "site:BIFI")


def attend(federation: Federation, **changes: Any) -> str:
    given = {"webhook_urls": ["http://hooks.example/alerts"], **changes}
    return attending.attend(federation.db, federation.settings.model_copy(update=given))


def aged(federation: Federation, **by: float) -> None:
    """As if the incidents had been confirmed that long ago."""
    with federation.session() as session:
        session.execute(
            update(Incident).values(
                confirmed_at=datetime.now(UTC) - timedelta(**by),
                reminded_at=None,
                began_at=datetime.now(UTC) - timedelta(**by),
            )
        )


def test_nobody_reacts_so_it_is_escalated_once_and_told_again_each_day(trio: Federation) -> None:
    trio.outage("bifi")
    aged(trio, minutes=29)
    assert "0 were escalated" in attend(trio)
    aged(trio, minutes=31)
    assert "1 were escalated" in attend(trio)
    assert "0 were escalated" in attend(trio)
    assert trio.events() == ["outage", "escalation"]
    with trio.session() as session:
        session.execute(update(Incident).values(escalated_at=datetime.now(UTC) - timedelta(hours=25)))
    assert "1 told again" in attend(trio)
    assert "0 told again" in attend(trio)
    assert trio.events()[-1].startswith("reminder 20")
    assert "0 told again" in attend(trio, remind_after_h=0)


def test_what_is_acknowledged_is_not_escalated(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    trio.outage("bifi")
    client.post("/api/v1/incidents/1/acknowledge", json={}, headers=laura)
    aged(trio, hours=3)
    assert "0 were escalated" in attend(trio)


def test_silence_ends_by_itself_and_what_still_fails_is_told(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    trio.outage("bifi")
    answer = client.post("/api/v1/incidents/1/silence", json={"hours": 2}, headers=laura)
    assert answer.status_code == 200
    assert answer.get_json()["silenced_until"] is not None
    aged(trio, hours=30)
    assert "0 were escalated, 0 told again" in attend(trio)
    with trio.session() as session:
        session.execute(update(Incident).values(silenced_until=datetime.now(UTC) - timedelta(seconds=1)))
    assert "1 told again" in attend(trio)
    trio.recover("bifi")
    assert trio.events()[-1] == "recovery"
    over = client.post("/api/v1/incidents/1/silence", json={"hours": 2}, headers=laura)
    assert over.status_code == 409
    assert client.post("/api/v1/incidents/1/silence", json={"hours": 1000}, headers=laura).status_code == 422


def test_a_silenced_incident_that_gets_worse_tells_nobody(trio: Federation) -> None:
    trio.outage("bifi", ENDING, "certificate")
    with trio.session() as session:
        session.execute(update(Incident).values(silenced_until=datetime.now(UTC) + timedelta(hours=1)))
    trio.outage("bifi")
    assert trio.incidents()[0].severity == "down"
    assert trio.events() == ["degraded"]


def test_assign_and_escalate_by_form_and_api(
    trio: Federation, client: FlaskClient, laura: dict[str, str], as_person: AsPerson
) -> None:
    trio.outage("bifi")
    done = client.post("/incidents/1/assign", data={"to": "Laura  Gil"}, headers=laura)
    assert done.status_code == 303
    assert client.post("/incidents/1/silence", data={"hours": "long"}, headers=laura).status_code == 422
    assert client.post("/incidents/1/silence", data={"hours": "8"}, headers=laura).status_code == 303
    assert client.post("/incidents/1/escalate", headers=laura).status_code == 303
    html = client.get("/incidents/1", headers=laura).text
    for words in ("Assigned to Laura Gil.", "silenced to", "escalated"):
        assert words in html
    again = client.post("/api/v1/incidents/1/escalate", headers=laura)
    assert again.status_code == 409
    stranger = client.get("/api/v1/incidents/1").get_json()
    assert stranger["assigned_to"] is None
    assert "Laura" not in json.dumps(stranger)
    goran = as_person("Goran Petrov", "site_administrator", "site:UKIM")
    refused = client.post("/api/v1/incidents/1/assign", json={"to": "x"}, headers=goran)
    assert refused.status_code == 403


def test_flapping_is_one_incident_that_ends_when_it_is_calm(trio: Federation) -> None:
    for _ in range(5):
        trio.outage("bifi")
        trio.recover("bifi")
    flapping = trio.incidents()[-1]
    assert flapping.flapping
    assert flapping.ended_at is None
    assert len(trio.incidents()) == 2
    assert trio.events().count("outage") == 2
    assert "1 ended since they are calm" in attend(trio)  # the tests' time is hours ago
    assert trio.incidents()[-1].ended_at is not None
    assert trio.events()[-1] == "recovery"


def test_a_downtime_does_not_keep_a_calm_incident_open(trio: Federation) -> None:
    for _ in range(3):
        trio.outage("bifi")
        trio.recover("bifi")
    with trio.session() as session:
        session.execute(update(Incident).where(Incident.flapping).values(muted_by="1"))
    assert "1 ended since they are calm" in attend(trio)


def test_what_flaps_and_fails_is_not_calm(trio: Federation) -> None:
    for _ in range(3):
        trio.outage("bifi")
        trio.recover("bifi")
    trio.outage("bifi")
    assert "0 ended" in attend(trio)


# --- ways to tell ---


def letter(event: str = "outage", url: str = "", **body: Any) -> Letter:
    said = {
        "event": event,
        "federation": "Demo",
        "site": "BIFI",
        "state": "ok" if event == "recovery" else "down",
        "reason": "tcp-refused",
        "cause": "refused <b>& @all",
        "since": "2026-05-04T10:00:00+00:00",
        "ended": "2026-05-04T11:00:00+00:00" if event == "recovery" else None,
        "url": "http://monitoring.example/incidents/7",
        "subject": 'BIFI: "refused"',
        "text": "line\nline",
        **body,
    }
    return Letter("7:x", 7, event, "x", url, said, 1)


def test_alertmanager_gets_one_alert_an_incident_that_recovery_resolves(hook: Hook) -> None:
    url = hook.url.partition("/alerts")[0]
    for event in ("outage", "recovery"):
        NOTIFIERS["alertmanager"](letter(event, url), Means())
    (first,), (last,) = hook.came  # type: ignore[misc]
    assert first["labels"] == last["labels"]
    assert first["labels"]["incident"] == "7"
    assert first["startsAt"] == last["startsAt"] == "2026-05-04T10:00:00+00:00"
    assert last["endsAt"] == "2026-05-04T11:00:00+00:00"
    assert first["endsAt"] > first["startsAt"]


def test_a_chat_room_gets_a_line_that_calls_nobody(hook: Hook) -> None:
    NOTIFIERS["chat"](letter(url=hook.url), Means())
    (came,) = hook.came
    assert "refused &lt;b&gt;&amp; @\u200ball" in came["text"]
    assert came["text"].endswith("http://monitoring.example/incidents/7")
    assert plain("a\nb") == "a b"


def test_a_help_desk_gets_its_own_document(hook: Hook) -> None:
    means = Means(ticket_template='{"id": $key, "do": $action, "what": {"short": $subject}}')
    for event in ("outage", "reminder 1", "recovery"):
        NOTIFIERS["ticket"](letter(event, hook.url), means)
    assert hook.came[0] == {"id": "hanse-7", "do": "create", "what": {"short": 'BIFI: "refused"'}}
    assert [came["do"] for came in hook.came] == ["create", "update", "close"]
    NOTIFIERS["ticket"](letter(url=hook.url), Means())
    assert hook.came[-1]["external_id"] == "hanse-7"
    broken = Means(ticket_template="{$nothing}")
    with pytest.raises(NotSent, match="nothing") as fault:
        NOTIFIERS["ticket"](letter(url=hook.url), broken)
    assert fault.value.for_good


def test_a_template_that_is_no_json_is_refused_at_the_start(settings: MonitoringSettings) -> None:
    assert filled(DEFAULT, dict.fromkeys(("key", "action", "subject", "text", "state", "site", "url"), ""))
    given = settings.model_dump() | {"ticket_template": '{"a": "$subject"}'}
    with pytest.raises(ValueError, match="without quotes"):
        MonitoringSettings.model_validate(given)


def test_an_operator_tries_the_addresses_out(
    settings: MonitoringSettings, federation: Federation, as_person: AsPerson, hook: Hook
) -> None:
    dead = "http://127.0.0.1:9/room"
    app = create_app(
        settings.model_copy(update={"webhook_urls": [hook.url], "chat_urls": [dead], "smtp_host": ""})
    )
    client = app.test_client()
    ingrid = as_person("Ingrid Holm", "federation_operator", "federation")
    found = client.post("/api/v1/notifications/test", headers=ingrid).get_json()["items"]
    assert [(one["notifier"], one["outcome"][:8]) for one in found] == [
        ("webhook", "accepted"),
        ("chat", "not sent"),
    ]
    assert "s3cret" not in json.dumps(found)
    assert hook.came[0]["event"] == "test"
    html = client.post("/notifications", headers=ingrid).text
    assert "accepted (200)" in html
    assert "not sent" in html
    assert (
        client.get(
            "/notifications", headers=as_person("Laura Gil", "site_administrator", "site:BIFI")
        ).status_code
        == 403
    )
    app.extensions["hanse"].db.close()


def test_the_digest_says_what_is_open_and_what_was_over(
    trio: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Letter] = []
    monkeypatch.setitem(NOTIFIERS, "smtp", lambda one, means: sent.append(one) or "handed over")
    trio.outage("bifi")
    trio.outage("cesnet")
    trio.recover("cesnet")
    with trio.session() as session:
        session.execute(
            update(Incident).where(Incident.ended_at.is_not(None)).values(ended_at=datetime.now(UTC))
        )
    assert attending.digest(trio.db, trio.settings) == "No digest is asked for."
    asked = trio.settings.model_copy(update={"digest": True, "alert_mail": ["ops@hanse.example"]})
    assert "1 addresses" in attending.digest(trio.db, asked)
    (one,) = sent
    text = str(one.body["text"])
    assert "open  1: BIFI, TCP connection refused" in text
    assert "over  2: CESNET" in text


def test_who_is_probed_more_often_may_change_more_often(federation: Federation) -> None:
    quick = federation.settings.model_copy(update={"time_scale": 0.001})
    assert quick.flaps.window == timedelta(seconds=3.6)
    assert quick.flaps.calm == federation.settings.flaps.calm / 1000
    assert quick.flaps.changes == federation.settings.flap_changes
