"""Months as APEL cuts them, beside the portal's: a switch for those who may see a site's records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import html

from accounting import archive
from tests.accounting.conftest import House
from tests.accounting.records import DAY, epoch, message, months_ago, record
from tests.accounting.test_pages import signed_in, text_of

PAGE = "/usage/apel/BIFI"


def report(months: int, wall: int) -> dict[str, Any]:
    """The counters of one machine of one core on the 20th."""
    at, start = epoch(months_ago(months, day=20)), epoch(months_ago(4, day=1))
    return record(
        "BIFI", "a", RecordCreateTime=at, StartTime=start, WallDuration=wall, CpuDuration=wall, CpuCount=1
    )


@pytest.fixture
def used(house: House) -> House:
    """A machine that says nothing for a month, and begins anew in the last."""
    house.load(message(report(4, 5 * DAY), report(2, 40 * DAY), report(1, DAY)))
    return house


def rows(client: FlaskClient, path: str) -> list[list[str]]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:300]
    found = html.fromstring(answer.data).xpath("//table//tr")
    return [[re.sub(r"\s+", " ", cell.text_content()).strip() for cell in row] for row in found]


def test_each_month_shows_both_ways_and_their_difference(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    signed_in(client, laura)
    shown = {row[0]: row[1:] for row in rows(client, PAGE)}
    silent, after, anew = (f"{months_ago(n):%b %Y}" for n in (3, 2, 1))
    assert shown[silent][1] == "0"
    assert shown[silent][2].startswith("-"), "here the silent month has its part"
    assert shown[after][1] == "840"
    assert "-936" in shown[anew][1]
    assert "What the difference is" in text_of(client.get(PAGE))


def test_the_switch_stands_where_one_sites_clouds_are_shown_to_who_may_see_its_records(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    assert "as APEL cuts them" not in client.get("/usage?site=BIFI").text
    assert client.get(PAGE).status_code == 401
    signed_in(client, laura)
    assert "as APEL cuts them" not in client.get("/usage").text
    assert "as APEL cuts them" not in client.get("/usage?site=CESNET").text
    assert "as APEL cuts them" not in client.get("/usage?site=BIFI&kind=jobs").text
    (link,) = html.fromstring(client.get("/usage?site=BIFI").data).xpath("//a[.='as APEL cuts them']/@href")
    assert link.startswith(PAGE)
    (back,) = html.fromstring(client.get(link).data).xpath("//a[.='in proportion to time']/@href")
    assert client.get(back).status_code == 200
    assert client.get("/usage/apel/CESNET").status_code == 403


def test_months_that_lie_in_the_archive_are_said_and_the_portals_figures_stay(
    used: House, client: FlaskClient, laura: dict[str, str], tmp_path: Path
) -> None:
    archive.archive(used.db, tmp_path, months_ago(1).date().replace(day=1), "a test")
    signed_in(client, laura)
    said = text_of(client.get(PAGE))
    assert "hanse accounting restore" in said
    assert "APEL's figures cannot be made" in said
    assert client.get(f"{PAGE}?from=2026-13").status_code == 422
