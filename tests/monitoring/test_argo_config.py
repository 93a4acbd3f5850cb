"""ARGO's web API: profiles, reports, weights, topology, downtimes and recomputations, through the same use cases."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from werkzeug.test import TestResponse

from monitoring.figures import noting
from monitoring.models import Check, StoredResult
from monitoring.models.figures import DayFigure
from tests.monitoring.federation import OCCI, Federation
from tests.monitoring.history import DAY, HOUR, LATELY, make, two_ngis, well_but_for_a_morning

AsPerson = Callable[[str, str, str], dict[str, str]]
WHEN = f"start_time={DAY}T00:00:00Z&end_time={DAY}T23:59:59Z"


@pytest.fixture
def counted(federation: Federation) -> Federation:
    return two_ngis(federation)


@pytest.fixture
def ingrid(as_person: AsPerson) -> dict[str, str]:
    headers = as_person("Ingrid Holm", "federation_operator", "federation")
    return {"x-api-key": headers["Authorization"].removeprefix("Bearer "), "Accept": "application/json"}


@pytest.fixture
def laura(as_person: AsPerson) -> dict[str, str]:
    headers = as_person("Laura Gil", "site_administrator", "site:BIFI")
    return {**headers, "Accept": "application/json"}


@pytest.fixture
def get(client: FlaskClient, ingrid: dict[str, str]) -> Callable[[str], Any]:
    def ask(path: str) -> Any:
        answer = client.get(path, headers=ingrid)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)

    return ask


def test_status_of_an_empty_range_is_that_of_the_day_before(
    counted: Federation, get: Callable[[str], Any]
) -> None:
    with counted.session() as session:
        today = noting.today(session)
        session.execute(delete(DayFigure).where(DayFigure.day == today))
    when = f"start_time={today}T00:00:00Z&end_time={today}T23:59:59Z"
    (found,) = get(f"/api/v2/status/Default/SITES/BIFI?{when}")["groups"]
    assert found["statuses"][0]["timestamp"] == f"{today - timedelta(days=1)}T00:00:00Z"


def test_details_say_on_which_days_a_threshold_rule_counted(
    counted: Federation, get: Callable[[str], Any]
) -> None:
    with counted.session() as session:
        check = session.scalars(
            select(Check.id).where(Check.endpoint_id == "bifi", Check.probe == "tcp")
        ).one()
        said = {"status": "warning", "reason": "threshold", "summary": "", "threshold_rule": "time=1s;2:5;5:"}
        at = LATELY + 7 * HOUR
        more = {"started_at": at, "took_s": 0.1, "figures": [], "phases": [], "worker": "tests"}
        session.add(StoredResult(check_id=check, lease="a", **said, **more))
    for site, ruled in (("BIFI", True), ("CESNET", False)):
        found = get(f"/api/v2/status/Default/SITES/{site}/endpoints?{WHEN}&view=details")
        rows = found["groups"][0]["services"][0]["endpoints"][0]["statuses"]
        assert {row["affected_by_threshold_rule"] for row in rows} == {ruled}


# --- configuration ---


def sent(client: FlaskClient, method: str, path: str, headers: dict[str, str], body: Any) -> TestResponse:
    return client.open(path, method=method, headers=headers, data=json.dumps(body))


METRICS = {"name": "CRITICAL", "description": "", "services": [{"service": OCCI, "metrics": ["tcp"]}]}


def test_a_profile_is_made_changed_from_a_date_on_and_deleted(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], get: Callable[[str], Any]
) -> None:
    made = sent(client, "POST", "/api/v2/metric_profiles", ingrid, METRICS)
    assert made.status_code == 201
    body = json.loads(made.text)
    one = f"/api/v2/metric_profiles/{body['data']['id']}"
    assert body["data"]["links"]["self"].endswith(one)
    assert sent(client, "POST", "/api/v2/metric_profiles", ingrid, METRICS).status_code == 409
    today = get(one)["data"][0]["date"]
    later = (DAY + timedelta(days=40)).isoformat()
    changed = {**METRICS, "services": [{"service": OCCI, "metrics": ["tcp", "certificate"]}]}
    assert sent(client, "PUT", f"{one}?date={later}", ingrid, changed).status_code == 200
    assert get(one) == {
        "status": {"message": "Success", "code": "200"},
        "data": [{"id": body["data"]["id"], "date": today, **METRICS}],
    }
    assert get(f"{one}?date={later}")["data"][0]["services"] == changed["services"]
    assert client.get(f"{one}?date=2001-01-01", headers=ingrid).status_code == 404
    assert client.delete(one, headers=ingrid).status_code == 200
    assert client.get(one, headers=ingrid).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {**METRICS, "sevices": []},
        {"name": "x"},
        {**METRICS, "name": ""},
        {**METRICS, "services": [{"service": OCCI, "metrics": "tcp"}]},
    ],
)
def test_a_profile_that_is_not_one_is_refused_with_the_field(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], body: Any
) -> None:
    answer = sent(client, "POST", "/api/v2/metric_profiles", ingrid, body)
    assert answer.status_code == 422
    assert ":" in json.loads(answer.text)["errors"][0]["details"]


def test_truth_tables_must_be_whole_and_threshold_rules_readable(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], get: Callable[[str], Any]
) -> None:
    (egi,) = get("/api/v2/operations_profiles?name=egi_ops")["data"]
    assert len(egi["operations"][0]["truth_table"]) == 36
    half = {**egi, "name": "half", "operations": egi["operations"][:1]}
    refused = sent(client, "POST", "/api/v2/operations_profiles", ingrid, half)
    assert refused.status_code == 422
    assert "OR does not say" in refused.text
    rule = {"metric": "bdii", "thresholds": "freshness=x"}
    bad = sent(client, "POST", "/api/v2/thresholds_profiles", ingrid, {"name": "t", "rules": [rule]})
    assert bad.status_code == 422


def test_a_report_names_its_profiles_and_filters_its_endpoints(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], get: Callable[[str], Any]
) -> None:
    (default,) = get("/api/v2/reports?name=Default")["data"]
    assert default["thresholds"] == {
        "availability": 80,
        "reliability": 85,
        "uptime": 80,
        "unknown": 10,
        "downtime": 10,
    }
    assert default["topology_schema"] == {"group": {"type": "NGI", "group": {"type": "SITES"}}}
    body = {key: value for key, value in default.items() if key != "id"}
    body["info"] = {"name": "Spain", "description": ""}
    body["filter_tags"] = [{"name": "ngi", "value": "NGI_ES", "context": "argo.group.filter.tags"}]
    assert sent(client, "POST", "/api/v2/reports", ingrid, body).status_code == 201
    body["info"] = {"name": "Broken"}
    body["profiles"] = [{"id": "no-such", "name": "x", "type": "metric"}]
    assert sent(client, "POST", "/api/v2/reports", ingrid, body).status_code == 422
    make(counted)
    found = get(f"/api/v2/results/Spain/SITES?{WHEN}")
    assert [one["name"] for one in found["results"]] == ["NGI_ES"]
    members = get("/api/v2/topology/endpoints/by_report/Spain")["data"]
    assert [one["group"] for one in members] == ["BIFI"]


def test_weights_count_plus_one(
    federation: Federation, client: FlaskClient, ingrid: dict[str, str], get: Callable[[str], Any]
) -> None:
    well_but_for_a_morning(federation)
    for name in ("BIFI", "CESNET"):
        federation.put("site", name, {"id": name, "name": name, "ngi": "NGI_IBERIA"})
    make(federation)

    def availability() -> str:
        (ngi,) = get(f"/api/v2/results/Default/NGI?{WHEN}")["results"]
        return str(ngi["results"][0]["availability"])

    assert availability() == "87.5"
    weights = {"name": "HEPSPEC", "groups": [{"name": "BIFI", "value": 2}]}
    assert sent(client, "POST", f"/api/v2/weights?date={DAY}", ingrid, weights).status_code == 201
    assert availability() == "81.25"  # (3 * 75 + 1 * 100) / 4
    assert get(f"/api/v2/weights?date={DAY}")["data"][0]["groups"] == [{"name": "BIFI", "value": 2.0}]


def test_topology_comes_from_the_registry_and_no_other_is_taken(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], get: Callable[[str], Any]
) -> None:
    (bifi,) = get("/api/v2/topology/endpoints?group=B*")["data"]
    assert bifi["hostname"] == "occi.bifi.example"
    assert (bifi["tags"]["production"], bifi["tags"]["monitored"]) == ("1", "1")
    groups = get("/api/v2/topology/groups?subgroup=~BIFI")["data"]
    assert [(one["group"], one["subgroup"]) for one in groups] == [("NGI_CZ", "CESNET")]
    assert get("/api/v2/topology/stats")["data"]["endpoint_group_count"] == 2
    assert get("/api/v2/topology/service-types")["data"][0]["name"] == OCCI
    assert get("/api/v2/topology/tags")["data"][0]["name"] == "endpoints"
    assert get("/api/v2/topology/endpoints?date=2001-01-01")["data"] == []
    assert get("/api/v2/feeds/topology")["data"][0]["type"] == "gocdb"
    for path in ("topology/endpoints", "topology/groups", "downtimes"):
        assert sent(client, "POST", f"/api/v2/{path}", ingrid, []).status_code == 409


def test_downtimes_of_a_day(counted: Federation, get: Callable[[str], Any]) -> None:
    counted.downtime("BIFI", LATELY + HOUR, LATELY + 2 * HOUR, classification="SCHEDULED")
    assert get(f"/api/v2/downtimes?date={DAY}")["data"] == [
        {
            "date": f"{DAY}",
            "endpoints": [
                {
                    "hostname": "occi.bifi.example",
                    "service": OCCI,
                    "start_time": f"{DAY}T01:00:00Z",
                    "end_time": f"{DAY}T02:00:00Z",
                    "description": "storage firmware",
                    "severity": "OUTAGE",
                    "classification": "SCHEDULED",
                }
            ],
        }
    ]
    assert get(f"/api/v2/downtimes?date={DAY}&severity=warning")["data"][0]["endpoints"] == []


def test_a_recomputation_is_asked_for_by_a_site_and_decided_by_an_operator(
    counted: Federation,
    client: FlaskClient,
    ingrid: dict[str, str],
    laura: dict[str, str],
    get: Callable[[str], Any],
) -> None:
    asked = {
        "reason": "the monitoring host had no network",
        "start_time": f"{DAY}T06:00:00Z",
        "end_time": f"{DAY}T11:59:00Z",
        "report": "Default",
        "exclude": ["BIFI"],
    }
    made = sent(client, "POST", "/api/v2/recomputations", laura, asked)
    assert made.status_code == 201
    one = f"/api/v2/recomputations/{json.loads(made.text)['data']['id']}"
    turned = {"status": "approved"}
    assert sent(client, "POST", f"{one}/status", laura, turned).status_code == 403
    assert sent(client, "POST", f"{one}/status", ingrid, turned).status_code == 200
    make(counted)
    (found,) = get(f"/api/v2/recomputations?report=Default&date={DAY}")["data"]
    assert [entry["status"] for entry in found["history"]] == ["pending", "approved", "done"]
    (site,) = get(f"/api/v2/results/Default/SITES/BIFI?{WHEN}")["results"]
    assert site["endpoints"][0]["results"][0]["availability"] == "100"
    assert site["endpoints"][0]["results"][0]["unknown"] == "0.25"
    assert client.delete(f"{one}/status", headers=ingrid).status_code == 200
    assert get(one)["data"]["status"] == "pending"
    assert client.delete(one, headers=ingrid).status_code == 200
    bad = {**asked, "end_time": asked["start_time"]}
    assert sent(client, "POST", "/api/v2/recomputations", laura, bad).status_code == 422


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ({"exclude": ["CESNET"]}, 403),
        ({"exclude": ["NGI_ES"]}, 403),
        ({"applied_status_changes": [{"hostname": "occi.bifi.example", "state": "OK"}]}, 201),
        ({"applied_status_changes": [{"hostname": "occi.cesnet.example", "state": "OK"}]}, 403),
        ({"exclude_metrics": [{"metric": "tcp"}]}, 403),
        ({"exclude_metrics": [{"metric": "tcp", "group": "BIFI"}]}, 201),
    ],
)
def test_a_site_asks_for_a_recomputation_of_itself_alone(
    counted: Federation, client: FlaskClient, laura: dict[str, str], part: Any, status: int
) -> None:
    times = {"start_time": f"{DAY}T06:00:00Z", "end_time": f"{DAY}T11:59:00Z"}
    asked = {"reason": "no network", **times, "report": "Default", **part}
    assert sent(client, "POST", "/api/v2/recomputations", laura, asked).status_code == status


def test_what_is_answered_with_406_was_not_written(
    counted: Federation, client: FlaskClient, ingrid: dict[str, str], get: Callable[[str], Any]
) -> None:
    mute = {**ingrid, "Accept": "text/html"}
    (known,) = get("/api/v2/weights?name=hanse")["data"]
    assert client.delete(f"/api/v2/weights/{known['id']}", headers=mute).status_code == 406
    weights = {"name": "HEPSPEC", "groups": []}
    assert sent(client, "POST", "/api/v2/weights", mute, weights).status_code == 406
    assert [one["name"] for one in get("/api/v2/weights")["data"]] == ["hanse"]


def test_latest_trends_issues_and_one_result(trio: Federation, get: Callable[[str], Any]) -> None:
    trio.outage("bifi")
    make(trio)
    day = trio.incidents()[0].began_at.date()
    latest = get(f"/api/v2/latest/Default/SITES/BIFI?date={day}&filter=non-ok")["data"]["metric_data"]
    assert latest[0] == {
        "endpoint_group": "BIFI",
        "service": OCCI,
        "endpoint": "occi.bifi.example",
        "metric": "tcp",
        "timestamp": latest[0]["timestamp"],
        "status": "CRITICAL",
        "summary": "the port refuses TCP connections",
        "message": "tcp-refused",
    }
    at = latest[0]["timestamp"]
    (root,) = get(f"/api/v2/metric_result/occi.bifi.example/tcp?exec_time={at}")["data"]["root"]
    assert root["Metrics"][0]["Details"][0]["Value"] == "CRITICAL"
    flapping = get(f"/api/v2/trends/Default/flapping/metrics?date={day}")["data"]
    assert {
        "endpoint_group": "BIFI",
        "service": OCCI,
        "endpoint": "occi.bifi.example",
        "metric": "tcp",
    }.items() <= (
        next(one for one in flapping if one["endpoint_group"] == "BIFI" and one["metric"] == "tcp").items()
    )
    groups = get(f"/api/v2/trends/Default/flapping/groups?date={day}&top=1")["data"]
    assert [one["endpoint_group"] for one in groups] == ["BIFI"]
    issues = get(f"/api/v2/issues/Default/endpoints?date={day}&filter=CRITICAL")["data"]
    assert [one["endpoint_group"] for one in issues] == ["BIFI"]
