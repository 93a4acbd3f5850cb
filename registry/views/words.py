"""Changes in words, for the pages: one line a revision, the entity that matters most first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.trail import Event

# A revision often touches several entities; the one people talk about names the line.
_RANK = (
    "site",
    "service",
    "downtime",
    "host_certificate",
    "ngi",
    "service_type",
    "identity",
    "grant",
    "endpoint",
)
LONGEST = 80


@dataclass(frozen=True)
class Line:
    """A revision on a page. `changes` are (field, old, new) in short words; `more` counts other entities in it."""

    number: int
    revision: int
    at: datetime
    who: str
    by_the_clock: bool
    reason: str
    about: str
    kind: str
    id: str
    act: str
    site: str
    changes: tuple[tuple[str, str, str], ...]
    more: int


def lines(events: Sequence[Event]) -> list[Line]:
    """Events, the newest first, as one line for each revision."""
    groups: dict[int, list[Event]] = {}
    for event in events:
        groups.setdefault(event.revision, []).append(event)
    return [_line(group) for group in groups.values()]


def _line(group: Sequence[Event]) -> Line:
    first = min(group, key=lambda event: _RANK.index(event.kind) if event.kind in _RANK else len(_RANK))
    return Line(
        number=min(event.number for event in group),
        revision=first.revision,
        at=first.at,
        who="by the clock" if first.by_the_clock else first.actor_name,
        by_the_clock=first.by_the_clock,
        reason=_reason(first),
        about=first.name,
        kind=first.kind,
        id=first.id,
        act=first.act,
        site=first.site,
        changes=tuple(shorten(first.changes)),
        more=len(group) - 1,
    )


def _reason(event: Event) -> str:
    """The reason that was given; with the site before it where it does not name it itself."""
    words = event.reason or f"{event.name} {event.act}"
    return f"{event.site}: {words}" if event.site and event.site not in words else words


def shorten(changes: Mapping[str, tuple[Any, Any]]) -> list[tuple[str, str, str]]:
    """Field, old and new value in short words: "capacity vCPU" for `capacity.vcpu`, "endpoint main url"."""
    return [(field_words(name), value_words(old), value_words(new)) for name, (old, new) in changes.items()]


def field_words(path: str) -> str:
    """`endpoints[main].url` as "endpoints main: url"."""
    words = path.replace("[", " ").replace("].", ": ").replace("]", "")
    head, dot, rest = words.partition(".")
    return head.replace("_", " ") + (f" {rest}" if dot and ":" not in head else f".{rest}" if dot else "")


def value_words(value: Any) -> str:
    """A value in a line."""
    if value is None or value in ("", [], {}):
        return "–"
    text = value if isinstance(value, str) else _plain(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    if isinstance(value, dict):
        return " ".join(str(one) for one in value.values() if one is not None)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def capacity_words(capacity: Mapping[str, Any]) -> str:
    """ "50 vCPU · 50 GB RAM · 50 volumes · 50 public IPs"."""
    units = (
        ("vcpu", "vCPU"),
        ("ram_gb", "GB RAM"),
        ("storage_tb", "TB storage"),
        ("volumes", "volumes"),
        ("public_ips", "public IPs"),
    )
    return " · ".join(f"{capacity[key]:,} {unit}" for key, unit in units if capacity.get(key) is not None)
