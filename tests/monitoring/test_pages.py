"""The pages: what each says first, who may act, and that foreign text stays text."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from monitoring.findings import Figure, Phase, RawAnswer, Result, Status
from tests.monitoring.federation import BROKEN, ENDING, Federation, result

AsPerson = Callable[[str, str, str], dict[str, str]]
HOSTILE = "<script>alert(1)</script> | 'x'=1"


def heading(html: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]*>", " ", found.group(1)).split())


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture
def laura(as_person: AsPerson) -> dict[str, str]:
    return as_person("Laura Gil", "site_administrator", "site:BIFI")


def test_the_status_page_answers_without_sign_in(trio: Federation, client: FlaskClient) -> None:
    html = client.get("/status").get_data(as_text=True)
    assert heading(html) == "All 3 monitored sites are in order"
    assert html.count("data-days") == 3


def test_the_status_page_says_who_is_down_and_since_when(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    trio.outage("cesnet", ENDING, "certificate")
    html = client.get("/status").get_data(as_text=True)
    assert heading(html) == "1 of 3 monitored sites is down"
    words = text_of(html)
    assert "TCP connection refused" in words
    assert words.index("BIFI") < words.index("CESNET") < words.index("UKIM")
    assert "laura.gil@bifi.example" not in html


def test_an_empty_federation_says_how_to_begin(federation: Federation, client: FlaskClient) -> None:
    for path in ("/status", "/incidents", "/endpoints", "/probes"):
        assert client.get(path).status_code == 200
    assert "No site is monitored yet" in client.get("/status").get_data(as_text=True)


def test_an_incidents_page_names_cause_part_and_story(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    trio.outage("bifi")
    trio.measure("bifi", "occi-categories", result(Status.CRITICAL, "tcp-refused"))
    html = client.get("/incidents/1", headers=laura).get_data(as_text=True)
    assert heading(html).startswith("BIFI: TCP connection refused Down for")
    words = text_of(html)
    assert "needs tcp" in words
    assert "First failure: the port refuses TCP connections" in words
    assert "Held back, no alerts from them: certificate, occi-categories" in words
    assert "hooks.example" in words
    assert "/alerts" not in words


def test_a_stranger_sees_the_cause_and_not_who_was_told(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    html = client.get("/incidents/1").get_data(as_text=True)
    assert "the port refuses TCP connections" in html
    assert "laura.gil@bifi.example" not in html
    assert "hooks.example" not in html
    assert "Acknowledge" not in html


def test_the_site_acknowledges_with_a_comment_and_the_operator_sees_it(
    trio: Federation, client: FlaskClient, laura: dict[str, str], as_person: AsPerson
) -> None:
    trio.outage("bifi")
    answer = client.post("/incidents/1/acknowledge", headers=laura, data={"comment": "disk is full"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/incidents/1")
    ingrid = as_person("Ingrid Holm", "federation_operator", "federation")
    words = text_of(client.get("/incidents/1", headers=ingrid).get_data(as_text=True))
    assert "Laura Gil acknowledged: disk is full" in words
    quicker = client.post("/incidents/1/acknowledge", headers=ingrid)
    assert quicker.status_code == 409
    assert "Laura Gil has already acknowledged" in quicker.get_data(as_text=True)


def test_an_empty_comment_is_refused_with_a_sentence(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    trio.outage("bifi")
    answer = client.post("/incidents/1/comments", headers=laura, data={"text": " "})
    assert answer.status_code == 422
    assert "The comment is empty" in answer.get_data(as_text=True)
    assert client.post("/incidents/1/comments", headers=laura, data={"text": "on my way"}).status_code == 303


@pytest.mark.parametrize(
    "act", ["/incidents/1/acknowledge", "/incidents/1/comments", "/endpoints/bifi/probe"]
)
def test_acting_is_for_the_sites_own_people(
    trio: Federation, client: FlaskClient, as_person: AsPerson, act: str
) -> None:
    trio.outage("bifi")
    goran = as_person("Goran Petrov", "site_administrator", "site:UKIM")
    assert client.post(act, headers=goran, data={"text": "x"}).status_code == 403
    assert client.post(act, data={"text": "x"}).status_code == 401
    assert trio.incidents()[0].acknowledged_by is None
    assert trio.check("bifi", "tcp").asked_at is None


def test_the_endpoint_page_shows_where_the_time_went_and_the_answer(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    phases = (
        Phase("lookup", 0.0, 0.003, "occi.bifi.example → 192.0.2.7"),
        Phase("connect", 0.003, 0.011, "port 8787"),
    )
    answer = RawAnswer(
        "GET /-/ HTTP/1.1", "HTTP/1.1 200 OK\nServer: " + HOSTILE, "Category: " + HOSTILE, 9412
    )
    figures = (Figure("time", 0.2, "s"),)
    trio.measure("bifi", "occi-categories", Result(Status.OK, "12 kinds", "", 0.218, figures, phases, answer))
    html = client.get("/endpoints/bifi", headers=laura).get_data(as_text=True)
    words = text_of(html)
    assert "Name lookup" in words
    assert "TCP connect" in words
    assert "9,412 bytes" in words
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    stranger = client.get("/endpoints/bifi").get_data(as_text=True)
    assert "Category:" not in stranger
    assert "For those who are signed in" in stranger


def test_probe_now_puts_the_checks_first_in_the_queue(
    trio: Federation, client: FlaskClient, laura: dict[str, str]
) -> None:
    answer = client.post("/endpoints/bifi/probe", headers=laura)
    assert answer.status_code == 303
    check = trio.check("bifi", "tcp")
    assert check.asked_by == "Laura Gil"
    assert "In the queue" in client.get("/endpoints/bifi", headers=laura).get_data(as_text=True)


def test_endpoints_are_filtered_by_address(trio: Federation, client: FlaskClient) -> None:
    trio.outage("ukim", BROKEN, "occi-categories")
    html = client.get("/endpoints?state=down").get_data(as_text=True)
    assert "occi.ukim.example" in html
    assert "occi.bifi.example" not in html
    assert "No endpoint matches" in client.get("/endpoints?site=NOWHERE").get_data(as_text=True)


def test_the_past_is_on_the_bars(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    trio.now += timedelta(hours=1)
    trio.recover("bifi")
    html = client.get("/endpoints/bifi").get_data(as_text=True)
    assert 'class="day down"' in html
    assert "available" in text_of(html)


@pytest.mark.parametrize("path", ["/incidents/99", "/endpoints/nowhere", "/incidents/0"])
def test_what_is_not_there_is_said(trio: Federation, client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_page_names_its_call_and_polls(trio: Federation, client: FlaskClient) -> None:
    trio.outage("bifi")
    for path, call in (
        ("/status", "/api/v1/status"),
        ("/incidents", "/api/v1/incidents"),
        ("/incidents/1", "/api/v1/incidents/1"),
        ("/endpoints", "/api/v1/endpoints"),
        ("/endpoints/bifi", "/api/v1/endpoints/bifi"),
        ("/probes", "/api/v1/probes"),
    ):
        html = client.get(path).get_data(as_text=True)
        assert f"GET {call}</code>" in html
        assert "data-refresh" in html
        assert client.get(call).status_code == 200
