"""Planned downtimes from a calendar: each event by itself, known again by its UID."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine

from .conftest import Registry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def event(uid: str = "one@plan", begins: timedelta = 3 * DAY, *lines: str, **fields: str) -> str:
    """Four hours at BIFI unless `fields` say otherwise; an empty field is left out."""
    start = datetime.now(UTC) + begins
    known = {
        "UID": uid,
        "DTSTAMP": stamp(datetime.now(UTC)),
        "DTSTART": stamp(start),
        "DTEND": stamp(start + 4 * HOUR),
        "SUMMARY": "New racks",
        "LOCATION": "BIFI",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return "\r\n".join(
        ["BEGIN:VEVENT", *(f"{name}:{value}" for name, value in known.items() if value), *lines, "END:VEVENT"]
    )


def calendar(*events: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//plan//EN", *events, "END:VCALENDAR", ""])


def take(
    registry: Registry, *events: str, who: str | None = "Laura Gil", status: int = 200, query: str = ""
) -> list[Any]:
    told = registry.send(
        "POST", f"/api/v1/downtimes/import{query}", {"calendar": calendar(*events)}, who, status
    )
    return list(told["items"]) if status == 200 else [told]


def actions(found: list[Any]) -> list[str]:
    return [one["action"] for one in found]


def test_an_event_becomes_a_downtime_and_is_known_again(registry: Registry) -> None:
    (preview,) = take(registry, event(), query="?dry_run=true")
    assert (preview["action"], preview["id"], preview["sites"]) == ("declare", None, ["BIFI"])
    assert registry.get("/api/v1/downtimes")["items"] == []
    frozen = event()
    (made,) = take(registry, frozen)
    downtime = registry.get(f"/api/v1/downtimes/{made['id']}")
    assert (downtime["description"], downtime["severity"]) == ("New racks", "OUTAGE")
    assert downtime["classification"] == "SCHEDULED"
    assert downtime["whole_sites"] == ["BIFI"]
    (again,) = take(registry, frozen)
    assert (again["action"], again["id"]) == ("nothing", made["id"])
    changed = frozen.replace("New racks", "Newer racks").replace("SUMMARY", "CATEGORIES:WARNING\r\nSUMMARY")
    (shown,) = take(registry, changed, query="?dry_run=true")
    assert (shown["action"], shown["words"]) == ("change", "it changes its severity, its description")
    assert registry.get(f"/api/v1/downtimes/{made['id']}")["revision"] == downtime["revision"]
    (edited,) = take(registry, changed)
    assert (edited["action"], edited["id"]) == ("change", made["id"])
    after = registry.get(f"/api/v1/downtimes/{made['id']}")
    assert (after["description"], after["severity"]) == ("Newer racks", "WARNING")
    assert len(registry.get("/api/v1/downtimes")["items"]) == 1


def test_the_rules_hold_for_each_event_by_itself(registry: Registry) -> None:
    found = take(
        registry,
        event("good"),
        event("elsewhere", LOCATION="UKIM"),
        event("late", -60 * HOUR, DTEND=stamp(datetime.now(UTC) + HOUR)),
        event("over", -10 * HOUR),
        event("backwards", DTEND=stamp(datetime.now(UTC) + DAY)),
        event("nowhere", LOCATION="Room 5"),
        event("floating", DTSTART="20261203T080000"),
        event("long", DESCRIPTION="x" * 4001),
        event("", UID=""),
        event("maybe", STATUS="TENTATIVE"),
    )
    assert actions(found) == [
        "declare", "refuse", "refuse", "nothing", "refuse", "refuse", "refuse", "refuse", "refuse", "nothing",
    ]  # fmt: skip
    assert "Only a site administrator of site UKIM" in found[1]["words"]
    assert found[2]["faults"][0]["field"] == "start"
    assert found[3]["words"] == "it lies in the past"
    assert [one["faults"][0]["field"] for one in found[4:9]] == [
        "end", "LOCATION", "DTSTART", "DESCRIPTION", "UID",
    ]  # fmt: skip
    assert len(registry.get("/api/v1/downtimes")["items"]) == 1


def test_sites_and_services_are_found_where_calendars_put_them(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    found = take(
        registry,
        event("1", LOCATION="second.bifi.example"),
        event("2", LOCATION="", SUMMARY="BIFI: new racks"),
        event("3", LOCATION="Hall 2\\, bifi"),
        event("4", LOCATION="", X_HANSE_SITES="BIFI,UKIM"),
        event("5", LOCATION="", X_HANSE_SERVICES=f"{second['id']},second.bifi.example"),
        event("6", LOCATION="", X_HANSE_SITES="NOWHERE"),
        event("7", LOCATION="", X_HANSE_SERVICES="nowhere.example"),
        who="Ingrid Holm",
    )
    assert [one["sites"] for one in found[:5]] == [["BIFI"], ["BIFI"], ["BIFI"], ["BIFI", "UKIM"], ["BIFI"]]
    made = [registry.get(f"/api/v1/downtimes/{one['id']}") for one in found[:5]]
    assert [one["services"] == [second["id"]] for one in made] == [True, False, False, False, True]
    assert actions(found[5:]) == ["refuse", "refuse"]
    (chosen,) = take(registry, event("8", LOCATION="Room 5"), query="?site=BIFI")
    assert chosen["sites"] == ["BIFI"]
    take(registry, event("9"), query="?site=NOWHERE", status=404)


def test_a_repetition_gives_one_downtime_for_each_time(registry: Registry) -> None:
    start = (datetime.now(UTC) + 3 * DAY).replace(microsecond=0)
    third, second = start + 14 * DAY, start + 7 * DAY
    weekly = event("weekly", 3 * DAY, f"EXDATE:{stamp(second)}", DTSTART=stamp(start), DTEND=stamp(start + HOUR),
                   RRULE="FREQ=WEEKLY;COUNT=4")  # fmt: skip
    moved = event("weekly", 3 * DAY, f"RECURRENCE-ID:{stamp(third)}", DTSTART=stamp(third + DAY),
                  DTEND=stamp(third + DAY + HOUR))  # fmt: skip
    found = take(registry, weekly, moved)
    assert actions(found) == ["declare", "nothing", "declare", "declare"]
    starts = sorted(
        datetime.fromisoformat(one["start"]) for one in registry.get("/api/v1/downtimes")["items"]
    )
    assert starts == [start, third + DAY, start + 21 * DAY]
    assert actions(take(registry, weekly, moved)) == ["nothing"] * 4
    without_moved = take(registry, weekly)
    assert actions(without_moved) == ["nothing", "nothing", "change", "nothing"]
    fewer = weekly.replace(f"EXDATE:{stamp(second)}", f"EXDATE:{stamp(second)},{stamp(start)}")
    assert actions(take(registry, fewer)) == ["cancel", "nothing", "nothing", "nothing"]
    assert len(registry.get("/api/v1/downtimes")["items"]) == 2
    (bad,) = take(registry, event("odd", RRULE="FREQ=YEARLY"))
    assert bad["faults"][0]["field"] == "RRULE"


def test_a_cancelled_event_deletes_or_ends_its_downtime(registry: Registry) -> None:
    planned, ongoing = event("planned"), event("ongoing", -HOUR)
    made = take(registry, planned, ongoing)
    cancelled = [one.replace("SUMMARY", "STATUS:CANCELLED\r\nSUMMARY") for one in (planned, ongoing)]
    assert actions(take(registry, *cancelled, query="?dry_run=true")) == ["cancel", "cancel"]
    assert len(registry.get("/api/v1/downtimes")["items"]) == 2
    assert actions(take(registry, *cancelled)) == ["cancel", "cancel"]
    assert registry.ask("GET", f"/api/v1/downtimes/{made[0]['id']}").status_code == 404
    end = datetime.fromisoformat(registry.get(f"/api/v1/downtimes/{made[1]['id']}")["end"])
    assert end <= datetime.now(UTC) + timedelta(seconds=60)
    (never,) = take(registry, event("never", STATUS="CANCELLED"))
    assert (never["action"], never["words"]) == ("nothing", "it is cancelled, and was never declared here")


def test_what_is_fixed_is_refused_with_the_reason(registry: Registry) -> None:
    first = event("fixed", 2 * DAY)
    take(registry, first)
    with time_machine.travel(datetime.now(UTC) + DAY + HOUR):
        (told,) = take(registry, first.replace("New racks", "Other racks"), who="Ingrid Holm")
    assert told["action"] == "refuse"
    assert "fixed from 24 h" in told["faults"][0]["reason"]


def test_our_own_calendar_comes_back_as_it_is(registry: Registry) -> None:
    second = registry.register_service("BIFI", hostname="second.bifi.example")
    registry.declare("BIFI", 2 * DAY, 3 * HOUR, description="Racks, cables; fans\nAll")
    registry.declare("UKIM", 2 * DAY, 3 * HOUR, sites=["UKIM", "BIFI"], services=[second["id"]])
    ongoing = registry.declare("BIFI", -HOUR, 3 * HOUR)
    registry.send("POST", f"/api/v1/downtimes/{ongoing['id']}/end", {"services": [second["id"]]}, status=200)
    raw = registry.ask("GET", "/downtimes.ics", None).text
    told = registry.send("POST", "/api/v1/downtimes/import", {"calendar": raw}, status=200)["items"]
    assert [(one["action"], one["words"]) for one in told] == [("nothing", "it is declared so already")] * 3


def test_nobody_takes_over_a_downtime_of_another_site_by_its_uid(registry: Registry) -> None:
    (mine,) = take(registry, event("shared"))
    (theirs,) = take(registry, event("shared", LOCATION="UKIM"), who="Goran Petrov")
    assert theirs["action"] == "declare"
    assert theirs["id"] != mine["id"]
    own = f"{mine['id']}.downtime@127.0.0.1"
    (refused,) = take(registry, event(own, LOCATION="UKIM", SUMMARY="mine now"), who="Goran Petrov")
    assert refused["action"] == "refuse"
    assert registry.get(f"/api/v1/downtimes/{mine['id']}")["description"] == "New racks"


def test_a_program_sends_the_file_as_it_is(registry: Registry) -> None:
    def post(raw: bytes, who: str | None = "Laura Gil", query: str = "") -> Any:
        return registry.ask("POST", f"/downtimes.ics{query}", who, data=raw, content_type="text/calendar")

    raw = calendar(event()).encode()
    assert post(raw, query="?dry_run=true").get_json()["items"][0]["action"] == "declare"
    assert post(raw).get_json()["items"][0]["action"] == "declare"
    assert post(raw, None).status_code == 401
    assert post(raw, "Anna Lindqvist").status_code == 403
    assert post(b"x" * 1_000_001).status_code == 413
    broken = post(b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR")
    assert broken.status_code == 422
    assert "line 3 ends VCALENDAR, but VEVENT is open" in broken.text


def test_a_calendar_that_asks_for_too_much_is_refused_whole(registry: Registry) -> None:
    many = [event(f"u{number}", RRULE="FREQ=DAILY", DTEND="", DURATION="PT1H") for number in range(9)]
    (told,) = take(registry, *many, status=422)
    assert "540 downtimes, at most 500" in str(told["errors"])
    assert registry.get("/api/v1/downtimes")["items"] == []


def test_markup_and_commands_stay_words(registry: Registry) -> None:
    words = "<script>alert(1)</script>'); drop table downtime; --"
    (made,) = take(registry, event(SUMMARY=words.replace(";", "\\;")))
    assert registry.get(f"/api/v1/downtimes/{made['id']}")["description"] == words
