"""Service types, scopes, projects, NGIs: kept by operators, read by everybody, never removed while in use."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import OCCI, Registry

LISTS = (
    "/api/v1/service-types",
    "/api/v1/scopes",
    "/api/v1/projects",
    "/api/v1/ngis",
    "/api/v1/service-groups",
)
NEW: dict[str, dict[str, Any]] = {
    "/api/v1/service-types": {"name": "org.example.thing", "description": "A thing"},
    "/api/v1/scopes": {"name": "EOSC", "description": "Part of the European Open Science Cloud"},
    "/api/v1/projects": {"name": "EGI", "description": "The federation's project"},
    "/api/v1/ngis": {"name": "NGI_NEW", "description": "A new one"},
    "/api/v1/service-groups": {"name": "SLA.one-1", "description": "What an agreement names"},
}


def events_of(registry: Registry, kind: str) -> list[dict[str, Any]]:
    changes = registry.get("/api/v1/changes?since=1&limit=1000")["changes"]
    return [one for one in changes if one["kind"] == kind]


def make_operator_of_ngi(registry: Registry, ngi: str, role: str = "ngi_manager") -> None:
    person = registry.principal("Anna Lindqvist").person
    registry.send("POST", "/api/v1/roles", {"person": person, "role": role, "scope": f"ngi:{ngi}"})


# --- what they share ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
def test_each_is_added_read_changed_and_removed(registry: Registry, path: str) -> None:
    made = registry.send("POST", path, NEW[path])
    one = f"{path}/{made['name']}"
    assert registry.get(one, None)["description"] == NEW[path]["description"]
    changed = registry.send("PATCH", one, {"description": "d'autres mots", "reason": "it's better"})
    assert (changed["description"], changed["revision"] > made["revision"]) == ("d'autres mots", True)
    assert registry.get(f"{one}?as_of={made['revision']}")["description"] == NEW[path]["description"]
    assert registry.ask("DELETE", f"{one}?reason=nobody%20needs%20it").status_code == 204
    assert registry.ask("GET", one).status_code == 404
    gone = registry.get("/api/v1/changes?since=1&limit=1000")["changes"][-1]
    assert (gone["op"], gone["reason"]) == ("delete", "nobody needs it")


@pytest.mark.parametrize("path", LISTS)
def test_names_are_unique_and_strangers_may_not(registry: Registry, path: str) -> None:
    registry.send("POST", path, NEW[path])
    told = registry.send("POST", path, NEW[path], status=409)
    assert "of this name already" in told["detail"]
    registry.send("POST", path, {"name": "other"}, "Anna Lindqvist", 403)
    registry.send("POST", path, {"name": "other"}, None, 401)


@pytest.mark.parametrize("path", LISTS)
def test_the_second_of_two_editors_is_told(registry: Registry, path: str) -> None:
    made = registry.send("POST", path, NEW[path])
    one = f"{path}/{made['name']}"
    tag = {"If-Match": registry.ask("GET", one).headers["ETag"]}
    assert registry.ask("PATCH", one, json={"description": "first"}, headers=tag).status_code == 200
    told = registry.ask("PATCH", one, json={"description": "second"}, headers=tag)
    assert (told.status_code, "was quicker" in told.get_json()["detail"]) == (409, True)
    assert registry.ask("DELETE", one, headers=tag).status_code == 409
    assert registry.get(one)["description"] == "first"


@pytest.mark.parametrize("path", ["/api/v1/service-types", "/api/v1/ngis"])
def test_lists_come_in_pages_with_a_filter_and_as_csv(registry: Registry, path: str) -> None:
    names: list[str] = []
    cursor = ""
    while True:
        page = registry.get(f"{path}?limit=2{cursor}")
        names += [one["name"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == sorted(names)
    lines = registry.ask("GET", f"{path}.csv").text.strip().split("\r\n")
    assert len(lines) == len(names) + 1
    wanted = names[0]
    found = [one["name"] for one in registry.get(f"{path}?q={wanted}")["items"]]
    assert wanted in found


# --- the stock ----------------------------------------------------------------------------------------------


def test_the_stock_is_there_and_in_the_log_as_if_always(empty_registry: Registry) -> None:
    types = registry_names(empty_registry, "/api/v1/service-types?limit=1000")
    assert len(types) == 108
    assert {OCCI, "eu.egi.cloud.accounting", "gLite-APEL", "org.nordugrid.arex", "org.openstack.nova"} <= set(
        types
    )
    assert (
        registry_names(empty_registry, "/api/v1/service-types?limit=1000&as_of=2001-01-01T00:00:00Z") == types
    )
    scopes = empty_registry.get("/api/v1/scopes")["items"]
    assert {one["name"] for one in scopes if not one["reserved"]} == {"EGI", "Local", "FedCloud"}
    assert registry_names(empty_registry, "/api/v1/scopes?reserved=true") == sorted(
        one["name"] for one in scopes if one["reserved"]
    )


def registry_names(registry: Registry, path: str) -> list[str]:
    return [one["name"] for one in registry.get(path)["items"]]


# --- service types ------------------------------------------------------------------------------------------


def test_a_type_in_use_is_not_removed(registry: Registry) -> None:
    told = registry.ask("DELETE", f"/api/v1/service-types/{OCCI}")
    assert (told.status_code, "occi.cesnet.example of CESNET" in told.get_json()["detail"]) == (409, True)


def test_services_follow_the_new_name_of_their_type(registry: Registry) -> None:
    registry.send("PATCH", f"/api/v1/service-types/{OCCI}", {"name": "occi"})
    services = registry.get("/api/v1/services?service_type=occi")["items"]
    assert len(services) == 3
    assert {endpoint["interface"] for one in services for endpoint in one["endpoints"]} == {"occi"}
    assert {one["service_type"] for one in registry.get("/api/v1/endpoints")["items"]} == {"occi"}


def test_production_implies_monitored_but_for_exceptions(registry: Registry) -> None:
    body = {"service_type": OCCI, "hostname": "x.bifi.example", "monitored": False}
    told = registry.send("POST", "/api/v1/sites/BIFI/services", body, status=422)
    assert told["errors"][0]["field"] == "monitored"
    registry.send("POST", "/api/v1/sites/BIFI/services", {**body, "service_type": "VOMS"})
    registry.send("PATCH", f"/api/v1/service-types/{OCCI}", {"monitoring_exception": True})
    registry.send("POST", "/api/v1/sites/BIFI/services", body)
    told = registry.send(
        "PATCH", f"/api/v1/service-types/{OCCI}", {"monitoring_exception": False}, status=409
    )
    assert "x.bifi.example of BIFI" in told["detail"]


# --- scopes -------------------------------------------------------------------------------------------------


def test_a_scope_that_is_carried_is_not_removed(registry: Registry) -> None:
    told = registry.ask("DELETE", "/api/v1/scopes/EGI")
    assert (told.status_code, "NGI NGI_CZ" in told.get_json()["detail"]) == (409, True)
    assert registry.ask("DELETE", "/api/v1/scopes/elixir").status_code == 204


def test_what_carries_a_scope_follows_its_new_name(registry: Registry) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"scopes": ["EGI", "FedCloud"]})
    registry.send("PATCH", "/api/v1/scopes/FedCloud", {"name": "cloud"})
    assert registry.get("/api/v1/sites/BIFI")["scopes"] == ["EGI", "cloud"]
    assert registry_names(registry, "/api/v1/sites?scope=cloud") == ["BIFI"]
    registry.send("PATCH", "/api/v1/scopes/EGI", {"name": "egi"})
    assert {tuple(one["scopes"]) for one in registry.get("/api/v1/services")["items"]} == {("egi",)}
    assert registry.get("/api/v1/ngis/NGI_CZ")["scopes"] == ["egi"]


def test_the_only_free_scope_of_something_does_not_become_reserved(registry: Registry) -> None:
    told = registry.send("PATCH", "/api/v1/scopes/EGI", {"reserved": True}, status=409)
    assert "site BIFI" in told["detail"]


def test_reserved_scopes_come_from_operators_or_from_above(registry: Registry) -> None:
    site = "/api/v1/sites/BIFI"
    told = registry.send("PATCH", site, {"scopes": ["EGI", "wlcg"]}, "Laura Gil", 422)
    assert told["errors"][0] == {"field": "scopes", "reason": "ask a federation operator for wlcg"}
    registry.send("PATCH", "/api/v1/ngis/NGI_IBERGRID", {"scopes": ["EGI", "wlcg"]})
    registry.send("PATCH", site, {"scopes": ["EGI", "wlcg"]}, "Laura Gil")
    service = {"service_type": OCCI, "hostname": "y.bifi.example", "scopes": ["EGI", "wlcg"]}
    registry.send("POST", f"{site}/services", service, "Laura Gil")
    registry.send("PATCH", site, {"scopes": ["EGI", "tier1"]})  # an operator; the site keeps it from then on
    registry.send("PATCH", site, {"scopes": ["tier1", "Local"]}, "Laura Gil")


@pytest.mark.parametrize(
    ("scopes", "why"),
    [
        (["tier1", "wlcg"], "must not be reserved"),
        (["EGI", "nowhere"], "no scope nowhere"),
        (["EGI", "EGI"], "twice"),
    ],
)
def test_scopes_that_nothing_may_carry(registry: Registry, scopes: list[str], why: str) -> None:
    for path in ("/api/v1/sites/BIFI", "/api/v1/ngis/NGI_CZ", "/api/v1/services/1"):
        told = registry.send("PATCH", path, {"scopes": scopes}, status=422)
        assert why in str(told)


# --- NGIs and projects --------------------------------------------------------------------------------------


def test_an_ngi_with_sites_or_projects_stays(registry: Registry) -> None:
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_CZ"]})
    told = registry.ask("DELETE", "/api/v1/ngis/NGI_CZ")
    assert (told.status_code, "site CESNET, project EGI" in told.get_json()["detail"]) == (409, True)


def test_an_ngis_own_people_change_it_but_not_its_name(registry: Registry) -> None:
    make_operator_of_ngi(registry, "NGI_CZ", "regional_staff_rod")
    path = "/api/v1/ngis/NGI_CZ"
    registry.send("PATCH", path, {"rod_email": "rod@ngi.example", "ggus_su": "NGI_CZ"}, "Anna Lindqvist")
    registry.send("PATCH", path, {"name": "NGI_X"}, "Anna Lindqvist", 422)
    registry.send("PATCH", "/api/v1/ngis/NGI_MK", {"email": "x@y.example"}, "Anna Lindqvist", 403)
    assert registry.get(path)["rod_email"] == "rod@ngi.example"
    assert registry.get(path, None)["rod_email"] is None


def test_a_new_name_of_an_ngi_reaches_sites_projects_and_grants(registry: Registry) -> None:
    make_operator_of_ngi(registry, "NGI_CZ")
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_CZ", "NGI_MK"]})
    registry.send("PATCH", "/api/v1/ngis/NGI_CZ", {"name": "NGI_CZECHIA"})
    assert registry.get("/api/v1/projects/EGI")["ngis"] == ["NGI_CZECHIA", "NGI_MK"]
    assert registry_names(registry, "/api/v1/projects?ngi=NGI_CZECHIA") == ["EGI"]
    assert registry_names(registry, "/api/v1/ngis?project=EGI") == ["NGI_CZECHIA", "NGI_MK"]
    registry.send("PATCH", "/api/v1/ngis/NGI_CZECHIA", {"description": "mine"}, "Anna Lindqvist")


def test_ids_of_owned_things_come_from_one_sequence(registry: Registry) -> None:
    made = [registry.send("POST", path, NEW[path]) for path in LISTS[2:]]
    numbers = [int(one["id"]) for one in made]
    numbers += [int(one["id"]) for one in registry.get("/api/v1/sites")["items"]]
    assert len(set(numbers)) == len(numbers)
    assert made[-1]["primary_key"] == f"{made[-1]['id']}G0"


def test_a_project_names_ngis_that_there_are(registry: Registry) -> None:
    told = registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_XX"]}, status=422)
    assert told["errors"][0]["field"] == "ngis"


def test_a_projects_people_change_it(registry: Registry) -> None:
    registry.send("POST", "/api/v1/projects", {"name": "EGI"})
    person = registry.principal("Anna Lindqvist").person
    role = {"person": person, "role": "cod_staff", "scope": "project:EGI"}
    registry.send("POST", "/api/v1/roles", role)
    registry.send("PATCH", "/api/v1/projects/EGI", {"ngis": ["NGI_CZ"]}, "Anna Lindqvist")
    registry.send("PATCH", "/api/v1/projects/EGI", {"name": "EGI2"}, "Anna Lindqvist", 422)
    assert registry.ask("DELETE", "/api/v1/projects/EGI", "Anna Lindqvist").status_code == 403
    assert registry.ask("DELETE", "/api/v1/projects/EGI").status_code == 204
    gone = [one["id"] for one in events_of(registry, "grant") if one["op"] == "delete"]
    assert len(gone) >= 1
    told = registry.get("/api/v1/role-actions?scope=project:EGI")["items"]
    assert ("revoked", "Project EGI removed") in {(one["action"], one["reason"]) for one in told}


@pytest.mark.parametrize("path", ["/api/v1/endpoints", "/api/v1/roles"])
def test_lists_that_grow_come_in_pages(registry: Registry, path: str) -> None:
    whole = registry.get(path)
    assert whole["next"] is None
    every = [one["id"] for one in whole["items"]]
    assert len(every) > 1
    now = registry.get("/api/v1/history?limit=1")["items"][0]["revision"]
    for moment in ("", f"&as_of={now}"):
        found, cursor = [], ""
        while cursor is not None:
            page = registry.get(f"{path}?limit=1{moment}" + (f"&cursor={cursor}" if cursor else ""))
            found += [one["id"] for one in page["items"]]
            cursor = page["next"]
        assert found == every
    assert len(registry.ask("GET", f"{path}.csv").text.splitlines()) == len(every) + 1
