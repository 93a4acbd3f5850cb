"""Repetition rules of calendars, against the rules of dateutil."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from registry.renderings.ical_reading import Property, Unreadable
from registry.renderings.ical_rules import WEEKDAYS, occurrences, rule

MADRID = ZoneInfo("Europe/Madrid")
START = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)  # a Tuesday
YEAR = timedelta(days=366)


def starts(text: str, start: datetime = START, most: int = 60) -> list[datetime]:
    return occurrences(start, rule(Property("RRULE", {}, text, 1), start), start + YEAR, most)


def of_dateutil(text: str, start: datetime) -> list[datetime]:
    """The same by dateutil, which looks for a day that never comes until the year 9999 unless an end is set."""
    every = rrulestr(text, dtstart=start)
    count = every._count  # how often the rule repeats in all
    end = min(every._until or start + YEAR, start + YEAR)
    return list(every.replace(until=end, count=None))[:count][:60]


weekdays = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True)
# Plain or numbered, not both: dateutil wants a day that is one of each then, where RFC 5545 takes either.
nth_days = st.one_of(
    weekdays,
    st.lists(
        st.builds(
            lambda nth, day: f"{nth}{day}", st.sampled_from([1, 2, 4, 5, -1, -2]), st.sampled_from(WEEKDAYS)
        ),
        min_size=1,
        max_size=3,
        unique=True,
    ),
)
month_days = st.lists(
    st.sampled_from([1, 2, 15, 28, 29, 30, 31, -1, -3]), min_size=1, max_size=3, unique=True
)


@st.composite
def rules(draw: st.DrawFn) -> str:
    every = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    parts = [
        f"FREQ={every}",
        f"INTERVAL={draw(st.integers(1, 4))}",
        f"WKST={draw(st.sampled_from(WEEKDAYS))}",
    ]
    if every == "WEEKLY" and draw(st.booleans()):
        parts.append(f"BYDAY={','.join(draw(weekdays))}")
    if every == "MONTHLY" and draw(st.booleans()):
        parts.append(f"BYDAY={','.join(draw(nth_days))}")
    if every == "MONTHLY" and draw(st.booleans()):
        parts.append(f"BYMONTHDAY={','.join(map(str, draw(month_days)))}")
    ending = draw(st.sampled_from(["", "COUNT", "UNTIL"]))
    if ending == "COUNT":
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    if ending == "UNTIL":
        until = START + timedelta(days=draw(st.integers(0, 400)))
        parts.append(f"UNTIL={until:%Y%m%dT%H%M%SZ}")
    return ";".join(parts)


@given(rules(), st.integers(0, 40))
def test_repetitions_are_those_of_dateutil(text: str, days: int) -> None:
    start = START + timedelta(days=days)
    theirs = of_dateutil(text, start)
    ours = starts(text, start)
    # DTSTART is the first of the set even where the rule leaves it out (RFC 5545 3.8.5.3), and it counts as one
    if start in theirs:
        assert ours == theirs
    else:
        assert ours[0] == start
        assert ours[1:] == theirs[: len(ours) - 1]


def test_the_hour_stays_when_summer_comes() -> None:
    start = datetime(2027, 3, 26, 8, 0, tzinfo=MADRID)
    assert [f"{at:%d %H:%M}" for at in starts("FREQ=DAILY;COUNT=4", start)] == [
        "26 07:00", "27 07:00", "28 06:00", "29 06:00",
    ]  # fmt: skip


def test_the_second_tuesday() -> None:
    assert [f"{at:%d %b}" for at in starts("FREQ=MONTHLY;BYDAY=2TU;COUNT=4", START + timedelta(days=7))] == [
        "08 Dec", "12 Jan", "09 Feb", "09 Mar",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=SECONDLY", "FREQ=YEARLY", "", "COUNT=3", "FREQ=DAILY;BYHOUR=1", "FREQ=WEEKLY;BYDAY=2TU",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=x",
        "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=WEEKLY;BYDAY=XX", "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;UNTIL=20270101T000000", "FREQ=MONTHLY;BYSETPOS=1;BYDAY=MO", "FREQ=WEEKLY;WKST=1",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"RRULE|UNTIL"):
        starts(text)


def test_a_rule_without_end_is_cut() -> None:
    assert len(starts("FREQ=DAILY")) == 60
    assert len(starts("FREQ=MONTHLY")) == 13
    never = starts("FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1")
    assert never == [START]
