"""What the registry's feed says: endpoints, sites, downtimes. Read from the local copy, so it works while
it is away."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from hanse.follow import followed
from monitoring.downtimes import Downtime, from_feed

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
