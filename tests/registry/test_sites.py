"""Sites over the API: registering, changing, certifying; who may; who was quicker; how it was."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from .conftest import SITES, Registry, site_document


def test_a_registered_site_is_found_as_it_was_given(registry: Registry) -> None:
    site = registry.get("/api/v1/sites/CESNET")
    given = site_document("CESNET")
    given["contacts"] = [{**contact, "telephone": None} for contact in given["contacts"]]
    assert {key: site[key] for key in given if key not in ("capacity", "supports")} == {
        key: value for key, value in given.items() if key not in ("capacity", "supports")
    }
    assert site["capacity"]["vcpu"] == 64
    assert site["supports"] == [{"vo": "training.egi.eu", "vcpu": 16, "project_id": None}]
    assert site["usage_site_names"] == ["CESNET"]
    assert site["primary_key"] == f"{site['id']}G0"


def test_accents_and_apostrophes_are_kept(registry: Registry) -> None:
    name = "Universität d'Aragón “Ñ”"
    registry.send("PATCH", "/api/v1/sites/BIFI", {"official_name": name, "location": "Zaragoza"})
    assert registry.get("/api/v1/sites/BIFI")["official_name"] == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("country_code", "es"),
        ("home_url", "ftp://bifi.example"),
        ("latitude", 91),
        ("official_name", "two\nlines"),
        ("official_name", "bell\u0007"),
        ("official_name", None),
        ("scopes", []),
        ("contacts", [{"kind": "admin", "name": "Laura Gil", "email": "no address"}]),
        ("supports", [{"vo": "chipster"}, {"vo": "chipster"}]),
        ("agent_url", "http://"),
        ("unknown", 1),
    ],
)
def test_a_wrong_field_is_refused_and_named(registry: Registry, field: str, value: object) -> None:
    answer = registry.ask("PATCH", "/api/v1/sites/BIFI", json={field: value})
    assert answer.status_code == 422
    assert field in answer.text
    assert registry.get("/api/v1/sites/BIFI")["official_name"] == "BIFI, the institute"


def test_an_administrator_changes_the_own_site_alone(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"middleware": "OpenStack 2026.2"}, "Laura Gil")
    refused = registry.send("PATCH", "/api/v1/sites/CESNET", {"middleware": "x"}, "Laura Gil", 403)
    assert "site administrator of site CESNET" in refused["detail"]
    assert registry.get("/api/v1/sites/CESNET")["middleware"] == "OpenNebula"


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("Anna Lindqvist", 403), ("Laura Gil", 403)])
def test_only_operators_register_and_remove_sites(registry: Registry, who: str | None, status: int) -> None:
    new = site_document("CESNET", name="MASARYK")
    assert registry.ask("POST", "/api/v1/sites", who, json=new).status_code == status
    assert registry.ask("DELETE", "/api/v1/sites/BIFI", who).status_code == status
    assert {site["name"] for site in registry.get("/api/v1/sites")["items"]} == set(SITES)


def test_an_ngi_manager_registers_candidates_in_the_own_ngi(registry: Registry, cast: object) -> None:
    person = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": person, "role": "ngi_manager", "scope": "ngi:NGI_CZ"})
    new = site_document("CESNET", name="MASARYK", certification="Candidate")
    assert registry.send("POST", "/api/v1/sites", new, "Anna Lindqvist")["certification"] == "Candidate"
    certified = {**new, "name": "OSTRAVA", "certification": "Certified"}
    registry.send("POST", "/api/v1/sites", certified, "Anna Lindqvist", 422)
    abroad = {**new, "name": "LISBOA", "ngi": "NGI_IBERGRID"}
    registry.send("POST", "/api/v1/sites", abroad, "Anna Lindqvist", 403)
    registry.send("PATCH", "/api/v1/sites/CESNET", {"location": "Brno"}, "Anna Lindqvist")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Brno"}, "Anna Lindqvist", 403)


def test_a_name_is_taken_once(registry: Registry) -> None:
    again = registry.send(
        "POST", "/api/v1/sites", site_document("BIFI", usage_site_names=["other"]), status=409
    )
    assert "name" in again["detail"]


def test_two_names_differ_in_more_than_case(registry: Registry) -> None:
    """The GOCDB interface finds a site in any case, so two of them would be one to its clients."""
    refused = registry.send("POST", "/api/v1/sites", site_document("BIFI", name="Bifi"), status=409)
    assert refused["errors"][0]["field"] == "name"
    assert "BIFI" in refused["detail"]
    renamed = registry.send("PATCH", "/api/v1/sites/UKIM", {"name": "bifi"}, status=409)
    assert renamed["errors"][0]["field"] == "name"
    assert registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "Bifi"})["name"] == "Bifi"


def test_a_usage_name_belongs_to_one_site(registry: Registry) -> None:
    refused = registry.send("PATCH", "/api/v1/sites/UKIM", {"usage_site_names": ["UKIM", "BIFI"]}, status=409)
    assert "counted for site BIFI" in refused["detail"]


def test_the_slower_of_two_is_told_who_was_quicker(registry: Registry) -> None:
    read = registry.ask("GET", "/api/v1/sites/BIFI", "Laura Gil")
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"}, "Ingrid Holm")
    late = registry.ask(
        "PATCH",
        "/api/v1/sites/BIFI",
        "Laura Gil",
        json={"location": "Zaragoza", "telephone": "+34 976 000 000"},
        headers={"If-Match": read.headers["ETag"]},
    )
    assert late.status_code == 409
    assert "Ingrid Holm was quicker" in late.get_json()["detail"]
    assert "location" in late.get_json()["detail"]
    site = registry.get("/api/v1/sites/BIFI")
    assert (site["location"], site["telephone"]) == ("Huesca", None)


def test_the_tag_just_read_lets_a_change_through(registry: Registry) -> None:
    read = registry.ask("GET", "/api/v1/sites/BIFI", "Laura Gil")
    saved = registry.ask(
        "PATCH",
        "/api/v1/sites/BIFI",
        "Laura Gil",
        json={"location": "Zaragoza"},
        headers={"If-Match": read.headers["ETag"]},
    )
    assert saved.status_code == 200
    assert saved.headers["ETag"] != read.headers["ETag"]


def test_an_unchanged_site_is_not_sent_again(registry: Registry) -> None:
    read = registry.ask("GET", "/api/v1/sites/BIFI")
    again = registry.ask("GET", "/api/v1/sites/BIFI", headers={"If-None-Match": read.headers["ETag"]})
    assert again.status_code == 304
    public = registry.ask("GET", "/api/v1/sites/BIFI", None, headers={"If-None-Match": read.headers["ETag"]})
    assert public.status_code == 200


def test_visitors_see_no_addresses_of_people(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"telephone": "+34 976 000 000"})
    assert "admin@bifi.example" in registry.ask("GET", "/api/v1/sites/BIFI", "Anna Lindqvist").text
    for path in ("/api/v1/sites/BIFI", "/api/v1/sites", "/sites/BIFI", "/sites"):
        shown = registry.ask("GET", path, None).text
        assert "admin@bifi.example" not in shown
        assert "976 000 000" not in shown


def test_a_site_is_read_as_it_was(registry: Registry) -> None:
    before = registry.get("/api/v1/sites/BIFI")
    time.sleep(0.01)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.01)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"capacity": {"vcpu": 80}, "location": "Huesca"})
    then = registry.ask("GET", "/api/v1/sites/BIFI", query_string={"as_of": moment}).get_json()
    assert then == before
    assert registry.get(f"/api/v1/sites/BIFI?as_of={before['revision']}") == before
    listed = registry.ask("GET", "/api/v1/sites", query_string={"as_of": moment}).get_json()["items"]
    assert before in listed
    assert registry.ask("GET", "/api/v1/sites/BIFI?as_of=0").status_code == 404
    assert registry.ask("GET", "/api/v1/sites/BIFI?as_of=yesterday").status_code == 422


def test_a_removed_site_is_gone_now_and_was_there_then(registry: Registry) -> None:
    revision = registry.get("/api/v1/sites/UKIM")["revision"]
    assert registry.ask("DELETE", "/api/v1/sites/UKIM").status_code == 204
    assert registry.ask("GET", "/api/v1/sites/UKIM").status_code == 404
    assert registry.get(f"/api/v1/sites/UKIM?as_of={revision}")["name"] == "UKIM"
    assert registry.get("/api/v1/services?site=UKIM")["items"] == []
    assert registry.get("/api/v1/roles?scope=site:UKIM")["items"] == []


def test_a_new_name_reaches_everything_that_carries_it(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-ZGZ"}, "Laura Gil", 422)
    registry.send("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-ZGZ"})
    assert registry.get("/api/v1/services?site=BIFI-ZGZ")["items"][0]["site"] == "BIFI-ZGZ"
    registry.send("PATCH", "/api/v1/sites/BIFI-ZGZ", {"location": "Zaragoza"}, "Laura Gil")


def test_filters_pick_sites(registry: Registry) -> None:
    def names(query: str) -> list[str]:
        return [site["name"] for site in registry.get(f"/api/v1/sites?{query}")["items"]]

    assert names("middleware=OpenNebula") == ["CESNET", "UKIM"]
    assert names("country_code=ES") == ["BIFI"]
    assert names("vo=training.egi.eu") == ["BIFI", "CESNET", "UKIM"]
    assert names("vo=chipster") == []
    assert names("q=ces") == ["CESNET"]
    assert names("q=%25") == []
    assert names("ngi=NGI_MK&certification=Certified") == ["UKIM"]


def test_a_long_list_comes_in_pages(registry: Registry) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = registry.get(f"/api/v1/sites?limit=1{f'&cursor={cursor}' if cursor else ''}")
        seen += [site["name"] for site in page["items"]]
        cursor = page["next"]
    assert seen == ["BIFI", "CESNET", "UKIM"]


def test_certification_moves_by_the_rules_and_with_a_reason(registry: Registry) -> None:
    person = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": person, "role": "ngi_manager", "scope": "ngi:NGI_MK"})
    path = "/api/v1/sites/UKIM/certification"
    registry.send("POST", path, {"status": "Suspended"}, "Anna Lindqvist", 422)
    registry.send("POST", path, {"status": "Suspended", "reason": "unpatched hosts"}, "Goran Petrov", 403)
    registry.send("POST", path, {"status": "Suspended", "reason": "unpatched hosts"}, "Anna Lindqvist", 200)
    barred = registry.send("POST", path, {"status": "Certified", "reason": "done"}, "Anna Lindqvist", 422)
    assert "ask a federation operator" in barred["detail"]
    before = registry.get("/api/v1/sites/UKIM")["certification_since"]
    registry.send("POST", path, {"status": "Certified", "reason": "patched"}, "Ingrid Holm", 200)
    assert registry.get("/api/v1/sites/UKIM")["certification_since"] > before
    newest = registry.get("/api/v1/sites/UKIM/history")["items"][0]
    assert newest["reason"] == "patched"
    assert newest["changes"]["certification"] == ["Suspended", "Certified"]


def test_an_ngi_with_sites_stays_and_a_new_name_is_passed_on(registry: Registry) -> None:
    ngi = {"name": "NGI_CZECHIA", "description": "Czech national infrastructure"}
    registry.send("PUT", "/api/v1/ngis/NGI_CZ", ngi)
    assert registry.get("/api/v1/sites/CESNET")["ngi"] == "NGI_CZECHIA"
    registry.send("POST", "/api/v1/ngis", {"name": "NGI_MK"}, status=409)


def test_the_history_of_a_site_names_actors_and_fields(registry: Registry) -> None:
    registry.send(
        "PATCH", "/api/v1/sites/BIFI", {"capacity": {"vcpu": 80}, "reason": "new racks"}, "Laura Gil"
    )
    newest = registry.get("/api/v1/sites/BIFI/history?limit=1")["items"][0]
    assert (newest["actor_name"], newest["reason"]) == ("Laura Gil", "new racks")
    assert newest["changes"] == {"capacity.vcpu": [50, 80]}
    kinds = {event["kind"] for event in registry.get("/api/v1/sites/BIFI/history")["items"]}
    assert {"site", "service", "endpoint", "grant"} <= kinds


def test_sites_as_csv(registry: Registry) -> None:
    answer = registry.ask("GET", "/api/v1/sites.csv?middleware=OpenStack", None)
    lines = answer.text.split("\r\n")
    assert lines[0].startswith("name,official_name,country_code")
    assert lines[1].startswith('BIFI,"BIFI, the institute",ES,Spain')
