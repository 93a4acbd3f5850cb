"""No write of any kind leaves an old answer of GOCDB's interface behind; and no question, however odd, gives a 500."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.app import create_app
from registry.protocols.gocdb_methods import METHODS

from .conftest import OCCI, Registry

# one method for each set of kinds on which answers depend
KEPT = ("get_site", "get_ngi", "get_service", "get_service_group", "get_service_types", "get_downtime")
Write = tuple[str, str, dict[str, Any] | None]


@pytest.fixture
def fresh(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The same registry in a process that keeps nothing; the other keeps the smallest answers too."""
    monkeypatch.setattr("registry.gocdb.kept.SMALLEST", 0)
    app = create_app(registry.settings.model_copy(update={"gocdb_answers_mb": 0}))
    yield app
    app.extensions["hanse"].db.close()


def told(app: Flask, registry: Registry, method: str) -> str:
    scope = "&scope=" if "scope" in METHODS[method].parameters else ""
    answer = app.test_client().get(
        f"/gocdbpi/private/?method={method}{scope}", headers=registry.headers("Ingrid Holm")
    )
    assert answer.status_code == 200
    return answer.text


def test_after_every_kind_of_write_what_was_kept_is_what_is_so(registry: Registry, fresh: Flask) -> None:
    service = registry.get("/api/v1/services?site=BIFI")["items"][0]
    number, endpoint = service["id"], service["endpoints"][0]["id"]
    downtime = registry.declare("BIFI", timedelta(hours=30), timedelta(hours=2))["id"]
    registry.send("POST", "/api/v1/service-groups", {"name": "G", "services": [number]})
    contacts = [{"kind": "security", "name": "x", "email": "x@bifi.example"}]
    writes: list[Write] = [
        ("PATCH", "/api/v1/sites/BIFI", {"country": "Portugal", "country_code": "PT", "contacts": contacts}),
        ("PUT", "/api/v1/sites/BIFI/extensions/VO", {"value": "a"}),
        ("PATCH", "/api/v1/sites/BIFI", {"name": "BIFI-2"}),
        ("PATCH", "/api/v1/ngis/NGI_IBERGRID", {"name": "NGI_ES", "ggus_su": "unit"}),
        ("PATCH", f"/api/v1/services/{number}", {"hostname": "new.bifi.example"}),
        ("PUT", f"/api/v1/services/{number}/extensions/VO", {"value": "b"}),
        ("PATCH", f"/api/v1/endpoints/{endpoint}", {"email": "e@bifi.example", "monitored": False}),
        ("PUT", f"/api/v1/endpoints/{endpoint}/extensions/VO", {"value": "c"}),
        ("POST", f"/api/v1/services/{number}/endpoints", {"name": "two", "url": "https://b.bifi.example/"}),
        ("PATCH", f"/api/v1/service-types/{OCCI}", {"description": "other words"}),
        ("PATCH", "/api/v1/service-groups/G", {"description": "group", "email": "g@x.example"}),
        ("PUT", "/api/v1/service-groups/G/extensions/VO", {"value": "d"}),
        ("PATCH", f"/api/v1/downtimes/{downtime}", {"description": "other works"}),
        ("POST", "/api/v1/sites/BIFI-2/services", {"service_type": OCCI, "hostname": "third.bifi.example"}),
        ("PATCH", f"/api/v1/service-types/{OCCI}", {"name": "our.occi"}),
        ("DELETE", f"/api/v1/endpoints/{endpoint}", None),
        ("DELETE", f"/api/v1/services/{number}", None),
        ("DELETE", "/api/v1/sites/BIFI-2", None),
        ("DELETE", "/api/v1/service-groups/G", None),
    ]
    changed = set()
    before = {method: told(registry.app, registry, method) for method in KEPT}
    for how, path, body in writes:
        answer = registry.ask(how, path, json=body) if body is not None else registry.ask(how, path)
        assert answer.status_code < 300, (how, path, answer.text)
        for method in KEPT:
            kept = told(registry.app, registry, method)
            assert kept == told(fresh, registry, method), (how, path, method)
            changed |= {method} if kept != before[method] else set()
            before[method] = kept
    assert changed == set(KEPT)  # each of them was put to the test
    kinds = {method.kinds for method in METHODS.values()} - {None}
    assert {METHODS[name].kinds for name in KEPT} == kinds  # and no set of kinds was left out


WORDS = sorted({word for method in METHODS.values() for word in method.parameters})
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["%", "_", "Y", "n", "yes", "", "1", "-1", "2026-13-40", "9999-12-31", "0000", "(a=b)", "a,b", "all"]
    ),
)
QUERIES = st.dictionaries(
    st.sampled_from([*WORDS, "next_cursor", "prev_cursor", "output"]), VALUES, max_size=4
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(method=st.sampled_from(sorted(METHODS)), query=QUERIES)
def test_every_question_is_answered_with_200(gocdb: Registry, method: str, query: dict[str, str]) -> None:
    answer = gocdb.ask("GET", "/gocdbpi/private/", query_string={"method": method, **query})
    assert answer.status_code == 200
    assert answer.text.startswith(("<?xml", "<error>", "Invalid query expression")), answer.text


def test_a_service_tells_its_own_end(registry: Registry) -> None:
    """Ended early for one service, a downtime goes on for the others."""
    registry.register_service("BIFI", hostname="two.bifi.example")
    services = registry.get("/api/v1/services?site=BIFI")["items"]
    downtime = registry.declare("BIFI", timedelta(seconds=-5), timedelta(hours=2))["id"]
    registry.send("POST", f"/api/v1/downtimes/{downtime}/end", {"services": [services[0]["id"]]}, status=200)
    told_of = registry.ask("GET", "/gocdbpi/public/?method=get_downtime", None).text
    ends = told_of.split("<END_DATE>")[1:]
    assert len(ends) == 2
    assert int(ends[0].split("<")[0]) < int(ends[1].split("<")[0])
