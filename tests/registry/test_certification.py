"""Steps of certification with who and why; the infrastructure of a site and its other fields of GOCDB."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Registry

STEPS = "/api/v1/certification-changes"


def step(
    registry: Registry, site: str, status: str, reason: str, who: str = "Ingrid Holm", answer: int = 200
) -> Any:
    body = {"status": status, "reason": reason}
    return registry.send("POST", f"/api/v1/sites/{site}/certification", body, who, answer)


def manager(registry: Registry, ngi: str, role: str) -> str:
    person = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": person, "role": role, "scope": f"ngi:{ngi}"})
    return "Anna Lindqvist"


def test_every_step_stands_with_who_when_and_why(registry: Registry) -> None:
    step(registry, "BIFI", "Suspended", "O'Neill's hosts weren't patched")
    step(registry, "BIFI", "Certified", "patched")
    step(registry, "UKIM", "Candidate", "begins anew")
    found = registry.get(STEPS)["items"]
    assert [(one["site"], one["old"], one["new"], one["reason"]) for one in found] == [
        ("UKIM", "Certified", "Candidate", "begins anew"),
        ("BIFI", "Suspended", "Certified", "patched"),
        ("BIFI", "Certified", "Suspended", "O'Neill's hosts weren't patched"),
    ]
    assert {one["by"] for one in found} == {"Ingrid Holm"}
    assert {(one["by"], one["reason"]) for one in registry.get(STEPS, None)["items"]} == {(None, None)}
    assert found[1]["at"] == registry.get("/api/v1/sites/BIFI")["certification_since"]


def test_steps_come_in_pages_by_site_status_and_time(registry: Registry) -> None:
    for status in ("Suspended", "Certified", "Suspended"):
        step(registry, "BIFI", status, status.lower())
    step(registry, "UKIM", "Uncertified", "moved")
    first = registry.get(f"{STEPS}?site=BIFI&limit=2")
    rest = registry.get(f"{STEPS}?site=BIFI&limit=2&cursor={first['next']}")
    assert [one["new"] for one in first["items"] + rest["items"]] == ["Suspended", "Certified", "Suspended"]
    assert rest["next"] is None
    assert len(registry.get(f"{STEPS}?status=Suspended")["items"]) == 2
    moment = first["items"][0]["at"]
    assert [one["site"] for one in registry.get(f"{STEPS}?since={moment}")["items"]] == ["UKIM", "BIFI"]
    assert len(registry.get(f"{STEPS}?until={moment}")["items"]) == 2
    assert registry.ask("GET", f"{STEPS}.csv?site=UKIM").text.split("\r\n")[1].endswith("Ingrid Holm,moved")


def test_a_step_to_where_the_site_is_says_so(registry: Registry) -> None:
    told = step(registry, "BIFI", "Certified", "again", answer=422)
    assert "is Certified already" in told["detail"]
    assert registry.get(STEPS)["items"] == []


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("Suspended", "Certified", False),
        ("Suspended", "Uncertified", True),
        ("Closed", "Candidate", False),
        ("Candidate", "Certified", False),
        ("Candidate", "Uncertified", True),
        ("Candidate", "Closed", True),
        ("Certified", "Candidate", True),
        ("Uncertified", "Suspended", True),
    ],
)
def test_what_an_ngi_may_do_and_what_takes_an_operator(
    registry: Registry, old: str, new: str, allowed: bool
) -> None:
    who = manager(registry, "NGI_IBERGRID", "ngi_operations_manager")
    if old != "Certified":
        step(registry, "BIFI", old, "to begin with")
    step(registry, "BIFI", new, "next", who, 200 if allowed else 422)
    if not allowed:
        step(registry, "BIFI", new, "by an operator")


@pytest.mark.parametrize("role", ["site_administrator", "site_operations_manager"])
def test_site_roles_do_not_certify(registry: Registry, role: str) -> None:
    person = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": person, "role": role, "scope": "site:BIFI"})
    step(registry, "BIFI", "Suspended", "I say so", "Anna Lindqvist", 403)


def test_the_rod_does_not_certify_but_the_project_does(registry: Registry) -> None:
    who = manager(registry, "NGI_IBERGRID", "regional_staff_rod")
    step(registry, "BIFI", "Suspended", "I say so", who, 403)
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_IBERGRID"]})
    person = registry.principal(who).person
    registry.send(
        "POST", "/api/v1/roles", {"person": person, "role": "egi_csirt_officer", "scope": "project:EGI"}
    )
    step(registry, "BIFI", "Suspended", "an incident", who)
    step(registry, "CESNET", "Suspended", "not in the project", who, 403)


def test_the_reason_is_needed_and_ends_at_300_characters(registry: Registry) -> None:
    registry.send("POST", "/api/v1/sites/BIFI/certification", {"status": "Suspended"}, status=422)
    step(registry, "BIFI", "Suspended", "", answer=422)
    step(registry, "BIFI", "Suspended", "x" * 301, answer=422)
    step(registry, "BIFI", "Suspended", "x" * 300)


def test_the_second_of_two_deciders_is_told(registry: Registry) -> None:
    tag = {"If-Match": registry.ask("GET", "/api/v1/sites/BIFI").headers["ETag"]}
    step(registry, "BIFI", "Suspended", "first")
    told = registry.ask(
        "POST",
        "/api/v1/sites/BIFI/certification",
        json={"status": "Closed", "reason": "second"},
        headers=tag,
    )
    assert (told.status_code, "was quicker" in told.get_json()["detail"]) == (409, True)


# --- infrastructure and the other fields --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "infrastructure", "production"),
    [
        ({"infrastructure": "PPS"}, "PPS", False),
        ({"production": False}, "Test", False),
        ({"infrastructure": "SC", "production": False}, "SC", False),
        ({"infrastructure": "Production"}, "Production", True),
        ({"location": "Zaragoza"}, "Production", True),
    ],
)
def test_production_says_that_the_infrastructure_is_production(
    registry: Registry, sent: dict[str, Any], infrastructure: str, production: bool
) -> None:
    site = registry.send("PATCH", "/api/v1/sites/BIFI", sent)
    assert (site["infrastructure"], site["production"]) == (infrastructure, production)
    found = registry.get(f"/api/v1/sites?infrastructure={infrastructure}")["items"]
    assert "BIFI" in {one["name"] for one in found}


def test_a_test_site_stays_what_it_is_until_it_goes_into_production(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"infrastructure": "PPS"})
    assert registry.send("PATCH", "/api/v1/sites/BIFI", {"production": False})["infrastructure"] == "PPS"
    assert (
        registry.send("PATCH", "/api/v1/sites/BIFI", {"production": True})["infrastructure"] == "Production"
    )


def test_what_contradicts_itself_is_refused(registry: Registry) -> None:
    body = {"infrastructure": "Test", "production": True}
    told = registry.send("PATCH", "/api/v1/sites/BIFI", body, status=422)
    assert "production is true" in str(told)


def test_fields_of_gocdb_are_kept(registry: Registry) -> None:
    fields = {
        "ip_range": "192.0.2.0/24, 198.51.100.0/255.255.255.0",
        "ipv6_range": "2001:db8::/32",
        "tier": "2",
        "sub_grid": "NorthGrid",
        "contacts": [
            {"kind": "security", "name": "CSIRT", "email": "csirt@x.example", "telephone": "+34 976 1"},
            {"kind": "emergency", "name": "On call", "email": None, "telephone": "+34 976 762 000"},
        ],
    }
    site = registry.send("PATCH", "/api/v1/sites/BIFI", fields, "Laura Gil")
    assert {key: site[key] for key in fields} == fields
    seen = registry.get("/api/v1/sites/BIFI", None)["contacts"]
    assert {(one["email"], one["telephone"]) for one in seen} == {(None, None)}


def test_a_contact_can_be_reached(registry: Registry) -> None:
    body = {"contacts": [{"kind": "emergency", "name": "Nobody"}]}
    told = registry.send("PATCH", "/api/v1/sites/BIFI", body, "Laura Gil", 422)
    assert "needs an e-mail address or a telephone number" in str(told)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ip_range", "300.0.0.0/8"),
        ("ipv6_range", "2001:db8::g/32"),
        ("infrastructure", "Maybe"),
        ("tier", "a\nb"),
    ],
)
def test_what_a_field_cannot_hold_is_refused(registry: Registry, field: str, value: str) -> None:
    told = registry.send("PATCH", "/api/v1/sites/BIFI", {field: value}, "Laura Gil", 422)
    assert told["errors"][0]["field"] == field
