"""Pages for people: the frame, errors in words, forms that keep what was typed, and the building blocks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import render_template
from lxml import html
from markupsafe import Markup

from hanse.identity.principals import ANONYMOUS, Grant
from hanse.pages import asset, atlas, vendor
from hanse.pages.charts import stacked
from hanse.web import FormFaults, page
from hanse.web.shell import hats_of, shell
from tests.hanse.web_service import WebHouse, build, token_of
from tests.hanse.web_showcase import showcase


def tree(text: str) -> Any:
    return html.fromstring(text)


def test_the_frame_names_federation_sections_and_the_way_to_sign_in(web_house: WebHouse) -> None:
    frame = tree(web_house.client().get("/sites").text)
    assert frame.xpath("string(//*[@class='federation'])") == "Research Cloud Federation · demo"
    sections = frame.xpath("//header/nav[@class='sections']/a")
    assert [link.text_content().strip() for link in sections] == ["Home", "Sites", "Usage"]
    assert [link.get("href") for link in sections] == ["/", "/sites", "http://localhost:7020/usage"]
    assert frame.xpath("//header/a[@class='signin']/@href") == ["/signin?next=%2Fsites"]
    chosen = frame.xpath("//nav[@aria-label='Pages of this section']/a[@aria-current='page']")
    assert [link.text for link in chosen] == ["All sites"]


def test_the_foot_has_the_call_that_returns_the_page(web_house: WebHouse) -> None:
    frame = tree(web_house.client().get("/sites?vo=chipster").text)
    assert frame.xpath("string(//footer[@class='foot']//code)") == "GET /api/v1/sites"
    assert "/sites?vo=chipster" in frame.xpath("//footer[@class='foot']//a/@href")


def test_each_page_has_one_h1_landmarks_and_a_skip_link(web_house: WebHouse) -> None:
    for address in ("/sites", "/signin", "/nothing", "/signin/certificate"):
        frame = tree(web_house.client().get(address).text)
        assert len(frame.xpath("//h1")) == 1
        assert len(frame.xpath("//main")) == 1
        assert frame.xpath("//a[@class='skip']/@href") == ["#main"]
        assert frame.xpath("//html/@lang") == ["en"]


def test_pages_hold_no_script_or_style_of_their_own(web_house: WebHouse) -> None:
    for text in (web_house.client().get("/sites").text, web_house.browser("Ingrid Holm").get("/sites").text):
        frame = tree(text)
        assert all(script.get("src") for script in frame.xpath("//script"))
        assert frame.xpath("//style | //@style") == []
        assert [name for name in frame.xpath("//@*") if re.match(r"on[a-z]+$", name.attrname)] == []


def test_the_person_menu_lists_the_hats(web_house: WebHouse) -> None:
    frame = tree(web_house.browser("Eliška Malá").get("/sites").text)
    menu = frame.xpath("//details[@class='person']")[0]
    assert "Eliška Malá" in menu.text_content()
    assert menu.xpath(".//li/a/@href") == ["/sites/CESNET"]
    assert frame.xpath("//header//a[@class='signin']") == []


def test_an_unknown_address_is_said_in_words(web_house: WebHouse) -> None:
    answer = web_house.client().get("/nothing", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text
    for_programs = web_house.client().get("/nothing", headers={"Accept": "application/json"})
    assert for_programs.content_type == "application/problem+json"


def test_a_page_without_right_says_who_may(web_house: WebHouse) -> None:
    answer = web_house.client("Anna Lindqvist").get("/sites/BIFI/close")
    assert answer.status_code == 403
    assert (
        "Only a site administrator of site BIFI or a federation operator may close this site" in answer.text
    )
    assert "/signin?next" not in tree(answer.text).xpath("string(//main)")


def test_a_refused_form_keeps_what_was_typed_and_names_the_field(web_house: WebHouse) -> None:
    answer = web_house.client("Ingrid Holm").post("/sites/new", data={"name": "<b>", "vcpu": "many"})
    assert answer.status_code == 422
    form = tree(answer.text)
    assert "2 fields must be mended" not in form.xpath("string(//*[@role='alert'])")
    assert "1 field must be mended" in form.xpath("string(//*[@role='alert'])")
    assert form.xpath("//input[@name='name']/@value") == ["<b>"]
    assert form.xpath("//input[@name='vcpu']/@value") == ["many"]
    field = form.xpath("//input[@name='vcpu']")[0]
    assert field.get("aria-invalid") == "true"
    assert (
        "vCPU should be a valid integer"
        in form.get_element_by_id(field.get("aria-describedby")).text_content()
    )
    assert form.xpath("//*[@role='alert']//a/@href") == ["#field-vcpu"]


def test_a_use_case_that_refuses_a_form_is_shown_in_it(web_house: WebHouse) -> None:
    answer = web_house.client("Ingrid Holm").post("/sites/new", data={"name": "BIFI"})
    assert answer.status_code == 422
    assert "There is a site BIFI already." in tree(answer.text).xpath("string(//*[@role='alert'])")
    assert web_house.client("Ingrid Holm").post("/sites/new", data={"name": "NEW"}).status_code == 303


def test_a_live_page_polls_itself_and_its_etag_stays(web_house: WebHouse) -> None:
    with web_house.app.test_request_context("/sites?x=1"):
        first = page("sites.html", title="Sites", sites=["BIFI"], refresh_s=30)
    main = tree(first.get_data(as_text=True)).xpath("//main")[0]
    assert (main.get("data-refresh"), main.get("hx-get")) == ("30", "/sites?x=1")
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert "Cookie" in first.headers["Vary"]


def test_badges_are_for_people_who_are_signed_in(web_house: WebHouse) -> None:
    house = build(web_house.db, web_house.settings, badges=lambda: {"Sites": 3})
    assert "badge" not in house.client().get("/sites").text
    frame = tree(house.browser("Ingrid Holm").get("/sites").text)
    assert frame.xpath("string(//header/nav//*[@class='badge']/text())").strip() == "3"


def test_every_building_block_is_drawn(web_house: WebHouse) -> None:
    with web_house.app.test_request_context("/components"):
        text = page("components.html", title="Components", **showcase()).get_data(as_text=True)
    drawn = tree(text)
    words = drawn.text_content()
    for expected in (
        "In order",
        "Down for 51 min",
        "25 h 10 min",
        "No refused records in 7 days",
        "Membership does not answer; these figures are 14 min old.",
        "Not saved: 1 field must be mended.",
        "The address must begin",
        "36 / 50",
        "(revision 46,288)",
        "not a site of the signer",
        "others",
    ):
        assert expected in words
    for picture in drawn.xpath("//main//*[local-name()='svg']"):
        assert picture.get("aria-hidden") or picture.get("aria-label"), html.tostring(picture)[:200]
    for table in drawn.xpath("//main//table"):
        assert table.xpath("string(caption)").strip()
    ids = drawn.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert len(text.encode()) < 120_000


def test_what_people_typed_is_never_markup(web_house: WebHouse) -> None:
    evil = '"><script>alert(1)</script>'
    form = FormFaults({"name": evil}, {"name": evil}, evil)
    with web_house.app.test_request_context("/x"):
        text = render_template(
            "site_form.html", title=evil, form=form, shell=shell(), sentence=evil, crumbs=[(evil, evil)]
        )
    assert "<script>alert" not in text
    with web_house.app.test_request_context("/x"):
        marked = page("sites.html", title="x", sites=[], sentence=Markup("<b>{}</b>").format(evil))
    assert "<script>alert" not in marked.get_data(as_text=True)


def test_hats_lead_each_to_their_own_page(web_house: WebHouse) -> None:
    grants = {
        Grant("federation_operator", "federation"),
        Grant("vo_manager", "vo:chipster"),
        Grant("vo_member", "vo:chipster"),
        Grant("site_administrator", "site:BIFI"),
    }
    person = replace(ANONYMOUS, kind="x509", grants=frozenset(grants))
    settings = web_house.settings.model_copy(update={"vomsdb_url": "http://localhost:7040"})
    house = build(web_house.db, settings)
    hats = hats_of(person, house.app.extensions["hanse"])
    assert [(hat.label, hat.url) for hat in hats] == [
        ("federation operator", "/"),
        ("site administrator, BIFI", "/sites/BIFI"),
        ("VO manager, chipster", "http://localhost:7040/vos/chipster/queue"),
        ("member, chipster", "http://localhost:7040/me"),
    ]


def test_vendor_copies_what_npm_installed(tmp_path: Any) -> None:
    for source in vendor.FILES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text("//")
    outlines = {"transform": {"scale": [1, 1], "translate": [0, 0]}, "arcs": []}
    for source in atlas.SOURCES.values():
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text(json.dumps({**outlines, "objects": {"countries": {"geometries": []}}}))
    copied = vendor.vendor(tmp_path, tmp_path / "into")
    assert sorted(path.name for path in copied) == sorted([*vendor.FILES.values(), "europe.svg", "world.svg"])


def test_vendor_says_what_to_run_first(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert vendor.main() == 1
    assert "run `npm ci`" in capsys.readouterr().err


def test_an_asset_that_is_not_installed_is_left_out() -> None:
    assert asset("vendor/nothing.js") == ""
    assert asset("hanse.js").startswith("/assets/hanse.js?v=")


@pytest.mark.parametrize("person", ["", "Ingrid Holm"])
def test_signing_in_page_is_reachable_for_all(web_house: WebHouse, person: str) -> None:
    client = web_house.browser(person) if person else web_house.client()
    assert "Sign in with my certificate" in client.get("/signin").text
    assert token_of("Ingrid Holm") not in client.get("/signin").text


def test_showcase_dates_are_fixed() -> None:
    days = showcase()["days"]
    assert days[0]["day"] == date(2026, 11, 24)
    assert days[1]["day"] == date(2026, 11, 24) - timedelta(days=1)
    assert showcase()["now"] == datetime(2026, 11, 24, 14, 32, 7, tzinfo=UTC)
    assert stacked([], {}, unit="hours").summary == "No hours."


def test_without_a_registry_there_is_no_search_that_would_lead_nowhere(web_house: WebHouse) -> None:
    assert 'role="search"' in web_house.client().get("/sites").text
    alone = web_house.settings.model_copy(update={"service": "accounting", "registry_url": ""})
    assert 'role="search"' not in build(web_house.db, alone).client().get("/sites").text
