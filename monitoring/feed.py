"""What the registry's feed says: endpoints, sites, downtimes. Read from the local copy, so it works while
it is away."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Followed
from hanse.follow import followed
from monitoring.downtimes import Downtime, at_site, from_feed

REGISTRY = "registry"
# a downtime can be entered 48 h after it began; what is older changes nothing that is judged now
REMEMBERED = timedelta(days=3)


def endpoints(session: Session) -> list[Mapping[str, Any]]:
    """Bodies of the endpoints."""
    return list(followed(session, REGISTRY, "endpoint").values())


def sites(session: Session) -> dict[str, Mapping[str, Any]]:
    """Bodies of the sites, by name."""
    return {str(body["name"]): body for body in followed(session, REGISTRY, "site").values()}


def downtimes(session: Session) -> list[Downtime]:
    """The downtimes that the registry tells of and that ended at most `REMEMBERED` ago, soonest first."""
    # ISO 8601 in UTC sorts as text once the fraction is cut
    since = (datetime.now(UTC) - REMEMBERED).isoformat()[:19]
    recent = select(Followed.body).where(
        Followed.source == REGISTRY,
        Followed.kind == "downtime",
        func.left(Followed.body["end"].astext, 19) > since,
    )
    return from_feed(session.scalars(recent))


def downtimes_of(session: Session, sites: Collection[str]) -> dict[str, list[Downtime]]:
    """The downtimes of each of the sites, soonest first; each ends when the site's last service in it is back."""
    own: dict[str, set[str]] = {site: set() for site in sites}
    for body in endpoints(session):
        if (site := str(body.get("site"))) in own:
            own[site].add(str(body.get("service_id")))
    known = downtimes(session)
    return {site: at_site(known, site, services) for site, services in own.items()}
