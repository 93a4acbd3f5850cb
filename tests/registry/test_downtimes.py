"""Downtimes over the API: the rules of GOCDB, and the clock that begins and ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from registry import downtimes

from .conftest import OCCI, Registry

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("begins_in", "kind", "state"),
    [
        (25 * HOUR, "SCHEDULED", "planned"),
        (23 * HOUR, "UNSCHEDULED", "planned"),
        (-HOUR, "UNSCHEDULED", "ongoing"),
    ],
)
def test_a_day_of_notice_makes_it_scheduled(
    registry: Registry, begins_in: timedelta, kind: str, state: str
) -> None:
    made = registry.declare("BIFI", begins_in, 2 * HOUR, "Laura Gil")
    assert (made["classification"], made["state"]) == (kind, state)
    assert made["created_by"] == "Laura Gil"
    assert made["services"] == [registry.get("/api/v1/services?site=BIFI")["items"][0]["id"]]
    assert made["endpoints"] == [registry.get("/api/v1/endpoints?site=BIFI")["items"][0]["id"]]


def refused(
    registry: Registry, status: int = 422, who: str | None = "Laura Gil", **changes: object
) -> dict[str, object]:
    start = datetime.now(UTC) + DAY
    body = {
        "site": "BIFI",
        "severity": "OUTAGE",
        "description": "x",
        "start": start.isoformat(),
        "end": (start + HOUR).isoformat(),
        **changes,
    }
    told: dict[str, object] = registry.send("POST", "/api/v1/downtimes", body, who, status)
    assert registry.get("/api/v1/downtimes")["items"] == []
    return told


def fields(told: dict[str, object]) -> list[str]:
    errors = told["errors"]
    assert isinstance(errors, list)
    return [one["field"] for one in errors]


def test_what_the_rules_refuse(registry: Registry) -> None:
    now = datetime.now(UTC)
    ukim = registry.get("/api/v1/services?site=UKIM")["items"][0]["id"]
    elsewhere = registry.get("/api/v1/endpoints?site=UKIM")["items"][0]["id"]
    assert fields(refused(registry, end=(now + 23 * HOUR).isoformat())) == ["end"]
    assert fields(refused(registry, start=(now - 49 * HOUR).isoformat())) == ["start"]
    assert fields(refused(registry, services=[ukim])) == ["services"]
    assert fields(refused(registry, endpoints=[elsewhere])) == ["endpoints"]
    assert fields(refused(registry, services=[])) == ["services"]
    assert fields(refused(registry, severity="MILD")) == ["severity"]
    assert fields(refused(registry, start="2026-12-03 08:00")) == ["start"]
    assert fields(refused(registry, start=1796284800)) == ["start"]
    assert fields(refused(registry, description="")) == ["description"]
    both = refused(registry, end=(now + 23 * HOUR).isoformat(), services=[ukim])
    assert fields(both) == ["end", "services"]


def test_a_site_without_services_has_nothing_to_take_down(registry: Registry) -> None:
    for service in registry.get("/api/v1/services?site=BIFI")["items"]:
        registry.ask("DELETE", f"/api/v1/services/{service['id']}")
    assert "register one first" in str(refused(registry)["errors"])


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("Anna Lindqvist", 403), ("Goran Petrov", 403)])
def test_only_those_of_the_site_declare(registry: Registry, who: str | None, status: int) -> None:
    refused(registry, status, who)


def test_trying_keeps_nothing_and_says_the_same(registry: Registry) -> None:
    start = datetime.now(UTC) + 2 * DAY
    body = {
        "site": "BIFI",
        "severity": "WARNING",
        "description": "x",
        "start": start.isoformat(),
        "end": (start + HOUR).isoformat(),
    }
    tried = registry.send("POST", "/api/v1/downtimes?dry_run=true", body, "Laura Gil", 200)
    assert (tried["id"], tried["classification"]) == (None, "SCHEDULED")
    assert registry.get("/api/v1/downtimes")["items"] == []
    body["end"] = start.isoformat()
    registry.send("POST", "/api/v1/downtimes?dry_run=true", body, "Laura Gil", 422)
    registry.send("POST", "/api/v1/downtimes?dry_run=true", body, "Goran Petrov", 403)


def test_the_impact_is_told_over_the_api(registry: Registry) -> None:
    start = datetime.now(UTC) + 2 * DAY
    other = registry.declare("UKIM", 2 * DAY, HOUR)
    body = {
        "site": "BIFI",
        "severity": "OUTAGE",
        "description": "x",
        "start": start.isoformat(),
        "end": (start + HOUR).isoformat(),
    }
    told = registry.send("POST", "/api/v1/downtimes/impact", body, "Laura Gil", 200)
    (vo,) = told["vos"]
    assert (vo["vo"], vo["lost_vcpu"], vo["declared_vcpu"]) == ("training.egi.eu", 16, 48)
    assert (vo["stays"], vo["away"], vo["members"]) == (["CESNET"], ["UKIM"], None)
    assert [(one["id"], one["same_sites"], one["vos"]) for one in told["meets"]] == [
        (other["id"], [], ["training.egi.eu"])
    ]
    assert len(registry.get("/api/v1/downtimes")["items"]) == 1
    registry.send("POST", "/api/v1/downtimes/impact", {**body, "end": start.isoformat()}, "Laura Gil", 422)
    registry.send("POST", "/api/v1/downtimes/impact", body, "Goran Petrov", 403)


def change(
    registry: Registry, made: dict[str, object], status: int = 200, **changes: object
) -> dict[str, object]:
    told: dict[str, object] = registry.send(
        "PATCH", f"/api/v1/downtimes/{made['id']}", changes, "Laura Gil", status
    )
    return told


def test_it_can_be_moved_and_shortened_not_lengthened(registry: Registry) -> None:
    made = registry.declare("BIFI", 3 * DAY, 4 * HOUR)
    start = datetime.now(UTC) + 4 * DAY
    moved = change(registry, made, start=start.isoformat(), end=(start + 3 * HOUR).isoformat())
    assert moved["classification"] == "SCHEDULED"
    longer = change(registry, made, 422, end=(start + 4 * HOUR).isoformat())
    assert "cannot be made longer" in str(longer)
    past = change(registry, made, 422, start=(datetime.now(UTC) - MINUTE).isoformat())
    assert "must lie in the future" in str(past)


def test_a_scheduled_one_is_fixed_a_day_before(registry: Registry) -> None:
    made = registry.declare("BIFI", 3 * DAY, 4 * HOUR)
    with time_machine.travel(datetime.now(UTC) + 2 * DAY + HOUR):
        assert "fixed from 24 h" in str(change(registry, made, 422, severity="WARNING"))
        assert registry.ask("DELETE", f"/api/v1/downtimes/{made['id']}").status_code == 422
    with time_machine.travel(datetime.now(UTC) + DAY):
        assert registry.ask("DELETE", f"/api/v1/downtimes/{made['id']}").status_code == 204


def test_an_ended_one_is_past_changing(registry: Registry) -> None:
    made = registry.declare("BIFI", HOUR, HOUR)
    with time_machine.travel(datetime.now(UTC) + 3 * HOUR):
        assert "has ended" in str(change(registry, made, 422, severity="WARNING"))
        assert "has begun" in registry.ask("DELETE", f"/api/v1/downtimes/{made['id']}").text


def test_ending_now_means_in_a_minute(registry: Registry) -> None:
    made = registry.declare("BIFI", -HOUR, 3 * HOUR)
    ended = registry.send("POST", f"/api/v1/downtimes/{made['id']}/end", {}, "Laura Gil", 200)
    left = datetime.fromisoformat(ended["end"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= MINUTE
    planned = registry.declare("BIFI", HOUR, HOUR)
    registry.send("POST", f"/api/v1/downtimes/{planned['id']}/end", {}, "Laura Gil", 422)


def test_the_clock_writes_one_revision_at_each_beginning_and_end(registry: Registry) -> None:
    made = registry.declare("BIFI", HOUR, HOUR)
    path = f"/api/v1/downtimes/{made['id']}"
    assert downtimes.move_with_clock(registry.db) == "No downtime began or ended."
    with time_machine.travel(datetime.now(UTC) + 90 * MINUTE):
        assert "began" in downtimes.move_with_clock(registry.db)
        assert downtimes.move_with_clock(registry.db) == "No downtime began or ended."
        assert registry.get(path)["state"] == "ongoing"
    with time_machine.travel(datetime.now(UTC) + 3 * HOUR):
        assert "ended" in downtimes.move_with_clock(registry.db)
    events = registry.get(f"/api/v1/history?kind=downtime&id={made['id']}")["items"]
    assert [(one["actor"], one["changes"].get("state")) for one in events] == [
        ("clock", ["ongoing", "ended"]),
        ("clock", ["planned", "ongoing"]),
        (events[2]["actor"], None),
    ]
    revision = registry.get(path)["revision"]
    assert registry.get(f"{path}?as_of={revision - 1}")["state"] == "ongoing"


def test_a_removed_service_leaves_its_downtimes(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    made = registry.declare("BIFI", HOUR, HOUR)
    assert len(made["services"]) == 2
    registry.ask("DELETE", f"/api/v1/services/{second['id']}")
    assert second["id"] not in registry.get(f"/api/v1/downtimes/{made['id']}")["services"]


def test_the_list_knows_site_state_and_time(registry: Registry) -> None:
    now = registry.declare("BIFI", -HOUR, 2 * HOUR)["id"]
    later = registry.declare("UKIM", 5 * DAY, HOUR)["id"]

    def ids(**query: str) -> list[str]:
        found = registry.ask("GET", "/api/v1/downtimes", None, query_string=query).get_json()
        return [one["id"] for one in found["items"]]

    assert ids() == [later, now]
    assert ids(site="BIFI") == [now]
    assert ids(state="planned") == [later]
    soon = (datetime.now(UTC) + DAY).isoformat()
    assert ids(until=soon) == [now]
    assert ids(since=soon) == [later]


def test_the_slower_of_two_is_told(registry: Registry) -> None:
    made = registry.declare("BIFI", 3 * DAY, HOUR)
    path = f"/api/v1/downtimes/{made['id']}"
    tag = registry.ask("GET", path).headers["ETag"]
    change(registry, made, severity="WARNING")
    late = registry.ask("PATCH", path, json={"description": "y"}, headers={"If-Match": tag})
    assert late.status_code == 409
    assert "Laura Gil was quicker" in late.get_json()["detail"]


def test_single_services_can_be_taken(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example", service_type=OCCI)
    made = registry.declare("BIFI", HOUR, HOUR, services=[second["id"]])
    assert made["services"] == [second["id"]]
    assert made["endpoints"] == [second["endpoints"][0]["id"]]
