"""People, requests and certification as they were: what the log knows of somebody, and nothing that was erased."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from registry import federation
from registry.models import CertificationEvidence, Site
from registry.policy_evidence import Found, store
from registry.renderings.federation_yaml import parse, write

from .conftest import Registry


def newest(registry: Registry) -> int:
    return int(registry.get("/api/v1/history?limit=1")["items"][0]["revision"])


def person(registry: Registry, name: str, as_of: int | None = None) -> dict[str, Any]:
    moment = "" if as_of is None else f"&as_of={as_of}"
    found = registry.get(f"/api/v1/people?q={name}{moment}")["items"]
    assert len(found) == 1, found
    one: dict[str, Any] = found[0]
    return one


def test_a_person_of_then_has_the_name_the_identities_and_the_roles_of_then(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/me", {"name": "Laura Gil", "email": "laura@bifi.example"}, "Laura Gil")
    before, laura = newest(registry), person(registry, "Laura")
    registry.send("PATCH", "/api/v1/me", {"name": "Laura Gil Sanz", "email": "new@bifi.example"}, "Laura Gil")
    (role,) = laura["roles"]
    (token,) = [one for one in laura["identities"] if one["kind"] == "token"]
    registry.ask("DELETE", f"/api/v1/roles/{role['id']}")
    registry.ask("DELETE", f"/api/v1/me/tokens/{token['id']}", "Laura Gil")
    then = registry.get(f"/api/v1/people/{laura['id']}?as_of={before}")
    assert (then["name"], then["email"]) == ("Laura Gil", "laura@bifi.example")
    assert [one["scope"] for one in then["roles"]] == ["site:BIFI"]
    assert {one["kind"] for one in then["identities"]} == {"x509", "token"}
    (gone,) = [one for one in then["identities"] if one["kind"] == "token"]
    assert gone["id"] == "0", "the row is no more; the log knows its key"
    assert gone["key"] == token["key"]
    now = registry.get(f"/api/v1/people/{laura['id']}")
    assert (now["name"], now["roles"]) == ("Laura Gil Sanz", [])
    page = registry.ask("GET", f"/people/{laura['id']}?as_of={before}").text
    assert "laura@bifi.example" in page
    assert "new@bifi.example" not in page.partition("<main")[2]
    assert registry.ask("GET", f"/api/v1/people/{laura['id']}?as_of=1").status_code == 404
    assert registry.get("/api/v1/people?as_of=0")["items"] == []


def test_people_of_then_come_in_pages_and_each_read_is_written_down(registry: Registry) -> None:
    number = newest(registry)
    seen, cursor = [], ""
    while True:
        page = registry.get(f"/api/v1/people?limit=2&as_of={number}{cursor}")
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [one["id"] for one in registry.get("/api/v1/people")["items"]]
    laura = person(registry, "Laura")["id"]
    registry.get(f"/api/v1/people/{laura}?as_of={number}")
    (read, *_) = registry.get("/api/v1/me/reads", "Laura Gil")["items"]
    assert (read["by"], read["what"]) == ("Ingrid Holm", "one person")


def test_what_was_erased_is_erased_in_the_past_too(registry: Registry) -> None:
    anna = person(registry, "Anna")
    before = newest(registry)
    assert registry.ask("DELETE", f"/api/v1/people/{anna['id']}").status_code == 200
    for path in (f"people?as_of={before}", f"federation/export?as_of={before}", f"roles?as_of={before}"):
        assert "Lindqvist" not in registry.ask("GET", f"/api/v1/{path}").text, path
    assert registry.get(f"/api/v1/people?q=Anna&as_of={before}")["items"] == []


def test_requests_and_decisions_of_then(registry: Registry) -> None:
    asked = {"role": "site_security_officer", "scope": "site:BIFI", "reason": "duty"}
    made = registry.send("POST", "/api/v1/role-requests", asked, "Anna Lindqvist")
    waiting = newest(registry)
    registry.send("POST", f"/api/v1/role-requests/{made['id']}/grant", {"reason": "welcome"}, status=200)
    (request,) = registry.get(f"/api/v1/role-requests?as_of={waiting}")["items"]
    assert (request["id"], request["status"], request["person_name"]) == (
        made["id"],
        "PENDING",
        "Anna Lindqvist",
    )
    assert registry.get(f"/api/v1/role-requests?as_of={waiting}", "Goran Petrov")["items"] == []
    assert registry.get("/api/v1/role-requests")["items"] == []
    actions = [one["action"] for one in registry.get(f"/api/v1/role-actions?as_of={waiting}")["items"]]
    assert actions[0] == "requested"
    assert registry.get("/api/v1/role-actions")["items"][0]["action"] == "granted"
    page = registry.ask("GET", f"/roles?as_of={waiting}").text
    assert "1 request waited" in page
    assert "Anna Lindqvist" in page


def test_a_request_of_then_is_decided_by_those_of_its_site_whatever_it_is_called_now(
    registry: Registry,
) -> None:
    asked = {"role": "site_security_officer", "scope": "site:BIFI"}
    made = registry.send("POST", "/api/v1/role-requests", asked, "Anna Lindqvist")
    gone = registry.send("POST", "/api/v1/service-groups", {"name": "CLOUDS"})
    group = {"role": "service_group_administrator", "scope": "servicegroup:CLOUDS"}
    other = registry.send("POST", "/api/v1/role-requests", group, "Anna Lindqvist")
    then = newest(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-2"})
    assert registry.ask("DELETE", f"/api/v1/service-groups/{gone['name']}").status_code == 204
    laura = {"person": person(registry, "Laura")["id"], "scope": "site:BIFI-2"}
    registry.send("POST", "/api/v1/roles", {**laura, "role": "site_operations_manager"})
    path = f"/api/v1/role-requests?as_of={then}"
    assert [one["id"] for one in registry.get(path, "Laura Gil")["items"]] == [made["id"]]
    assert registry.get(path, "Goran Petrov")["items"] == []
    assert [one["id"] for one in registry.get(path)["items"]] == [made["id"], other["id"]]


def test_roles_and_people_of_then_are_read_a_page_at_a_time(registry: Registry) -> None:
    """Page by page they are those of now, when nothing changed since; so is what is looked for."""
    number = newest(registry)
    for path in (f"roles?as_of={number}&limit=1", f"people?as_of={number}&limit=1"):
        now = path.replace(f"as_of={number}&", "")
        assert pages_of(registry, path) == pages_of(registry, now), path
    for q in ("LAURA", "anna", "nobody of this name", "%"):
        found = [one["id"] for one in registry.get(f"/api/v1/people?q={q}&as_of={number}")["items"]]
        assert found == [one["id"] for one in registry.get(f"/api/v1/people?q={q}")["items"]], q


def pages_of(registry: Registry, path: str) -> list[str]:
    seen: list[str] = []
    cursor = ""
    for _ in range(20):
        page = registry.get(f"/api/v1/{path}{cursor}")
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            return seen
        assert len(page["items"]) == 1
        cursor = f"&cursor={page['next']}"
    raise AssertionError(f"{path} has no end")


def test_the_checklist_and_the_proposal_of_then(registry: Registry) -> None:
    now = datetime.now(UTC)
    with registry.db.transaction() as session:
        site = session.query(Site).filter_by(name="BIFI").one()
        for ago, state in ((3, "met"), (2, "not_met"), (1, "met")):
            at = now - timedelta(hours=ago)
            store(session, site, [Found("csirt", "A security contact", state, f"told {ago}", "registry", at)])
        assert session.query(CertificationEvidence).count() == 1
        session.execute(text("update revision set at = at - interval '1 day'"))
    for ago, state in ((2.5, "met"), (1.5, "not_met"), (0.5, "met"), (3.5, "unknown")):
        moment = (now - timedelta(hours=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
        then = registry.get(f"/api/v1/sites/BIFI/certification?as_of={moment}")["evidence"]
        assert {one["item"]: one["state"] for one in then}["csirt"] == state, ago
    path = "/api/v1/sites/BIFI/certification/proposals"
    made = registry.send("POST", path, {"status": "Suspended", "reason": "a drill"})
    open_then = newest(registry)
    registry.send(
        "POST", f"/api/v1/certification/proposals/{made['id']}/decline", {"reason": "no need"}, status=200
    )
    (then,) = registry.get(f"/api/v1/certification/proposals?state=waiting&as_of={open_then}")["items"]
    assert (then["state"], then["decided_name"]) == ("open", None)
    assert registry.get("/api/v1/certification/proposals?state=waiting")["items"] == []
    standing = registry.get(f"/api/v1/sites/BIFI/certification?as_of={open_then}")
    assert standing["proposal"]["id"] == made["id"]
    (now_one,) = registry.get("/api/v1/certification/proposals")["items"]
    assert now_one["state"] == "declined", "the look into the past changed nothing"


def test_a_proposal_of_then_names_its_site_as_it_was_called(registry: Registry) -> None:
    path = "/api/v1/sites/BIFI/certification/proposals"
    made = registry.send("POST", path, {"status": "Suspended", "reason": "a drill"})
    then = newest(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-2"})
    listed = "/api/v1/certification/proposals"
    assert [one["site"] for one in registry.get(f"{listed}?as_of={then}")["items"]] == ["BIFI"]
    assert [one["id"] for one in registry.get(f"{listed}?as_of={then}&site=BIFI")["items"]] == [made["id"]]
    assert registry.get(f"{listed}?as_of={then}&site=BIFI-2")["items"] == []
    proposal = registry.get(f"/api/v1/sites/BIFI/certification?as_of={then}")["proposal"]
    assert (proposal["id"], proposal["site"]) == (made["id"], "BIFI")
    page = registry.ask("GET", f"/certification/proposals?as_of={then}").text
    assert f"/sites/BIFI/certification?as_of={then}" in page
    assert [one["site"] for one in registry.get(listed)["items"]] == ["BIFI-2"]


def test_an_api_credential_of_then_names_its_owner_as_they_were_called(registry: Registry) -> None:
    path = "/api/v1/sites/BIFI/api-credentials"
    made = {"kind": "x509", "identifier": "/C=ES/O=BIFI/CN=cloud.bifi.example"}
    registry.send("POST", path, made, "Laura Gil")
    then = newest(registry)
    registry.send("PATCH", "/api/v1/me", {"name": "Laura Gil Sanz"}, "Laura Gil")
    assert [one["owner_name"] for one in registry.get(path)["items"]] == ["Laura Gil Sanz"]
    assert [one["owner_name"] for one in registry.get(f"{path}?as_of={then}")["items"]] == ["Laura Gil"]


def test_the_file_of_then_can_be_read_and_planned_with(registry: Registry) -> None:
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_CZ"]})
    (service,) = registry.get("/api/v1/services?site=BIFI")["items"]
    registry.send("POST", "/api/v1/service-groups", {"name": "CLOUDS", "services": [service["id"]]})
    operator = registry.principal("Ingrid Holm")
    before, number = write(federation.export(registry.db, operator)), newest(registry)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})
    registry.ask("DELETE", f"/api/v1/services/{service['id']}")
    then = registry.ask("GET", f"/api/v1/federation/export?as_of={number}").text
    assert then == before
    assert parse(then).service_groups[0].services[0].hostname == "occi.bifi.example"
    plan = registry.send("POST", "/api/v1/federation/plan", {"document": then}, status=200)
    assert {(step["action"], step["kind"]) for step in plan["steps"]} >= {
        ("add", "service"),
        ("change", "site"),
    }


def test_the_overview_of_then(registry: Registry) -> None:
    number = newest(registry)
    registry.send(
        "POST",
        "/api/v1/sites/BIFI/certification",
        {"status": "Suspended", "reason": "a drill"},
        status=200,
    )
    then, now = registry.get(f"/api/v1/overview?as_of={number}"), registry.get("/api/v1/overview")
    assert (then["revision"], then["sites"]["Certified"], then["sites"]["Suspended"]) == (number, 3, 0)
    assert (now["sites"]["Certified"], now["sites"]["Suspended"]) == (2, 1)
    assert all(one["revision"] <= number for one in then["changes"])
