"""The same downtime again: clones and series."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import Refused
from registry.downtime_series import spans
from registry.schemas.downtimes import RepeatIn

from .conftest import Registry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 12, 31, 8, 0, tzinfo=UTC)


def repeat(every: Any, times: int, **more: Any) -> RepeatIn:
    return RepeatIn(every=every, times=times, **more)


@given(
    st.sampled_from(["day", "week", "month"]), st.integers(2, 20), st.integers(1, 3), st.integers(1, 23),
    st.integers(0, 400),
)  # fmt: skip
def test_repetitions_last_as_long_keep_the_hour_and_never_overlap(
    every: str, times: int, interval: int, lasts: int, later: int
) -> None:
    start = START + later * DAY
    try:
        found = spans(start, start + lasts * HOUR, repeat(every, times, interval=interval))
    except Refused:
        assert every == "month"  # only months reach past three years
        return
    assert found[0] == (start, start + lasts * HOUR)
    assert len(found) == times
    assert {end - begins for begins, end in found} == {lasts * HOUR}
    assert {begins.time() for begins, _ in found} == {start.time()}
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))


def test_a_month_without_the_day_is_left_out() -> None:
    found = spans(START, START + HOUR, repeat("month", 4))
    assert [f"{begins:%d %b}" for begins, _ in found] == ["31 Dec", "31 Jan", "31 Mar", "31 May"]


def test_the_hour_stays_in_the_zone_that_is_named() -> None:
    start = datetime(2027, 3, 20, 8, 0, tzinfo=ZoneInfo("Europe/Madrid"))
    found = spans(start, start + HOUR, repeat("week", 3, timezone="Europe/Madrid"))
    assert [f"{begins:%H:%M}" for begins, _ in found] == ["07:00", "07:00", "06:00"]


@pytest.mark.parametrize(
    ("lasts", "how", "words"),
    [
        (25 * HOUR, repeat("day", 2), "must end before the next begins"),
        (HOUR, repeat("month", 60), "three years"),
        (HOUR, repeat("day", 2, timezone="Mars/Olympus"), "no time zone"),
        (HOUR, repeat("day", 2, timezone="../etc/passwd"), "no time zone"),
    ],
)
def test_what_cannot_be_repeated(lasts: timedelta, how: RepeatIn, words: str) -> None:
    with pytest.raises(Refused, match=words):
        spans(START, START + lasts, how)


def test_the_end_of_the_calendar_is_told() -> None:
    with pytest.raises(Refused, match="end of the calendar"):
        spans(datetime(9999, 12, 1, tzinfo=UTC), datetime(9999, 12, 2, tzinfo=UTC), repeat("month", 4))


def series(
    registry: Registry, status: int = 201, query: str = "", who: str = "Laura Gil", **changes: Any
) -> Any:
    start = (datetime.now(UTC) + 3 * DAY).replace(microsecond=0)
    downtime = {
        "site": "BIFI",
        "severity": "WARNING",
        "description": "Patches",
        "start": start.isoformat(),
        "end": (start + 2 * HOUR).isoformat(),
        **changes,
    }
    body = {"downtime": downtime, "repeat": {"every": "week", "times": 3}}
    return registry.send("POST", f"/api/v1/downtimes/series{query}", body, who, status)


def test_a_series_is_one_revision_and_known_as_one(registry: Registry) -> None:
    before = registry.get("/api/v1/changes?since=0")["head"]
    made = series(registry)["items"]
    ids = [one["id"] for one in made]
    found = registry.get(f"/api/v1/downtimes?series={ids[0]}")["items"]
    assert sorted(one["id"] for one in found) == sorted(ids)
    assert {one["series"] for one in found} == {ids[0]}
    assert {one["revision"] for one in found} == {before + 1}
    starts = [datetime.fromisoformat(one["start"]) for one in made]
    assert [after - before for before, after in itertools.pairwise(starts)] == [7 * DAY, 7 * DAY]
    single = registry.get(f"/api/v1/downtimes/{ids[1]}")
    registry.send("PATCH", f"/api/v1/downtimes/{ids[1]}", {"severity": "OUTAGE"}, "Laura Gil")
    assert single["series"] == ids[0]
    assert registry.ask("DELETE", f"/api/v1/downtimes/{ids[0]}", "Laura Gil").status_code == 204


def test_a_series_is_shown_before_it_is_saved(registry: Registry) -> None:
    shown = series(registry, 200, "?dry_run=true")["items"]
    assert [one["faults"] for one in shown] == [[], [], []]
    assert {one["classification"] for one in shown} == {"SCHEDULED"}
    past = (datetime.now(UTC) - 3 * DAY).replace(microsecond=0)
    times = {"start": past.isoformat(), "end": (past + HOUR).isoformat()}
    partly = series(registry, 200, "?dry_run=true", **times)["items"]
    assert [[fault["field"] for fault in one["faults"]] for one in partly] == [["start"], [], []]
    told = series(registry, 422, **times)
    assert [(fault["field"], fault["record"]) for fault in told["errors"]] == [("start", 1)]
    assert registry.get("/api/v1/downtimes")["items"] == []
    series(registry, 403, "?dry_run=true", "Goran Petrov")
    series(registry, 403, "", "Goran Petrov")


def test_a_clone_takes_the_same_at_another_time(registry: Registry) -> None:
    second = registry.register_service("UKIM", hostname="second.ukim.example")
    made = registry.declare("BIFI", HOUR, 2 * HOUR, sites=["BIFI", "UKIM"], services=[second["id"]])
    start = (datetime.now(UTC) + 9 * DAY).replace(microsecond=0)
    path = f"/api/v1/downtimes/{made['id']}/clone"
    again = registry.send("POST", path, {"start": start.isoformat()})
    same = ("sites", "whole_sites", "services", "endpoints", "severity", "description")
    assert [again[name] for name in same] == [made[name] for name in same]
    assert again["classification"] == "SCHEDULED"
    length = datetime.fromisoformat(again["end"]) - datetime.fromisoformat(again["start"])
    assert abs(length - 2 * HOUR) < timedelta(seconds=1)
    registry.send("POST", path, {"start": start.isoformat()}, "Laura Gil", 403)
    registry.send("POST", path, {"start": "2020-01-01T00:00:00Z"}, status=422)
    registry.send("POST", "/api/v1/downtimes/999/clone", {"start": start.isoformat()}, status=404)
    registry.ask("DELETE", f"/api/v1/services/{second['id']}")
    less = registry.send("POST", path, {"start": start.isoformat()})
    assert less["sites"] == ["BIFI"]
