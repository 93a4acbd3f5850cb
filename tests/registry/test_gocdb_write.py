"""GOCDB's write interface: its codes, one test a rule; each change a revision by the credential that made it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from demo.ca import CertificateAuthority, Issued
from hanse.revisions import head
from registry import api_credentials
from registry.app import create_app
from registry.gocdb.writing import ENDPOINT_FIELDS, SERVICE_FIELDS
from registry.schemas.api_credentials import ApiCredentialIn

from .conftest import Registry

ROBOT = "/C=EU/O=Hanse Demo/OU=Robots/CN=Robot: BIFI's configuration"


@pytest.fixture(scope="module")
def robot(ca: CertificateAuthority) -> Issued:
    return ca.issue(ROBOT)


class Writer:
    """Calls the write interface with a client certificate, as the TLS side hands it on."""

    def __init__(self, registry: Registry, chain: list[Any], patch: pytest.MonkeyPatch) -> None:
        self.registry = registry
        self.chain = chain
        self._patch = patch
        service = registry.get("/api/v1/services?site=BIFI")["items"][0]
        self.site = int(registry.get("/api/v1/sites/BIFI")["id"])
        self.service = int(service["id"])
        self.endpoint = int(service["endpoints"][0]["id"])

    def send(self, method: str, path: str, body: Any = None, raw: bytes | None = None) -> TestResponse:
        given: dict[str, Any] = {"data": raw} if raw is not None else {}
        if body is not None:
            given = {"json": body}
        with self._patch.context() as patch:
            patch.setattr("hanse.web.callers.peer_chain", lambda: self.chain)
            return self.registry.client.open(f"/gocdbpi/v5/{path}", method=method, **given)

    def code(self, method: str, path: str, body: Any = None) -> int:
        answer = self.send(method, path, body)
        if answer.status_code == 204:
            assert answer.data == b""
            return 204
        error = answer.get_json()["Error"]
        assert answer.content_type == "application/json"
        assert error["Code"] == answer.status_code
        assert error["Message"]
        assert error["API-Documentation"].endswith("/gocdbpi/help")
        return answer.status_code

    def known(self) -> dict[str, Any]:
        found: dict[str, Any] = self.registry.get(f"/api/v1/services/{self.service}")
        return found

    def properties(self) -> dict[str, str]:
        found: dict[str, str] = self.registry.get("/api/v1/sites/BIFI")["extensions"]
        return found


def register(registry: Registry, *, allow_write: bool = True) -> int:
    form = ApiCredentialIn(kind="x509", identifier=ROBOT, allow_write=allow_write)
    return api_credentials.add(registry.db, registry.principal("Laura Gil"), registry.settings, "BIFI", form)


@pytest.fixture
def writer(registry: Registry, robot: Issued, monkeypatch: pytest.MonkeyPatch) -> Writer:
    register(registry)
    return Writer(registry, [robot.cert], monkeypatch)


# --- who may ---


def test_only_a_credential_of_the_site_that_may_write_writes(
    registry: Registry, robot: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(registry, [], monkeypatch)
    path, body = f"site/{writer.site}/extensionproperties/k", {"value": "v"}
    assert writer.code("POST", path, body) == 403  # nobody
    writer.chain = [robot.cert]
    assert writer.code("POST", path, body) == 403  # not registered
    number = register(registry, allow_write=False)
    assert writer.code("POST", path, body) == 403  # may only read, whatever restrict_personal_data says
    with registry.db.transaction() as session:
        credential = session.get(api_credentials.ApiCredential, number)
        assert credential is not None
        assert credential.last_used_at is not None
        credential.allow_write = True
    assert writer.code("POST", path, body) == 204
    elsewhere = int(registry.get("/api/v1/sites/CESNET")["id"])
    assert writer.code("POST", f"site/{elsewhere}/extensionproperties/k", body) == 403
    for who in ("Ingrid Holm", "Laura Gil"):  # people write with pages and API
        answer = registry.ask("POST", f"/gocdbpi/v5/site/{writer.site}/extensionproperties/x", who, json=body)
        assert answer.status_code == 403


def test_a_change_stands_in_the_log_with_who_made_it(writer: Writer) -> None:
    assert writer.code("PUT", f"site/{writer.site}/extensionproperties/VO", {"value": "vo.a"}) == 204
    newest = writer.registry.get("/api/v1/changes?since=0&limit=1000")["changes"][-1]
    assert newest["actor_name"] == "Robot: BIFI's configuration"
    assert newest["reason"] == f"GOCDB write interface, PUT: site {writer.site}, extensionproperties VO"
    assert newest["body"]["extensions"] == {"VO": "vo.a"}


def test_a_refused_change_leaves_no_trace(writer: Writer) -> None:
    with writer.registry.db.transaction() as session:
        before = head(session)
    assert writer.code("POST", f"service/{writer.service}/hostname", {"value": "other.bifi.example"}) == 409
    assert writer.code("PUT", f"service/{writer.service}/hostname", {"value": "localhost"}) == 400
    assert writer.code("PUT", f"service/{writer.service}/monitored", {"value": False}) == 403
    with writer.registry.db.transaction() as session:
        assert head(session) == before


def test_a_read_only_copy_says_503(writer: Writer) -> None:
    copy = writer.registry.settings.model_copy(update={"read_only": True, "read_only_reason": "a copy"})
    app = create_app(copy)
    writer.registry = replace(writer.registry, app=app)
    answer = writer.send("PUT", f"site/{writer.site}/extensionproperties/k", {"value": "v"})
    app.extensions["hanse"].db.close()
    assert answer.status_code == 503
    assert answer.get_json()["Error"]["Message"] == "a copy"


# --- the address and the body ---


ADDRESSES = [
    ("GET", "site/1/extensionproperties", 405),
    ("PATCH", "site/1/extensionproperties", 405),
    ("PUT", "site/one/extensionproperties", 400),
    ("PUT", "site/-1/extensionproperties", 400),
    ("PUT", "site/99999999999999999999/extensionproperties", 400),
    ("PUT", "site/1", 400),
    ("PUT", "site", 400),
    ("PUT", "site/987654/extensionproperties", 404),
    ("PUT", "service/987654/extensionproperties", 404),
    ("PUT", "endpoint/987654/extensionproperties", 404),
    ("PUT", "site/1/shortname", 501),
    ("PUT", "site/1/endpoint", 501),
    ("PUT", "service/1/scope", 501),
    ("PUT", "endpoint/1/hostname", 501),
    ("PUT", "downtime/1/description", 501),
    ("PUT", "ngi/1/extensionproperties", 501),
]


def test_addresses(writer: Writer) -> None:
    for method, path, code in ADDRESSES:
        assert writer.code(method, path, None if method == "GET" else {"value": "x"}) == code, path


def test_the_read_interface_is_not_taken_for_a_version(registry: Registry) -> None:
    for side in ("public", "private"):
        answer = registry.client.get(f"/gocdbpi/{side}?method=get_roc_list", follow_redirects=True)
        assert answer.status_code == 200
        assert answer.text.startswith("<?xml")
    assert registry.client.get("/gocdbpi/").status_code in (404, 405)


def test_another_version_is_refused(writer: Writer) -> None:
    with writer._patch.context() as patch:
        patch.setattr("hanse.web.callers.peer_chain", lambda: writer.chain)
        answer = writer.registry.client.put("/gocdbpi/v4/site/1/extensionproperties", json={"k": "v"})
    assert answer.status_code == 400
    assert "version" in answer.get_json()["Error"]["Message"]


def test_the_address_is_read_without_case_and_the_key_with_it(writer: Writer) -> None:
    assert writer.code("PUT", f"SITE/{writer.site}/ExtensionProperties/aKey", {"value": "v"}) == 204
    assert writer.code("DELETE", f"site/{writer.site}/EXTENSIONPROPERTIES/akey") == 404
    assert writer.properties() == {"aKey": "v"}


BODIES = [
    b"{",
    b"[1]",
    b'"x"',
    b"null",
    b"\xff\xfe",
    b'{"value": "\\u0000"}',
    b'{"value": {"deep": 1}}',
    b'{"value": ["x"]}',
    b'{"value": "x", "more": "y"}',
    b'{"Value": "x"}',
    b'{"value": null}',
    b"{}",
    b"",
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b'{"value": "' + b"x" * 70_000 + b'"}',
    b'{"value": 1e400}',
    b'{"value": NaN}',
]


def test_a_body_that_cannot_be_used_is_400(writer: Writer) -> None:
    for raw in BODIES:
        for path in (
            f"service/{writer.service}/description",
            f"service/{writer.service}/extensionproperties/k",
        ):
            answer = writer.send("PUT", path, raw=raw)
            assert answer.status_code == 400, (raw[:20], answer.text)
            assert answer.get_json()["Error"]["Code"] == 400


# --- fields of services and endpoints ---

GOOD = {
    "hostname": "new.bifi.example", "description": "the second cloud", "production": False, "beta": True,
    "monitored": False, "notify": False, "host_dn": "/C=EU/O=x/CN=Robot: it's ours", "host_ip": "192.0.2.7",
    "host_ip_v6": "2001:db8::7", "host_os": "Debian", "host_arch": "x86_64", "url": "https://new.bifi.example/",
    "email": "a@bifi.example;b@bifi.example", "name": "second", "interfacename": "OCCI",
}  # fmt: skip
BAD = {
    "hostname": "localhost", "description": 5, "production": "true", "beta": 1, "monitored": "Y", "notify": None,
    "host_dn": "CN", "host_ip": "300.1.1.1", "host_ip_v6": "2001::db8::7", "host_os": "a\nb",
    "host_arch": "x" * 256, "url": "new.bifi.example", "email": "nobody", "name": "a/b", "interfacename": ["x"],
}  # fmt: skip


def test_every_field_of_a_service(writer: Writer) -> None:
    for word in sorted(SERVICE_FIELDS, key="production".__ne__):
        _field_of_a_service(writer, word)


def _field_of_a_service(writer: Writer, word: str) -> None:
    path = f"service/{writer.service}/{word}"
    assert writer.code("PUT", path, {"value": BAD[word]}) == 400
    assert writer.code("DELETE", path) == 405
    assert writer.code("PUT", f"{path}/key", {"value": GOOD[word]}) == 400
    assert writer.code("PUT", path, {"value": GOOD[word]}) == 204
    assert writer.known()[SERVICE_FIELDS[word]] == GOOD[word]
    assert writer.code("POST", path, {"value": GOOD[word]}) == (405 if isinstance(GOOD[word], bool) else 409)


def test_every_field_of_an_endpoint(writer: Writer) -> None:
    for word in ENDPOINT_FIELDS:
        path = f"endpoint/{writer.endpoint}/{word}"
        assert writer.code("PUT", path, {"value": BAD[word]}) == 400
        assert writer.code("PUT", path, {"value": GOOD[word]}) == 204
        assert writer.known()["endpoints"][0][ENDPOINT_FIELDS[word]] == GOOD[word]
        assert writer.code("POST", path, {"value": GOOD[word]}) == (
            405 if isinstance(GOOD[word], bool) else 409
        )
        assert writer.code("DELETE", path) == 405


def test_what_is_empty_can_be_made_and_emptied(writer: Writer) -> None:
    path = f"service/{writer.service}/host_ip"
    assert writer.code("POST", path, {"value": "192.0.2.7"}) == 204
    assert writer.code("POST", path, {"value": "192.0.2.8"}) == 409
    assert writer.code("PUT", path, {"value": ""}) == 204
    assert writer.known()["host_ip"] is None
    assert writer.code("PUT", f"service/{writer.service}/hostname", {"value": ""}) == 400


def test_production_means_monitored(writer: Writer) -> None:
    path = f"service/{writer.service}"
    assert writer.code("PUT", f"{path}/monitored", {"value": False}) == 403
    assert writer.code("PUT", f"{path}/production", {"value": False}) == 204
    assert writer.code("PUT", f"{path}/monitored", {"value": False}) == 204
    assert writer.code("PUT", f"{path}/production", {"value": True}) == 403
    assert writer.code("PUT", f"{path}/monitored", {"value": True}) == 204
    assert writer.code("PUT", f"{path}/production", {"value": True}) == 204


def test_a_host_of_another_site_is_a_conflict(writer: Writer) -> None:
    assert writer.code("PUT", f"service/{writer.service}/hostname", {"value": "occi.cesnet.example"}) == 409


# --- extension properties ---


def test_extension_properties(writer: Writer) -> None:
    for entity in ("site", "service", "endpoint"):
        _extension_properties(writer, entity)


def _extension_properties(writer: Writer, entity: str) -> None:
    path = f"{entity}/{getattr(writer, entity)}/extensionproperties"
    for body in ({"a": "1", "b": "<2>"}, {"c": "3"}):
        assert writer.code("POST", path, body) == 204
    assert writer.code("POST", path, {"d": "4", "a": "x"}) == 409  # and then d was not made either
    assert writer.code("POST", f"{path}/d", {"value": "4"}) == 204
    assert writer.code("POST", f"{path}/d", {"value": "4"}) == 409
    assert writer.code("PUT", path, {"a": "10", "e": "5"}) == 204
    assert writer.code("PUT", f"{path}/e", {"value": "50"}) == 204
    assert writer.code("DELETE", path, {"a": "1"}) == 409  # another value
    assert writer.code("DELETE", path, {"a": "10", "nope": ""}) == 404  # and then a is still there
    assert writer.code("DELETE", path, {"a": "10", "b": ""}) == 204
    assert writer.code("DELETE", f"{path}/c") == 204
    assert writer.code("DELETE", f"{path}/c") == 404
    known = {
        "site": writer.properties,
        "service": lambda: writer.known()["extensions"],
        "endpoint": lambda: writer.known()["endpoints"][0]["extensions"],
    }
    assert known[entity]() == {"d": "4", "e": "50"}
    assert writer.code("DELETE", path) == 204
    assert known[entity]() == {}
    assert writer.code("DELETE", path) == 204


def test_an_object_carries_twenty_properties(writer: Writer) -> None:
    path = f"site/{writer.site}/extensionproperties"
    assert writer.code("PUT", path, {f"k{n}": "v" for n in range(21)}) == 409
    assert writer.properties() == {}
    assert writer.code("PUT", path, {f"k{n}": "v" for n in range(20)}) == 204
    assert writer.code("POST", f"{path}/more", {"value": "v"}) == 409
    assert writer.code("PUT", f"{path}/k0", {"value": "w"}) == 204


def test_names_and_values_of_properties_are_checked(writer: Writer) -> None:
    path = f"site/{writer.site}/extensionproperties"
    for key, value in (("k;", "v"), ("", "v"), ("k" * 256, "v"), ("k", 5), ("k", None), ("k", "a\nb")):
        assert writer.code("PUT", path, {key: value}) == 400, (key, value)
    assert writer.code("POST", path, {}) == 400


# --- whole endpoints ---


def test_endpoints_come_and_go(writer: Writer) -> None:
    path = f"service/{writer.service}/endpoint"
    new = {"name": "second", "url": "https://b.bifi.example/"}
    assert writer.code("POST", path, {"name": "second"}) == 400
    assert writer.code("POST", path, {"url": new["url"]}) == 400
    assert writer.code("POST", path, {**new, "scope": "x"}) == 400
    assert writer.code("POST", path, {**new, "monitored": "Y"}) == 400
    assert writer.code("POST", path, {"NAME": "second", "Url": new["url"], "InterfaceName": "OCCI"}) == 204
    assert writer.code("POST", path, new) == 409
    assert writer.code("PUT", path, {"name": "second", "monitored": False, "email": "x@bifi.example"}) == 204
    made = writer.known()["endpoints"][1]
    assert made == {**made, **new, "interface": "OCCI", "monitored": False, "email": "x@bifi.example"}
    assert writer.code("PUT", path, {"name": "third", "url": new["url"]}) == 204
    third = writer.known()["endpoints"][2]
    assert (third["interface"], third["monitored"]) == ("eu.egi.cloud.vm-management.occi", True)
    assert writer.code("PUT", f"endpoint/{third['id']}/name", {"value": "second"}) == 409
    assert writer.code("DELETE", path) == 400
    assert writer.code("DELETE", f"{path}/second") == 400
    assert writer.code("DELETE", f"{path}/{made['id']}", {"value": "x"}) == 400
    assert writer.code("DELETE", f"{path}/987654") == 404
    cesnet = writer.registry.get("/api/v1/services?site=CESNET")["items"][0]["endpoints"][0]["id"]
    assert writer.code("DELETE", f"{path}/{cesnet}") == 400
    assert writer.code("DELETE", f"{path}/{made['id']}") == 204
    assert [one["name"] for one in writer.known()["endpoints"]] == ["main", "third"]


def test_twenty_at_once_make_twenty(writer: Writer) -> None:
    """Writers at the same moment: nothing is lost, and the limit holds."""
    codes: list[int] = []

    def run(number: int) -> None:
        client = writer.registry.app.test_client()
        answer = client.put(
            f"/gocdbpi/v5/site/{writer.site}/extensionproperties/k{number}", json={"value": "v"}
        )
        codes.append(answer.status_code)

    with writer._patch.context() as patch:
        patch.setattr("hanse.web.callers.peer_chain", lambda: writer.chain)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(codes) == [204] * 20 + [409] * 4
    assert len(writer.properties()) == 20
