"""The portal's page: every kind, measure, dimension and drawing; hostile addresses; what it says of its figures."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from lxml import html

from accounting.asking import KINDS, MEASURES
from tests.accounting.conftest import House
from tests.accounting.records import message, months_ago
from tests.accounting.test_pages import signed_in, text_of
from tests.accounting.test_usage_api import ANNA, TOMAS, ran


@pytest.fixture
def used(house: House) -> House:
    for site, place in (("BIFI", (41.6, -0.9)), ("UKIM", (42.0, 21.4))):
        house.site(site, latitude=place[0], longitude=place[1])
    house.load(
        message(
            ran("BIFI", "a", 10), ran("BIFI", "b", 20, vo="chipster", user=TOMAS), ran("CESNET", "c", 5),
            ran("UKIM", "d", 7, user=TOMAS, ago=2), ran("BIFI", "e", 3, ago=14),
        )
    )  # fmt: skip
    return house


def cells(client: FlaskClient, query: str) -> list[list[str]]:
    """The rows of the table of two dimensions, heads included."""
    answer = client.get(f"/usage?{query}")
    assert answer.status_code == 200, answer.text[:300]
    rows = html.fromstring(answer.data).xpath("//section[@id='pivot']//tr")
    return [[re.sub(r"\s+", " ", cell.text_content()).strip() for cell in row] for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_every_measure_of_every_kind_has_a_page(used: House, client: FlaskClient, kind: str) -> None:
    for measure in KINDS[kind].measures:
        for chart in ("stacked", "lines", "share", "map"):
            answer = client.get(f"/usage?kind={kind}&measure={measure}&chart={chart}&cells=row")
            assert answer.status_code == 200
            assert MEASURES[measure].label in answer.text


def test_every_dimension_has_a_page_and_the_table_keeps_the_sum(
    used: House, client: FlaskClient, operator: dict[str, str]
) -> None:
    signed_in(client, operator)
    for by in KINDS["cloud"].dimensions:
        if by in ("month", "day"):
            continue
        rows = cells(client, f"by={by}")
        whole = next(at for at, head in enumerate(rows[0]) if head.startswith("All "))
        assert rows[-1][whole] == "84", by


def test_any_two_dimensions_stand_across_each_other(used: House, client: FlaskClient) -> None:
    rows = cells(client, "pivot=country,discipline")
    assert rows[0][:2] == ["Country", "unknown"]
    assert {row[0] for row in rows[1:-1]} == {"Spain", "Czech Republic", "North Macedonia"}
    months = cells(client, f"pivot=vo,month&from={months_ago(2):%Y-%m}")
    assert months[0][1:4] == [f"{months_ago(n):%b %Y}" for n in (2, 1, 0)]


def test_rows_and_columns_change_places_when_one_is_set_to_the_other(
    used: House, client: FlaskClient
) -> None:
    assert cells(client, "pivot=site,vo&rows=vo&columns=vo")[0][0] == "VO"
    assert cells(client, "pivot=site,vo&rows=site&columns=site")[0][0] == "VO"


def test_cells_can_be_shares_of_row_and_column(used: House, client: FlaskClient) -> None:
    row = {each[0]: each for each in cells(client, "cells=row")}["BIFI"]
    assert row[1:3] == ["33.3 %", "66.7 %"]
    column = {each[0]: each for each in cells(client, "cells=column")}["BIFI"]
    assert "100.0 %" in column[1:3]


def test_the_period_before_is_compared_with(used: House, client: FlaskClient) -> None:
    assert "+1300 % on the 12 months before" in text_of(client.get("/usage"))


def test_machines_are_counted_once_and_months_of_them_beside(used: House, client: FlaskClient) -> None:
    shown = html.fromstring(client.get("/usage").data)
    strip = [
        re.sub(r"\s+", " ", each.text_content()).strip()
        for each in shown.xpath("//*[contains(@class, 'kpi')]")
    ]
    assert any(re.search(r"VMs 4 4 VM-months", words) for words in strip), strip


def test_counts_over_several_months_are_machine_months(used: House, client: FlaskClient) -> None:
    month = f"{months_ago(1):%Y-%m}"
    assert "4 VM-months in 12 months at 3 sites." in text_of(client.get("/usage?measure=vms"))
    assert "3 VMs in 1 month at 2 sites." in text_of(
        client.get(f"/usage?measure=vms&from={month}&to={month}")
    )
    assert "VM-days in 1 month" in text_of(client.get(f"/usage?measure=vms&each=day&from={month}&to={month}"))


def test_filters_are_shown_and_each_can_be_dropped(used: House, client: FlaskClient) -> None:
    shown = html.fromstring(client.get("/usage?country=Spain&vo=chipster&image=ubuntu-24.04").data)
    links = shown.xpath("//a[contains(@class, 'chosen')]/@href")
    assert len(links) == 3
    without = parse_qs(urlsplit(next(url for url in links if "chipster" not in url)).query)
    assert without["country"] == ["Spain"]
    assert without["image"] == ["ubuntu-24.04"]


def test_what_does_not_go_together_is_left_out_and_said(used: House, client: FlaskClient) -> None:
    said = text_of(client.get("/usage?kind=storage&measure=cpu_hours&by=image&image=x&pivot=site,cores"))
    assert (
        "Left out, since Storage has not: CPU hours, the filter by image, by image, the table by number of cores."
        in said
    )
    said = text_of(client.get("/usage?each=day"))
    assert "days of more than 6 months" in said
    assert "days by image for CPU hours" in text_of(client.get("/usage?each=day&by=image&from=2026-10"))


def test_days_are_drawn_of_a_short_period(used: House, client: FlaskClient) -> None:
    month = f"{months_ago(1):%Y-%m}"
    shown = html.fromstring(client.get(f"/usage?each=day&from={month}&to={month}").data)
    labels = shown.xpath("//details[@class='as-table']//tbody//th/text()")
    assert len(labels) in (28, 29, 30, 31)
    assert labels[1] == f"2 {months_ago(1):%b}"


def test_the_map_shows_sites_that_have_a_place_and_names_the_others(used: House, client: FlaskClient) -> None:
    page = client.get("/usage?chart=map")
    shown = html.fromstring(page.data)
    assert len(shown.xpath("//svg[contains(@class, 'map')]//circle")) == 2
    assert "Not on this map: CESNET." in text_of(page)
    assert "BIFI: 60 CPU hours" in shown.xpath("//svg[contains(@class, 'map')]//a/@aria-label")


def test_a_permanent_link_gives_the_same_view(used: House, client: FlaskClient) -> None:
    month = f"{months_ago(1):%Y-%m}"
    first = client.get(
        f"/usage?measure=wall_hours&by=country&pivot=country,vo&to={month}&vo=chipster&cells=row"
    )
    link = html.fromstring(first.data).xpath("//code[@data-copy-text]/text()")[0]
    again = client.get(link[link.index("/usage") :])
    strip = re.compile(rb"(Read |datetime=\"|<b>)\d\d:\d\d[^<\"]*|name=\"csrf[^>]*>|next=[^\"]*")
    assert strip.sub(b"", first.data).count(b"chipster") == strip.sub(b"", again.data).count(b"chipster")
    assert cells(client, link.partition("?")[2]) == cells(
        client, f"measure=wall_hours&by=country&pivot=country,vo&to={month}&vo=chipster&cells=row"
    )


def test_users_in_a_table_are_for_those_entitled(
    used: House, client: FlaskClient, marta: dict[str, str]
) -> None:
    for query in ("by=user", "pivot=user,site", "pivot=site,user", "user=x", "rows=user"):
        assert client.get(f"/usage?{query}").status_code == 401, query
    page = signed_in(client, marta).get("/usage?by=user&pivot=user,vo")
    said = text_of(page)
    assert "Only usage of people whom you may see by name is counted here." in said
    assert ANNA in said
    assert "chipster" not in "".join(html.fromstring(page.data).xpath("//section[@id='pivot']//th/text()"))


@pytest.mark.parametrize(
    "query",
    [
        "by=month", "by=vo,site", "each=hour", "pivot=site", "pivot=site,site", "pivot=site,vo,ngi", "chart=pie",
        "cells=x", "rows=colour", "colour=red", "kind=tape", "measure=x", "from=2026-1", "to=0000-00", "cores=x",
        "vo=" + "x" * 256, "site=" + "&site=".join(map(str, range(101))),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_refused_with_a_sentence(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/usage?{query}")
    assert answer.status_code == 422
    assert len(html.fromstring(answer.data).xpath("//h1")) == 1


def test_hostile_values_are_text(used: House, client: FlaskClient) -> None:
    for value in ("<script>alert(1)</script>", "' or 1=1 --", '"><svg onload=x>', "{{7*7}}", "%00"):
        for name in ("vo", "image", "country", "status"):
            answer = client.get("/usage", query_string={name: value})
            assert answer.status_code in (200, 422)
            assert b"<script>alert" not in answer.data
            assert b"<svg onload" not in answer.data


def test_pages_of_nothing_say_what_to_do(client: FlaskClient) -> None:
    for query in ("", "kind=jobs", "kind=gpu&by=model", "vo=nobody", "chart=map"):
        said = text_of(client.get(f"/usage?{query}"))
        assert "No usage in this view" in said
