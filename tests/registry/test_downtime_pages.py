"""Pages of downtimes: the way to one in four steps, the list, one with its history, the calendar, the import."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import html
from werkzeug.test import TestResponse

from registry.views import downtime_list

from .conftest import Registry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOSTILE = "<script>alert('1')</script>\"'><img src=x onerror=alert(1)>"


def page(registry: Registry, path: str, who: str | None = "Laura Gil", status: int = 200) -> Any:
    answer = registry.ask("GET", path, who, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text
    return parsed(answer.text)


def parsed(text: str) -> Any:
    return html.fromstring(text)


def words(node: Any) -> str:
    return re.sub(r"\s+", " ", node.text_content())


def post(registry: Registry, path: str, who: str = "Laura Gil", **fields: Any) -> TestResponse:
    return registry.ask("POST", path, who, data=fields, headers={"Accept": "text/html"})


def local(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M")


def services(registry: Registry, site: str) -> list[str]:
    return [one["id"] for one in registry.get(f"/api/v1/services?site={site}")["items"]]


class Way:
    """Somebody on the way to a downtime; each step follows the redirect of the one before."""

    def __init__(self, registry: Registry, who: str = "Laura Gil") -> None:
        self.registry, self.who, self.draft = registry, who, ""

    def go(self, step: str, **fields: Any) -> TestResponse:
        answer = post(
            self.registry, "/downtimes/new", self.who, **{"step": step, "draft": self.draft, **fields}
        )
        if answer.status_code == 303:
            query = parse_qs(urlsplit(answer.headers["Location"]).query)
            self.draft = query.get("draft", [""])[0]
        return answer

    def what(self, **fields: Any) -> TestResponse:
        return self.go(
            "what", **{"sites": ["BIFI"], "severity": "OUTAGE", "description": "New racks", **fields}
        )

    def when(
        self, begins_in: timedelta = 3 * DAY, lasts: timedelta = 6 * HOUR, **fields: Any
    ) -> TestResponse:
        start = datetime.now(UTC) + begins_in
        return self.go("when", **{"start": local(start), "end": local(start + lasts), **fields})

    def see(self, step: str, status: int = 200) -> Any:
        return page(self.registry, f"/downtimes/new?step={step}&draft={self.draft}", self.who, status)


@pytest.fixture
def way(registry: Registry) -> Way:
    return Way(registry)


def test_a_downtime_is_declared_in_four_steps(registry: Registry, way: Way) -> None:
    assert way.what().headers["Location"].startswith("/downtimes/new?step=when&draft=")
    assert way.when().headers["Location"].startswith("/downtimes/new?step=impact&draft=")
    assert way.go("impact").headers["Location"].startswith("/downtimes/new?step=confirm&draft=")
    assert registry.get("/api/v1/downtimes")["items"] == []
    assert "Declare the downtime of BIFI" in words(way.see("confirm"))
    draft = way.draft
    declared = way.go("confirm")
    (made,) = registry.get("/api/v1/downtimes")["items"]
    assert declared.headers["Location"].startswith(f"/downtimes/{made['id']}?declared=")
    assert (made["description"], made["classification"]) == ("New racks", "SCHEDULED")
    assert made["whole_sites"] == ["BIFI"]
    page(registry, f"/downtimes/new?step=what&draft={draft}", status=404)
    after = page(registry, declared.headers["Location"])
    assert "Undo" in words(after)
    assert post(registry, f"/downtimes/{made['id']}/delete").headers["Location"] == "/downtimes"
    assert registry.get("/api/v1/downtimes")["items"] == []


def test_what_was_declared_can_be_taken_back_at_once(registry: Registry, way: Way) -> None:
    way.what()
    way.when()
    way.go("impact")
    shown = page(registry, way.go("confirm").headers["Location"])
    (bar,) = shown.find_class("undo")
    assert post(registry, bar.get("action")).status_code in (200, 303)
    assert registry.get("/api/v1/downtimes")["items"] == []


def test_who_declares_what_goes_on_is_told_how_to_end_it(registry: Registry) -> None:
    begun = registry.declare("BIFI", -HOUR, 3 * HOUR)
    shown = page(registry, f"/downtimes/{begun['id']}?declared=1")
    assert "it can no longer be deleted; end it when the work is done" in words(shown)


def test_what_is_wrong_is_said_at_its_step_and_what_was_typed_is_kept(registry: Registry, way: Way) -> None:
    refused = way.what(description="", services=services(registry, "UKIM"))
    document = parsed(refused.text)
    assert refused.status_code == 422
    assert "is needed" in words(document.get_element_by_id("field-description"))
    way.draft = document.xpath("//input[@name='draft']/@value")[0]
    assert way.what(description="Racks & switches").status_code == 303
    late = way.when(-60 * HOUR, HOUR)
    document = parsed(late.text)
    assert late.status_code == 422
    assert "more than 48 h in the past" in words(document.get_element_by_id("field-start"))
    backwards = parsed(way.when(3 * DAY, -HOUR).text)
    assert "must be later than the start" in words(backwards.get_element_by_id("field-end"))
    assert way.see("what").find(".//textarea[@name='description']").text.strip() == "Racks & switches"
    assert "is needed" in words(parsed(way.go("when", start="", end="").text))


def test_nobody_jumps_over_a_step_that_is_wrong(registry: Registry, way: Way) -> None:
    way.what()
    skipped = way.see("confirm", 422)
    assert "Step 2 of 4" in words(skipped)
    assert way.go("confirm").status_code == 422 or registry.get("/api/v1/downtimes")["items"] == []
    page(registry, "/downtimes/new?step=magic", status=404)


def test_the_impact_is_told_by_vo_before_anything_is_saved(registry: Registry, way: Way) -> None:
    registry.send("PATCH", "/api/v1/sites/BIFI", {"supports": [{"vo": "chipster", "vcpu": 9}]})
    registry.send("PATCH", "/api/v1/sites/CESNET", {"supports": [{"vo": "chipster", "vcpu": 27}]})
    way.what()
    way.when()
    quiet = words(way.see("impact"))
    assert "9 of 36 25 %" in quiet
    assert "CESNET" in quiet
    assert "Scheduled: begins more than 24 h ahead" in quiet
    other = registry.declare("CESNET", 3 * DAY + HOUR, HOUR)
    shown = way.see("impact")
    assert "chipster loses its last site: CESNET is away as well" in words(shown)
    assert shown.xpath(f"//a[@href='/downtimes/{other['id']}']")
    (button,) = shown.xpath("//button[contains(text(), 'same hours')]")
    assert way.go("impact", act=button.get("value")).status_code == 303
    assert "loses its last site" not in words(way.see("impact"))
    assert registry.get("/api/v1/downtimes?site=BIFI")["items"] == []


def test_a_second_downtime_of_the_same_site_is_told(registry: Registry, way: Way) -> None:
    registry.declare("BIFI", 3 * DAY + HOUR, HOUR, severity="WARNING")
    way.what()
    way.when()
    assert "There is another downtime at BIFI then" in words(way.see("impact"))


def test_at_risk_takes_nothing_away(registry: Registry, way: Way) -> None:
    way.what(severity="WARNING")
    way.when()
    shown = words(way.see("impact"))
    assert "0 of 48" in shown
    assert "Accounting is not connected; its figures are left out" in shown


def test_services_that_are_not_for_machines_take_no_capacity(registry: Registry, way: Way) -> None:
    bdii = registry.register_service("BIFI", service_type="Site-BDII", hostname="bdii.bifi.example")
    way.what(services=[bdii["id"]])
    way.when()
    shown = words(way.see("impact"))
    assert "0 of 48" in shown
    assert "Site-BDII on bdii.bifi.example" in shown


def test_several_sites_are_chosen_one_after_the_other(registry: Registry) -> None:
    way = Way(registry, "Ingrid Holm")
    way.go("what", sites=["BIFI"], add_site="UKIM", act="add", severity="OUTAGE", description="Both")
    shown = way.see("what")
    assert shown.xpath("//input[@name='sites']/@value") == ["BIFI", "UKIM"]
    way.go("what", sites=["BIFI", "UKIM"], act="remove:BIFI", severity="OUTAGE", description="One")
    assert way.see("what").xpath("//input[@name='sites']/@value") == ["UKIM"]
    way.go("what", sites=["UKIM"], add_site="CESNET", severity="OUTAGE", description="Both")
    way.when()
    way.go("impact")
    way.go("confirm")
    (made,) = registry.get("/api/v1/downtimes")["items"]
    assert made["sites"] == ["UKIM", "CESNET"]


def test_a_site_that_is_not_ones_own_is_refused(registry: Registry, way: Way) -> None:
    told = way.what(sites=["BIFI", "UKIM"])
    way.draft = (
        parsed(told.text).xpath("//input[@name='draft']/@value")[0] if told.status_code == 422 else way.draft
    )
    refused = way.when()
    assert refused.status_code == 422 or "you have none at UKIM" in words(way.see("impact", 422))
    way.go("impact")
    way.go("confirm")
    assert registry.get("/api/v1/downtimes")["items"] == []


def test_a_series_is_shown_and_declared_at_once(registry: Registry, way: Way) -> None:
    way.what()
    assert way.when(every="week", times="3").status_code == 303
    shown = words(way.see("confirm"))
    assert "Declare 3 downtimes of BIFI" in shown
    way.go("impact")
    way.go("confirm")
    made = registry.get("/api/v1/downtimes")["items"]
    assert len(made) == 3
    assert "The series" in words(page(registry, f"/downtimes/{made[0]['id']}"))
    again = Way(registry)
    again.what()
    refused = parsed(again.when(every="week", times="99").text)
    assert "from 2 to 60" in words(refused.get_element_by_id("field-times"))


def test_a_draft_waits_in_the_list_and_can_be_discarded(registry: Registry, way: Way) -> None:
    way.what(description="Later perhaps")
    listed = page(registry, "/downtimes")
    assert "Later perhaps" in words(listed)
    assert "Later perhaps" not in words(page(registry, "/downtimes", "Goran Petrov"))
    assert post(registry, f"/downtimes/drafts/{way.draft}/discard", "Goran Petrov").status_code == 404
    assert post(registry, f"/downtimes/drafts/{way.draft}/discard").status_code == 303
    assert "Later perhaps" not in words(page(registry, "/downtimes"))


def test_a_downtime_is_declared_again_from_its_page(registry: Registry) -> None:
    made = registry.declare("BIFI", -3 * HOUR, HOUR, description="Same procedure", severity="WARNING")
    document = page(registry, f"/downtimes/new?again={made['id']}")
    assert document.find(".//textarea[@name='description']").text.strip() == "Same procedure"
    assert document.xpath("//select[@name='severity']/option[@selected]/@value") == ["WARNING"]
    page(registry, "/downtimes/new?again=999", status=404)


def test_only_those_of_a_site_are_on_the_way(registry: Registry) -> None:
    assert registry.ask("GET", "/downtimes/new", None, headers={"Accept": "text/html"}).status_code == 401
    page(registry, "/downtimes/new", "Anna Lindqvist", 403)
    assert page(registry, "/downtimes/new?site=UKIM").xpath("//input[@name='sites']/@value") == ["BIFI"]


def test_services_end_early_from_the_page(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    made = registry.declare("BIFI", -HOUR, 3 * HOUR)
    path = f"/downtimes/{made['id']}"
    shown = page(registry, path)
    assert len(shown.xpath("//input[@name='services']")) == 2
    assert post(registry, f"{path}/end-services").status_code == 422
    assert registry.get(f"/api/v1{path}")["service_ends"] == {}
    assert post(registry, f"{path}/end-services", services=[second["id"]]).status_code == 303
    assert list(registry.get(f"/api/v1{path}")["service_ends"]) == [second["id"]]
    assert not page(registry, path, "Goran Petrov").xpath("//input[@name='services']")
    assert post(registry, f"{path}/end-services", "Goran Petrov", services=[second["id"]]).status_code == 403
    assert post(registry, f"{path}/end").status_code == 303
    assert datetime.fromisoformat(registry.get(f"/api/v1{path}")["end"]) < datetime.now(UTC) + HOUR


def test_one_downtime_tells_its_history_and_its_past(registry: Registry) -> None:
    made = registry.declare("BIFI", 3 * DAY, 4 * HOUR)
    path = f"/downtimes/{made['id']}"
    registry.send("PATCH", f"/api/v1{path}", {"description": "Other racks"}, "Laura Gil")
    shown = words(page(registry, path))
    assert "Other racks" in shown
    assert "description: New network switches → Other racks" in shown
    past = page(registry, f"{path}?as_of={made['revision']}")
    assert past.find_class("as-of")
    assert "New network switches" in words(past)
    assert not past.xpath("//a[contains(@href, '/edit')]")
    assert "History" not in words(page(registry, path, None).find_class("row")[0])
    page(registry, "/downtimes/999", status=404)


def test_a_downtime_is_changed_from_its_form(registry: Registry) -> None:
    made = registry.declare("BIFI", 3 * DAY, 4 * HOUR)
    path = f"/downtimes/{made['id']}"
    document = page(registry, f"{path}/edit")
    form = next(form for form in document.forms if form.get("action") == f"{path}/edit")
    fields = {name: value for name, value in dict(form.fields).items() if value is not None}
    assert post(registry, f"{path}/edit", **fields).status_code == 303
    assert registry.get(f"/api/v1{path}")["revision"] == made["revision"]
    assert post(registry, f"{path}/edit", **{**fields, "severity": "WARNING"}).status_code == 303
    late = post(registry, f"{path}/edit", "Ingrid Holm", **{**fields, "description": "Mine"})
    assert late.status_code == 422
    assert "Laura Gil was quicker" in late.text
    assert "Mine" in late.text
    longer = local(datetime.fromisoformat(made["end"]) + DAY)
    fresh = {**fields, "revision": str(registry.get(f"/api/v1{path}")["revision"])}
    refused = post(registry, f"{path}/edit", **{**fresh, "end": longer})
    assert "cannot be made longer" in refused.text
    assert post(registry, f"{path}/edit", "Goran Petrov", **{**fresh, "description": "x"}).status_code == 403
    assert registry.get(f"/api/v1{path}")["description"] == "New network switches"


def test_what_is_affected_is_changed_from_the_form(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    extra = registry.send(
        "POST",
        f"/api/v1/services/{second['id']}/endpoints",
        {"name": "two", "url": "https://two.bifi.example/"},
    )
    made = registry.declare("BIFI", 3 * DAY, 4 * HOUR)
    path = f"/downtimes/{made['id']}"

    def send(**changes: Any) -> Any:
        form = next(
            form for form in page(registry, f"{path}/edit").forms if form.get("action") == f"{path}/edit"
        )
        fields = {name: value for name, value in dict(form.fields).items() if value is not None}
        fields |= {name: [] for name in ("services", "endpoints")} | changes
        assert post(registry, f"{path}/edit", **fields).status_code == 303
        return registry.get(f"/api/v1{path}")

    assert send()["revision"] == made["revision"]
    narrowed = send(services=[second["id"]], endpoints=[extra["id"]])
    assert (narrowed["services"], narrowed["endpoints"]) == ([second["id"]], [extra["id"]])
    shown = page(registry, f"{path}/edit")
    assert shown.xpath("//input[@name='services'][@checked]/@value") == [second["id"]]
    assert shown.xpath("//input[@name='endpoints'][@checked]/@value") == [extra["id"]]
    first = services(registry, "BIFI")[0]
    assert send(services=[first], endpoints=[extra["id"]])["services"] == [first]
    assert send()["whole_sites"] == ["BIFI"]


def test_the_list_has_filters_and_pages(registry: Registry) -> None:
    for number in range(53):
        registry.declare("UKIM", (number + 2) * DAY, HOUR, description=f"Works {number:02d}")
    registry.declare("BIFI", -HOUR, 2 * HOUR, description="Racks", severity="WARNING")
    listed = page(registry, "/downtimes", None)
    assert "1 going on, 50+ planned" in words(listed)
    onwards = listed.xpath("//a[@rel='next']/@href")[0]
    second = words(page(registry, onwards, None))
    assert "Works 50" in second
    assert "Works 49" not in second
    for query, there, away in (
        ("site=BIFI", "Racks", "Works"),
        ("severity=WARNING", "Racks", "Works"),
        ("q=works+07", "Works 07", "Works 08"),
        ("mine=yes", "Racks", "Works"),
        ("state=ongoing", "Racks", "Works"),
        (f"since={(datetime.now(UTC) + 40 * DAY):%Y-%m-%d}", "Works 45", "Racks"),
        ("ngi=NGI_MK", "Works", "Racks"),
    ):
        shown = words(page(registry, f"/downtimes?{query}").find_class("card")[-1].getparent())
        assert there in shown, query
        assert away not in shown, query
    assert "None of these" in words(page(registry, "/downtimes?q=nothing+of+this", None))
    wrong = page(registry, "/downtimes?since=yesterday", None, 422)
    assert "Some filters were left out" in words(wrong)
    page(registry, "/downtimes?state=planned&cursor=xx", None, 422)


@pytest.mark.parametrize("span", ["", "month=2027-02", "week=2026-W53", "month=2026-11&site=BIFI&mine=yes"])
def test_the_calendar_draws_any_month_and_week(registry: Registry, span: str) -> None:
    registry.declare("BIFI", HOUR, 2 * DAY)
    document = page(registry, f"/downtimes/calendar?{span}", None)
    assert len(document.findall(".//h1")) == 1
    for image in document.findall(".//svg"):
        assert image.get("aria-hidden") or image.get("aria-label")


def test_a_downtime_stands_on_each_of_its_days(registry: Registry) -> None:
    start = datetime(2027, 2, 26, 12, 0, tzinfo=UTC)
    made = registry.send(
        "POST",
        "/api/v1/downtimes",
        {
            "sites": ["BIFI", "UKIM"],
            "severity": "OUTAGE",
            "description": HOSTILE,
            "start": start.isoformat(),
            "end": (start + 3 * DAY).isoformat(),
        },
    )
    month = page(registry, "/downtimes/calendar?month=2027-02", None)
    squares = [re.sub(r"\s+", " ", one.getparent().text_content()) for one in month.find_class("event")]
    assert [square.strip()[:2] for square in squares] == ["26", "27", "28"]
    assert ["12:00-24:00" in squares[0], "all day" in squares[1]] == [True, True]
    march = page(registry, "/downtimes/calendar?month=2027-03", None)
    assert len(march.find_class("event")) == 1
    week = page(registry, "/downtimes/calendar?week=2027-W08", None)
    assert len(week.find_class("lane")) == 3
    assert page(registry, "/downtimes/calendar?week=2027-W08&site=CESNET", None).find_class("lane") == []
    assert not [node for node in month.iter("script") if "alert" in (node.text or "")]
    assert {link.get("href") for link in month.find_class("event")} == {f"/downtimes/{made['id']}"}


@pytest.mark.parametrize("span", ["month=2026-13", "month=2026", "week=2026-W99", "week=x", "site=<x>"])
def test_no_such_month_is_said(registry: Registry, span: str) -> None:
    page(registry, f"/downtimes/calendar?{span}", None, 404)


def test_the_list_and_the_calendar_show_the_past(registry: Registry) -> None:
    made = registry.declare("BIFI", HOUR, 2 * HOUR)
    registry.ask("DELETE", f"/api/v1/downtimes/{made['id']}")
    month = f"month={datetime.now(UTC) + HOUR:%Y-%m}"
    assert "New network switches" not in words(page(registry, "/downtimes"))
    for path in (
        f"/downtimes?as_of={made['revision']}",
        f"/downtimes/calendar?{month}&as_of={made['revision']}",
    ):
        past = page(registry, path)
        assert past.find_class("as-of")
        assert "BIFI" in words(past.find_class("flush")[0].getparent().getparent())
        assert past.xpath(f"//a[starts-with(@href, '/downtimes/{made['id']}')]")
        assert not past.xpath("//a[contains(@href, '/downtimes/import')]")


def test_the_past_is_paged_as_the_present_is(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downtime_list, "PAGE", 2)
    for number in range(5):
        registry.declare("BIFI", (30 + number) * HOUR, HOUR)
    revision = registry.get("/api/v1/downtimes")["items"][0]["revision"]

    def shown(path: str) -> list[str]:
        found: list[str] = []
        while path:
            document = page(registry, path)
            found += [row.get("id") for row in document.xpath("//tr[starts-with(@id, 'downtime-')]")]
            path = next(iter(document.xpath("//a[@rel='next']/@href")), "")
        return found

    now = shown("/downtimes?state=planned")
    assert len(now) == 5
    assert shown(f"/downtimes?state=planned&as_of={revision}") == now


CALENDAR = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:page@plan
DTSTART:{start}
DTEND:{end}
SUMMARY:{summary}
LOCATION:{site}
END:VEVENT
END:VCALENDAR
"""


