"""All sites in brief, for lists, filters and maps: read once, then kept in step by what the log says has changed.

A list sorts by what other services tell, so it needs every site at each look; reading a thousand whole bodies for it
each time would be most of its work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.revisions import Body, FeedIdentity, History, Revision, feed_epoch
from registry import remembered, states
from registry.absence import Away, away
from registry.lately import Lately
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


@dataclass(frozen=True)
class Federation:
    """The sites as the log has them at `revision` of `epoch`: all by name, who is watched, who is away as a whole; and
    how many services and endpoints there are.

    The same object as long as nothing of it changes, so that what is made of it can be kept (`registry.lately`).
    """

    epoch: str
    revision: int
    by_id: Mapping[str, Listed]
    sites: tuple[Listed, ...]
    monitored: frozenset[str]
    away: Away
    services: int
    endpoints: int

    def holds(self, epoch: str, revision: int, now: datetime) -> bool:
        """Whether it is still so, without a further look at the log."""
        over = self.away.until is not None and self.away.until <= now
        return (self.epoch, self.revision) == (epoch, revision) and not over


_NOTHING = Federation("", 0, {}, (), frozenset(), Away(frozenset(), None), 0, 0)
_SITES_OF = frozenset({"site"})
_MONITORED_OF = frozenset({"site", "service", "endpoint"})


class Directory:
    """The sites of one database as this process last saw them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known = _NOTHING

    def look(self, session: Session) -> Federation:
        """The sites now."""
        epoch, newest = _newest(session)
        known, now = self._known, datetime.now(UTC)
        if not known.holds(epoch, newest, now):
            with self._lock:
                known = self._known
                if not known.holds(epoch, newest, now):
                    known = self._known = _in_step(session, known, epoch, newest)
        return known


def _newest(session: Session) -> tuple[str, int]:
    row = session.execute(_NEWEST).one()
    return row[0] or feed_epoch(session), row[1] or 0


_NEWEST = select(
    select(FeedIdentity.epoch).scalar_subquery(), select(func.max(Revision.number)).scalar_subquery()
)


def _in_step(session: Session, known: Federation, epoch: str, newest: int) -> Federation:
    """What `known` has become; read again is only what the log says may differ."""
    if known.epoch != epoch or known.revision > newest:
        known = _NOTHING
    # revisions commit in the order of their numbers, so none below the newest can still appear
    touched = _MONITORED_OF if known is _NOTHING else _touched(session, known.revision)
    by_id, sites = known.by_id, known.sites
    if touched & _SITES_OF:
        by_id = _changed(session, known)
        sites = tuple(sorted(by_id.values(), key=lambda site: site.name))
    monitored, services, endpoints = known.monitored, known.services, known.endpoints
    if touched & _MONITORED_OF:
        monitored = _same_or(known.monitored, frozenset(session.scalars(_WATCHED)))
        services, endpoints = session.execute(_COUNTED).one()
    absent = away(session)
    absent = Away(_same_or(known.away.sites, absent.sites), absent.until)
    return Federation(epoch, newest, by_id, sites, monitored, absent, services, endpoints)


def _same_or(known: frozenset[str], found: frozenset[str]) -> frozenset[str]:
    """The very object that is known, where nothing differs."""
    return known if known == found else found


def _touched(session: Session, since: int) -> frozenset[str]:
    """The kinds of what later revisions changed."""
    return frozenset(session.scalars(select(History.kind).where(History.from_revision > since).distinct()))


def _changed(session: Session, known: Federation) -> dict[str, Listed]:
    changed = session.execute(
        select(History.entity_id, History.body).where(
            History.kind == "site", History.from_revision > known.revision, History.to_revision.is_(None)
        )
    )
    sites = dict(known.by_id)
    for entity_id, body in changed:
        _put(sites, entity_id, body)
    return sites


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
_COUNTED = select(
    select(func.count()).select_from(Service).scalar_subquery(),
    select(func.count()).select_from(Endpoint).scalar_subquery(),
)
_directories: WeakKeyDictionary[Database, Directory] = WeakKeyDictionary()
_then: Lately[tuple[Listed, ...]] = Lately(4)
_counts_then: Lately[dict[str, int]] = Lately(4)


def look(db: Database, session: Session) -> Federation:
    """The sites now, who is watched and who is away."""
    return _directories.setdefault(db, Directory()).look(session)


def sites(db: Database, session: Session, as_of: str | None = None) -> Sequence[Listed]:
    """All sites by name, now or as they were. Raises Refused for a time that cannot be read."""
    number = states.number_at(session, as_of)
    if number is None:
        return look(db, session).sites
    # what was does not change but by erasing people, who are not in here
    how = (feed_epoch(session), number)
    return _then.get((db,), how, lambda: _sites_then(session, number))


def counted_then(db: Database, session: Session, number: int) -> Mapping[str, int]:
    """How many services and endpoints stood after revision `number`."""
    how = (feed_epoch(session), number)
    return _counts_then.get((db,), how, lambda: remembered.counted(session, ("service", "endpoint"), number))


def _sites_then(session: Session, number: int) -> tuple[Listed, ...]:
    found = states.by_name(session, "site", as_of=str(number))
    return tuple(listed(state.id, state.body) for state in found)


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


_choices: Lately[Mapping[str, list[tuple[str, str]]]] = Lately(4)


def choices(every: Sequence[Listed]) -> Mapping[str, list[tuple[str, str]]]:
    """What can be chosen in each filter, as (value, word), from the sites there are."""
    return _choices.get((every,), None, lambda: _choices_of(every))


def _choices_of(every: Sequence[Listed]) -> Mapping[str, list[tuple[str, str]]]:
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
