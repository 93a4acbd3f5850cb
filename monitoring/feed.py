"""What the registry's feed says: endpoints, sites, downtimes. Read from the local copy, so it works while
it is away."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.orm import Session

from hanse.follow import followed
from monitoring.downtimes import Downtime, at_site, from_feed

REGISTRY = "registry"


def endpoints(session: Session) -> list[Mapping[str, Any]]:
    """Bodies of the endpoints."""
    return list(followed(session, REGISTRY, "endpoint").values())


def sites(session: Session) -> dict[str, Mapping[str, Any]]:
    """Bodies of the sites, by name."""
    return {str(body["name"]): body for body in followed(session, REGISTRY, "site").values()}


def downtimes(session: Session) -> list[Downtime]:
    """All downtimes that the registry tells of, soonest first."""
    return from_feed(followed(session, REGISTRY, "downtime").values())


def downtimes_of(session: Session, sites: Collection[str]) -> dict[str, list[Downtime]]:
    """The downtimes of each of the sites, soonest first; each ends when the site's last service in it is back."""
    own: dict[str, set[str]] = {site: set() for site in sites}
    for body in endpoints(session):
        if (site := str(body.get("site"))) in own:
            own[site].add(str(body.get("service_id")))
    known = downtimes(session)
    return {site: at_site(known, site, services) for site, services in own.items()}
