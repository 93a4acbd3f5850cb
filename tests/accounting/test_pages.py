"""The pages: what they say, what can be done on them without script, and how Chromium shows them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html
from werkzeug.serving import make_server

from accounting import bulk_replay
from accounting.views import refused_acts
from tests.accounting.conftest import House
from tests.accounting.records import message, months_ago, record
from tests.accounting.test_usage_api import ANNA, TOMAS, ran


@pytest.fixture
def used(house: House, cast: Any) -> House:
    """Usage at three sites, and refused records of BIFI."""
    house.load(
        message(ran("BIFI", "a", 10), ran("CESNET", "c", 5, vo="chipster", user=TOMAS), ran("UKIM", "d", 7))
    )
    bad = [record("BIFI-TEST", f"one-{n}") for n in range(25)]
    house.signed(message(*bad, record("BIFI", "ok")), cast.host("BIFI"), site="BIFI")
    house.signed(message(record("BIFI", "<b>bold</b>", CpuCount=-1)), cast.host("BIFI"), site="BIFI")
    return house


def signed_in(client: FlaskClient, header: dict[str, str]) -> FlaskClient:
    """Sign in as a person does, for the pages."""
    token = header["Authorization"].removeprefix("Bearer ")
    shown = html.fromstring(client.get("/signin?next=/usage").data)
    fields = {each.get("name"): each.get("value") or "" for each in shown.xpath("//form//input[@name]")}
    answer = client.post("/signin", data=fields | {"token": token})
    assert answer.status_code == 303, answer.get_data(as_text=True)[:300]
    return client


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
    return re.sub(r"\s+", " ", html.fromstring(answer.data).text_content())


def form_fields(page: Any, action: str) -> dict[str, Any]:
    form = html.fromstring(page.data).xpath(f"//form[@action='{action}']")[0]
    fields: dict[str, Any] = {}
    for each in form.xpath(".//input[@name]"):
        if each.get("type") == "checkbox" and each.get("checked") is None:
            continue
        fields.setdefault(each.get("name"), []).append(each.get("value") or "")
    return fields


def test_usage_answers_its_question_in_one_sentence(used: House, client: FlaskClient) -> None:
    said = text_of(client.get("/usage"))
    assert re.search(r"\d+ CPU hours in 12 months at 3 sites\. Complete to", said)


def test_usage_follows_its_address(used: House, client: FlaskClient) -> None:
    last = f"{months_ago(1):%Y-%m}"
    page = client.get(f"/usage?measure=wall_hours&by=site&from={last}&to={last}&vo=chipster")
    said = text_of(page)
    assert "5 wall hours in 1 month at 1 site." in said
    call = f"GET /api/v1/usage?kind=cloud&measure=wall_hours&from={last}&to={last}&by=site,month&vo=chipster"
    assert call in said


def test_every_figure_of_the_chart_is_in_a_table_too(used: House, client: FlaskClient) -> None:
    shown = html.fromstring(client.get("/usage?by=vo").data)
    assert shown.xpath("//figure[@class='chart']//svg/@aria-label")[0]
    cells = shown.xpath("//details[@class='as-table']//td/text()")
    assert "34" in cells  # 10 h and 7 h on 2 cores


def test_the_address_that_cannot_be_read_says_so(client: FlaskClient) -> None:
    for query in ("by=colour", "measure=cups", "from=2026-99"):
        assert client.get(f"/usage?{query}").status_code == 422


def test_usage_by_user_asks_to_sign_in_and_then_shows_what_is_ones_own(
    used: House, client: FlaskClient, anna: dict[str, str]
) -> None:
    assert client.get("/usage?by=user").status_code == 401
    said = text_of(signed_in(client, anna).get("/usage?by=user"))
    assert ANNA in said
    assert TOMAS not in said


def test_an_empty_federation_says_what_to_do(client: FlaskClient) -> None:
    assert "No usage in this view" in text_of(client.get("/usage"))


def test_a_name_of_a_site_cannot_break_out_of_the_page(house: House, client: FlaskClient) -> None:
    house.load(message(ran("BIFI", "a", 10, vo="<script>alert(1)</script>")))
    assert b"<script>alert" not in client.get("/usage").data
    assert b"<script>alert" not in client.get("/usage?site=<script>alert(1)</script>").data


def test_publishing_shows_every_site(used: House, client: FlaskClient) -> None:
    said = text_of(client.get("/publishing"))
    assert "All 3 sites publish in time." in said


def test_refused_records_are_the_sites_own(used: House, client: FlaskClient, eliska: dict[str, str]) -> None:
    assert client.get("/refused/BIFI").status_code == 401
    assert signed_in(client, eliska).get("/refused/BIFI").status_code == 403
    assert client.get("/refused").headers["Location"] == "/refused/CESNET"


def test_the_refused_page_shows_reason_field_line_and_text(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    page = signed_in(client, laura).get("/refused/BIFI")
    said = text_of(page)
    assert "26 records are refused in 7 days. 25 can be counted without a resend" in said
    assert 'SiteName "BIFI-TEST" is not a site that this certificate may speak for.' in said
    (line,) = html.fromstring(page.data).xpath("//span[contains(@class, 'marked')]")
    assert "SiteName: BIFI-TEST" in line.text_content()
    assert "not a site of the signer" in line.text_content()


def test_one_reason_and_one_record_can_be_chosen_by_address(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    signed_in(client, laura)
    page = client.get("/refused/BIFI?code=bad_value&field=CpuCount")
    assert "CpuCount is -1; it cannot be negative." in text_of(page)
    assert b"<b>bold</b>" not in page.data
    number = used.refused()[0].id
    assert "record 1 of message" in text_of(client.get(f"/refused/BIFI?record={number}"))
    assert client.get("/refused/BIFI?record=99999999").status_code == 404


def test_more_than_a_page_of_records_goes_on(used: House, client: FlaskClient, laura: dict[str, str]) -> None:
    page = signed_in(client, laura).get("/refused/BIFI")
    (following,) = html.fromstring(page.data).xpath("//a[@rel='next']/@href")
    assert "5 of 25" in text_of(client.get(following))


def test_replaying_all_of_a_reason_with_one_button(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    fields = form_fields(signed_in(client, laura).get("/refused/BIFI"), "/refused/BIFI/replay")
    assert fields["as_site"] == ["BIFI"]
    assert fields["all"] == ["true"]
    answer = client.post("/refused/BIFI/replay", data=fields)
    assert answer.status_code == 303
    assert "25 records counted." in text_of(client.get(answer.headers["Location"]))
    assert [bad.code for bad in used.refused()] == ["bad_value"]


def test_discarding_one_chosen_record(used: House, client: FlaskClient, laura: dict[str, str]) -> None:
    signed_in(client, laura)
    fields = form_fields(client.get("/refused/BIFI"), "/refused/BIFI/replay")
    answer = client.post(
        "/refused/BIFI/discard", data={"csrf_token": fields["csrf_token"], "id": used.refused()[0].id}
    )
    assert "1 record discarded." in text_of(client.get(answer.headers["Location"]))
    assert "1 record is discarded" in text_of(client.get("/refused/BIFI?state=discarded"))


def test_a_forged_form_does_nothing(used: House, client: FlaskClient, laura: dict[str, str]) -> None:
    signed_in(client, laura)
    answer = client.post(
        "/refused/BIFI/replay", data={"all": "true", "code": "not_signers_site", "as_site": "BIFI"}
    )
    assert answer.status_code == 403
    assert len(used.refused()) == 26


def test_a_replay_that_cannot_be_is_said_on_the_page(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    fields = form_fields(signed_in(client, laura).get("/refused/BIFI"), "/refused/BIFI/replay")
    answer = client.post("/refused/BIFI/replay", data={"csrf_token": fields["csrf_token"]})
    assert answer.status_code == 422
    assert "Choose at least one record" in answer.get_data(as_text=True)


def test_the_operator_sees_all_sites_with_refused_records(
    used: House, client: FlaskClient, operator: dict[str, str]
) -> None:
    assert "26 records refused at 1 site." in text_of(signed_in(client, operator).get("/refused"))


def test_many_records_are_replayed_in_the_background_while_the_page_tells_how_far(
    used: House, client: FlaskClient, laura: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_acts, "MOST_AT_ONCE", 5)
    fields = form_fields(signed_in(client, laura).get("/refused/BIFI"), "/refused/BIFI/replay")
    answer = client.post("/refused/BIFI/replay", data=fields)
    assert answer.status_code == 303
    progress = answer.headers["Location"]
    assert "25 records wait for the process that replays." in text_of(client.get(progress))
    assert "A replay is under way." in text_of(client.get("/refused/BIFI"))
    again = client.post("/refused/BIFI/replay", data=fields)
    assert again.status_code == 422
    assert "is under way; wait until it is done" in again.get_data(as_text=True)
    bulk_replay.work_off(used.loader)
    assert "25 of 25 records counted." in text_of(client.get(progress))
    assert "A replay is under way." not in text_of(client.get("/refused/BIFI"))
    assert client.get("/refused/CESNET/replays/1").status_code == 403


def test_a_discard_keeps_its_reason_and_can_be_undone(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    signed_in(client, laura)
    fields = form_fields(client.get("/refused/BIFI"), "/refused/BIFI/replay")
    number = used.refused()[0].id
    sent = {"csrf_token": fields["csrf_token"], "id": number, "why": "a test of ours"}
    answer = client.post("/refused/BIFI/discard", data=sent)
    shown = client.get(answer.headers["Location"])
    assert "1 record discarded." in text_of(shown)
    assert "a test of ours" in text_of(client.get(f"/refused/BIFI?state=discarded&record={number}"))
    undo = form_fields(shown, "/refused/BIFI/take-back")
    assert undo["ids"] == [str(number)]
    answer = client.post("/refused/BIFI/take-back", data=undo)
    assert "1 record is on the list again." in text_of(client.get(answer.headers["Location"]))
    assert len(used.refused()) == 26
    assert client.post("/refused/BIFI/take-back", data=undo).status_code == 422


def test_records_that_were_counted_with_a_remark_have_a_list_of_their_own(
    used: House, client: FlaskClient, laura: dict[str, str]
) -> None:
    used.load(message(record("BIFI", "odd", CpuDuration=99 * 86_400), record("BIFI", "odder", Colour="red")))
    said = text_of(signed_in(client, laura).get("/refused/BIFI/remarks"))
    assert "2 records were counted with a remark in 30 days. Nothing has to be sent again." in said
    assert "CPU above wall × cores" in said
    only = text_of(client.get("/refused/BIFI/remarks?code=unknown_field"))
    assert "Colour" in only
    assert client.get("/refused/CESNET/remarks").status_code == 403
    assert client.get("/refused/BIFI/remarks?cursor=nonsense").status_code == 422


def test_one_goes_from_record_to_record(used: House, client: FlaskClient, laura: dict[str, str]) -> None:
    shown = html.fromstring(signed_in(client, laura).get("/refused/BIFI").data)
    (following,) = [url for url in shown.xpath("//section[@id='record']//a/@href") if "record=" in url]
    second = html.fromstring(client.get(following).data)
    assert len([url for url in second.xpath("//section[@id='record']//a/@href") if "record=" in url]) == 2


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.peer("chromium")
def test_chromium_shows_the_pages_without_complaint_at_desk_and_phone_width(
    used: House, address: str, laura: dict[str, str]
) -> None:
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda line: said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/signin?next=/usage")
        page.fill("input[name=token]", laura["Authorization"].removeprefix("Bearer "))
        page.locator("form:has(input[name=token]) button").first.click()
        page.wait_for_url("**/usage")
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for path in ("/usage", "/usage?by=site&measure=vms", "/publishing", "/refused/BIFI"):
                page.goto(address + path)
                assert page.locator("h1").count() == 1
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), (path, width)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"{address}/refused/BIFI")
        page.get_by_role("button", name="Replay 25 as BIFI").click()
        page.wait_for_url("**said=**")
        assert page.get_by_text("25 records counted.").count() == 1
        page.goto(f"{address}/usage")
        page.select_option("select[name=by]", "site")
        page.wait_for_url("**by=site**")
        assert page.locator("svg rect.s1").count() > 0
        browser.close()
    assert said == []
