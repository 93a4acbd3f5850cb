"""What a downtime affects: several sites, whole or in parts, and an end of its own for each service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import time_machine

from .conftest import OCCI, Registry

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def services(registry: Registry, site: str) -> list[str]:
    return [one["id"] for one in registry.get(f"/api/v1/services?site={site}")["items"]]


def endpoints(registry: Registry, site: str) -> list[str]:
    return [one["id"] for one in registry.get(f"/api/v1/endpoints?site={site}")["items"]]


def declare(registry: Registry, begins_in: timedelta = -HOUR, status: int = 201, **changes: Any) -> Any:
    """By the operator; four hours long."""
    start = datetime.now(UTC) + begins_in
    times = {"start": start.isoformat(), "end": (start + 4 * HOUR).isoformat()}
    body = {"severity": "OUTAGE", "description": "New switches", **times, **changes}
    return registry.send("POST", "/api/v1/downtimes", body, changes.pop("who", "Ingrid Holm"), status)


def one(registry: Registry, made: dict[str, Any]) -> Any:
    return registry.get(f"/api/v1/downtimes/{made['id']}")


def test_one_downtime_takes_several_sites(registry: Registry) -> None:
    made = declare(registry, sites=["UKIM", "BIFI"])
    assert (made["site"], made["sites"], made["whole_sites"]) == ("UKIM", ["UKIM", "BIFI"], ["UKIM", "BIFI"])
    assert set(made["services"]) == {*services(registry, "UKIM"), *services(registry, "BIFI")}
    assert set(made["endpoints"]) == {*endpoints(registry, "UKIM"), *endpoints(registry, "BIFI")}
    for site in ("UKIM", "BIFI"):
        assert [one["id"] for one in registry.get(f"/api/v1/downtimes?site={site}")["items"]] == [made["id"]]
    assert registry.get("/api/v1/downtimes?site=CESNET")["items"] == []


def test_a_site_is_whole_unless_its_services_are_named(registry: Registry) -> None:
    second = registry.register_service("UKIM", hostname="second.ukim.example")
    made = declare(registry, sites=["UKIM", "BIFI"], services=[second["id"]])
    assert made["whole_sites"] == ["BIFI"]
    assert set(made["services"]) == {second["id"], *services(registry, "BIFI")}


def test_services_alone_say_which_sites(registry: Registry) -> None:
    named = [services(registry, "BIFI")[0], services(registry, "CESNET")[0]]
    made = declare(registry, services=named)
    assert set(made["sites"]) == {"BIFI", "CESNET"}
    assert made["whole_sites"] == []


def test_endpoints_alone_take_their_services_in_part(registry: Registry) -> None:
    first = services(registry, "BIFI")[0]
    extra = registry.send(
        "POST", f"/api/v1/services/{first}/endpoints", {"name": "two", "url": "https://two.bifi.example/"}
    )
    registry.register_service("BIFI", hostname="second.bifi.example")
    made = declare(registry, site="BIFI", endpoints=[extra["id"]])
    assert (made["services"], made["endpoints"], made["whole_sites"]) == ([first], [extra["id"]], [])


def test_the_right_is_needed_at_each_site(registry: Registry) -> None:
    start = datetime.now(UTC) + HOUR
    body = {
        "sites": ["BIFI", "UKIM"],
        "severity": "OUTAGE",
        "description": "x",
        "start": start.isoformat(),
        "end": (start + HOUR).isoformat(),
    }
    told = registry.send("POST", "/api/v1/downtimes", body, "Laura Gil", 403)
    assert "you have none at UKIM" in told["detail"]
    registry.send("POST", "/api/v1/downtimes?dry_run=true", body, "Laura Gil", 403)
    registry.send("POST", "/api/v1/downtimes", body, None, 401)
    made = registry.send("POST", "/api/v1/downtimes", body)
    path = f"/api/v1/downtimes/{made['id']}"
    registry.send("PATCH", path, {"severity": "WARNING"}, "Laura Gil", 403)
    assert registry.ask("DELETE", path, "Laura Gil").status_code == 403
    assert registry.ask("DELETE", path).status_code == 204


def test_a_downtime_needs_a_site(registry: Registry) -> None:
    told = declare(registry, status=422)
    assert told["errors"] == [{"field": "site", "reason": "is missing"}]
    declare(registry, sites=["BIFI", "NOWHERE"], status=404)


def test_what_comes_later_is_taken_where_the_whole_was_meant(registry: Registry) -> None:
    whole = declare(registry, sites=["BIFI", "UKIM"])
    part = declare(registry, site="BIFI", services=services(registry, "BIFI"))
    over = declare(registry, -6 * HOUR, site="BIFI")
    first = services(registry, "BIFI")[0]
    new = registry.register_service("BIFI", hostname="new.bifi.example")
    more = registry.send(
        "POST", f"/api/v1/services/{first}/endpoints", {"name": "two", "url": "https://two.bifi.example/"}
    )
    assert new["id"] in one(registry, whole)["services"]
    assert {new["endpoints"][0]["id"], more["id"]} <= set(one(registry, whole)["endpoints"])
    assert new["id"] not in one(registry, part)["services"]
    assert more["id"] in one(registry, part)["endpoints"]
    assert new["id"] not in one(registry, over)["services"]
    assert more["id"] not in one(registry, over)["endpoints"]


def test_a_site_that_goes_leaves_the_downtime_to_the_others(registry: Registry) -> None:
    made = declare(registry, sites=["BIFI", "UKIM"])
    alone = declare(registry, site="BIFI")
    assert registry.ask("DELETE", "/api/v1/sites/BIFI").status_code == 204
    left = one(registry, made)
    assert (left["site"], left["sites"], left["services"]) == ("UKIM", ["UKIM"], services(registry, "UKIM"))
    assert registry.ask("GET", f"/api/v1/downtimes/{alone['id']}").status_code == 404
    assert one(registry, made)["endpoints"] == endpoints(registry, "UKIM")


def test_a_renamed_site_is_renamed_in_its_downtimes(registry: Registry) -> None:
    made = declare(registry, sites=["BIFI", "UKIM"])
    registry.send("PATCH", "/api/v1/sites/UKIM", {"name": "UKIM-2"})
    assert one(registry, made)["sites"] == ["BIFI", "UKIM-2"]
    assert one(registry, made)["whole_sites"] == ["BIFI", "UKIM-2"]


def end(
    registry: Registry, made: dict[str, Any], status: int = 200, who: str = "Ingrid Holm", **body: Any
) -> Any:
    return registry.send("POST", f"/api/v1/downtimes/{made['id']}/end", body, who, status)


def test_a_service_ends_early_and_the_last_one_ends_the_whole(registry: Registry) -> None:
    made = declare(registry, sites=["BIFI", "UKIM"])
    bifi, ukim = services(registry, "BIFI")[0], services(registry, "UKIM")[0]
    first = end(registry, made, services=[bifi])
    assert first["end"] == made["end"]
    assert list(first["service_ends"]) == [bifi]
    left = datetime.fromisoformat(first["service_ends"][bifi]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= MINUTE
    with time_machine.travel(datetime.now(UTC) + 30 * MINUTE, tick=True):
        last = end(registry, made, sites=["UKIM"])
        assert last["service_ends"] == first["service_ends"]
        left = datetime.fromisoformat(last["end"]) - datetime.now(UTC)
        assert timedelta(seconds=50) < left <= MINUTE
        assert ukim not in last["service_ends"]
    with time_machine.travel(datetime.now(UTC) + HOUR, tick=True):
        assert "going on" in end(registry, made, 422, services=[ukim])["detail"]


def test_people_of_one_site_end_their_own_part(registry: Registry) -> None:
    made = declare(registry, sites=["BIFI", "UKIM"])
    end(registry, made, 403, "Laura Gil")
    end(registry, made, 403, "Laura Gil", sites=["UKIM"])
    end(registry, made, 403, "Laura Gil", services=services(registry, "UKIM"))
    assert list(end(registry, made, 200, "Laura Gil", sites=["BIFI"])["service_ends"]) == services(
        registry, "BIFI"
    )


def test_ending_what_is_not_affected_is_refused(registry: Registry) -> None:
    made = declare(registry, site="BIFI")
    told = end(registry, made, 422, services=services(registry, "UKIM"), sites=["CESNET"])
    assert [fault["field"] for fault in told["errors"]] == ["services", "sites"]
    planned = declare(registry, HOUR, site="BIFI")
    end(registry, planned, 422, services=services(registry, "BIFI"))


def test_ending_the_whole_keeps_what_ended_before(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    made = declare(registry, site="BIFI")
    early = end(registry, made, services=[second["id"]])["service_ends"]
    with time_machine.travel(datetime.now(UTC) + 30 * MINUTE, tick=True):
        whole = end(registry, made)
    assert whole["service_ends"] == early
    assert datetime.fromisoformat(whole["end"]) < datetime.fromisoformat(made["end"])


def test_services_can_be_declared_with_an_end_of_their_own(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example", service_type=OCCI)
    start = datetime.now(UTC) + HOUR

    def at(hours: float) -> str:
        return (start + hours * HOUR).isoformat()

    made = declare(registry, HOUR, site="BIFI", service_ends={second["id"]: at(2)})
    assert datetime.fromisoformat(made["service_ends"][second["id"]]) - start < 2 * HOUR + MINUTE
    ends = [
        {second["id"]: at(9)},
        {second["id"]: at(-1)},
        {services(registry, "UKIM")[0]: at(2)},
    ]
    for wrong in ends:
        told = declare(registry, HOUR, 422, site="BIFI", service_ends=wrong)
        assert [fault["field"] for fault in told["errors"]] == ["service_ends"]
    path = f"/api/v1/downtimes/{made['id']}"
    longer = registry.send("PATCH", path, {"service_ends": {second["id"]: at(3)}}, status=422)
    assert "cannot be made longer" in str(longer)
    registry.send("PATCH", path, {"service_ends": {}}, status=422)
    sooner = registry.send("PATCH", path, {"service_ends": {second["id"]: at(1)}})
    moved = registry.send("PATCH", path, {"start": at(24), "end": at(28)})
    assert [
        datetime.fromisoformat(body["service_ends"][second["id"]]) - datetime.fromisoformat(body["start"])
        for body in (sooner, moved)
    ] == pytest.approx([HOUR, HOUR], abs=timedelta(seconds=5))


def test_an_edit_changes_what_is_affected(registry: Registry) -> None:
    made = declare(registry, HOUR, sites=["BIFI", "UKIM"])
    path = f"/api/v1/downtimes/{made['id']}"
    bifi = services(registry, "BIFI")
    narrowed = registry.send("PATCH", path, {"services": bifi})
    assert (narrowed["sites"], narrowed["whole_sites"], narrowed["services"]) == (["BIFI"], [], bifi)
    widened = registry.send("PATCH", path, {"sites": ["CESNET", "BIFI"]})
    assert (widened["sites"], widened["whole_sites"]) == (["CESNET", "BIFI"], ["CESNET", "BIFI"])
    assert registry.send("PATCH", path, {"sites": ["UKIM"]}, "Laura Gil", 403)
    assert registry.send("PATCH", path, {"services": services(registry, "UKIM")}, status=422)


def test_the_clock_names_every_site(registry: Registry) -> None:
    made = declare(registry, HOUR, sites=["BIFI", "UKIM"])
    from registry import downtimes

    with time_machine.travel(datetime.now(UTC) + 2 * HOUR):
        assert downtimes.move_with_clock(registry.db) == f"downtime {made['id']} at BIFI, UKIM began."


def test_the_gocdb_interface_tells_each_service_with_its_site_and_its_own_end(registry: Registry) -> None:
    made = declare(registry, sites=["BIFI", "UKIM"])
    ended = end(registry, made, sites=["BIFI"])["service_ends"]
    answer = registry.ask("GET", "/gocdbpi/public/?method=get_downtime&ongoing_only=yes&scope=", None)
    rows = ElementTree.fromstring(answer.data).findall("DOWNTIME")
    assert [row.findtext("HOSTED_BY") for row in rows] == ["BIFI", "UKIM"]
    ends = [datetime.fromtimestamp(int(row.findtext("END_DATE") or 0), UTC) for row in rows]
    (early,) = ended.values()
    assert ends[0] == datetime.fromisoformat(early).replace(microsecond=0)
    assert ends[1] == datetime.fromisoformat(made["end"]).replace(microsecond=0)
    of_site = registry.ask("GET", "/gocdbpi/public/?method=get_downtime&topentity=UKIM&scope=", None)
    assert [row.findtext("HOSTED_BY") for row in ElementTree.fromstring(of_site.data)] == ["UKIM"]
