"""Publishing status: how old a site's usage is, what is missing, the sync check, and what a probe reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import html
from sqlalchemy import text

from accounting import site_publishing
from tests.accounting.conftest import House
from tests.accounting.other_records import job, jobs, text_message
from tests.accounting.records import message, months_ago, record
from tests.accounting.test_pages import signed_in, text_of
from tests.accounting.test_usage_api import ran


def silence(house: House, site: str, days: float) -> None:
    """The last message of a site came so many days ago."""
    at = datetime.now(UTC) - timedelta(days=days)
    with house.db.transaction() as session:
        session.execute(
            text("update site_publishing set last_message_at = :at where site = :site"),
            {"at": at, "site": site},
        )


@pytest.mark.parametrize(
    ("days", "state", "code"),
    [(0.1, "OK", 0), (6.9, "OK", 0), (7.1, "WARNING", 1), (30.9, "WARNING", 1), (31.1, "CRITICAL", 2)],
)
def test_a_probe_reads_the_level_and_its_reason(
    house: House, client: FlaskClient, days: float, state: str, code: int
) -> None:
    house.load(message(record("BIFI")))
    silence(house, "BIFI", days)
    told = client.get("/api/v1/sites/BIFI/freshness").get_json()
    assert (told["state"], told["code"]) == (state, code)
    assert told["reason"].startswith("BIFI published ")
    assert told["age_s"] == pytest.approx(days * 86_400, abs=60)
    assert (told["warning_s"], told["critical_s"]) == (7 * 86_400, 31 * 86_400)


def test_a_site_that_never_published_is_unknown_and_one_that_is_not_there_is_not_found(
    client: FlaskClient,
) -> None:
    told = client.get("/api/v1/sites/UKIM/freshness").get_json()
    assert (told["state"], told["code"], told["age_s"]) == ("UNKNOWN", 3, None)
    assert told["reason"] == "UKIM has not published yet."
    for path in ("/api/v1/sites/NOWHERE/freshness", "/api/v1/publishing/NOWHERE", "/publishing/NOWHERE"):
        assert client.get(path).status_code == 404


def test_months_without_usage_between_others_are_gaps(house: House, client: FlaskClient) -> None:
    house.load(message(ran("BIFI", "a", 10, ago=1), ran("BIFI", "b", 10, ago=4), ran("UKIM", "c", 10, ago=5)))
    told = client.get("/api/v1/publishing/BIFI").get_json()
    assert told["gaps"] == [f"{months_ago(3):%Y-%m}", f"{months_ago(2):%Y-%m}"]
    with house.db.transaction() as session:
        assert set(site_publishing.gaps(session)) == {"BIFI"}
    said = text_of(client.get("/publishing/BIFI"))
    assert "2 months are without usage between others." in said
    assert said.count("no records") == 2
    assert "2 months" in text_of(client.get("/publishing"))


def sync_message(site: str, host: str, many: int) -> str:
    month = months_ago(1)
    fields = {
        "Site": site,
        "SubmitHost": host,
        "NumberOfJobs": many,
        "Month": month.month,
        "Year": month.year,
    }
    return text_message("APEL-sync-message: v0.1", fields)


def test_the_sync_check_compares_the_sites_counts_with_ours(house: House, client: FlaskClient) -> None:
    house.load(jobs(job("BIFI", "1"), job("BIFI", "2", SubmitHost="ce2"), job("BIFI", "3", SubmitHost="ce2")))
    house.load(sync_message("BIFI", "ce2", 2))
    house.load(sync_message("BIFI", "ce3", 7))
    found = {each["submit_host"]: each for each in client.get("/api/v1/publishing/BIFI").get_json()["sync"]}
    assert (found["ce2"]["said"], found["ce2"]["counted"], found["ce2"]["difference"]) == (2, 2, 0)
    assert (found["ce3"]["said"], found["ce3"]["counted"], found["ce3"]["difference"]) == (7, 0, -7)
    assert "1 of 2 differ" in text_of(client.get("/publishing"))
    assert "1 of 2 agree" in text_of(client.get("/publishing/BIFI"))


def test_messages_and_refusals_are_counted_by_day(house: House, client: FlaskClient) -> None:
    house.load(message(record("BIFI", "a"), record("BIFI", "b", CpuCount=-1)))
    days = client.get("/api/v1/publishing/BIFI").get_json()["days"]
    assert len(days) == 90
    assert (days[-1]["messages"], days[-1]["loaded"], days[-1]["refused"]) == (1, 1, 1)
    assert sum(day["messages"] for day in days[:-1]) == 0


def test_messages_of_a_site_are_shown_to_its_people_only(
    house: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    house.load(message(record("BIFI", "a")))
    assert "Latest messages" not in text_of(client.get("/publishing/BIFI"))
    signed_in(client, laura)
    assert "Latest messages" in text_of(client.get("/publishing/BIFI"))
    assert "Latest messages" not in text_of(client.get("/publishing/CESNET"))


def test_metrics_tell_limits_gaps_and_differences(house: House, client: FlaskClient) -> None:
    house.load(message(ran("BIFI", "a", 10, ago=1), ran("BIFI", "b", 10, ago=3)))
    house.load(sync_message("BIFI", "ce3", 7))
    told = client.get("/metrics").get_data(as_text=True)
    assert 'hanse_accounting_silence_limit_seconds{level="warning"} 604800.0' in told
    assert 'hanse_accounting_silence_limit_seconds{level="critical"} 2.6784e+06' in told
    assert 'hanse_accounting_gap_months{site="BIFI"} 1.0' in told
    assert 'hanse_accounting_sync_differences{site="BIFI"} 1.0' in told


def test_the_pages_of_a_site_cannot_be_broken_by_a_name(house: House, client: FlaskClient) -> None:
    house.site("<b>x</b>")
    assert b"<b>x</b>: publishing" not in client.get("/publishing/<b>x<%2Fb>").data
    assert client.get("/publishing/BIFI?days=<script>").status_code == 200


@pytest.mark.parametrize("path", ["/publishing", "/publishing/BIFI", "/exports"])
def test_every_link_of_the_page_answers(house: House, client: FlaskClient, operator: Any, path: str) -> None:
    house.load(message(ran("BIFI", "a", 10)))
    signed_in(client, operator)
    shown = html.fromstring(client.get(path).data)
    own = {url for url in shown.xpath("//main//a/@href") if re.match(r"/(?!cross-checks)", url)}
    assert own
    for url in own:
        assert client.get(url).status_code == 200, url
