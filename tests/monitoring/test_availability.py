"""Figures on pages, as JSON and CSV; profiles and recomputations by form; the status of a site, its feed and badges."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient

from monitoring.figures import recomputations
from monitoring.figures.recomputations import Asked
from monitoring.profiles import kept
from tests.monitoring.federation import OCCI, Federation
from tests.monitoring.history import DAY, HOUR, LATELY, two_ngis

AsPerson = Callable[[str, str, str], dict[str, str]]
MONTH = f"{DAY:%Y-%m}"


@pytest.fixture(scope="module")
def reader(app_once: Flask) -> FlaskClient:
    return app_once.test_client()


def text(client: FlaskClient, path: str, headers: dict[str, str] | None = None) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text[:2000]
    return answer.text


def test_the_month_shows_ngis_sites_and_what_is_promised(
    counted_once: Federation, reader: FlaskClient
) -> None:
    html = text(reader, f"/availability?month={MONTH}")
    assert "keep the promise of 80 % availability and 85 % reliability" in html
    for name in ("NGI_ES", "NGI_CZ", "BIFI", "CESNET"):
        assert name in html
    assert f'href="/availability/BIFI?month={MONTH}&amp;report=Default"' in html
    call = re.search(r"GET (/api/v1/availability\?[^<]+)<", html)
    assert call is not None
    assert reader.get(call[1].replace("&amp;", "&")).status_code == 200


def test_the_call_behind_the_page_and_its_table(counted_once: Federation, reader: FlaskClient) -> None:
    query = f"first={DAY}&last={DAY}&site=BIFI&granularity=daily"
    (row,) = json.loads(text(reader, f"/api/v1/availability?{query}"))["items"]
    assert (row["ngi"], row["site"], row["time"], row["availability"]) == ("NGI_ES", "BIFI", f"{DAY}", 75.0)
    (line,) = csv.DictReader(io.StringIO(text(reader, f"/api/v1/availability.csv?{query}")))
    assert (line["site"], float(line["reliability"]), float(line["uptime"])) == ("BIFI", 75.0, 0.75)
    ngis = json.loads(text(reader, f"/api/v1/availability?first={DAY}&last={DAY}&level=ngi"))["items"]
    assert {one["ngi"]: one["availability"] for one in ngis} == {"NGI_CZ": 100.0, "NGI_ES": 75.0}
    longest = json.loads(text(reader, "/api/v1/availability?first=2001-01-01&last=2026-01-01"))
    assert (longest["first"], longest["items"]) == ("2024-11-28", [])
    assert reader.get("/api/v1/availability?report=None").status_code == 404


@pytest.mark.parametrize("level", ["service", "endpoint"])
def test_what_is_below_sites_is_told_for_a_month_or_of_one_site(
    counted_once: Federation, reader: FlaskClient, level: str
) -> None:
    for path in ("/api/v1/availability", "/api/v1/availability.csv"):
        asked = f"{path}?level={level}&last={DAY}&first="
        refused = reader.get(f"{asked}{DAY - timedelta(days=31)}")
        assert (refused.status_code, "name a site or ask for fewer" in refused.text) == (422, True)
        assert "BIFI" in text(reader, f"{asked}{DAY - timedelta(days=30)}")
        assert "BIFI" in text(reader, f"{asked}{DAY - timedelta(days=31)}&site=BIFI")


def test_a_site_day_by_day(counted_once: Federation, reader: FlaskClient) -> None:
    html = text(reader, f"/availability/BIFI?month={MONTH}")
    assert f"{DAY}" in html
    assert "75.00 %" in html
    assert OCCI in html
    assert html.count('class="day ') >= 90
    assert reader.get("/availability/NOWHERE").status_code == 404
    assert reader.get("/availability?month=May").status_code == 422


def test_the_public_status_of_a_site(counted_once: Federation, reader: FlaskClient) -> None:
    html = text(reader, "/status/BIFI")
    assert OCCI in html
    assert "/status/BIFI.rss" in html
    assert "/badges/BIFI.svg" in html
    assert reader.get("/status/NOWHERE").status_code == 404


def test_a_badge_is_svg_with_nothing_of_the_name_unescaped(trio: Federation, client: FlaskClient) -> None:
    name = '<script>"&'
    trio.put("site", name, {"id": name, "name": name})
    body = {
        "id": "odd",
        "site": name,
        "service_type": OCCI,
        "hostname": "odd.example",
        "url": "http://odd.example:1/",
    }
    trio.put("endpoint", "odd", body)
    trio.adopt()
    for path in ("/badges/%3Cscript%3E%22%26.svg", "/badges/%3Cscript%3E%22%26/availability.svg"):
        svg = ElementTree.fromstring(text(client, path))
        assert svg.attrib["aria-label"].startswith(name)
    assert "in order" in text(client, "/badges/BIFI.svg")
    assert client.get("/badges/NOWHERE.svg").status_code == 404


def test_the_feed_tells_beginnings_and_ends(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    (item,) = ElementTree.fromstring(text(client, "/status.rss")).iter("item")
    assert item.findtext("title") == "BIFI: TCP connection refused"
    assert item.findtext("guid", "").endswith("/incidents/1#open")
    trio.recover("bifi")
    (item,) = ElementTree.fromstring(text(client, "/status/BIFI.rss")).iter("item")
    assert item.findtext("title") == "BIFI: in order again (TCP connection refused)"
    assert item.findtext("link") == "http://monitoring.example:7030/incidents/1"
    assert list(ElementTree.fromstring(text(client, "/status/CESNET.rss")).iter("item")) == []


def test_an_operator_changes_a_profile_by_form(
    federation: Federation, client: FlaskClient, as_person: AsPerson
) -> None:
    two_ngis(federation)
    ingrid = as_person("Ingrid Holm", "federation_operator", "federation")
    with federation.session() as session:
        (metric,) = kept.in_force(session, "metric", DAY)
    path = f"/profiles/metric/{metric.id}"
    assert metric.id in text(client, "/profiles")
    assert "<textarea" not in text(client, path)
    assert "<textarea" in text(client, path, ingrid)
    body = {**metric.body, "services": [{"service": OCCI, "metrics": ["occi-categories"]}]}
    bad = client.post(path, data={"body": "{", "date": f"{DAY}"}, headers=ingrid)
    assert bad.status_code == 422
    assert "is not JSON" in bad.text
    wrong = client.post(path, data={"body": json.dumps({**body, "x": 1})}, headers=ingrid)
    assert "x: is not a field" in wrong.text
    kept_it = client.post(path, data={"body": json.dumps(body), "date": f"{DAY}"}, headers=ingrid)
    assert kept_it.status_code == 303
    assert "by Ingrid Holm" in text(client, f"{path}?date={DAY}", ingrid)
    assert "by an operator" in text(client, f"{path}?date={DAY}")
    assert "kept by Hanse itself" in text(client, f"{path}?date={DAY - timedelta(days=1)}")
    assert client.post(path, data={"body": json.dumps(body)}).status_code == 401


def test_an_operator_decides_a_recomputation_on_its_page(
    federation: Federation, client: FlaskClient, as_person: AsPerson
) -> None:
    two_ngis(federation)
    ingrid = as_person("Ingrid Holm", "federation_operator", "federation")
    asked = {
        "reason": "no network",
        "start_time": LATELY,
        "end_time": LATELY + HOUR,
        "report": "Default",
        "exclude": ["BIFI"],
    }
    with federation.session() as session:
        row = recomputations.ask(session, Asked.model_validate(asked), "Laura Gil")
    html = text(client, "/recomputations", ingrid)
    assert "no network" in html
    assert "without BIFI" in html
    decided = client.post(f"/recomputations/{row.id}/approved", headers=ingrid)
    assert decided.status_code == 303
    assert client.post(f"/recomputations/{row.id}/maybe", headers=ingrid).status_code == 404
    with federation.session() as session:
        assert recomputations.find(session, row.id).decided_by == "Ingrid Holm"
