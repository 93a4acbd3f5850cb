"""Forms of sites, services and endpoints: checked while they are typed, kept when refused, told who was quicker."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import html

from .clouds import cloud_document, encoded
from .conftest import OCCI, Registry, site_document


def document(answer: Any) -> Any:
    return html.fromstring(answer.text)


def words(node: Any) -> str:
    return " ".join(node.text_content().split())


def filled(registry: Registry, path: str, who: str = "Ingrid Holm", action: str = "") -> dict[str, str]:
    """The form at `path` as a browser would send it."""
    answer = registry.ask("GET", path, who)
    assert answer.status_code == 200, answer.text
    form = next(form for form in document(answer).forms if form.get("action") == (action or path))
    return {name: value for name, value in dict(form.fields).items() if value is not None}


def service_of(registry: Registry, site: str = "BIFI") -> dict[str, Any]:
    found: dict[str, Any] = registry.get(f"/api/v1/services?site={site}")["items"][0]
    return found


# -- while somebody types ---------------------------------------------------------------------------------------


def test_what_would_be_refused_is_told_before_it_is_sent_and_nothing_is_saved(registry: Registry) -> None:
    head = registry.get("/api/v1/changes?since=0&limit=1000")["changes"][-1]["revision"]
    typed = {
        **filled(registry, "/sites/new"),
        "name": "BIFI",
        "ngi": "NGI_CZ",
        "latitude": "91",
        "check": "yes",
    }
    answer = registry.ask("POST", "/sites/new", data=typed)
    assert answer.status_code == 200
    found = document(answer)
    assert "Latitude" in words(found.get_element_by_id("about-latitude"))
    assert found.get_element_by_id("about-name").text_content().strip() == ""
    assert "would be refused" in words(found.get_element_by_id("checked"))

    complete = {**typed, "latitude": "", "official_name": "X", "country": "Spain", "country_code": "ES"}
    taken = document(registry.ask("POST", "/sites/new", data=complete))
    assert "BIFI" in words(taken.get_element_by_id("about-usage_site_names"))
    other = {**complete, "usage_site_names": "elsewhere"}
    taken = document(registry.ask("POST", "/sites/new", data=other))
    assert "There is a site of this name already" in words(taken.get_element_by_id("checked"))
    free = document(registry.ask("POST", "/sites/new", data={**complete, "name": "FREE"}))
    assert "Nothing of this would be refused" in words(free.get_element_by_id("checked"))

    assert registry.ask("GET", "/api/v1/sites/FREE").status_code == 404
    assert registry.get("/api/v1/changes?since=0&limit=1000")["changes"][-1]["revision"] == head


def test_what_is_still_needed_is_named_without_calling_it_wrong(registry: Registry) -> None:
    typed = {**filled(registry, "/sites/new"), "name": "FREE", "check": "yes"}
    found = document(registry.ask("POST", "/sites/new", data=typed))
    assert "Still needed: " in words(found.get_element_by_id("checked"))
    assert not found.find_class("fault")


def test_a_rule_over_two_fields_is_told_while_typing(registry: Registry) -> None:
    number = service_of(registry)["id"]
    typed = {**filled(registry, f"/services/{number}/edit"), "check": "yes"}
    typed.pop("monitored")
    found = document(registry.ask("POST", f"/services/{number}/edit", data=typed))
    assert "must be true while" in words(found.get_element_by_id("about-monitored"))
    assert "would be refused: Monitoring" in words(found.get_element_by_id("checked"))
    assert registry.get(f"/api/v1/services/{number}")["monitored"] is True


def test_typing_is_checked_for_those_alone_who_may_save(registry: Registry) -> None:
    typed = {"check": "yes", "official_name": "X"}
    assert registry.ask("POST", "/sites/BIFI/edit", "Eliška Malá", data=typed).status_code == 403
    assert registry.ask("POST", "/sites/BIFI/services/new", "Eliška Malá", data=typed).status_code == 403


def test_forms_ask_while_typing_and_work_without_script(registry: Registry) -> None:
    for path in ("/sites/new", "/sites/BIFI/edit", "/sites/BIFI/services/new"):
        form = next(one for one in document(registry.ask("GET", path)).forms if one.get("action") == path)
        assert form.get("hx-post") == path
        assert form.get("method") == "post"
        assert form.xpath(".//button[not(@type) or @type='submit']")


# -- services -----------------------------------------------------------------------------------------------------


def test_a_service_is_registered_from_the_form(registry: Registry) -> None:
    path = "/sites/BIFI/services/new"
    fields = {
        **filled(registry, path, "Laura Gil"),
        "service_type": OCCI,
        "hostname": "second.bifi.example",
        "url": "https://second.bifi.example:11443/",
        "extensions": "GLUE2EndpointQualityLevel = production",
    }
    answer = registry.ask("POST", path, "Laura Gil", data=fields)
    assert answer.status_code == 303, answer.text
    number = answer.headers["Location"].rpartition("/")[2]
    made = registry.get(f"/api/v1/services/{number}")
    assert (made["hostname"], len(made["endpoints"])) == ("second.bifi.example", 1)
    assert made["extensions"] == {"GLUE2EndpointQualityLevel": "production"}
    assert "second.bifi.example" in registry.ask("GET", f"/services/{number}", None).text


def test_a_refused_service_keeps_what_was_typed(registry: Registry) -> None:
    path = "/sites/BIFI/services/new"
    fields = {
        **filled(registry, path),
        "service_type": OCCI,
        "hostname": "occi.cesnet.example",
        "host_os": "Debian 12",
    }
    answer = registry.ask("POST", path, data=fields)
    assert answer.status_code == 409
    found = document(answer)
    assert "belongs to CESNET" in words(found.get_element_by_id("field-hostname"))
    assert found.find(".//input[@name='host_os']").get("value") == "Debian 12"
    assert found.find_class("notice")[0].xpath(".//a[@href='#field-hostname']")


def test_a_service_form_sent_as_it_came_changes_nothing(registry: Registry) -> None:
    before = service_of(registry)
    path = f"/services/{before['id']}/edit"
    assert registry.ask("POST", path, data=filled(registry, path)).status_code == 303
    assert service_of(registry) == before


def test_a_service_is_removed_from_its_form(registry: Registry) -> None:
    number = service_of(registry)["id"]
    answer = registry.ask("POST", f"/services/{number}/remove", "Laura Gil", data={})
    assert answer.headers["Location"] == "/sites/BIFI"
    assert registry.ask("GET", f"/services/{number}").status_code == 404


def test_endpoints_are_added_changed_and_removed_from_forms(registry: Registry) -> None:
    number = service_of(registry)["id"]
    new = f"/services/{number}/endpoints/new"
    fields = {
        **filled(registry, new),
        "name": "second",
        "url": "https://b.bifi.example:2/",
        "description": "spare",
    }
    assert registry.ask("POST", new, data={**fields, "name": "main"}).status_code == 409
    assert registry.ask("POST", new, data={**fields, "url": "b.bifi.example"}).status_code == 422
    assert registry.ask("POST", new, data=fields).status_code == 303
    endpoint = next(one for one in service_of(registry)["endpoints"] if one["name"] == "second")
    edit = f"/services/{number}/endpoints/{endpoint['id']}/edit"
    typed = filled(registry, edit)
    assert typed["description"] == "spare"
    assert registry.ask("POST", edit, data={**typed, "url": "https://b.bifi.example:3/"}).status_code == 303
    assert registry.get(f"/api/v1/endpoints/{endpoint['id']}")["url"] == "https://b.bifi.example:3/"
    assert registry.ask("POST", edit.replace("edit", "remove"), data={}).status_code == 303
    assert [one["name"] for one in service_of(registry)["endpoints"]] == ["main"]


def test_an_endpoint_is_changed_under_its_own_service_alone(registry: Registry) -> None:
    mine, other = service_of(registry), service_of(registry, "CESNET")
    strange = f"/services/{mine['id']}/endpoints/{other['endpoints'][0]['id']}"
    assert registry.ask("GET", f"{strange}/edit", "Laura Gil").status_code == 404
    assert registry.ask("POST", f"{strange}/remove", "Laura Gil", data={}).status_code == 404
    assert len(service_of(registry, "CESNET")["endpoints"]) == 1


# -- two at once --------------------------------------------------------------------------------------------------


def test_who_comes_second_is_told_and_loses_nothing(registry: Registry) -> None:
    path = "/sites/BIFI/edit"
    fields = filled(registry, path, "Laura Gil")
    registry.send(
        "PATCH", "/api/v1/sites/BIFI", {"location": "Huesca", "middleware": "Synnefo", "telephone": "+34 1"}
    )
    typed = {**fields, "location": "Teruel", "description": "Ours"}
    answer = registry.ask("POST", path, "Laura Gil", data=typed)
    assert answer.status_code == 409
    found = document(answer)
    assert "Ingrid Holm was quicker" in words(found)
    assert "What they changed is taken in below" in words(found)
    assert "is “Huesca” since then" in words(found.get_element_by_id("field-location"))
    kept = {
        one.get("name"): one.value for one in found.xpath("//main//input[@name] | //main//textarea[@name]")
    }
    assert (kept["location"], kept["description"]) == ("Teruel", "Ours")  # typed here
    assert (kept["middleware"], kept["telephone"]) == ("Synnefo", "+34 1")  # theirs
    now = registry.get("/api/v1/sites/BIFI")
    assert (now["location"], now["description"]) == ("Huesca", "")  # nothing was written over

    again = {**typed, **{name: value for name, value in kept.items() if name in typed and name != "reason"}}
    assert registry.ask("POST", path, "Laura Gil", data=again).status_code == 303
    now = registry.get("/api/v1/sites/BIFI")
    assert (now["location"], now["description"]) == ("Teruel", "Ours")
    assert (now["middleware"], now["telephone"]) == ("Synnefo", "+34 1")


def test_two_at_a_service_are_told_likewise(registry: Registry) -> None:
    number = service_of(registry)["id"]
    path = f"/services/{number}/edit"
    fields = filled(registry, path, "Laura Gil")
    registry.send("PATCH", f"/api/v1/services/{number}", {"host_os": "Debian 13"})
    answer = registry.ask("POST", path, "Laura Gil", data={**fields, "host_arch": "aarch64"})
    assert answer.status_code == 409
    found = document(answer)
    assert "was quicker" in words(found)
    assert found.find(".//input[@name='host_os']").get("value") == "Debian 13"
    assert found.find(".//input[@name='host_arch']").get("value") == "aarch64"


# -- what people see first ------------------------------------------------------------------------------------------


def test_a_service_shows_its_past_and_keeps_its_log_from_visitors(registry: Registry) -> None:
    made = service_of(registry)
    then = made["revision"]
    registry.send("PATCH", f"/api/v1/services/{made['id']}", {"description": "Moved to the new hall"})
    now = registry.ask("GET", f"/services/{made['id']}")
    assert "Moved to the new hall" in now.text
    past = registry.ask("GET", f"/services/{made['id']}?as_of={then}")
    assert "Moved to the new hall" not in words(document(past).find(".//main//dl"))
    assert not document(past).xpath("//main//a[contains(@href, '/edit')]")
    visitor = registry.ask("GET", f"/services/{made['id']}", None).text
    assert "is shown to those who run sites" in visitor
    assert "/edit" not in visitor


def test_who_runs_several_sites_lands_on_all_of_them(registry: Registry) -> None:
    laura = registry.principal("Laura Gil").person
    assert registry.ask("GET", "/", "Laura Gil").headers["Location"] == "/sites/BIFI"
    registry.send(
        "POST", "/api/v1/roles", {"person": laura, "role": "site_administrator", "scope": "site:UKIM"}
    )
    assert registry.ask("GET", "/", "Laura Gil").headers["Location"] == "/mine"
    found = words(document(registry.ask("GET", "/mine", "Laura Gil")))
    assert "BIFI" in found
    assert "UKIM" in found
    assert "CESNET" not in found
    assert "You run no site" in words(document(registry.ask("GET", "/mine", "Anna Lindqvist")))


def test_what_waits_stands_on_the_page_of_who_decides(registry: Registry) -> None:
    asked = {"role": "site_administrator", "scope": "site:BIFI", "reason": "I run the racks"}
    assert registry.ask("POST", "/api/v1/role-requests", "Anna Lindqvist", json=asked).status_code == 201
    waiting = document(registry.ask("GET", "/mine", "Ingrid Holm")).get_element_by_id("waiting")
    assert "Role request: site administrator of BIFI" in words(waiting)
    assert "I run the racks" in words(waiting)
    other = document(registry.ask("GET", "/mine", "Eliška Malá")).get_element_by_id("waiting")
    assert "Nothing waits for you" in words(other)
    assert "Role request" in words(document(registry.ask("GET", "/")))


# -- every other form ---------------------------------------------------------------------------------------------


SMALL_FORMS: dict[str, tuple[str, str, str, dict[str, str], str, str, str]] = {
    # page, action, who, what is typed, the field that is wrong, a word of the reason, prefix of the form
    "a role for somebody": (
        "/people",
        "/people/roles",
        "Ingrid Holm",
        {"role": "site_administrator", "scope": "site:NONE"},
        "",
        "no site NONE",
        "",
    ),
    "a role for oneself": (
        "/roles",
        "/roles/requests",
        "Laura Gil",
        {"role": "ngi_operations_manager", "scope": "site:BIFI"},
        "scope",
        "must be ngi:NAME",
        "",
    ),
    "what I say of myself": (
        "/account",
        "/account/me",
        "Laura Gil",
        {"works_from": "25:00"},
        "works_from",
        "Works from",
        "",
    ),
    "an own token": (
        "/account",
        "/account/tokens",
        "Laura Gil",
        {"name": "x", "valid_days": "900"},
        "valid_days",
        "400",
        "token-",
    ),
    "a webhook": (
        "/webhooks",
        "/webhooks",
        "Laura Gil",
        {"url": "http://plain.example.org/"},
        "url",
        "https",
        "",
    ),
    "a subscription": (
        "/subscriptions",
        "/subscriptions",
        "Laura Gil",
        {"whom": "site:BIFI"},
        "means",
        "address",
        "",
    ),
    "an API credential": (
        "/sites/BIFI/api-credentials",
        "/sites/BIFI/api-credentials",
        "Laura Gil",
        {"kind": "x509", "identifier": "no name"},
        "identifier",
        "Known by",
        "",
    ),
    "a host certificate": (
        "/sites/BIFI/machines",
        "/sites/BIFI/machines/certificates",
        "Laura Gil",
        {"pem": "nothing"},
        "pem",
        "Certificate",
        "certificate-",
    ),
    "a site's token": (
        "/sites/BIFI/machines",
        "/sites/BIFI/machines/tokens",
        "Laura Gil",
        {"name": "x" * 300},
        "name",
        "For",
        "token-",
    ),
    "a step of certification": (
        "/sites/BIFI/edit",
        "/sites/BIFI/certification",
        "Ingrid Holm",
        {"status": "Suspended", "reason": "x" * 301},
        "reason",
        "300",
        "step-",
    ),
    "a proposed step": (
        "/sites/BIFI/certification",
        "/sites/BIFI/certification/propose",
        "Ingrid Holm",
        {"status": "Suspended", "reason": "x" * 301},
        "reason",
        "300",
        "step-",
    ),
    "a policy": (
        "/certification/policy",
        "/certification/policy",
        "Ingrid Holm",
        {"document": "items: [", "reason": "x"},
        "document",
        "line",
        "",
    ),
}


@pytest.mark.parametrize("name", SMALL_FORMS)
def test_small_forms_tell_what_would_be_refused_save_nothing_and_keep_what_was_typed(
    registry: Registry, name: str
) -> None:
    page, action, who, typed, field, reason, prefix = SMALL_FORMS[name]
    form = next(
        form
        for form in document(registry.ask("GET", page, who)).forms
        if form.get("action") == action and form.get("hx-post")
    )
    sent = {**{key: value for key, value in dict(form.fields).items() if isinstance(value, str)}, **typed}
    assert form.get("hx-vals") == f'{{"check": "{prefix or "yes"}"}}'
    head = registry.get("/api/v1/history?limit=1")["items"][0]["revision"]

    told = document(registry.ask("POST", action, who, data={**sent, "check": prefix or "yes"}))
    said = words(told.get_element_by_id(f"{prefix}checked"))
    assert reason in (words(told.get_element_by_id(f"about-{prefix}{field}")) if field else said)
    assert "Nothing of this would be refused" not in said

    answer = registry.ask("POST", action, who, data=sent)
    assert answer.status_code in (409, 422), answer.text[:300]
    again = next(one for one in document(answer).forms if one.get("action") == action and one.get("hx-post"))
    for key, value in typed.items():
        assert again.fields.get(key) == value, key
    if field:
        assert reason in words(document(answer).get_element_by_id(f"about-{prefix}{field}"))
    assert registry.get("/api/v1/history?limit=1")["items"][0]["revision"] == head


def test_a_small_form_that_would_be_taken_says_so_and_leaves_nothing(registry: Registry) -> None:
    typed = {"name": "a program", "valid_days": "30", "check": "token-"}
    told = document(registry.ask("POST", "/account/tokens", "Laura Gil", data=typed))
    assert "Nothing of this would be refused" in words(told.get_element_by_id("token-checked"))
    assert "hanse_person_" not in words(told)
    assert [one["name"] for one in registry.get("/api/v1/me/tokens", "Laura Gil")["items"]] == ["tests"]
    asked = {"role": "site_security_officer", "scope": "site:BIFI", "check": "yes"}
    told = document(registry.ask("POST", "/roles/requests", "Anna Lindqvist", data=asked))
    assert "Nothing of this would be refused" in words(told.get_element_by_id("checked"))
    assert registry.get("/api/v1/roles?status=PENDING")["items"] == []
    assert registry.get("/api/v1/mails")["items"] == [], "nobody is told of what was only typed"


def test_a_prefix_that_is_none_of_ours_is_not_written_into_the_answer(registry: Registry) -> None:
    typed = {"name": "", "check": '"><script>'}
    answer = registry.ask("POST", "/account/tokens", "Laura Gil", data=typed)
    assert answer.status_code == 200
    assert "<script>" not in answer.text


# -- the way to a downtime ----------------------------------------------------------------------------------------


def check_step(registry: Registry, who: str = "Laura Gil", **typed: Any) -> Any:
    answer = registry.ask("POST", "/downtimes/new", who, data={**typed, "check": "yes"})
    assert answer.status_code == 200, answer.text[:300]
    return document(answer)


def test_each_step_of_the_wizard_is_checked_while_it_is_typed(registry: Registry) -> None:
    what = {"step": "what", "sites": "BIFI", "severity": "OUTAGE", "description": ""}
    assert "Still needed: Reason" in words(check_step(registry, **what).get_element_by_id("checked"))
    what["description"] = "New switches"
    assert "Nothing of this would be refused" in words(
        check_step(registry, **what).get_element_by_id("checked")
    )
    elsewhere = check_step(registry, **{**what, "sites": "CESNET", "step": "what"})
    assert "Sites" in words(elsewhere.get_element_by_id("checked"))
    draft = registry.ask("POST", "/downtimes/new", "Laura Gil", data=what).headers["Location"]
    key = draft.partition("draft=")[2]
    when = {"step": "when", "draft": key, "start": "2020-01-01T10:00", "end": "2020-01-01T12:00"}
    told = check_step(registry, **when)
    assert "48 h" in words(told.get_element_by_id("about-start"))
    assert "would be refused: Begins" in words(told.get_element_by_id("checked"))
    assert registry.get("/api/v1/downtimes")["items"] == []


def test_a_change_of_a_downtime_is_checked_while_it_is_typed(registry: Registry) -> None:
    made = registry.declare("BIFI", timedelta(days=3), timedelta(hours=2))
    path = f"/downtimes/{made['id']}/edit"
    typed = {**filled(registry, path, "Laura Gil"), "check": "yes"}
    longer = (datetime.fromisoformat(made["end"]) + timedelta(hours=5)).isoformat()[:16]
    told = document(registry.ask("POST", path, "Laura Gil", data={**typed, "end": longer}))
    assert words(told.get_element_by_id("about-end"))
    assert "would be refused: Ends" in words(told.get_element_by_id("checked"))
    assert registry.ask("POST", path, "Eliška Malá", data=typed).status_code == 403
    assert registry.get(f"/api/v1/downtimes/{made['id']}")["end"] == made["end"]


def test_who_has_few_sites_ticks_them_and_who_has_many_searches(registry: Registry) -> None:
    for site in ("BIFI", "UKIM"):
        person = registry.get("/api/v1/people?q=Laura")["items"][0]["id"]
        role = {"person": person, "role": "site_administrator", "scope": f"site:{site}"}
        registry.ask("POST", "/api/v1/roles", json=role)
    form = document(registry.ask("GET", "/downtimes/new", "Laura Gil"))
    boxes = form.xpath("//input[@type='checkbox'][@name='add_site']/@value")
    assert boxes == ["BIFI", "UKIM"]
    assert not form.xpath("//datalist")
    both = {"step": "what", "act": "add", "add_site": ["BIFI", "UKIM"]}
    chosen = registry.ask("POST", "/downtimes/new", "Laura Gil", data=both)
    drawn = document(registry.ask("GET", chosen.headers["Location"], "Laura Gil"))
    assert drawn.xpath("//input[@name='sites']/@value") == ["BIFI", "UKIM"]
    for number in range(12):
        site = site_document("BIFI", name=f"SITE-{number}", usage_site_names=[f"USAGE-{number}"])
        registry.send("POST", "/api/v1/sites", site)
    many = document(registry.ask("GET", "/downtimes/new"))
    assert not many.xpath("//input[@type='checkbox'][@name='add_site']")
    assert len(many.xpath("//datalist[@id='sites-offered']/option")) == 15


def test_decisions_are_checked_while_the_reason_is_typed(registry: Registry) -> None:
    path = "/api/v1/sites/BIFI/certification/proposals"
    made = registry.send("POST", path, {"status": "Suspended", "reason": "a drill"})
    action, prefix = f"/certification/proposals/{made['id']}/accept", f"p{made['id']}-"
    form = next(
        one
        for one in document(registry.ask("GET", "/certification/proposals")).forms
        if one.get("action") == action
    )
    assert form.get("hx-post") == action
    told = document(registry.ask("POST", action, data={"reason": "x" * 301, "check": prefix}))
    assert "300" in words(told.get_element_by_id(f"about-{prefix}reason"))
    fine = document(registry.ask("POST", action, data={"reason": "agreed", "check": prefix}))
    assert "Nothing of this would be refused" in words(fine.get_element_by_id(f"{prefix}checked"))
    assert registry.get("/api/v1/sites/BIFI")["certification"] == "Certified"


def test_the_decision_about_a_role_is_checked_while_the_reason_is_typed(registry: Registry) -> None:
    asked = {"role": "site_security_officer", "scope": "site:BIFI"}
    made = registry.send("POST", "/api/v1/role-requests", asked, "Anna Lindqvist")
    action, prefix = f"/roles/requests/{made['id']}/grant", f"r{made['id']}-"
    live(registry, "/roles", action, "Ingrid Holm", prefix)
    told = document(registry.ask("POST", action, "Ingrid Holm", data={"reason": "x" * 301, "check": prefix}))
    assert "300" in words(told.get_element_by_id(f"about-{prefix}reason"))
    refused = registry.ask("POST", action, "Ingrid Holm", data={"reason": "x" * 301})
    assert refused.status_code == 422
    assert "x" * 301 in refused.text, "what was typed is kept"
    fine = document(registry.ask("POST", action, "Ingrid Holm", data={"reason": "welcome", "check": prefix}))
    assert "Nothing of this would be refused" in words(fine.get_element_by_id(f"{prefix}checked"))
    assert [one["id"] for one in registry.get("/api/v1/roles?status=PENDING")["items"]] == [made["id"]]
    reject = action.replace("/grant", "/reject")
    told = document(registry.ask("POST", reject, "Ingrid Holm", data={"reason": "", "check": prefix}))
    assert "must be given" in words(told.get_element_by_id(f"about-{prefix}reason"))


def live(registry: Registry, page: str, action: str, who: str, prefix: str = "") -> Any:
    """The form of a page that is checked while somebody types; all parts that the answer writes into are there."""
    shown = document(registry.ask("GET", page, who))
    form = next(one for one in shown.forms if one.get("action") == action and one.get("hx-post") == action)
    assert form.xpath(f".//*[@id='{prefix}checked']")
    return form


def test_suspending_an_identity_is_checked_and_keeps_what_was_typed(registry: Registry) -> None:
    (laura,) = registry.get("/api/v1/people?q=Laura")["items"]
    number = laura["identities"][0]["id"]
    action, prefix = f"/people/{laura['id']}/identities/{number}/suspend", f"i{number}-"
    live(registry, f"/people/{laura['id']}", action, "Ingrid Holm", prefix)
    told = document(registry.ask("POST", action, data={"reason": "x" * 301, "check": prefix}))
    assert "300" in words(told.get_element_by_id(f"about-{prefix}reason"))
    fine = document(registry.ask("POST", action, data={"reason": "key lost", "check": prefix}))
    assert "Nothing of this would be refused" in words(fine.get_element_by_id(f"{prefix}checked"))
    refused = registry.ask("POST", action, data={"reason": "y" * 301})
    assert refused.status_code == 422
    assert document(refused).get_element_by_id(f"in-{prefix}reason").get("value") == "y" * 301
    assert registry.get(f"/api/v1/people/{laura['id']}")["identities"][0]["suspended_at"] is None
    assert registry.ask("POST", action, data={"reason": "key lost"}).status_code == 303


def test_an_undo_is_checked_while_it_is_typed(registry: Registry) -> None:
    number = registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Huesca"})["revision"]
    action = f"/history/{number}/undo"
    live(registry, f"/history/{number}", action, "Laura Gil")
    told = document(registry.ask("POST", action, "Laura Gil", data={"reason": "x" * 301, "check": "yes"}))
    assert "300" in words(told.get_element_by_id("about-reason"))
    fine = document(registry.ask("POST", action, "Laura Gil", data={"check": "yes"}))
    assert "Nothing of this would be refused" in words(fine.get_element_by_id("checked"))
    other = document(registry.ask("POST", action, "Goran Petrov", data={"check": "yes"}))
    assert "refused" not in words(other.get_element_by_id("checked")), "it is told who may"
    assert registry.get("/api/v1/sites/BIFI")["location"] == "Huesca"
    registry.send("PATCH", "/api/v1/sites/BIFI", {"location": "Jaca"})
    lost = document(registry.ask("POST", action, "Laura Gil", data={"check": "yes"}))
    assert "This would be refused: location" in words(lost.get_element_by_id("checked"))
    sure = document(registry.ask("POST", action, "Laura Gil", data={"check": "yes", "overwrite": "yes"}))
    assert "Nothing of this would be refused" in words(sure.get_element_by_id("checked"))
    assert registry.get("/api/v1/sites/BIFI")["location"] == "Jaca"


def test_ending_for_some_services_is_checked_while_they_are_chosen(registry: Registry) -> None:
    second = registry.register_service(
        "BIFI", hostname="second.bifi.example", url="https://second.bifi.example/"
    )
    made = registry.declare("BIFI", timedelta(minutes=-5), timedelta(hours=3))
    action = f"/downtimes/{made['id']}/end-services"
    form = live(registry, f"/downtimes/{made['id']}", action, "Laura Gil")
    assert form.xpath(".//*[@id='about-services']")
    none = document(registry.ask("POST", action, "Laura Gil", data={"check": "yes"}))
    assert "choose the services" in words(none.get_element_by_id("checked"))
    (foreign,) = registry.get("/api/v1/services?site=UKIM")["items"]
    told = registry.ask("POST", action, "Laura Gil", data={"services": foreign["id"], "check": "yes"})
    assert "not affected" in words(document(told).get_element_by_id("about-services"))
    fine = registry.ask("POST", action, "Laura Gil", data={"services": second["id"], "check": "yes"})
    assert "Nothing of this would be refused" in words(document(fine).get_element_by_id("checked"))
    assert registry.get(f"/api/v1/downtimes/{made['id']}")["service_ends"] == {}


def test_a_calendar_is_checked_when_it_is_chosen(registry: Registry) -> None:
    live(registry, "/downtimes/import", "/downtimes/import", "Laura Gil")
    start = datetime.now(UTC) + timedelta(days=3)
    event = (
        f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a@b\nDTSTART:{start:%Y%m%dT%H%M%SZ}\nDURATION:PT2H\nSUMMARY:racks\n"
        "LOCATION:{site}\nEND:VEVENT\nEND:VCALENDAR\n"
    )

    def told(text: str, **more: Any) -> Any:
        sent = {"calendar": text, "act": "look", "check": "yes", **more}
        return document(registry.ask("POST", "/downtimes/import", "Laura Gil", data=sent))

    assert "Still needed: Calendar" in words(told("").get_element_by_id("checked"))
    assert "BEGIN:VCALENDAR" in words(told("BEGIN:NOTHING").get_element_by_id("about-calendar"))
    foreign = words(told(event.replace("{site}", "UKIM")).get_element_by_id("about-calendar"))
    assert "1 of 1 event would be refused" in foreign
    good = event.replace("{site}", "BIFI").encode()
    fine = told("", file=(io.BytesIO(good), "plan.ics"))
    assert "Nothing of this would be refused" in words(fine.get_element_by_id("checked"))
    assert registry.get("/api/v1/downtimes")["items"] == []


def test_ignoring_a_difference_is_checked_while_it_is_typed(registry: Registry) -> None:
    sent = registry.ask("PUT", "/v1/sites/BIFI/cloudinfo", data=encoded(cloud_document("BIFI", cores=7)))
    assert sent.status_code == 202
    action = "/sites/BIFI/drift/ignore"
    typed = {"fact": "vo training.egi.eu vcpu", "reason": "a pledge", "until": "", "check": "d1-"}
    for until, reason in (("2020-01-01", "future"), ("soon", "time")):
        told = document(registry.ask("POST", action, "Laura Gil", data={**typed, "until": until}))
        assert reason in words(told.get_element_by_id("about-d1-until")).lower()
    fine = document(registry.ask("POST", action, "Laura Gil", data=typed))
    assert "Nothing of this would be refused" in words(fine.get_element_by_id("d1-checked"))
    assert not any(one["ignored"] for one in registry.get("/api/v1/sites/BIFI/drift")["items"])
