"""/api/v1 of monitoring, and that pages, API and metrics tell one truth."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from schemathesis import GenerationMode

from monitoring.findings import RawAnswer, Result, Status
from tests.documents import ask_often, can_be_tried
from tests.monitoring.federation import OK, REFUSED, Federation

AsPerson = Callable[[str, str, str], dict[str, str]]


@pytest.fixture
def ingrid(as_person: AsPerson) -> dict[str, str]:
    return as_person("Ingrid Holm", "federation_operator", "federation")


@pytest.fixture
def laura(as_person: AsPerson) -> dict[str, str]:
    return as_person("Laura Gil", "site_administrator", "site:BIFI")


def got(client: FlaskClient, path: str, headers: dict[str, str] | None = None) -> Any:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def test_status_tells_sites_and_endpoints_worst_first(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    status = got(client, "/api/v1/status")
    assert status["sentence"] == "1 of 3 monitored sites is down"
    assert status["counts"] == {
        "in_order": 2,
        "degraded": 0,
        "down": 1,
        "downtime": 0,
        "unknown": 0,
        "total": 3,
    }
    bifi = status["sites"][0]
    assert (bifi["site"], bifi["state"], bifi["cause"]) == (
        "BIFI",
        "down",
        "the port refuses TCP connections",
    )
    (endpoint,) = bifi["endpoints"]
    assert (endpoint["id"], endpoint["state"], endpoint["incident"]) == ("bifi", "down", 1)
    assert endpoint["since"].endswith("Z")
    assert bifi["days"] == []


def test_ninety_days_are_given_when_asked_for(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    (bifi, *_others) = got(client, "/api/v1/status?days=true")["sites"]
    assert len(bifi["days"]) == 90
    assert sum(bifi["days"][-1]["seconds"].values()) <= 86_400
    assert 0 < bifi["availability_30d"] < 100
    assert bifi["reliability_30d"] == bifi["availability_30d"]


def test_the_status_of_one_site_and_the_status_without_endpoints(
    trio: Federation, client: FlaskClient
) -> None:
    one = got(client, "/api/v1/status?site=BIFI&days=true")
    assert [site["site"] for site in one["sites"]] == ["BIFI"]
    (endpoint, *_others) = one["sites"][0]["endpoints"]
    assert len(endpoint["days"]) == 90
    assert endpoint["availability_30d"] is None or 0 <= endpoint["availability_30d"] <= 100
    assert "measured_at" in endpoint
    brief = got(client, "/api/v1/status?endpoints=false")
    assert one["counts"] == brief["counts"]
    assert len(brief["sites"]) > 1
    assert not any(site["endpoints"] for site in brief["sites"])
    assert got(client, "/api/v1/status?site=NOBODY")["sites"] == []


def test_the_overview_is_the_operators_and_says_whose_it_is(
    trio: Federation, client: FlaskClient, ingrid: dict[str, str], laura: dict[str, str]
) -> None:
    trio.outage("bifi")
    overview = got(client, "/api/v1/overview", ingrid)
    (failing,) = overview["failing"]
    assert failing["contacts"] == [{"kind": "admin", "name": "Laura Gil", "email": "laura.gil@bifi.example"}]
    assert (failing["endpoint_id"], failing["incident"], failing["acknowledged_by"]) == ("bifi", 1, None)
    assert overview["sites"]["down"] == 1
    assert (overview["endpoints_total"], overview["doubting"]) == (3, False)
    assert client.get("/api/v1/overview", headers=laura).status_code == 403
    assert client.get("/api/v1/overview").status_code == 401


def test_an_endpoint_with_its_checks_and_contacts_for_those_who_are_signed_in(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    endpoint = got(client, "/api/v1/endpoints/bifi", laura)
    assert [check["probe"] for check in endpoint["checks"]] == ["tcp", "certificate", "occi-categories"]
    assert endpoint["checks"][2]["needs"] == ["tcp"]
    assert endpoint["contacts"][0]["name"] == "Laura Gil"
    assert got(client, "/api/v1/endpoints/bifi")["contacts"] == []


def test_results_are_paged_latest_first(trio: Federation, client: FlaskClient) -> None:
    for _ in range(4):
        trio.measure("bifi", "tcp", OK)
    first = got(client, "/api/v1/endpoints/bifi/results?probe=tcp&limit=3")
    assert len(first["items"]) == 3
    second = got(client, f"/api/v1/endpoints/bifi/results?probe=tcp&limit=3&cursor={first['next']}")
    times = [item["started_at"] for item in first["items"] + second["items"]]
    assert times == sorted(times, reverse=True)
    assert (len(times), second["next"]) == (5, None)
    assert client.get("/api/v1/endpoints/bifi/results?cursor=WzFd").status_code == 422


def test_the_raw_answer_is_for_those_who_are_signed_in(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    raw = RawAnswer("GET /-/ HTTP/1.1", "HTTP/1.1 200 OK", "Category: \x00compute", 18)
    trio.measure("bifi", "occi-categories", Result(Status.OK, "fine", "", 0.1, answer=raw))
    path = "/api/v1/endpoints/bifi/answers/occi-categories"
    assert client.get(path).status_code == 401
    assert got(client, path, laura)["reply_body"] == "Category: \N{REPLACEMENT CHARACTER}compute"
    assert client.get("/api/v1/endpoints/bifi/answers/tcp", headers=laura).status_code == 404


def test_probe_now_over_the_api(trio: Federation, client: FlaskClient, laura: dict[str, str]) -> None:
    path = "/api/v1/endpoints/bifi/probe"
    assert client.post(path, headers=laura, json={"probe": "tcp"}).get_json() == {"asked": 1}
    assert client.post(path, headers=laura, json={}).get_json() == {"asked": 3}
    assert client.post(path, headers=laura, json={"probe": "ping"}).status_code == 404
    assert client.post("/api/v1/endpoints/ukim/probe", headers=laura, json={}).status_code == 403


def test_incidents_open_and_over(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    trio.recover("bifi")
    trio.outage("ukim")
    assert [item["number"] for item in got(client, "/api/v1/incidents")["items"]] == [2]
    assert [item["number"] for item in got(client, "/api/v1/incidents?state=over")["items"]] == [1]
    first = got(client, "/api/v1/incidents?state=all&limit=1")
    assert first["items"][0]["number"] == 2
    assert got(client, f"/api/v1/incidents?state=all&cursor={first['next']}")["items"][0]["number"] == 1
    assert got(client, "/api/v1/incidents?state=all&site=BIFI")["items"][0]["number"] == 1


def test_acknowledging_once_and_commenting_at_any_time(
    trio: Federation, client: FlaskClient, laura: dict[str, str], ingrid: dict[str, str]
) -> None:
    trio.outage("bifi")
    done = client.post("/api/v1/incidents/1/acknowledge", headers=laura, json={"comment": "on it"})
    assert done.get_json()["acknowledged_by"] == "Laura Gil"
    again = client.post("/api/v1/incidents/1/acknowledge", headers=ingrid, json={})
    assert again.status_code == 409
    assert "Laura Gil has already acknowledged" in again.get_json()["detail"]
    assert (
        client.post("/api/v1/incidents/1/comments", headers=ingrid, json={"text": "thanks"}).status_code
        == 201
    )
    notes = got(client, "/api/v1/incidents/1", ingrid)["notes"]
    assert [(note["kind"], note["by"], note["text"]) for note in notes][-2:] == [
        ("acknowledged", "Laura Gil", "on it"),
        ("comment", "Ingrid Holm", "thanks"),
    ]
    assert {note["kind"] for note in got(client, "/api/v1/incidents/1")["notes"]} <= {
        "good",
        "failing",
        "confirmed",
        "held",
    }
    trio.recover("bifi")
    over = client.post("/api/v1/incidents/1/acknowledge", headers=ingrid, json={})
    assert over.status_code == 409
    assert client.post("/api/v1/incidents/7/comments", headers=ingrid, json={"text": "x"}).status_code == 404


def test_the_monitors_own_incident_is_the_operators(
    trio: Federation, client: FlaskClient, laura: dict[str, str], ingrid: dict[str, str]
) -> None:
    for _ in range(3):
        for endpoint in ("bifi", "cesnet", "ukim"):
            trio.measure(endpoint, "tcp", REFUSED)
    assert got(client, "/api/v1/status")["sentence"].startswith("Monitoring reaches no site")
    assert client.post("/api/v1/incidents/1/acknowledge", headers=laura, json={}).status_code == 403
    assert client.post("/api/v1/incidents/1/acknowledge", headers=ingrid, json={}).status_code == 200


@pytest.mark.parametrize("name", ["status", "endpoints", "incidents"])
def test_lists_come_as_csv(trio: Federation, client: FlaskClient, name: str) -> None:
    trio.outage("bifi")
    answer = client.get(f"/api/v1/{name}.csv")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert "BIFI" in {row["site"] for row in rows}


def test_metrics_pages_and_api_tell_one_truth(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    text = client.get("/metrics").get_data(as_text=True)
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("hanse_monitoring"))
    labels = '{endpoint="bifi",service_type="eu.egi.cloud.vm-management.occi",site="BIFI"}'
    assert figures[f"hanse_monitoring_endpoint_up{labels}"] == "0.0"
    counts = got(client, "/api/v1/status")["counts"]
    for state, word in (("down", "down"), ("ok", "in_order"), ("degraded", "degraded")):
        assert float(figures[f'hanse_monitoring_sites{{state="{state}"}}']) == counts[word]
    assert figures["hanse_monitoring_incidents_open"] == "1.0"
    assert figures["hanse_monitoring_doubting"] == "0.0"
    page = client.get("/status").get_data(as_text=True)
    assert "1 down" in page


def test_probes_and_workers(trio: Federation, client: FlaskClient) -> None:
    probes = got(client, "/api/v1/probes")
    used = {probe["name"]: probe["checks"] for probe in probes["probes"] if probe["checks"]}
    assert used == {"tcp": 3, "certificate": 3, "occi-categories": 3}
    assert (probes["workers"], probes["missed"]) == ([], 0)


def test_an_answer_that_did_not_change_is_not_sent_again(trio: Federation, client: FlaskClient) -> None:
    answer = client.get("/api/v1/endpoints")
    again = client.get("/api/v1/endpoints", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_answers_as_its_document_says(
    trio: Federation, app: Flask, ingrid: dict[str, str], mode: GenerationMode
) -> None:
    """schemathesis: whatever is sent, the answer is one that /openapi.json announces, and never a 500."""
    trio.outage("bifi")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if can_be_tried(operation, mode):
            # no schema can say which cursors are ours
            tried += ask_often(operation, mode, ingrid, examples=20, free="cursor" in str(operation.query))
    assert tried > 80
