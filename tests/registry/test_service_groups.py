"""Service groups, and the extension properties that sites, services, endpoints and groups carry."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import OCCI, Registry

GROUPS = "/api/v1/service-groups"
OWNERS = ("/api/v1/sites/BIFI", "/api/v1/services/{service}", "/api/v1/endpoints/{endpoint}", f"{GROUPS}/SLA")


def ids(registry: Registry, site: str) -> tuple[str, str]:
    """The ids of the site's first service and of its first endpoint."""
    service = registry.get(f"/api/v1/services?site={site}")["items"][0]
    return service["id"], service["endpoints"][0]["id"]


def group(registry: Registry, who: str = "Ingrid Holm", **changes: Any) -> dict[str, Any]:
    services = [ids(registry, "BIFI")[0], ids(registry, "CESNET")[0]]
    body = {"name": "SLA", "description": "of an agreement", "services": services, **changes}
    found: dict[str, Any] = registry.send("POST", GROUPS, body, who)
    return found


def test_a_group_holds_services_of_any_sites(registry: Registry) -> None:
    made = group(registry, email="a@x.example, b@x.example", monitored=False)
    assert made["services"] == sorted([ids(registry, "BIFI")[0], ids(registry, "CESNET")[0]], key=int)
    assert (made["email"], made["monitored"]) == ("a@x.example;b@x.example", False)
    assert registry.get(f"{GROUPS}/SLA", None)["email"] is None
    found = registry.get(f"{GROUPS}?service={made['services'][0]}&scope=EGI")["items"]
    assert [one["name"] for one in found] == ["SLA"]
    assert registry.get(f"{GROUPS}?service={ids(registry, 'UKIM')[0]}")["items"] == []


def test_a_group_names_services_that_there_are(registry: Registry) -> None:
    told = registry.send("POST", GROUPS, {"name": "SLA", "services": ["1", "4711"]}, status=422)
    assert ("4711" in told["detail"], told["errors"][0]["field"]) == (True, "services")


def test_who_makes_a_group_administers_it(registry: Registry) -> None:
    group(registry, "Laura Gil")
    roles = registry.get("/api/v1/roles?scope=servicegroup:SLA")["items"]
    assert [(one["person_name"], one["role"]) for one in roles] == [
        ("Laura Gil", "service_group_administrator")
    ]
    registry.send("PATCH", f"{GROUPS}/SLA", {"name": "SLA-2"}, "Laura Gil")
    registry.send("PATCH", f"{GROUPS}/SLA-2", {"services": []}, "Laura Gil")
    registry.send("PATCH", f"{GROUPS}/SLA-2", {"description": "x"}, "Goran Petrov", 403)
    assert registry.ask("DELETE", f"{GROUPS}/SLA-2", "Goran Petrov").status_code == 403
    assert registry.ask("DELETE", f"{GROUPS}/SLA-2", "Laura Gil").status_code == 204


def test_a_service_that_goes_leaves_its_groups(registry: Registry) -> None:
    made = group(registry)
    registry.ask("DELETE", f"/api/v1/services/{made['services'][0]}")
    after = registry.get(f"{GROUPS}/SLA")
    assert (after["services"], after["revision"] > made["revision"]) == (made["services"][1:], True)
    registry.ask("DELETE", "/api/v1/sites/BIFI")
    registry.ask("DELETE", "/api/v1/sites/CESNET")
    assert registry.get(f"{GROUPS}/SLA")["services"] == []
    assert registry.get(f"{GROUPS}/SLA?as_of={made['revision']}")["services"] == made["services"]


def test_a_groups_reserved_scopes_come_from_operators(registry: Registry) -> None:
    group(registry, "Laura Gil")
    registry.send("PATCH", f"{GROUPS}/SLA", {"scopes": ["EGI", "SLA"]}, "Laura Gil", 422)
    registry.send("PATCH", f"{GROUPS}/SLA", {"scopes": ["EGI", "SLA"]})
    registry.send("PATCH", f"{GROUPS}/SLA", {"scopes": ["Local", "SLA"]}, "Laura Gil")


