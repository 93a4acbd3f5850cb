"""What a file for sites is made of, and what a feed is: one file here, one signature, one line in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Admitted:
    """A certificate that may be used now: its subject in slash form, ASCII only, and what its member holds."""

    dn: str
    fqans: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """What a site makes of a group or role: a local account (`user`, `.pool`, a comma list), and a tenant."""

    fqan: str
    account: str
    tenant: str


@dataclass(frozen=True)
class Authority:
    """An attribute authority as clients know it: its host, its vomses line and its .lsc text, with line ends."""

    host: str
    vomses: str
    lsc: str


@dataclass(frozen=True)
class OfVo:
    """A VO at a site: who is admitted, the site's rules in their order, and the VO's attribute authorities."""

    name: str
    members: tuple[Admitted, ...]
    rules: tuple[Rule, ...]
    authorities: tuple[Authority, ...]


@dataclass(frozen=True)
class Feed:
    """A file; `render` gives the same bytes for the same material; `members`, `authorities`: what it needs."""

    name: str
    content_type: str
    what: str
    members: bool
    authorities: bool
    render: Callable[[Sequence[OfVo]], bytes]
