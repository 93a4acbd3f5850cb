"""The audit trail and the difference between two moments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from .conftest import OCCI, Registry


def newest(registry: Registry, query: str) -> dict[str, Any]:
    found: dict[str, Any] = registry.get(f"/api/v1/history?limit=1&{query}")["items"][0]
    return found


def test_a_change_is_told_by_field(registry: Registry) -> None:
    registry.send(
        "PATCH",
        "/api/v1/sites/BIFI",
        {"capacity": {"vcpu": 60, "ram_gb": 50}, "scopes": ["EGI", "Local"], "reason": "New racks"},
        "Laura Gil",
    )
    found = newest(registry, "site=BIFI")
    assert (found["actor_name"], found["reason"], found["act"]) == ("Laura Gil", "New racks", "changed")
    assert found["changes"]["capacity.vcpu"] == [50, 60]
    assert found["changes"]["scopes[Local]"] == [None, "Local"]


def test_a_removal_stands_in_the_trail_of_its_site(registry: Registry) -> None:
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    registry.ask("DELETE", f"/api/v1/services/{service['id']}")
    found = registry.get("/api/v1/history?site=BIFI&kind=service")["items"]
    assert [(one["act"], one["name"]) for one in found] == [
        ("removed", f"{OCCI} on occi.bifi.example"),
        ("added", f"{OCCI} on occi.bifi.example"),
    ]


def test_the_trail_of_a_person_holds_all_their_credentials(registry: Registry) -> None:
    laura = registry.principal("Laura Gil")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza"}, "Laura Gil")
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    found = registry.get(f"/api/v1/history?person={laura.person}")["items"]
    assert {one["actor_name"] for one in found} == {"Laura Gil"}
    kinds = {one["kind"] for one in found}
    assert {"site", "identity"} <= kinds  # by token, and by certificate when she registered
    assert {one["site"] for one in found if one["kind"] == "site"} == {"BIFI"}


def test_an_ngi_has_the_trail_of_its_sites(registry: Registry) -> None:
    registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    found = registry.get("/api/v1/history?ngi=NGI_IBERGRID&limit=500")["items"]
    assert {"site", "service", "downtime", "ngi"} <= {one["kind"] for one in found}
    assert {one["site"] for one in found} <= {"BIFI", ""}


def test_pages_of_the_trail_meet_without_a_gap(registry: Registry) -> None:
    everything = [one["number"] for one in registry.get("/api/v1/history?limit=500")["items"]]
    seen, before = [], ""
    while True:
        page = registry.get(f"/api/v1/history?limit=7{before}")
        seen += [one["number"] for one in page["items"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == everything


def test_a_span_of_time_cuts_the_trail(registry: Registry) -> None:
    mark = newest(registry, "")["at"]
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    later = registry.get(f"/api/v1/history?since={mark}&limit=500")["items"]
    assert later[0]["changes"] == {"location": [None, "Skopje"]}
    assert all(one["at"] >= mark for one in later)
    assert all(one["at"] <= mark for one in registry.get(f"/api/v1/history?until={mark}&limit=500")["items"])
    assert registry.get("/api/v1/history?since=2100-01-01T00:00:00Z")["items"] == []


def test_the_trail_as_a_table(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    answer = registry.ask("GET", "/api/v1/history.csv?site=UKIM&kind=site")
    head, first, *_ = answer.text.splitlines()
    assert answer.status_code == 200
    assert "actor_name" in head
    assert "Ingrid Holm" in first
    assert "Skopje" in first


@pytest.mark.parametrize("who", [None, "Anna Lindqvist"])
def test_the_trail_is_for_those_who_run_sites(registry: Registry, who: str | None) -> None:
    for path in (
        "/api/v1/history",
        "/api/v1/revisions/2",
        "/api/v1/diff?since=1",
        "/history",
        "/history/diff",
    ):
        assert registry.ask("GET", path, who).status_code in (401, 403)


def test_two_moments_compared(registry: Registry) -> None:
    before = newest(registry, "")["revision"]
    registry.send("PATCH", "/api/v1/sites/UKIM", {"location": "Skopje"})
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": None})
    added = registry.register_service("UKIM", hostname="new.ukim.example", url="https://new.ukim.example/")
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    registry.ask("DELETE", f"/api/v1/services/{service['id']}")
    found = registry.get(f"/api/v1/diff?since={before}")["items"]
    assert [(one["kind"], one["act"], one["name"]) for one in found] == [
        ("service", "removed", f"{OCCI} on occi.bifi.example"),
        ("service", "added", f"{OCCI} on new.ukim.example"),
        ("site", "changed", "UKIM"),
    ]
    assert found[2]["changes"] == {"location": [None, "Skopje"]}
    of_site = registry.get(f"/api/v1/diff?since={before}&site=UKIM")["items"]
    assert {one["id"] for one in of_site} == {added["id"], found[2]["id"]}
    of_ngi = registry.get(f"/api/v1/diff?since={before}&ngi=NGI_IBERGRID")["items"]
    assert [one["act"] for one in of_ngi] == ["removed"]
    assert registry.get(f"/api/v1/diff?since={before}&until={before}")["items"] == []
    table = registry.ask("GET", f"/api/v1/diff.csv?since={before}").text
    assert "UKIM" in table


def test_a_long_difference_comes_in_pages(registry: Registry) -> None:
    whole = registry.get("/api/v1/diff?since=0&limit=500")["items"]
    seen, cursor = [], ""
    while True:
        page = registry.get(f"/api/v1/diff?since=0&limit=10{cursor}")
        seen += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == whole
    assert registry.ask("GET", "/api/v1/diff?since=0&cursor=%27").status_code == 422
    assert registry.ask("GET", "/api/v1/diff?since=yesterday-ish").status_code == 422


def test_the_pages_of_the_log(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Zaragoza", "reason": "A town"}, "Laura Gil")
    number = newest(registry, "site=BIFI")["revision"]
    trail = registry.ask("GET", "/history?site=BIFI").text
    assert "A town" in trail
    assert f'href="/history/{number}"' in trail
    assert "left out" in registry.ask("GET", "/history?since=whenever").text
    revision = registry.ask("GET", f"/history/{number}").text
    assert "<del>–</del> → <b>Zaragoza</b>" in revision
    assert registry.ask("GET", "/history/999999").status_code == 404
    assert "location" in registry.ask("GET", f"/history/diff?since={number - 1}&site=BIFI").text
    assert "Nothing differs" in registry.ask("GET", f"/history/diff?since={number}").text
    assert registry.ask("GET", "/history/diff?since=soon").status_code == 422