# --- extension properties -----------------------------------------------------------------------------------


@pytest.fixture
def grouped(registry: Registry) -> Registry:
    group(registry, "Laura Gil")
    return registry


def path_of(registry: Registry, owner: str) -> str:
    service, endpoint = ids(registry, "BIFI")
    return owner.format(service=service, endpoint=endpoint) + "/extensions"


@pytest.mark.parametrize("owner", OWNERS)
def test_properties_are_set_read_and_removed_one_by_one(grouped: Registry, owner: str) -> None:
    path = path_of(grouped, owner)
    grouped.send("PUT", f"{path}/VO", {"value": "training.egi.eu"}, "Laura Gil")
    grouped.send("PUT", f"{path}/note", {"value": 'it\'s <here> "now"'}, "Laura Gil")
    made = grouped.send("PUT", f"{path}/VO", {"value": "vo.access.egi.eu"}, "Laura Gil")
    assert made["extensions"] == {"VO": "vo.access.egi.eu", "note": 'it\'s <here> "now"'}
    assert grouped.ask("DELETE", f"{path}/VO", "Laura Gil").status_code == 204
    assert grouped.ask("DELETE", f"{path}/VO", "Laura Gil").status_code == 404
    assert list(grouped.get(path, None)["extensions"]) == ["note"]
    assert grouped.get(f"{path}?as_of={made['revision']}")["extensions"] == made["extensions"]


@pytest.mark.parametrize("owner", OWNERS)
def test_twenty_are_enough(grouped: Registry, owner: str) -> None:
    path = path_of(grouped, owner)
    twenty = {f"key {at}": str(at) for at in range(20)}
    grouped.send("PUT", path, {"extensions": twenty}, "Laura Gil")
    told = grouped.send("PUT", f"{path}/more", {"value": "x"}, "Laura Gil", 422)
    assert "at most 20" in told["detail"]
    grouped.send("PUT", path, {"extensions": {**twenty, "more": "x"}}, "Laura Gil", 422)
    made = grouped.send("PUT", path, {"extensions": {"only": "1"}, "replace": True}, "Laura Gil")
    assert made["extensions"] == {"only": "1"}


@pytest.mark.parametrize("owner", OWNERS)
def test_others_may_not_set_properties(grouped: Registry, owner: str) -> None:
    path = path_of(grouped, owner)
    grouped.send("PUT", f"{path}/VO", {"value": "x"}, "Goran Petrov", 403)
    grouped.send("PUT", f"{path}/VO", {"value": "x"}, None, 401)


def test_the_second_of_two_writers_of_properties_is_told(grouped: Registry) -> None:
    path = path_of(grouped, OWNERS[0])
    tag = {"If-Match": grouped.ask("GET", path, "Laura Gil").headers["ETag"]}
    assert grouped.ask("PUT", f"{path}/a", "Laura Gil", json={"value": "1"}, headers=tag).status_code == 200
    assert grouped.ask("PUT", f"{path}/b", "Laura Gil", json={"value": "2"}, headers=tag).status_code == 409


@pytest.mark.parametrize("key", ["a b", "x@y.z", "list[0]"])
def test_keys_may_hold_what_gocdb_lets_them_hold(grouped: Registry, key: str) -> None:
    path = path_of(grouped, OWNERS[1])
    made = grouped.send("PUT", f"{path}/{key}", {"value": ""}, "Laura Gil")
    assert made["extensions"] == {key: ""}


def test_a_service_never_stands_at_two_sites(registry: Registry) -> None:
    body = {"service_type": OCCI, "hostname": "occi.bifi.example"}
    told = registry.send("POST", "/api/v1/sites/UKIM/services", body, status=409)
    assert "BIFI" in told["detail"]
    registry.send("POST", "/api/v1/sites/BIFI/services", body)  # twice at one site is how GOCDB has several
