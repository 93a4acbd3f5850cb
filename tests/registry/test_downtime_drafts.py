"""Drafts of downtimes: kept for their owner, and proposed from outages that monitoring tells of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from registry import downtime_drafts, neighbours, people, personal_data
from registry.models import DowntimeDraft
from registry.neighbours import Heard

from .conftest import Registry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PATH = "/api/v1/downtime-drafts"


def keep(registry: Registry, who: str = "Laura Gil", status: int = 201, **typed: Any) -> Any:
    return registry.send("POST", PATH, {"sites": ["BIFI"], "description": "half", **typed}, who, status)


def keys(registry: Registry, who: str) -> list[str]:
    return [one["key"] for one in registry.get(PATH, who)["items"]]


def test_a_draft_keeps_what_was_typed_even_when_it_is_wrong(registry: Registry) -> None:
    kept = keep(registry, start="tomorrow", end="", severity="MILD")
    read = registry.get(f"{PATH}/{kept['key']}", "Laura Gil")
    assert read["draft"]["start"] == "tomorrow"
    assert read["kind"] == "own"
    left = datetime.fromisoformat(read["kept_until"]) - datetime.fromisoformat(read["changed_at"])
    assert left == 7 * DAY
    changed = registry.send("PUT", f"{PATH}/{kept['key']}", {"description": "whole"}, "Laura Gil")
    assert (changed["key"], changed["draft"]["description"]) == (kept["key"], "whole")


def test_a_draft_is_its_owners_alone(registry: Registry) -> None:
    kept = keep(registry)
    assert keys(registry, "Laura Gil") == [kept["key"]]
    for who in ("Goran Petrov", "Ingrid Holm"):
        assert keys(registry, who) == []
        assert registry.ask("GET", f"{PATH}/{kept['key']}", who).status_code == 404
        assert registry.ask("DELETE", f"{PATH}/{kept['key']}", who).status_code == 404
    assert registry.ask("GET", PATH, "Anna Lindqvist").status_code == 403
    assert registry.ask("GET", PATH, None).status_code == 401
    assert registry.ask("DELETE", f"{PATH}/{kept['key']}", "Laura Gil").status_code == 204
    assert keys(registry, "Laura Gil") == []


def test_no_draft_stands_in_the_log(registry: Registry) -> None:
    before = registry.get("/api/v1/changes?since=0")["head"]
    keep(registry)
    assert registry.get("/api/v1/changes?since=0")["head"] == before


def test_drafts_go_after_a_week_and_the_oldest_of_too_many(registry: Registry) -> None:
    first = keep(registry)["key"]
    with time_machine.travel(datetime.now(UTC) + 8 * DAY):
        assert registry.ask("GET", f"{PATH}/{first}", "Laura Gil").status_code in (401, 404)
        assert downtime_drafts.tidy(registry.db, registry.settings).startswith("1 drafts were forgotten")
    principal = registry.principal("Laura Gil")
    made = [
        downtime_drafts.save(registry.db, principal, {"description": str(number)})
        for number in range(downtime_drafts.MOST + 2)
    ]
    assert set(keys(registry, "Laura Gil")) == set(made[2:])


def test_drafts_are_given_out_and_go_with_their_owner(registry: Registry) -> None:
    kept = keep(registry, description="my plan")
    person = int(registry.principal("Laura Gil").person or 0)
    with registry.db.transaction() as session:
        told = personal_data.everything_of(session, people.find(session, person))
    assert [one["body"]["description"] for one in told["downtime_drafts"]] == ["my plan"]
    personal_data.erase(registry.db, registry.principal("Ingrid Holm"), person, "left")
    with registry.db.transaction() as session:
        assert session.get(DowntimeDraft, kept["key"]) is None


def test_a_draft_has_a_size(registry: Registry) -> None:
    keep(registry, status=422, services=["x" * 200] * 1000)
    keep(registry, status=422, description="x" * 9000)
    keep(registry, status=422, colour="red")


@pytest.fixture
def outage(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Monitoring tells of one incident at BIFI; what it says can be changed."""
    endpoint = registry.get("/api/v1/endpoints?site=BIFI")["items"][0]["id"]
    incident: dict[str, Any] = {
        "number": 17,
        "site": "BIFI",
        "severity": "down",
        "title": "No answer",
        "cause": "The port is closed",
        "began_at": (datetime.now(UTC) - 5 * HOUR).isoformat(),
        "muted_by": None,
        "endpoints": [{"id": endpoint}],
    }
    told = {"items": [incident], "silent": False}

    def ask_alone(settings: Any, service: str, path: str) -> Heard:
        if told["silent"]:
            return Heard("monitoring", fault="Monitoring does not answer")
        body = incident if path == "/api/v1/incidents/17" else {"items": told["items"]}
        return Heard("monitoring", body, datetime.now(UTC))

    monkeypatch.setattr(neighbours, "ask_alone", ask_alone)
    registry.settings = registry.settings.model_copy(update={"monitoring_url": "http://127.0.0.1:7030"})
    return told | {"incident": incident, "told": told}


def propose(registry: Registry) -> str:
    return downtime_drafts.propose(registry.db, registry.settings)


def test_an_outage_that_lasts_proposes_a_downtime_to_its_site(
    registry: Registry, outage: dict[str, Any]
) -> None:
    assert propose(registry) == "1 downtimes were proposed, 0 proposals withdrawn."
    assert propose(registry) == "0 downtimes were proposed, 0 proposals withdrawn."
    (shown,) = registry.get(PATH, "Laura Gil")["items"]
    assert shown["kind"] == "proposal"
    assert shown["reason"].startswith("Incident 17: No answer since")
    endpoint = outage["incident"]["endpoints"][0]["id"]
    assert shown["draft"]["endpoints"] == [endpoint]
    assert (shown["draft"]["severity"], shown["draft"]["description"]) == ("OUTAGE", "The port is closed")
    assert keys(registry, "Ingrid Holm") == [shown["key"]]
    assert keys(registry, "Goran Petrov") == []
    own = registry.send("PUT", f"{PATH}/{shown['key']}", {"description": "mine"}, "Laura Gil")
    assert own["key"] != shown["key"]
    assert keys(registry, "Ingrid Holm") == [shown["key"]]


def test_a_proposal_goes_with_its_incident_and_not_with_silence(
    registry: Registry, outage: dict[str, Any]
) -> None:
    propose(registry)
    outage["told"]["silent"] = True
    assert propose(registry) == "Monitoring does not answer: no downtime is proposed."
    assert len(keys(registry, "Laura Gil")) == 1
    outage["told"]["silent"] = False
    outage["incident"]["muted_by"] = "5"
    assert propose(registry) == "0 downtimes were proposed, 1 proposals withdrawn."
    assert keys(registry, "Laura Gil") == []


def test_a_proposal_thrown_away_is_not_made_again(registry: Registry, outage: dict[str, Any]) -> None:
    propose(registry)
    (key,) = keys(registry, "Laura Gil")
    assert registry.ask("DELETE", f"{PATH}/{key}", "Laura Gil").status_code == 204
    assert propose(registry) == "0 downtimes were proposed, 0 proposals withdrawn."
    assert keys(registry, "Laura Gil") == []


def test_a_short_outage_proposes_nothing(registry: Registry, outage: dict[str, Any]) -> None:
    outage["incident"]["began_at"] = (datetime.now(UTC) - HOUR).isoformat()
    assert propose(registry) == "0 downtimes were proposed, 0 proposals withdrawn."
    off = registry.settings.model_copy(update={"propose_downtime_after_s": 0})
    assert downtime_drafts.propose(registry.db, off) == "no downtime is proposed."
