"""The calendar of downtimes, read by the `icalendar` library as calendar programs read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.renderings.ical import Entry, calendar, fold, text

from .conftest import Registry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
printable = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=300)
WORDS = st.one_of(printable, st.text(st.sampled_from('aé漢,;\\\n:" '), max_size=200))


def events(registry: Registry, query: str = "", who: str | None = None) -> list[Any]:
    answer = registry.ask("GET", f"/downtimes.ics{query}", who)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/calendar; charset=utf-8"
    return list(icalendar.Calendar.from_ical(answer.data).walk("VEVENT"))


def test_a_downtime_is_an_event(registry: Registry) -> None:
    made = registry.declare(
        "BIFI", 2 * DAY, 3 * HOUR, sites=["BIFI", "UKIM"], description="Racks; cables, fans\nAll"
    )
    (event,) = events(registry)
    assert event["UID"] == f"{made['id']}.downtime@127.0.0.1"
    assert event["SUMMARY"] == "BIFI, UKIM: outage"
    assert event["DESCRIPTION"] == "Racks; cables, fans\nAll"
    assert event["STATUS"] == "CONFIRMED"
    assert event["SEQUENCE"] == made["revision"]
    assert event.decoded("DTSTART") == datetime.fromisoformat(made["start"]).replace(microsecond=0)
    assert event.decoded("DTEND") == datetime.fromisoformat(made["end"]).replace(microsecond=0)
    changed = datetime.fromisoformat(made["updated_at"]).replace(microsecond=0)
    assert event.decoded("LAST-MODIFIED") == event.decoded("DTSTAMP") == changed
    assert event["URL"] == f"http://127.0.0.1:7010/downtimes/{made['id']}"
    assert str(event["CATEGORIES"].to_ical(), "utf-8") == "OUTAGE,SCHEDULED"


def test_an_edit_raises_the_sequence_and_keeps_the_uid(registry: Registry) -> None:
    made = registry.declare("BIFI", 2 * DAY, 3 * HOUR)
    (before,) = events(registry)
    registry.send("PATCH", f"/api/v1/downtimes/{made['id']}", {"severity": "WARNING"})
    (after,) = events(registry)
    assert before["UID"] == after["UID"]
    assert after["SEQUENCE"] > before["SEQUENCE"]
    assert after["SUMMARY"] == "BIFI: at risk"


def test_a_deleted_downtime_is_cancelled_for_a_month(registry: Registry) -> None:
    made = registry.declare("BIFI", 2 * DAY, 3 * HOUR)
    other = registry.declare("UKIM", 2 * DAY, 3 * HOUR)
    for one in (made, other):
        registry.ask("DELETE", f"/api/v1/downtimes/{one['id']}")
    assert {(event["UID"].split(".")[0], event["STATUS"]) for event in events(registry)} == {
        (made["id"], "CANCELLED"),
        (other["id"], "CANCELLED"),
    }
    (only,) = events(registry, "?site=BIFI")
    assert only["SEQUENCE"] > made["revision"]
    assert [event["UID"].split(".")[0] for event in events(registry, "?vo=chipster")] == []
    assert len(events(registry, "?ngi=NGI_MK")) == len(events(registry, "?severity=OUTAGE&ngi=NGI_MK")) == 1
    assert events(registry, "?severity=WARNING") == []
    assert len(events(registry, "?scope=EGI")) == 2


def test_a_service_that_is_back_early_is_told(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    made = registry.declare("BIFI", -HOUR, 3 * HOUR)
    registry.send("POST", f"/api/v1/downtimes/{made['id']}/end", {"services": [second["id"]]}, status=200)
    (event,) = events(registry)
    assert event["DESCRIPTION"].splitlines()[1].startswith("second.bifi.example until ")


@pytest.mark.parametrize(
    ("query", "sites"),
    [
        ("?site=BIFI", {"BIFI"}),
        ("?ngi=NGI_MK", {"UKIM"}),
        ("?vo=training.egi.eu", {"BIFI", "UKIM"}),
        ("?vo=nobody", set()),
        ("?scope=EGI", {"BIFI", "UKIM"}),
        ("?scope=Local", set()),
    ],
)
def test_a_calendar_is_of_what_is_asked_for(registry: Registry, query: str, sites: set[str]) -> None:
    for site in ("BIFI", "UKIM"):
        registry.declare(site, DAY, HOUR)
    assert {str(event["LOCATION"]) for event in events(registry, query)} == sites


def test_a_calendar_that_did_not_change_is_not_sent_again(registry: Registry) -> None:
    registry.declare("BIFI", DAY, HOUR)
    first = registry.ask("GET", "/downtimes.ics", None)
    again = registry.ask("GET", "/downtimes.ics", None, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert registry.ask("GET", "/downtimes.ics?colour=red", None).status_code == 422


def body(**changes: Any) -> dict[str, Any]:
    return {
        "id": "7",
        "site": "BIFI",
        "sites": ["BIFI"],
        "whole_sites": ["BIFI"],
        "severity": "OUTAGE",
        "classification": "SCHEDULED",
        "start": "2026-12-03T08:00:00.5Z",
        "end": "2026-12-03T16:00:00Z",
        "description": "x",
        "services": ["1"],
        "endpoints": [],
        "service_ends": {},
        "created_at": "2026-11-25T12:00:00Z",
        **changes,
    }


@given(WORDS, WORDS, st.text(st.characters(whitelist_categories=["Lu", "Nd"]), min_size=1, max_size=200))
def test_any_text_arrives_whole_and_no_line_is_longer_than_75_octets(said: str, name: str, site: str) -> None:
    entry = Entry(body(description=said, sites=[site]), 5, datetime(2026, 11, 25, tzinfo=UTC))
    raw = calendar([entry], name=name, portal="https://r.example", host="r.example", hosts={})
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    for line in raw.split(b"\r\n"):
        line.decode()  # no character is cut in two
    read = icalendar.Calendar.from_ical(raw)
    (event,) = read.walk("VEVENT")
    assert str(event.get("DESCRIPTION", "")) == said.replace("\r\n", "\n").replace("\r", "\n")
    assert str(event["LOCATION"]) == site


@given(st.text(max_size=200))
def test_a_folded_line_unfolds_to_itself(line: str) -> None:
    plain = text(line.encode("utf-8", "replace").decode())
    assert fold(plain).replace("\r\n ", "") == plain


def test_control_characters_are_left_out() -> None:
    assert text("a\x00b\x1bc\x7f\td") == "abc\td"
