"""How sites that publish differ from what the registry declares of them: one finder for each kind of difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload, selectinload

from registry.drifting import endpoints, offers
from registry.drifting.difference import Difference, Look
from registry.models import CloudDocument, Downtime, DowntimeService, Endpoint, Service, Site
from registry.renderings.glue21_json import CLOUD_INTERFACES
from registry.schemas.fields import iso

FINDERS: Final[Sequence[Callable[[Look], Iterable[Difference]]]] = (
    endpoints.endpoints,
    endpoints.interfaces,
    endpoints.status,
    offers.vos,
    offers.capacity,
    offers.images,
    offers.middleware,
)


def differences(
    session: Session, sites: Sequence[Site], published: Sequence[CloudDocument], now: datetime
) -> dict[int, list[Difference]]:
    """The differences of each of the sites, of which these documents are current, by its id; in the order of their
    kinds, without decisions.
    """
    numbers = [site.id for site in sites]
    documents: dict[int, list[CloudDocument]] = {}
    for document in published:
        documents.setdefault(document.site_id, []).append(document)
    owned: dict[int, list[Service]] = {}
    clouds = select(Endpoint.service_id).where(Endpoint.interface_name.in_(CLOUD_INTERFACES))
    wanted = (
        select(Service)
        .where(
            Service.site_id.in_(numbers),
            Service.service_type.in_(CLOUD_INTERFACES) | Service.id.in_(clouds),
        )
        .options(lazyload(Service.properties), lazyload(Service.site))
        .options(selectinload(Service.endpoints).lazyload(Endpoint.properties))
        .order_by(Service.id)
    )
    for service in session.scalars(wanted):
        owned.setdefault(service.site_id, []).append(service)
    ongoing = select(DowntimeService.service_id).join(Downtime).where(Downtime.state == "ongoing")
    closed = frozenset(session.scalars(ongoing))
    found = {}
    for site in sites:
        current = documents.get(site.id, [])
        valid = [one for one in current if one.valid_until > now]
        stale = [one for one in current if one.valid_until <= now]
        found[site.id] = found_in(Look(site, owned.get(site.id, []), valid, stale, closed))
    return found


def found_in(look: Look) -> list[Difference]:
    """All differences that a look at a site shows, in the order of their kinds."""
    found = [
        Difference(
            f"document {one.service}",
            "document",
            f"The last document of {one.service} held until {iso(one.held_until)[:16]}Z; nothing newer came.",
            "a valid document",
            iso(one.held_until),
            one.heard_at,
        )
        for one in look.stale
    ]
    if look.documents:
        for finder in FINDERS:
            found += finder(look)
    return found
