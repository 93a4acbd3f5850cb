"""Downtimes as a calendar (RFC 5545): lines of at most 75 octets, text escaped, times in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

PRODUCT: Final = "-//Hanse//Registry//EN"
LONGEST: Final = 75
REFRESH: Final = "PT1H"


@dataclass(frozen=True)
class Entry:
    """A downtime as the feed tells it, the revision that made it so and when; `gone` for one that was deleted."""

    body: Mapping[str, Any]
    revision: int
    at: datetime
    gone: bool = False


def calendar(
    entries: Iterable[Entry], *, name: str, portal: str, host: str, hosts: Mapping[str, str]
) -> bytes:
    """A calendar of the downtimes, UTF-8 with CRLF.

    `portal` is the address before `/downtimes/ID`, `host` what UIDs end in, `hosts` the host names of services by id.
    The UID of a downtime never changes; SEQUENCE is its revision, so that a newer one always counts more.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{text(name)}",
        f"REFRESH-INTERVAL;VALUE=DURATION:{REFRESH}",
        f"X-PUBLISHED-TTL:{REFRESH}",
    ]
    for entry in entries:
        lines += _event(entry, portal, host, hosts)
    lines.append("END:VCALENDAR")
    return "".join(f"{fold(line)}\r\n" for line in lines).encode()


def uid(number: str, host: str) -> str:
    """The UID of a downtime: of its id and the registry's name, of nothing that can change."""
    return f"{number}.downtime@{host}"


def _event(entry: Entry, portal: str, host: str, hosts: Mapping[str, str]) -> list[str]:
    body = entry.body
    sites = _sites(body)
    changed = utc(entry.at)
    return [
        "BEGIN:VEVENT",
        f"UID:{uid(body['id'], host)}",
        f"DTSTAMP:{changed}",
        f"CREATED:{utc(_moment(body['created_at']))}",
        f"LAST-MODIFIED:{changed}",
        f"SEQUENCE:{entry.revision}",
        f"STATUS:{'CANCELLED' if entry.gone else 'CONFIRMED'}",
        f"DTSTART:{utc(_moment(body['start']))}",
        f"DTEND:{utc(_moment(body['end']))}",
        f"SUMMARY:{text(summary(body))}",
        f"DESCRIPTION:{text(description(body, hosts))}",
        f"LOCATION:{listed(sites)}",
        f"CATEGORIES:{listed([body['severity'], body['classification']])}",
        f"URL:{portal}/downtimes/{quote(str(body['id']))}",
        "CLASS:PUBLIC",
        "TRANSP:OPAQUE",
        f"X-HANSE-SITES:{listed(sites)}",
        f"X-HANSE-SEVERITY:{body['severity']}",
        *_services(body),
        "END:VEVENT",
    ]


def _sites(body: Mapping[str, Any]) -> list[str]:
    return list(body.get("sites") or [body["site"]])


def _services(body: Mapping[str, Any]) -> list[str]:
    """The services, unless every site is meant as a whole: then a reader takes whole sites again."""
    whole = set(body.get("whole_sites") or ())
    if whole >= set(_sites(body)) or not body["services"]:
        return []
    return [f"X-HANSE-SERVICES:{listed(body['services'])}"]


def summary(body: Mapping[str, Any]) -> str:
    """What a calendar shows in its grid: the sites, and outage or at risk."""
    words = "outage" if body["severity"] == "OUTAGE" else "at risk"
    return f"{', '.join(_sites(body))}: {words}"


def description(body: Mapping[str, Any], hosts: Mapping[str, str]) -> str:
    """What is done, and which services are back before the end."""
    early = [
        f"{hosts.get(service, f'service {service}')} until {_moment(end):%d %b %Y, %H:%M} UTC"
        for service, end in sorted((body.get("service_ends") or {}).items(), key=lambda pair: int(pair[0]))
    ]
    return "\n".join([body["description"], *early])


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def utc(moment: datetime) -> str:
    """DATE-TIME in UTC (RFC 5545 3.3.5, form 2), to the second."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def text(value: str) -> str:
    """TEXT (RFC 5545 3.3.11): backslash, semicolon, comma and line end escaped; other control characters left out."""
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(one for one in plain if one in "\n\t" or (ord(one) >= 32 and ord(one) != 127))
    for mark, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        kept = kept.replace(mark, escaped)
    return kept


def listed(values: Sequence[str]) -> str:
    """Several TEXT values: the commas between them are not escaped."""
    return ",".join(text(value) for value in values)


def fold(line: str) -> str:
    """Cut into lines of at most 75 octets, never inside a character (RFC 5545 3.1)."""
    if len(line.encode()) <= LONGEST:
        return line
    lines, current, size = [], "", 0
    for letter in line:
        octets = len(letter.encode())
        if size + octets > LONGEST:
            lines.append(current)
            current, size = "", 1  # the space that begins a continued line counts
        current += letter
        size += octets
    return "\r\n ".join([*lines, current])
