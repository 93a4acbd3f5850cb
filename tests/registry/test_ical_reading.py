"""Calendars as they are read: what `icalendar` writes is understood, what is broken is refused with its line."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import Refused
from registry.renderings.ical_reading import Event, Property, Unreadable, duration, read, times

START = datetime(2026, 12, 3, 8, 0, tzinfo=UTC)
END = datetime(2026, 12, 3, 16, 0, tzinfo=UTC)
# icalendar takes a backslash and a capital N in what it is given for a line end
texts = (
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=120)
    | st.text(st.sampled_from('a,;\\n \n:"'), max_size=60)
).map(lambda words: re.sub(r"\\+N", "N", words))


def wrapped(*lines: str) -> bytes:
    return "\r\n".join(
        ["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    ).encode()


def event(*lines: str) -> Event:
    (one,) = read(wrapped(*lines))
    return one


def written(**fields: Any) -> bytes:
    made = icalendar.Calendar()
    inner = icalendar.Event()
    for name, value in fields.items():
        inner.add(name.replace("_", "-"), value)
    made.add_component(inner)
    return bytes(made.to_ical())


@given(texts, texts, st.lists(st.text("abc, ;\\", min_size=1, max_size=9), min_size=1, max_size=4))
def test_what_icalendar_writes_is_read(summary: str, description: str, categories: list[str]) -> None:
    raw = written(
        uid="u@x", summary=summary, description=description, categories=categories, dtstart=START, dtend=END
    )
    (one,) = read(raw)
    assert one.words("SUMMARY") == summary
    assert one.words("DESCRIPTION") == description
    assert one.items("CATEGORIES") == [word for each in categories if (word := each.strip())]
    assert times(one) == (START, END)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["UTC", "Europe/Madrid", "Asia/Kolkata"]),
    st.timedeltas(timedelta(minutes=1), timedelta(days=30)),
)  # fmt: skip
def test_times_of_any_zone_are_read(start: datetime, zone: str, lasts: timedelta) -> None:
    begins = start.replace(microsecond=0, tzinfo=ZoneInfo(zone))
    length = lasts - timedelta(microseconds=lasts.microseconds)
    (one,) = read(written(uid="u", dtstart=begins, duration=length))
    first, last = times(one)
    assert first.astimezone(UTC) == begins.astimezone(UTC)
    assert last - first.astimezone(UTC) == length


def test_a_day_is_a_day_in_utc() -> None:
    (one,) = read(written(uid="u", dtstart=date(2026, 12, 3)))
    assert times(one) == (datetime(2026, 12, 3, tzinfo=UTC), datetime(2026, 12, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "DTSTART is missing"),
        (["DTSTART:20261203T080000Z"], "DTEND is missing"),
        (["DTSTART:20261203T080000", "DTEND:20261203T090000"], "has no zone"),
        (["DTSTART;TZID=Mars/Olympus:20261203T080000", "DURATION:PT1H"], "not in the time zone database"),
        (["DTSTART;TZID=/../etc/passwd:20261203T080000", "DURATION:PT1H"], "not in the time zone database"),
        (["DTSTART:20261303T080000Z", "DURATION:PT1H"], "no day of the calendar"),
        (["DTSTART:20261203T250000Z", "DURATION:PT1H"], "no day of the calendar"),
        (["DTSTART:tomorrow", "DURATION:PT1H"], "must be a time"),
        (["DTSTART:20261203T080000Z", "DURATION:-PT1H"], "DURATION must be"),
        (["DTSTART:20261203T080000Z", "DURATION:P"], "DURATION must be"),
        (["DTSTART:20261203T080000Z", "DURATION:P9999W", "DTEND:20261203T090000Z"], "exclude each other"),
        (["DTSTART:99991231T080000Z", "DURATION:P9999W"], "past the end of the calendar"),
    ],
)
def test_times_that_cannot_be_read_are_told(lines: list[str], words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        times(event(*lines))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("P1W", 604800), ("P1DT12H", 129600), ("PT1H30M", 5400), ("PT5S", 5), ("+PT1M", 60)],
)
def test_durations(value: str, seconds: int) -> None:
    assert duration(value).total_seconds() == seconds


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "holds no BEGIN:VCALENDAR"),
        (b"hello", "line 1 has no colon"),
        (b"SUMMARY:x", "line 1 must be BEGIN:VCALENDAR"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR", "line 3 ends VCALENDAR, but VEVENT is open"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "ends inside VEVENT"),
        (b"BEGIN:VCALENDAR\r\nSUMMARY;X\r\nEND:VCALENDAR", "line 2 has no colon"),
        (b"BEGIN:VCALENDAR\r\nSUMMARY:\x01\r\nEND:VCALENDAR", "line 2 holds a control character"),
        (b"BEGIN:VCALENDAR\r\nSUMMARY:\xff\r\nEND:VCALENDAR", "is not UTF-8"),
        (b"\r\n".join([b"BEGIN:VCALENDAR"] + [b"BEGIN:VEVENT"] * 9), "too many parts inside each other"),
        (wrapped(*[f"X-{n}:1" for n in range(300)]), "more than 200 properties"),
        (wrapped("SUMMARY:" + "x" * 30_000), "longer than 20,000 characters"),
        (wrapped("SUMMARY:x\r\n " + "y\r\n " * 21_000), "longer than 20,000 characters"),
        (b"x" * 1_000_001, "longer than 1,000,000 bytes"),
        (
            b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 501 + b"END:VCALENDAR\r\n",
            "more than 500 events",
        ),
    ],
)
def test_what_is_no_calendar_is_refused_with_its_line(raw: bytes, words: str) -> None:
    with pytest.raises(Refused) as told:
        read(raw)
    assert words in str(told.value)


def test_a_field_that_stands_twice_is_a_fault_of_its_event() -> None:
    assert [fault.field for fault in event("UID:1", "UID:2").faults] == ["UID"]


def test_alarms_and_zones_inside_are_left_alone() -> None:
    raw = wrapped("UID:1", "BEGIN:VALARM", "UID:2", "DTSTART:x", "END:VALARM", "SUMMARY:mine")
    (one,) = read(raw)
    assert (one.words("UID"), one.words("SUMMARY"), one.faults) == ("1", "mine", [])


@given(st.binary(max_size=300) | st.text('BEGIN:VCALENDARVEVENT;=\r\n "\\,', max_size=200).map(str.encode))
def test_no_bytes_do_harm(raw: bytes) -> None:
    try:
        found = read(b"BEGIN:VCALENDAR\r\n" + raw)
    except Refused:
        return
    for one in found:
        one.items("CATEGORIES")
        with contextlib.suppress(Unreadable):
            times(one)


def test_parameters_are_read() -> None:
    one = event('SUMMARY;LANGUAGE=en;X-A="a:b;c",d;X-B=:value;with=marks').single["SUMMARY"]
    assert one == Property("SUMMARY", {"LANGUAGE": "en", "X-A": "a:b;c", "X-B": ""}, "value;with=marks", 3)
