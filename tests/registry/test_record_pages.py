"""Pages of what the federation is made of: lists, one thing, forms, removal; the steps of certification on a site."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import html

from .conftest import OCCI, Registry
from .test_pages import HOSTILE, page, words

LISTS = {
    "ngis": "NGI_CZ",
    "projects": "EGI",
    "service-groups": "SLA",
    "service-types": "AMGA",
    "scopes": "EGI",
}


@pytest.fixture
def kept(registry: Registry) -> Registry:
    """A registry with a project and a group of Laura Gil's in it."""
    registry.send("POST", "/api/v1/projects", {"name": "EGI", "ngis": ["NGI_CZ"], "description": HOSTILE})
    number = registry.get("/api/v1/services?site=BIFI")["items"][0]["id"]
    registry.send("POST", "/api/v1/service-groups", {"name": "SLA", "services": [number]}, "Laura Gil")
    return registry


def post(registry: Registry, path: str, who: str = "Ingrid Holm", **fields: Any) -> Any:
    return registry.ask("POST", path, who, data=fields)


@pytest.mark.parametrize("section", LISTS)
def test_everybody_sees_the_lists_and_their_things_now_and_then(kept: Registry, section: str) -> None:
    for path in (f"/{section}", f"/{section}/{LISTS[section]}"):
        for who in ("Ingrid Holm", None):
            document = page(kept, path, who)
            assert len(document.findall(".//h1")) == 1
            assert LISTS[section] in words(document)
            assert "<img src=x" not in html.tostring(document).decode()
        newest = kept.get("/api/v1/changes")["head"]
        assert "as it was on" in words(page(kept, f"{path}?as_of={newest}"))


@pytest.mark.parametrize("section", LISTS)
def test_operators_add_change_and_remove_by_form(kept: Registry, section: str) -> None:
    path = f"/{section}"
    assert page(kept, f"{path}/new").findall(".//form[@method='post']")
    added = post(kept, f"{path}/new", name="one.more" if section != "projects" else "more", scopes="EGI")
    assert added.status_code == 303, added.text
    there = added.headers["Location"]
    form = page(kept, f"{there}/edit")
    revision = form.xpath("//input[@name='revision']/@value")[0]
    name = form.xpath("//input[@name='name']/@value")[0]
    fields = {"name": name, "description": "it's new", "revision": revision, "scopes": ["EGI", "Local"]}
    assert post(kept, f"{there}/edit", **fields).status_code == 303
    assert "it's new" in words(page(kept, there))
    told = post(kept, f"{there}/edit", **{**fields, "description": "too late"})
    assert (told.status_code, "was quicker" in told.text, "too late" in told.text) == (409, True, True)
    revision = page(kept, f"{there}/remove").xpath("//input[@name='revision']/@value")[0]
    assert post(kept, f"{there}/remove", revision=revision, reason="not needed").status_code == 303
    page(kept, there, status=404)


@pytest.mark.parametrize("section", LISTS)
def test_what_is_refused_keeps_what_was_typed(kept: Registry, section: str) -> None:
    told = post(kept, f"/{section}/new", name="no spaces here", description="kept <b>", scopes="EGI")
    document: Any = html.fromstring(told.text)
    assert told.status_code == 422
    assert document.xpath("//input[@name='name']/@value") == ["no spaces here"]
    assert document.xpath("//textarea[@name='description']")[0].text == "kept <b>"
    assert document.xpath("//*[@id='about-name']//p[@class='fault']")


def test_a_form_that_is_typed_is_checked_and_not_saved(kept: Registry) -> None:
    path = "/scopes/new"
    assert "Nothing of this would be refused" in post(kept, path, name="new.one", check="yes").text
    assert "of this name already" in post(kept, path, name="EGI", check="yes").text
    assert "new.one" not in {one["name"] for one in kept.get("/api/v1/scopes")["items"]}


@pytest.mark.parametrize(
    ("section", "name"), [("ngis", "NGI_CZ"), ("service-types", OCCI), ("scopes", "EGI")]
)
def test_the_page_of_removal_names_what_is_in_the_way(kept: Registry, section: str, name: str) -> None:
    document = page(kept, f"/{section}/{name}/remove")
    assert "CESNET" in words(document)
    assert not document.xpath("//form[contains(@action, '/remove')]")
    told = post(kept, f"/{section}/{name}/remove")
    assert (told.status_code, "Not removed" in told.text) == (409, True)


@pytest.mark.parametrize("section", ["ngis", "projects", "service-types", "scopes"])
def test_others_are_not_offered_what_operators_may(kept: Registry, section: str) -> None:
    path = f"/{section}/{LISTS[section]}"
    assert not page(kept, path, "Goran Petrov").xpath(
        "//a[contains(@href, '/edit') or contains(@href, '/remove')]"
    )
    assert post(kept, f"{path}/remove", "Goran Petrov").status_code == 403
    assert post(kept, f"/{section}/new", "Goran Petrov", name="x").status_code == 403