def calendar(site: str = "BIFI", summary: str = "New racks") -> str:
    start = datetime.now(UTC) + 3 * DAY
    return CALENDAR.format(
        start=f"{start:%Y%m%dT%H%M%SZ}", end=f"{start + HOUR:%Y%m%dT%H%M%SZ}", site=site, summary=summary
    )


def test_a_calendar_file_is_looked_at_before_it_is_taken(registry: Registry) -> None:
    upload = {"file": (io.BytesIO(calendar().encode()), "plan.ics"), "act": "look"}
    looked = registry.ask("POST", "/downtimes/import", "Laura Gil", data=upload)
    document = parsed(looked.text)
    assert looked.status_code == 200
    assert "1 event: 1 new. Nothing is declared yet." in words(document)
    assert registry.get("/api/v1/downtimes")["items"] == []
    text = document.find(".//textarea[@name='calendar']").text
    taken = post(registry, "/downtimes/import", calendar=text, act="take")
    (made,) = registry.get("/api/v1/downtimes")["items"]
    assert f"/downtimes/{made['id']}" in taken.text
    refused = post(registry, "/downtimes/import", calendar=calendar("UKIM", HOSTILE), act="look")
    assert "1 event: 1 refused" in words(parsed(refused.text))
    assert "Take" not in words(parsed(refused.text).find_class("buttons")[0])
    broken = post(registry, "/downtimes/import", calendar="BEGIN:NOTHING", act="look")
    assert broken.status_code == 422
    assert "line 1 must be BEGIN:VCALENDAR" in broken.text
    page(registry, "/downtimes/import", "Anna Lindqvist", 403)


@pytest.mark.parametrize(
    "path", ["/downtimes/{id}", "/downtimes/{id}/edit", "/downtimes", "/downtimes/new?again={id}"]
)
def test_hostile_text_is_text_on_every_page(registry: Registry, path: str) -> None:
    made = registry.declare("BIFI", HOUR, HOUR, description=HOSTILE)
    document = page(registry, path.format(id=made["id"]))
    assert not [node for node in document.iter("script") if "alert" in (node.text or "")]
    assert not document.findall(".//img")
    assert len(document.findall(".//h1")) == 1
