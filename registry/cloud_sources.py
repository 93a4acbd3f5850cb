"""What the search for a cloud is made of, now or as it was: sites, their shares, what they publish, their endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.revisions import feed_epoch, head
from registry import cloud_history, cloudinfo, states
from registry.lately import Lately
from registry.models import CloudDocument, Endpoint, Service, Site, VoShare
from registry.observed import same_address
from registry.renderings.glue21_json import CLOUD_INTERFACES
from registry.states import Moment, State

SHOWN: Final = frozenset({"Candidate", "Uncertified", "Certified"})
Shares = Mapping[tuple[int, str], tuple[int | None, str | None]]
"""What sites declare for a VO: virtual processors and project, by the number of the site and the VO."""
Address = tuple[int, str, str]
"""A cloud that is registered: number of the site, address, interface."""


@dataclass(frozen=True)
class Host:
    """What of a site stands beside its clouds."""

    name: str
    country: str
    middleware: str


@dataclass(frozen=True, slots=True)
class Declared:
    """A registered cloud and a VO that its site supports; `address` is what its addresses have in common."""

    site_id: int
    site: str
    country: str
    middleware: str
    url: str
    address: tuple[str, str, int | None, str]
    interface: str
    vo: str
    vcpu: int | None
    project: str | None


@dataclass(frozen=True)
class Registered:
    """Sites that are shown, what they declare for VOs, and their clouds by site, address and VO."""

    hosts: Mapping[int, Host]
    shares: Shares
    clouds: Sequence[Declared]


def _registered(hosts: Mapping[int, Host], shares: Shares, endpoints: Iterable[Address]) -> Registered:
    by_site: dict[int, list[tuple[str, int | None, str | None]]] = {}
    for (site_id, vo), (vcpu, project) in shares.items():
        by_site.setdefault(site_id, []).append((vo, vcpu, project))
    found = [
        Declared(site_id, *_of_host(host), url, same_address(url), interface, vo, vcpu, project)
        for site_id, url, interface in endpoints
        if (host := hosts.get(site_id)) is not None
        for vo, vcpu, project in by_site.get(site_id, ())
    ]
    return Registered(hosts, shares, sorted(found, key=lambda one: (one.site, one.url, one.vo)))


def _of_host(host: Host) -> tuple[str, str, str]:
    return host.name, host.country, host.middleware


_kept: Lately[Registered] = Lately(4)


class Source(Protocol):
    """The registry at a moment, as far as the search needs it."""

    @property
    def at(self) -> datetime:
        """The moment."""

    def registered(self) -> Registered:
        """What the registry says."""

    def documents(self, *, stale: bool) -> Sequence[CloudDocument]:
        """What stands published; with what is too old, if `stale`."""


@dataclass(frozen=True)
class Now:
    """The registry as it is, from its tables."""

    session: Session
    at: datetime

    def registered(self) -> Registered:
        """What the registry says; read again when its log has grown."""
        version = (feed_epoch(self.session), head(self.session))
        return _kept.get((), version, lambda: _registered(self._hosts(), self._shares(), self._endpoints()))

    def _hosts(self) -> Mapping[int, Host]:
        rows = self.session.execute(
            select(Site.id, Site.name, Site.country, Site.middleware).where(
                Site.certification.in_(sorted(SHOWN))
            )
        )
        return {number: Host(name, country, middleware or "") for number, name, country, middleware in rows}

    def _shares(self) -> Shares:
        rows = select(VoShare.site_id, VoShare.vo, VoShare.vcpu, VoShare.project_id)
        return {(site, name): (vcpu, project) for site, name, vcpu, project in self.session.execute(rows)}

    def documents(self, *, stale: bool) -> Sequence[CloudDocument]:
        """What stands published."""
        return cloudinfo.current(self.session, valid_at=None if stale else self.at)

    def _endpoints(self) -> Iterable[Address]:
        rows = self.session.execute(
            select(Service.site_id, Endpoint.url, Endpoint.interface_name)
            .join(Endpoint)
            .where(Endpoint.interface_name.in_(CLOUD_INTERFACES))
            .order_by(Endpoint.id)
        )
        return [(site, url, interface) for site, url, interface in rows]


class Then:
    """The registry as it was, from its log and the documents that are kept."""

    def __init__(self, session: Session, moment: Moment) -> None:
        self._session = session
        self._at = moment.at
        self._as_of = str(moment.number)

    @property
    def at(self) -> datetime:
        """The moment."""
        return self._at

    @cached_property
    def _sites(self) -> list[State]:
        found = states.by_id(self._session, "site", as_of=self._as_of)
        return [one for one in found if one.body["certification"] in SHOWN]

    def registered(self) -> Registered:
        """What the registry said."""
        version = (feed_epoch(self._session), self._as_of)
        return _kept.get((), version, lambda: _registered(self._hosts(), self._shares(), self._endpoints()))

    def _hosts(self) -> Mapping[int, Host]:
        return {
            int(one.id): Host(one.body["name"], one.body["country"], one.body["middleware"] or "")
            for one in self._sites
        }

    def _shares(self) -> Shares:
        return {
            (int(one.id), share["vo"]): (share["vcpu"], share["project_id"])
            for one in self._sites
            for share in one.body["supports"]
        }

    def documents(self, *, stale: bool) -> Sequence[CloudDocument]:
        """What stood published."""
        return cloud_history.then(self._session, self.at, stale=stale)

    def _endpoints(self) -> Iterable[Address]:
        numbers = {one.body["name"]: int(one.id) for one in self._sites}
        where = [states.text_of("interface").in_(CLOUD_INTERFACES)]
        found = states.by_id(self._session, "endpoint", where=where, as_of=self._as_of)
        return [
            (numbers[one.body["site"]], one.body["url"], one.body["interface"])
            for one in found
            if one.body["site"] in numbers
        ]


def at(session: Session, as_of: str | None, now: datetime) -> Source:
    """The registry as it is, or as it was at a moment. Raises Refused for what is no moment."""
    moment = states.moment(session, as_of)
    return Now(session, now) if moment is None else Then(session, moment)
