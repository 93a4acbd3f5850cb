"""All sites in brief, for lists, filters and maps: read once, then kept in step by what the log says has changed.

A list sorts by what other services tell, so it needs every site at each look; reading a thousand whole bodies for it
each time would be most of its work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.revisions import Body, History, feed_epoch, head
from registry import states
from registry.models import Endpoint, Service, Site


@dataclass(frozen=True, slots=True)
class Listed:
    """A site in brief. `sought` is what a search by words looks at, in small letters."""

    id: str
    name: str
    official_name: str
    ngi: str
    country: str
    country_code: str
    location: str
    latitude: float | None
    longitude: float | None
    middleware: str
    certification: str
    certification_since: str
    production: bool
    scopes: tuple[str, ...]
    vos: tuple[str, ...]
    capacity: Mapping[str, Any]
    sought: str

    @property
    def place(self) -> str:
        """ "Zaragoza, Spain"."""
        return f"{self.location}, {self.country}" if self.location else self.country

    @property
    def supports(self) -> list[dict[str, str]]:
        """The VOs as a body has them, without their capacities."""
        return [{"vo": vo} for vo in self.vos]

    def __getitem__(self, field: str) -> Any:
        """By name, as a body is read."""
        return getattr(self, field)


def listed(entity_id: str, body: Mapping[str, Any]) -> Listed:
    """A site's body in brief."""
    words = (body["name"], body["official_name"], body.get("location") or "", body["country"])
    return Listed(
        id=entity_id,
        name=body["name"],
        official_name=body["official_name"],
        ngi=body["ngi"],
        country=body["country"],
        country_code=body["country_code"],
        location=body.get("location") or "",
        latitude=body.get("latitude"),
        longitude=body.get("longitude"),
        middleware=body.get("middleware") or "",
        certification=body["certification"],
        certification_since=body.get("certification_since") or "",
        production=body["production"],
        scopes=tuple(body.get("scopes", ())),
        vos=tuple(share["vo"] for share in body.get("supports", ())),
        capacity=body.get("capacity") or {},
        sought="\n".join(words).casefold(),
    )


class _Known(NamedTuple):
    epoch: str
    revision: int
    sites: Mapping[str, Listed]


class Directory:
    """The sites of one database as this process last saw them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known = _Known("", 0, {})
        self._watched: tuple[tuple[str, int], frozenset[str]] = ("", -1), frozenset()

    def sites(self, session: Session) -> list[Listed]:
        """All sites now, by name."""
        epoch, newest = feed_epoch(session), head(session)
        known = self._known
        if (known.epoch, known.revision) != (epoch, newest):
            with self._lock:
                known = self._known = self._in_step(session, epoch, newest)
        return sorted(known.sites.values(), key=lambda site: site.name)

    def _in_step(self, session: Session, epoch: str, newest: int) -> _Known:
        known = self._known
        if known.epoch != epoch or known.revision > newest:
            known = _Known(epoch, 0, {})
        # revisions commit in the order of their numbers, so none below the newest can still appear
        changed = session.execute(
            select(History.entity_id, History.body).where(
                History.kind == "site", History.from_revision > known.revision, History.to_revision.is_(None)
            )
        )
        sites = dict(known.sites)
        for entity_id, body in changed:
            _put(sites, entity_id, body)
        return _Known(epoch, newest, sites)

    def monitored(self, session: Session) -> frozenset[str]:
        """Names of the sites with an endpoint that is watched."""
        now = feed_epoch(session), head(session)
        if self._watched[0] != now:
            self._watched = now, frozenset(session.scalars(_WATCHED))
        return self._watched[1]


def _put(sites: dict[str, Listed], entity_id: str, body: Body | None) -> None:
    if body is None:
        sites.pop(entity_id, None)
    else:
        sites[entity_id] = listed(entity_id, body)


_WATCHED = select(Site.name).where(
    exists().where(
        Service.site_id == Site.id, Endpoint.service_id == Service.id, Endpoint.monitored, Service.monitored
    )
)
_directories: WeakKeyDictionary[Database, Directory] = WeakKeyDictionary()


def sites(db: Database, session: Session, as_of: str | None = None) -> list[Listed]:
    """All sites by name, now or as they were. Raises Refused for a time that cannot be read."""
    if as_of is None:
        return _directories.setdefault(db, Directory()).sites(session)
    return [listed(state.id, state.body) for state in states.by_name(session, "site", as_of=as_of)]


def monitored(db: Database, session: Session) -> frozenset[str]:
    """Sites with an endpoint that is watched now."""
    return _directories.setdefault(db, Directory()).monitored(session)


@dataclass(frozen=True)
class Wanted:
    """Which sites; filters are exact, "" = any. `q` is a part of a name or place; `box` = south, west, north, east."""

    q: str = ""
    country_code: str = ""
    ngi: str = ""
    middleware: str = ""
    certification: str = ""
    scope: str = ""
    vo: str = ""
    box: tuple[float, float, float, float] | None = None

    def matches(self, site: Listed) -> bool:
        """Whether the site is one of them."""
        return (
            (not self.q or self.q.casefold() in site.sought)
            and self.country_code in ("", site.country_code)
            and self.ngi in ("", site.ngi)
            and self.middleware in ("", site.middleware)
            and self.certification in ("", site.certification)
            and (not self.scope or self.scope in site.scopes)
            and (not self.vo or self.vo in site.vos)
            and (self.box is None or _inside(site, self.box))
        )


def _inside(site: Listed, box: tuple[float, float, float, float]) -> bool:
    south, west, north, east = box
    if site.latitude is None or site.longitude is None:
        return False
    return south <= site.latitude <= north and west <= site.longitude <= east


def choices(found: Iterable[Listed]) -> dict[str, list[tuple[str, str]]]:
    """What can be chosen in each filter, as (value, word), from the sites there are."""
    every = list(found)

    def options(values: Iterable[str]) -> list[tuple[str, str]]:
        return [("", "any"), *((value, value) for value in sorted({value for value in values if value}))]

    countries = sorted({(site.country_code, site.country) for site in every}, key=lambda pair: pair[1])
    return {
        "country_code": [("", "any"), *countries],
        "ngi": options(site.ngi for site in every),
        "middleware": options(site.middleware for site in every),
        "certification": options(site.certification for site in every),
        "scope": options(scope for site in every for scope in site.scopes),
        "vo": options(vo for site in every for vo in site.vos),
    }
