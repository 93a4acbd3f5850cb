"""What the readers of GOCDB's answers share: where they gather, and how single values are written there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from registry.importing.gocdb_records import CertificationRecord, Record, UserRecord, Values
from registry.importing.hostile_xml import Element


@dataclass
class Gathered:
    """Records by their key there (NGIs and users too), while documents are read one after the other."""

    service_types: dict[str, Record] = field(default_factory=dict)
    projects: dict[str, Record] = field(default_factory=dict)
    ngis: dict[str, Record] = field(default_factory=dict)
    sites: dict[str, Record] = field(default_factory=dict)
    services: dict[str, Record] = field(default_factory=dict)
    groups: dict[str, Record] = field(default_factory=dict)
    downtimes: dict[str, Record] = field(default_factory=dict)
    certifications: dict[str, CertificationRecord] = field(default_factory=dict)
    users: dict[str, UserRecord] = field(default_factory=dict)
    endpoint_emails: dict[int, str] = field(default_factory=dict)

    def put(self, kind: dict[str, Record], key: str, number: int | None, name: str, values: Values) -> Record:
        """Add what one document says of a thing; what another one said already stays."""
        record = kind.setdefault(key, Record(key, number, name))
        record.number = record.number or number
        record.values = {**values, **record.values}
        return record


def number(text: str) -> int | None:
    """`41`, `41G0` as 41; None for anything else."""
    found = re.fullmatch(r"([0-9]{1,15})(?:G[0-9]+)?", text.strip())
    return int(found[1]) if found and int(found[1]) > 0 else None


def portal_number(element: Element) -> int | None:
    """The number of a thing in the address of its page: some keys have another one."""
    found = re.search(r"[?&]id=([0-9]{1,15})\b", element.get("GOCDB_PORTAL_URL"))
    return int(found[1]) if found and int(found[1]) > 0 else None


def attribute(element: Element, name: str) -> str:
    return element.attributes.get(name, "").strip()


def yes(text: str) -> bool:
    """Y, TRUE, 1: yes; anything else no."""
    return text.strip().upper() in ("Y", "YES", "TRUE", "1")


def addresses(text: str) -> list[str]:
    """E-mail addresses of a list, which GOCDB splits at commas and semicolons; each once."""
    return list(dict.fromkeys(part.strip() for part in re.split("[,;]", text) if part.strip()))


def scopes(element: Element) -> list[str]:
    """The scopes in SCOPES, in order, each once."""
    holder = element.first("SCOPES")
    return [] if holder is None else list(dict.fromkeys(one.text for one in holder.all("SCOPE") if one.text))


def extensions(element: Element) -> dict[str, str]:
    """The extension properties in EXTENSIONS."""
    holder = element.first("EXTENSIONS")
    if holder is None:
        return {}
    return {one.get("KEY"): one.get("VALUE") for one in holder.all("EXTENSION") if one.get("KEY")}


def extension_numbers(element: Element) -> dict[str, int]:
    """The numbers of the extension properties there, by key."""
    holder = element.first("EXTENSIONS")
    found = (
        {}
        if holder is None
        else {one.get("KEY"): number(one.get("LOCAL_ID")) for one in holder.all("EXTENSION")}
    )
    return {key: local for key, local in found.items() if key and local is not None}


def epoch(text: str) -> datetime | None:
    """Seconds since 1970 as a time; None for anything else."""
    return datetime.fromtimestamp(int(text), UTC) if re.fullmatch(r"[0-9]{1,11}", text.strip()) else None


def clock(text: str) -> datetime | None:
    """GOCDB's written times, UTC: `15-Jan-26 13.20.30 PM` (hours up to 23) and `15-Jan-2026 10.20.30`; else None."""
    for form in ("%d-%b-%y %H.%M.%S %p", "%d-%b-%Y %H.%M.%S"):
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def time_of_day(text: str) -> str:
    """`8:30`, `08:30` as 08:30; "" for anything else."""
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text.strip())
    return f"{int(found[1]):02}:{found[2]}" if found else ""


def given(**values: Any) -> Values:
    """The values that say something: neither None nor an empty text."""
    return {name: value for name, value in values.items() if value is not None and value != ""}
