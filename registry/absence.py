"""Which sites are away as a whole: every service of theirs is in an outage that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from registry.models import Downtime, DowntimeEndpoint, DowntimeService, Endpoint, Service, Site


@dataclass(frozen=True)
class Away:
    """The sites by name; so until `until`, when a service of an outage is back, or until the log says otherwise."""

    sites: frozenset[str]
    until: datetime | None


def away(session: Session) -> Away:
    """Sites whose every service is in an outage that goes on now."""
    links = session.execute(
        select(
            DowntimeService.downtime_id,
            DowntimeService.service_id,
            DowntimeService.whole,
            DowntimeService.end_at,
        )
        .join(Downtime)
        .where(
            Downtime.state == "ongoing",
            Downtime.severity == "OUTAGE",
            or_(DowntimeService.end_at.is_(None), DowntimeService.end_at > func.now()),
        )
    ).all()
    until = min((end for _, _, _, end in links if end is not None), default=None)
    if not links:
        return Away(frozenset(), until)
    gone = {service for _, service, whole, _ in links if whole} | _wholly(
        session, [(downtime, service) for downtime, service, whole, _ in links if not whole]
    )
    touched = select(Service.site_id).where(Service.id.in_(gone))
    services: dict[str, set[int]] = {}
    for name, number in session.execute(
        select(Site.name, Service.id).join(Service).where(Site.id.in_(touched))
    ):
        services.setdefault(name, set()).add(number)
    return Away(frozenset(name for name, numbers in services.items() if numbers <= gone), until)


def _wholly(session: Session, links: Sequence[tuple[int, int]]) -> set[int]:
    """Services whose every endpoint a downtime names, of pairs (downtime, service)."""
    if not links:
        return set()
    named = {
        (downtime, endpoint)
        for downtime, endpoint in session.execute(
            select(DowntimeEndpoint.downtime_id, DowntimeEndpoint.endpoint_id).where(
                DowntimeEndpoint.downtime_id.in_({downtime for downtime, _ in links})
            )
        )
    }
    endpoints: dict[int, list[int]] = {}
    for service, endpoint in session.execute(
        select(Endpoint.service_id, Endpoint.id).where(
            Endpoint.service_id.in_({service for _, service in links})
        )
    ):
        endpoints.setdefault(service, []).append(endpoint)
    return {
        service
        for downtime, service in links
        if all((downtime, endpoint) in named for endpoint in endpoints.get(service, ()))
    }
