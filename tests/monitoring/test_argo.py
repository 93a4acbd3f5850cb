"""ARGO's web API, read side: the skeletons of its answers to the byte, and its errors."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from monitoring.figures import noting
from tests.monitoring.federation import OCCI, Federation
from tests.monitoring.history import CONSUMER, DAY

WHEN = f"start_time={DAY}T00:00:00Z&end_time={DAY}T23:59:59Z"
MONTH = f"{DAY:%Y-%m}"
QUARTER_DOWN = {
    "availability": "75",
    "reliability": "75",
    "unknown": "0",
    "uptime": "0.75",
    "downtime": "0",
}


@pytest.fixture(scope="module")
def counted(counted_once: Federation) -> Federation:
    return counted_once


@pytest.fixture(scope="module")
def client(app_once: Flask) -> FlaskClient:
    return app_once.test_client()


@pytest.fixture(scope="module")
def ingrid() -> dict[str, str]:
    return {"x-api-key": CONSUMER, "Accept": "application/json"}


@pytest.fixture(scope="module")
def get(client: FlaskClient, ingrid: dict[str, str]) -> Callable[[str], Any]:
    def ask(path: str) -> Any:
        answer = client.get(path, headers=ingrid)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)

    return ask


def test_results_of_supergroups(counted: Federation, get: Callable[[str], Any]) -> None:
    found = get(f"/api/v2/results/Default/NGI/NGI_ES?{WHEN}")
    row = {"timestamp": f"{DAY}", "availability": "75", "reliability": "75"}
    assert found == {"results": [{"name": "NGI_ES", "type": "NGI", "results": [row]}]}
    both = get(f"/api/v2/results/Default/NGI?{WHEN}&granularity=daily")
    assert [one["name"] for one in both["results"]] == ["NGI_CZ", "NGI_ES"]


def test_results_of_sites_hang_under_endpoints(counted: Federation, get: Callable[[str], Any]) -> None:
    site = {"name": "BIFI", "type": "SITES", "results": [{"timestamp": f"{DAY}", **QUARTER_DOWN}]}
    expected = {"results": [{"name": "NGI_ES", "type": "NGI", "endpoints": [site]}]}
    assert get(f"/api/v2/results/Default/SITES/BIFI?{WHEN}") == expected
    assert get(f"/api/v2/results/Default/NGI/NGI_ES/SITES?{WHEN}") == expected


def test_results_of_services_and_endpoints(counted: Federation, get: Callable[[str], Any]) -> None:
    rows = [{"timestamp": f"{DAY}", **QUARTER_DOWN}]
    service = {"name": OCCI, "type": "service", "results": rows}
    expected = {"results": [{"name": "BIFI", "type": "SITES", "serviceflavors": [service]}]}
    assert get(f"/api/v2/results/Default/SITES/BIFI/services?{WHEN}") == expected
    assert get(f"/api/v2/results/Default/SITES/BIFI/services/{OCCI}?{WHEN}") == expected
    endpoint = {
        "name": "occi.bifi.example",
        "type": "endpoint",
        "info": {"Url": "http://occi.bifi.example:8787/"},
        "results": rows,
    }
    flavor = {"name": OCCI, "type": "service", "endpoints": [endpoint]}
    of_bifi = {"results": [{"name": "BIFI", "type": "SITES", "serviceflavors": [flavor]}]}
    for path in (f"services/{OCCI}/endpoints", "endpoints/occi.bifi.example", "endpoints"):
        assert get(f"/api/v2/results/Default/SITES/BIFI/{path}?{WHEN}") == of_bifi
    flat = get(f"/api/v2/results/Default/endpoints?{WHEN}&pageSize=1&nextPageToken=1")
    assert [one["name"] for one in flat["results"]] == ["BIFI"]


def test_results_by_month_and_of_a_period_are_not_rounded(
    counted: Federation, get: Callable[[str], Any]
) -> None:
    (found,) = get(f"/api/v2/results/Default/SITES/BIFI?{WHEN}&granularity=monthly")["results"]
    (row,) = found["endpoints"][0]["results"]
    assert row["timestamp"] == MONTH
    assert row["availability"] == "74.9999992500000"[: len(row["availability"])]
    assert row["uptime"] == "0.75"
    (custom,) = get(f"/api/v2/results/Default/SITES/BIFI?{WHEN}&granularity=custom")["results"]
    assert custom["endpoints"][0]["results"] == [{k: v for k, v in row.items() if k != "timestamp"}]


def test_results_as_xml(counted: Federation, client: FlaskClient, ingrid: dict[str, str]) -> None:
    answer = client.get(
        f"/api/v2/results/Default/SITES/BIFI?{WHEN}", headers={**ingrid, "Accept": "application/xml"}
    )
    assert answer.text == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        '<root><group name="NGI_ES" type="NGI"><group name="BIFI" type="SITES">'
        f'<results timestamp="{DAY}" availability="75" reliability="75" unknown="0" uptime="0.75" downtime="0" />'
        "</group></group></root>"
    )
    assert answer.content_type == "application/xml; charset=utf-8"


def test_results_of_version_3(counted: Federation, get: Callable[[str], Any]) -> None:
    found = get(f"/api/v3/results/Default?{WHEN}")["results"]
    assert found[1] == {
        "name": "NGI_ES",
        "type": "NGI",
        "results": [{"date": f"{DAY}", "availability": "75", "reliability": "75"}],
        "groups": [{"name": "BIFI", "type": "SITES", "results": [{"date": f"{DAY}", **QUARTER_DOWN}]}],
    }


STATUSES = [
    {"timestamp": f"{DAY}T00:00:00Z", "value": "OK"},
    {"timestamp": f"{DAY}T06:00:00Z", "value": "CRITICAL"},
    {"timestamp": f"{DAY}T12:00:00Z", "value": "OK"},
    {"timestamp": f"{DAY}T23:59:59Z", "value": "OK"},
]
INFO = {"Url": "http://occi.bifi.example:8787/"}


def test_status_at_each_level(counted: Federation, get: Callable[[str], Any]) -> None:
    base = "/api/v2/status/Default/SITES/BIFI"
    assert get(f"{base}?{WHEN}") == {"groups": [{"name": "BIFI", "type": "SITES", "statuses": STATUSES}]}

    def below(services: list[dict[str, Any]]) -> dict[str, Any]:
        return {"groups": [{"name": "BIFI", "type": "SITES", "services": services}]}

    service = {"name": OCCI, "type": "service", "statuses": STATUSES}
    assert get(f"{base}/services?{WHEN}") == below([service])
    host = {"name": "occi.bifi.example", "info": INFO, "statuses": STATUSES}
    expected = below([{"name": OCCI, "type": "service", "endpoints": [host]}])
    assert get(f"{base}/services/{OCCI}/endpoints?{WHEN}") == expected
    assert get(f"{base}/endpoints?{WHEN}") == expected
    metric = {"name": "tcp", "statuses": STATUSES}
    with_metrics = {"name": "occi.bifi.example", "info": INFO, "metrics": [metric]}
    assert get(f"{base}/services/{OCCI}/endpoints/occi.bifi.example/metrics/tcp?{WHEN}") == below(
        [{"name": OCCI, "type": "service", "endpoints": [with_metrics]}]
    )


def test_details_of_too_many_changes_are_refused_with_what_to_ask_instead(
    counted: Federation,
    get: Callable[[str], Any],
    client: FlaskClient,
    ingrid: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitoring.protocols.argo_status.MOST_DETAILED", 3)
    path = f"/api/v2/status/Default/endpoints/occi.bifi.example/metrics?{WHEN}"
    assert get(path)["groups"] != []
    refused = client.get(f"{path}&view=details", headers=ingrid)
    assert (refused.status_code, "ask for fewer days" in refused.text) == (422, True)


def test_status_details_and_version_3(counted: Federation, get: Callable[[str], Any]) -> None:
    endpoints = get(f"/api/v2/status/Default/SITES/BIFI/endpoints?{WHEN}&view=details")
    row = endpoints["groups"][0]["services"][0]["endpoints"][0]["statuses"][0]
    assert row == {**STATUSES[0], "affected_by_threshold_rule": False}
    path = f"/api/v2/status/Default/SITES/BIFI/services/{OCCI}/endpoints/occi.bifi.example/metrics/tcp"
    metrics = get(f"{path}?{WHEN}&view=details")
    row = metrics["groups"][0]["services"][0]["endpoints"][0]["metrics"][0]["statuses"][1]
    assert row == {**STATUSES[1], "actual_data": "", "threshold_rule_applied": "", "original_status": ""}
    bifi = get(f"/api/v3/status/Default?{WHEN}")["groups"][0]
    assert bifi == {
        "name": "BIFI",
        "type": "SITES",
        "statuses": STATUSES,
        "endpoints": [{"hostname": "occi.bifi.example", "service": OCCI, "info": INFO, "statuses": STATUSES}],
    }


def test_today_ends_now(counted: Federation, get: Callable[[str], Any]) -> None:
    with counted.session() as session:
        today = noting.today(session)
    when = f"start_time={today}T00:00:00Z&end_time={today}T23:59:59Z"
    (found,) = get(f"/api/v2/status/Default/SITES/BIFI?{when}")["groups"]
    assert found["statuses"][-1]["timestamp"] < f"{today}T23:59:59Z"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/v2/results/Default/SITES?{WHEN.replace('start_time', 'start')}", 400),
        (f"/api/v2/results/Default/SITES?{WHEN.replace('T00:00:00Z', '')}", 400),
        (f"/api/v2/results/Default/SITES?{WHEN}&granularity=hourly", 400),
        (f"/api/v2/results/Default/GROUPS?{WHEN}", 400),
        (f"/api/v2/results/Default/SITES/BIFI/hosts?{WHEN}", 404),
        (f"/api/v2/results/Nothing/SITES?{WHEN}", 404),
        (f"/api/v2/results/Default/SITES/NOWHERE?{WHEN}", 404),
        ("/api/v2/metric_profiles/unknown", 404),
        ("/api/v2/metric_profiles?date=yesterday", 400),
        ("/api/v2/latest/Default/SITES?filter=bad", 400),
        ("/api/v2/latest/Default/SITES?limit=-1", 400),
        ("/api/v2/nothing", 404),
        ("/api/v2/trends/Default/flapping/hosts", 404),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_what_cannot_be_answered_is_said_in_the_envelope(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], path: str, status: int
) -> None:
    answer = client.get(path, headers=ingrid)
    body = json.loads(answer.text)
    assert (answer.status_code, body["status"]["code"]) == (status, str(status))
    assert body["errors"][0]["code"] == str(status)
    assert body["errors"][0]["details"]


def test_a_key_and_a_media_type_are_needed(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str]
) -> None:
    path = f"/api/v2/results/Default/SITES?{WHEN}"
    nobody = client.get(path, headers={"Accept": "application/json"})
    assert (nobody.status_code, json.loads(nobody.text)["status"]) == (
        401,
        {"message": "Unauthorized", "code": "401"},
    )
    for accept in ("text/html", ""):
        assert client.get(path, headers={**ingrid, "Accept": accept}).status_code == 406
