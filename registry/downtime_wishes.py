"""What the events of a calendar ask for: each as a downtime with its sites, services and times, or why it is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from hanse.errors import FieldFault
from registry.renderings.ical_reading import Event, Property, Unreadable, moment, times
from registry.renderings.ical_rules import occurrences, rule

MOST_REPEATS: Final = 60
AHEAD: Final = timedelta(days=366)
LONGEST_DESCRIPTION: Final = 4_000
LONGEST_UID: Final = 255


@dataclass(frozen=True)
class Places:
    """What a calendar may name: sites by their name in small letters, services by host name in small letters, by id."""

    sites: Mapping[str, str]
    hosts: Mapping[str, Sequence[int]]
    site_of: Mapping[int, str]


@dataclass(frozen=True)
class Wish:
    """An event, or one repetition of it. `key` is what a later import knows it by; with faults it is not followed."""

    line: int
    uid: str
    key: str
    summary: str
    sites: tuple[str, ...] = ()
    services: tuple[int, ...] = ()
    severity: str = "OUTAGE"
    description: str = ""
    start: datetime | None = None
    end: datetime | None = None
    status: str = "CONFIRMED"
    note: str = ""
    faults: tuple[FieldFault, ...] = ()


def wishes(events: Sequence[Event], places: Places, site: str | None, now: datetime) -> Iterator[Wish]:
    """What each event asks for, in their order; a repetition gives one for each time within a year.

    An event with RECURRENCE-ID stands in for that time of the event with the same UID.
    """
    moved = {(one.words("UID"), at) for one in events if (at := _instead_of(one)) is not None}
    for event in events:
        base = _read(event, places, site)
        if base.faults:
            yield base
        elif (at := _instead_of(event)) is not None:
            yield replace(base, key=_repetition(base.uid, at))
        elif "RRULE" not in event.single:
            yield base
        else:
            yield from _repeated(event, base, moved, now)


def _instead_of(event: Event) -> datetime | None:
    one = event.single.get("RECURRENCE-ID")
    if one is None:
        return None
    try:
        return moment(one).astimezone(UTC)
    except (Unreadable, OverflowError):
        return None


def _repetition(uid: str, at: datetime) -> str:
    return f"{uid}#{at:%Y%m%dT%H%M%SZ}"


def _read(event: Event, places: Places, site: str | None) -> Wish:
    uid, summary = event.words("UID"), event.words("SUMMARY").strip()
    faults = [*event.faults]
    start = end = None
    try:
        start, end = times(event)
    except (Unreadable, OverflowError) as error:
        faults.append(FieldFault("DTSTART", str(error) or "lies outside the calendar"))
    if not uid or len(uid) > LONGEST_UID:
        faults.append(FieldFault("UID", f"must be there, with at most {LONGEST_UID} characters"))
    if "RDATE" in event.single:
        faults.append(FieldFault("RDATE", "is not understood here; write the events one by one"))
    if "RECURRENCE-ID" in event.single and _instead_of(event) is None:
        faults.append(FieldFault("RECURRENCE-ID", "must be a time such as 20261203T080000Z"))
    sites, services, more = _where(event, places, site)
    description = event.words("DESCRIPTION").strip() or summary
    if not description:
        faults.append(FieldFault("SUMMARY", "is missing; say what is done"))
    if len(description) > LONGEST_DESCRIPTION:
        faults.append(FieldFault("DESCRIPTION", f"is longer than {LONGEST_DESCRIPTION:,} characters"))
    return Wish(
        line=event.line,
        uid=uid,
        key=uid,
        summary=summary[:255],
        sites=sites,
        services=services,
        severity=_severity(event),
        description=description,
        start=None if start is None else start.astimezone(UTC),
        end=end,
        status=event.words("STATUS").upper() or "CONFIRMED",
        faults=(*faults, *more),
    )


def _severity(event: Event) -> str:
    """X-HANSE-SEVERITY, else a category, else at risk for an event that leaves people free (TRANSP)."""
    said = [event.words("X-HANSE-SEVERITY").upper(), *map(str.upper, event.items("CATEGORIES"))]
    for word in said:
        if word in ("OUTAGE", "WARNING"):
            return word
        if word in ("AT RISK", "AT_RISK"):
            return "WARNING"
    return "WARNING" if event.words("TRANSP").upper() == "TRANSPARENT" else "OUTAGE"


def _where(
    event: Event, places: Places, default: str | None
) -> tuple[tuple[str, ...], tuple[int, ...], list[FieldFault]]:
    """Sites and services. The first that names something counts: our own fields, LOCATION, the words before the colon
    of SUMMARY, the site that the importer chose.
    """
    own = event.items("X-HANSE-SITES") or event.items("X-HANSE-SITE")
    listed = event.items("X-HANSE-SERVICES")
    services, faults = _services(listed, places)
    if own:
        unknown = [name for name in own if name.lower() not in places.sites]
        faults += [
            FieldFault("X-HANSE-SITES", f"{name[:80]} is no site of this federation") for name in unknown
        ]
        return tuple(places.sites[name.lower()] for name in own if name not in unknown), services, faults
    if services:
        return tuple(dict.fromkeys(places.site_of[one] for one in services)), services, faults
    location = re.split(r"[,;\n]", event.words("LOCATION"))
    before_colon = event.words("SUMMARY").partition(":")[0].split(",")
    for words in (location, before_colon):
        sites, hosts = _named(words, places)
        if sites:
            return sites, hosts, faults
    if default is not None:
        return (default,), (), faults
    faults.append(
        FieldFault("LOCATION", "names no site or host of this federation; write the name of the site there")
    )
    return (), (), faults


def _services(listed: Sequence[str], places: Places) -> tuple[tuple[int, ...], list[FieldFault]]:
    found: list[int] = []
    faults = []
    for one in listed:
        by_id = [int(one)] if re.fullmatch(r"[1-9][0-9]{0,15}", one) and int(one) in places.site_of else []
        meant = by_id or places.hosts.get(one.lower(), ())
        found += meant
        if not meant:
            faults.append(FieldFault("X-HANSE-SERVICES", f"{one[:80]} is no service of this federation"))
    return tuple(dict.fromkeys(found)), faults


def _named(words: Sequence[str], places: Places) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Sites that are named, and the services on hosts that are named, with their sites."""
    plain = [word.strip().lower() for word in words]
    services = tuple(dict.fromkeys(one for word in plain for one in places.hosts.get(word, ())))
    sites = [places.sites[word] for word in plain if word in places.sites]
    return tuple(dict.fromkeys([*sites, *(places.site_of[one] for one in services)])), services


def _repeated(event: Event, base: Wish, moved: set[tuple[str, datetime]], now: datetime) -> Iterator[Wish]:
    try:
        start, end = times(event)
        wanted = rule(event.single["RRULE"], start)
        left_out = {at for one in event.exceptions for at in _moments(one)}
        begins = occurrences(start, wanted, now + AHEAD, MOST_REPEATS + 1)
    except (Unreadable, OverflowError) as error:
        yield replace(base, faults=(FieldFault("RRULE", str(error) or "runs past the end of the calendar"),))
        return
    lasts = end - start.astimezone(UTC)
    cut = len(begins) > MOST_REPEATS
    for number, at in enumerate(begins[:MOST_REPEATS], start=1):
        if (base.uid, at) in moved:
            continue
        note = (
            f"only the first {MOST_REPEATS} repetitions are taken" if cut and number == MOST_REPEATS else ""
        )
        status = "CANCELLED" if at in left_out else base.status
        key = _repetition(base.uid, at)
        yield replace(base, key=key, start=at, end=at + lasts, status=status, note=note)


def _moments(one: Property) -> list[datetime]:
    return [moment(replace(one, value=value)).astimezone(UTC) for value in one.value.split(",")]
