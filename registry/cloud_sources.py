"""What the search for a cloud is made of, now or as it was: sites, their shares, what they publish, their endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry import cloud_history, cloudinfo, states
from registry.models import CloudDocument, Endpoint, Service, Site, VoShare
from registry.renderings.glue21_json import CLOUD_INTERFACES
from registry.states import Moment

SHOWN: Final = frozenset({"Candidate", "Uncertified", "Certified"})
Shares = Mapping[tuple[int, str], tuple[int | None, str | None]]
"""What sites declare for a VO: virtual processors and project, by the number of the site and the VO."""


@dataclass(frozen=True)
class Host:
    """What of a site stands beside its clouds."""

    name: str
    country: str
    middleware: str


class Source(Protocol):
    """The registry at a moment, as far as the search needs it."""

    @property
    def at(self) -> datetime:
        """The moment."""

    def hosts(self) -> Mapping[int, Host]:
        """Sites that are shown, by number."""

    def shares(self, vo: str | None) -> Shares:
        """What they declare for a VO, or for all."""

    def documents(self, vo: str | None, *, stale: bool) -> Sequence[CloudDocument]:
        """What stands published, of those with a share for a VO, or of all; with what is too old, if `stale`."""

    def endpoints(self) -> Iterable[tuple[int, str, str]]:
        """Clouds that are registered: number of the site, address, interface."""


@dataclass(frozen=True)
class Now:
    """The registry as it is, from its tables."""

    session: Session
    at: datetime

    def hosts(self) -> Mapping[int, Host]:
        """Sites that are shown, by number."""
        rows = self.session.execute(
            select(Site.id, Site.name, Site.country, Site.middleware).where(
                Site.certification.in_(sorted(SHOWN))
            )
        )
        return {number: Host(name, country, middleware or "") for number, name, country, middleware in rows}

    def shares(self, vo: str | None) -> Shares:
        """What they declare for a VO, or for all."""
        rows = select(VoShare.site_id, VoShare.vo, VoShare.vcpu, VoShare.project_id)
        if vo is not None:
            rows = rows.where(VoShare.vo == vo)
        return {(site, name): (vcpu, project) for site, name, vcpu, project in self.session.execute(rows)}

    def documents(self, vo: str | None, *, stale: bool) -> Sequence[CloudDocument]:
        """What stands published."""
        return cloudinfo.current(self.session, vo=vo, valid_at=None if stale else self.at)

    def endpoints(self) -> Iterable[tuple[int, str, str]]:
        """Clouds that are registered."""
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
        self._sites = [
            one
            for one in states.by_id(session, "site", as_of=self._as_of)
            if one.body["certification"] in SHOWN
        ]

    @property
    def at(self) -> datetime:
        """The moment."""
        return self._at

    def hosts(self) -> Mapping[int, Host]:
        """Sites that were shown, by number."""
        return {
            int(one.id): Host(one.body["name"], one.body["country"], one.body["middleware"] or "")
            for one in self._sites
        }

    def shares(self, vo: str | None) -> Shares:
        """What they declared for a VO, or for all."""
        return {
            (int(one.id), share["vo"]): (share["vcpu"], share["project_id"])
            for one in self._sites
            for share in one.body["supports"]
            if vo in (None, share["vo"])
        }

    def documents(self, vo: str | None, *, stale: bool) -> Sequence[CloudDocument]:
        """What stood published."""
        return cloud_history.then(self._session, self.at, vo=vo, stale=stale)

    def endpoints(self) -> Iterable[tuple[int, str, str]]:
        """Clouds that were registered."""
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
