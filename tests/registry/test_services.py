"""Services and endpoints over the API."""

from __future__ import annotations

import pytest

from .conftest import OCCI, Registry


def service_of(registry: Registry, site: str) -> dict[str, object]:
    found: dict[str, object] = registry.get(f"/api/v1/services?site={site}")["items"][0]
    return found


def test_a_service_with_an_address_alone_gets_one_endpoint(registry: Registry) -> None:
    endpoints = registry.get("/api/v1/endpoints?site=BIFI")["items"]
    assert [(one["name"], one["url"], one["interface"]) for one in endpoints] == [
        ("main", "https://occi.bifi.example:11443/", OCCI)
    ]


def test_endpoints_are_kept_as_given(registry: Registry) -> None:
    made = registry.register_service(
        "BIFI",
        service_type="org.openstack.nova",
        hostname="Nova.BIFI.example",
        endpoints=[
            {"name": "public", "url": "https://nova.bifi.example:8774/v2.1"},
            {"name": "admin", "url": "https://nova.bifi.example:8775/", "monitored": False, "interface": "x"},
        ],
    )
    assert made["hostname"] == "nova.bifi.example"
    assert [(one["name"], one["interface"], one["monitored"]) for one in made["endpoints"]] == [
        ("public", "org.openstack.nova", True),
        ("admin", "x", False),
    ]


def test_in_production_means_monitored_except_for_some_types(registry: Registry) -> None:
    refused = {"service_type": OCCI, "hostname": "b.bifi.example", "monitored": False}
    told = registry.send("POST", "/api/v1/sites/BIFI/services", refused, status=422)
    assert told["errors"][0]["field"] == "monitored"
    registry.register_service("BIFI", service_type="VOMS", hostname="voms.bifi.example", monitored=False)
    registry.register_service("BIFI", hostname="b.bifi.example", monitored=False, production=False)


def test_a_host_and_type_belong_to_one_site_and_may_repeat_there(registry: Registry) -> None:
    registry.register_service("BIFI")
    elsewhere = {"service_type": OCCI, "hostname": "occi.bifi.example"}
    told = registry.send("POST", "/api/v1/sites/UKIM/services", elsewhere, status=409)
    assert "BIFI" in told["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hostname", "localhost"),
        ("hostname", "two words.example"),
        ("host_ip", "300.1.1.1"),
        ("host_ipv6", "192.0.2.1"),
        ("host_dn", "host.example"),
        ("url", "occi.bifi.example"),
        ("url", "https://occi.bifi.example:70000/"),
        ("service_type", "no.such.type"),
    ],
)
def test_a_wrong_field_is_refused(registry: Registry, field: str, value: str) -> None:
    body = {"service_type": OCCI, "hostname": "new.bifi.example", field: value}
    told = registry.send("POST", "/api/v1/sites/BIFI/services", body, status=422)
    assert [one["field"] for one in told["errors"]] == [field]


def test_what_gocdb_refused_is_accepted(registry: Registry) -> None:
    registry.register_service(
        "BIFI",
        hostname="robot.bifi.example",
        host_dn="/C=ES/O=Universität/CN=Robot: O'Neill - ops@bifi.example",
        host_ip="192.0.2.10",
        host_ipv6="2001:DB8::1",
        description='Laura\'s cloud; "the big one" <fast>',
    )
    found = registry.get("/api/v1/services?hostname=robot.bifi.example")["items"][0]
    assert found["host_ipv6"] == "2001:db8::1"
    assert "Laura's" in found["description"]


def test_an_administrator_keeps_the_own_services_alone(registry: Registry) -> None:
    bifi, ukim = service_of(registry, "BIFI")["id"], service_of(registry, "UKIM")["id"]
    registry.send("PATCH", f"/api/v1/services/{bifi}", {"description": "racks 1 to 3"}, "Laura Gil")
    registry.send("PATCH", f"/api/v1/services/{ukim}", {"description": "mine"}, "Laura Gil", 403)
    assert registry.ask("DELETE", f"/api/v1/services/{ukim}", "Laura Gil").status_code == 403
    registry.send("POST", f"/api/v1/services/{ukim}/endpoints", {"name": "x", "url": "https://x.example/"},
                  "Laura Gil", 403)  # fmt: skip


def test_the_slower_of_two_is_told(registry: Registry) -> None:
    service = service_of(registry, "BIFI")
    path = f"/api/v1/services/{service['id']}"
    tag = registry.ask("GET", path).headers["ETag"]
    registry.send("PATCH", path, {"description": "first"}, "Laura Gil")
    late = registry.ask("PATCH", path, json={"description": "second"}, headers={"If-Match": tag})
    assert late.status_code == 409
    assert "Laura Gil was quicker" in late.get_json()["detail"]


def test_endpoints_are_added_changed_and_removed(registry: Registry) -> None:
    number = service_of(registry, "BIFI")["id"]
    made = registry.send(
        "POST", f"/api/v1/services/{number}/endpoints", {"name": "v2", "url": "https://occi.bifi.example/v2"}
    )
    registry.send("PATCH", f"/api/v1/endpoints/{made['id']}", {"url": "https://occi.bifi.example/v3"})
    assert registry.get(f"/api/v1/endpoints/{made['id']}")["url"].endswith("/v3")
    again = {"name": "v2", "url": "https://occi.bifi.example/"}
    assert "unique in a service" in registry.send(
        "POST", f"/api/v1/services/{number}/endpoints", again, status=409
    )["detail"]  # fmt: skip
    assert registry.ask("DELETE", f"/api/v1/endpoints/{made['id']}").status_code == 204
    assert registry.ask("GET", f"/api/v1/endpoints/{made['id']}").status_code == 404


def test_an_endpoint_is_watched_only_with_its_service(registry: Registry) -> None:
    number = service_of(registry, "BIFI")["id"]
    registry.send("PATCH", f"/api/v1/services/{number}", {"monitored": False, "production": False})
    endpoint = registry.get("/api/v1/endpoints?site=BIFI")["items"][0]
    assert (endpoint["monitored"], endpoint["production"]) == (False, False)


def test_services_are_read_as_they_were(registry: Registry) -> None:
    before = service_of(registry, "BIFI")
    number, revision = before["id"], before["revision"]
    registry.send("PATCH", f"/api/v1/services/{number}", {"description": "new"})
    registry.ask("DELETE", f"/api/v1/services/{number}")
    assert registry.ask("GET", f"/api/v1/services/{number}").status_code == 404
    assert registry.get(f"/api/v1/services/{number}?as_of={revision}") == before
    assert registry.get(f"/api/v1/services?site=BIFI&as_of={revision}")["items"] == [before]


def test_operators_add_service_types(registry: Registry) -> None:
    kind = {"name": "org.example.notebooks", "description": "Notebooks"}
    registry.send("POST", "/api/v1/service-types", kind, "Laura Gil", 403)
    registry.send("POST", "/api/v1/service-types", kind)
    registry.register_service("BIFI", service_type=kind["name"], hostname="notebooks.bifi.example")
    assert kind["name"] in {one["name"] for one in registry.get("/api/v1/service-types")["items"]}