def test_the_people_of_an_ngi_change_theirs_but_not_its_name(kept: Registry) -> None:
    person = kept.principal("Anna Lindqvist").person
    kept.send("POST", "/api/v1/roles", {"person": person, "role": "ngi_manager", "scope": "ngi:NGI_MK"})
    document = page(kept, "/ngis/NGI_MK/edit", "Anna Lindqvist")
    assert not document.xpath("//input[@name='name']")
    reserved = [one for one in document.xpath("//input[@name='scopes']/@value") if one == "wlcg"]
    assert reserved == []
    fields = {"email": "ngi@mk.example", "scopes": ["EGI"], "name": "NGI_STOLEN"}
    assert post(kept, "/ngis/NGI_MK/edit", "Anna Lindqvist", **fields).status_code == 303
    assert kept.get("/api/v1/ngis/NGI_MK")["email"] == "ngi@mk.example"
    page(kept, "/ngis/NGI_CZ/edit", "Anna Lindqvist", 403)


def test_services_join_and_leave_a_group_by_host_or_id(kept: Registry) -> None:
    path = "/service-groups/SLA/services"
    assert post(kept, path, "Laura Gil", service="OCCI.cesnet.example", act="add").status_code == 303
    assert len(kept.get("/api/v1/service-groups/SLA")["services"]) == 2
    told = post(kept, path, "Laura Gil", service="nowhere.example", act="add")
    assert (told.status_code, "There is no service on nowhere.example" in told.text) == (422, True)
    assert post(kept, path, "Laura Gil", service="occi.cesnet.example", act="add").status_code == 422
    number = kept.get("/api/v1/services?site=CESNET")["items"][0]["id"]
    assert post(kept, path, "Laura Gil", service=number, act="remove").status_code == 303
    assert len(kept.get("/api/v1/service-groups/SLA")["services"]) == 1
    assert post(kept, path, "Goran Petrov", service="occi.ukim.example", act="add").status_code == 403


def test_forms_of_properties_and_groups_are_checked_while_typed(kept: Registry) -> None:
    for path, good, bad in (
        ("/extensions/site/BIFI", {"key": "VO", "value": "x"}, {"key": "a/b"}),
        ("/service-groups/SLA/services", {"service": "occi.ukim.example"}, {"service": "nowhere.example"}),
    ):
        revision = kept.get("/api/v1/changes")["head"]
        assert "Nothing of this would be refused" in post(kept, path, "Laura Gil", check="yes", **good).text
        assert "This would be refused" in post(kept, path, "Laura Gil", check="yes", **bad).text
        assert kept.get("/api/v1/changes")["head"] == revision


@pytest.mark.parametrize(
    "owner", ["site/BIFI", "service/{service}", "endpoint/{endpoint}", "service-group/SLA"]
)
def test_extension_properties_are_kept_by_form(kept: Registry, owner: str) -> None:
    service = kept.get("/api/v1/services?site=BIFI")["items"][0]
    path = "/extensions/" + owner.format(service=service["id"], endpoint=service["endpoints"][0]["id"])
    assert "None yet" in words(page(kept, path, "Laura Gil"))
    assert post(kept, path, "Laura Gil", key="VO", value=HOSTILE).status_code == 303
    document = page(kept, path, "Laura Gil")
    assert HOSTILE in document.text_content()
    told = post(kept, path, "Laura Gil", key="a/b", value="typed")
    assert (told.status_code, "typed" in told.text) == (422, True)
    revision = document.xpath("//input[@name='revision']/@value")[0]
    removed = post(kept, path, "Laura Gil", key="VO", act="remove", revision=revision)
    assert removed.status_code == 303
    assert post(kept, path, "Laura Gil", key="VO", value="1", revision=revision).status_code == 409
    page(kept, path, "Goran Petrov", 403)
    assert post(kept, path, "Goran Petrov", key="VO", value="1").status_code == 403


def test_the_page_of_a_site_tells_its_certification_and_takes_the_next_step(kept: Registry) -> None:
    body = {"status": "Suspended", "reason": "hosts weren't patched"}
    kept.send("POST", "/api/v1/sites/BIFI/certification", body, status=200)
    document = page(kept, "/sites/BIFI")
    card = document.xpath("//section[@id='certification']")[0]
    assert "hosts weren't patched (Ingrid Holm)" in words(card)
    assert "Certified" in card.xpath(".//select[@name='status']/option/@value")
    seen = words(page(kept, "/sites/BIFI", None).xpath("//section[@id='certification']")[0])
    assert ("Suspended" in seen, "Ingrid Holm" in seen, "patched" in seen) == (True, False, False)
    done = post(kept, "/sites/BIFI/certification", status="Certified", reason="patched")
    assert done.status_code == 303
    assert not page(kept, "/sites/BIFI", "Laura Gil").xpath("//section[@id='certification']//form")
    steps = page(kept, "/certification?site=BIFI")
    assert len(steps.xpath("//tbody/tr")) == 2
    assert len(page(kept, "/certification?status=Certified").xpath("//tbody/tr")) == 1
    before = kept.get("/api/v1/sites/BIFI")["revision"] - 1
    then = page(kept, f"/sites/BIFI?as_of={before}").xpath("//section[@id='certification']")[0]
    assert ("weren't patched" in words(then), then.xpath(".//form")) == (True, [])
