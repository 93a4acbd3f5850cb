"""Reading calendars (RFC 5545): the events of a file that somebody sends, strictly and within bounds.

What is no calendar at all is refused with its line. What is wrong in one event stands at that event, so that the others
can be taken. Not understood, and said so: zones that are no names of the time zone database, floating times, and rules
of repetition beyond day, week and month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hanse.errors import FieldFault, Refused

MOST_BYTES: Final = 1_000_000
MOST_EVENTS: Final = 500
MOST_PROPERTIES: Final = 200
LONGEST_LINE: Final = 20_000
DEEPEST: Final = 4

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_PARAMETER: Final = re.compile(
    r';([A-Za-z0-9-]{1,64})=("[^"\x00-\x08\x0a-\x1f\x7f]*"|[^";:,\x00-\x08\x0a-\x1f\x7f]*)'
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DURATION: Final = re.compile(
    r"\+?P(?:([0-9]{1,4})W|(?:([0-9]{1,4})D)?(?:T(?:([0-9]{1,5})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,8})S)?)?)"
)


class Unreadable(ValueError):
    """A value that the field cannot have; the words say what it must be."""


@dataclass(frozen=True)
class Property:
    """One content line: its name in capitals, its parameters, its value as it stands, the line it began on."""

    name: str
    parameters: dict[str, str]
    value: str
    line: int


@dataclass
class Event:
    """A VEVENT: `single` holds the first of each property by name, `faults` what could not be read."""

    line: int
    single: dict[str, Property] = field(default_factory=dict)
    exceptions: list[Property] = field(default_factory=list)
    faults: list[FieldFault] = field(default_factory=list)

    def words(self, name: str) -> str:
        """A TEXT value without its escapes; "" where there is none."""
        found = self.single.get(name)
        return "" if found is None else unescape(found.value)

    def items(self, name: str) -> list[str]:
        """A value of several TEXTs, without the empty ones."""
        found = self.single.get(name)
        if found is None:
            return []
        return [word for part in _split(found.value) if (word := unescape(part).strip())]


def read(raw: bytes) -> list[Event]:
    """The events of a calendar in their order. Raises Refused for what is no calendar, too large, or too deep."""
    if len(raw) > MOST_BYTES:
        raise _refused(f"is longer than {MOST_BYTES:,} bytes; send it in parts")
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(f"is not UTF-8 (byte {error.start})") from None
    return list(_events(_properties(content)))


def _refused(reason: str, line: int | None = None) -> Refused:
    where = "" if line is None else f"line {line} "
    return Refused("The file is no calendar that can be read.", FieldFault("calendar", where + reason))


def _properties(content: str) -> Iterator[Property]:
    for number, line in _unfolded(content):
        if not line:
            continue
        if len(line) > LONGEST_LINE:
            raise _refused(f"is longer than {LONGEST_LINE:,} characters", number)
        if _CONTROL.search(line):
            raise _refused("holds a control character", number)
        yield _property(line, number)


def _unfolded(content: str) -> Iterator[tuple[int, str]]:
    """Whole lines with the number of the line each begins on; bare line feeds are taken as line ends too."""
    begun, parts = 1, [""]
    for number, line in enumerate(re.split(r"\r?\n", content), start=1):
        if line[:1] in (" ", "\t"):
            parts.append(line[1:])
            continue
        yield begun, "".join(parts)
        begun, parts = number, [line]
    yield begun, "".join(parts)


def _property(line: str, number: int) -> Property:
    name = _NAME.match(line)
    if name is None:
        raise _refused("has no name before its value", number)
    at, parameters = name.end(), {}
    while found := _PARAMETER.match(line, at):
        parameters[found[1].upper()] = found[2].strip('"')
        at = found.end()
        while line[at : at + 1] == ",":  # more values of the parameter, which nothing here needs
            more = re.compile(r',("[^"]*"|[^";:,]*)').match(line, at)
            if more is None:
                break
            at = more.end()
    if line[at : at + 1] != ":":
        raise _refused("has no colon before its value", number)
    return Property(name[0].upper(), parameters, line[at + 1 :], number)


def _events(properties: Iterator[Property]) -> Iterator[Event]:
    opened: list[str] = []
    event: Event | None = None
    begun, seen = False, 0
    for one in properties:
        if not opened and (one.name, one.value.upper()) != ("BEGIN", "VCALENDAR"):
            raise _refused("must be BEGIN:VCALENDAR", one.line)
        if one.name == "BEGIN":
            begun = True
            opened.append(one.value.upper())
            if len(opened) > DEEPEST:
                raise _refused("opens too many parts inside each other", one.line)
            if opened[1:] == ["VEVENT"]:
                seen += 1
                if seen > MOST_EVENTS:
                    raise _refused(f"begins more than {MOST_EVENTS} events; send them in parts", one.line)
                event = Event(one.line)
        elif one.name == "END":
            if one.value.upper() != opened[-1]:
                raise _refused(f"ends {one.value[:40]}, but {opened[-1][:40]} is open", one.line)
            if opened[1:] == ["VEVENT"] and event is not None:
                yield event
            opened.pop()
        elif event is not None and opened[1:] == ["VEVENT"]:
            _take(event, one)
    if opened:
        raise _refused(f"ends inside {opened[-1][:40]}")
    if not begun:
        raise _refused("holds no BEGIN:VCALENDAR")


def _take(event: Event, one: Property) -> None:
    if one.name == "EXDATE":
        event.exceptions.append(one)
    elif one.name in event.single and one.name in _ONCE:
        event.faults.append(FieldFault(one.name, "stands twice"))
    else:
        event.single.setdefault(one.name, one)
    if len(event.single) + len(event.exceptions) > MOST_PROPERTIES:
        raise _refused(f"is in an event of more than {MOST_PROPERTIES} properties", one.line)


_ONCE: Final = frozenset(
    {"UID", "DTSTART", "DTEND", "DURATION", "RRULE", "RECURRENCE-ID", "STATUS", "SUMMARY"}
)


def unescape(value: str) -> str:
    """TEXT without its escapes; an escape that the standard does not know stays as it is."""
    known = {"n": "\n", "N": "\n", ",": ",", ";": ";", "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: known.get(found[1], found[0]), value)


def _split(value: str) -> list[str]:
    """At the commas that are not escaped."""
    parts, current, escaped = [], "", False
    for letter in value:
        if letter == "," and not escaped:
            parts.append(current)
            current = ""
            continue
        current += letter
        escaped = letter == "\\" and not escaped
    return [*parts, current]


def times(event: Event) -> tuple[datetime, datetime]:
    """Start and end; the start in its own zone, so that a repetition keeps its hour. Raises Unreadable."""
    begins = event.single.get("DTSTART")
    if begins is None:
        raise Unreadable("DTSTART is missing")
    start = moment(begins)
    ends, lasts = event.single.get("DTEND"), event.single.get("DURATION")
    if ends is not None and lasts is not None:
        raise Unreadable("DTEND and DURATION exclude each other")
    try:
        if ends is not None:
            end = moment(ends)
        elif lasts is not None:
            end = start.astimezone(UTC) + duration(lasts.value)
        elif is_day(begins):
            end = start + timedelta(days=1)
        else:
            raise Unreadable("DTEND is missing; a downtime has an end")
        return start, end.astimezone(UTC)
    except OverflowError:
        raise Unreadable("it runs past the end of the calendar") from None


def is_day(one: Property) -> bool:
    """Whether the value is a day without an hour."""
    return one.parameters.get("VALUE", "").upper() == "DATE" or bool(re.fullmatch(r"[0-9]{8}", one.value))


def moment(one: Property) -> datetime:
    """DATE-TIME in UTC or in a named zone; a DATE is its midnight in UTC. Raises Unreadable."""
    found = re.fullmatch(r"([0-9]{8})(?:T([0-9]{6})(Z?))?", one.value.strip())
    if found is None:
        raise Unreadable(f"{one.name} must be a time such as 20261203T080000Z")
    try:
        day = date(int(found[1][:4]), int(found[1][4:6]), int(found[1][6:]))
        if found[2] is None:
            return datetime.combine(day, time(), UTC)
        # a leap second is the second after it, as clocks without leap seconds show it
        hour = time(int(found[2][:2]), int(found[2][2:4]), min(int(found[2][4:]), 59))
    except ValueError:
        raise Unreadable(f"{one.name} is no day of the calendar, or no hour") from None
    return datetime.combine(day, hour, UTC if found[3] else _zone(one))


def _zone(one: Property) -> tzinfo:
    name = one.parameters.get("TZID", "").lstrip("/")
    if not name:
        raise Unreadable(
            f"{one.name} has no zone; write it in UTC, 20261203T080000Z, or with TZID=Europe/Madrid"
        )
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unreadable(
            f"{one.name}: the zone {name[:60]} is not in the time zone database; write UTC"
        ) from None


def duration(value: str) -> timedelta:
    """DURATION of RFC 5545 3.3.6, not negative. Raises Unreadable."""
    found = _DURATION.fullmatch(value.strip())
    if found is None or value.strip()[-1] in "PT":
        raise Unreadable("DURATION must be such as PT2H or P1DT12H")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
