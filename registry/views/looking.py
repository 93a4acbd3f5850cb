"""What several pages read: sites as they are or were, who is watched, who is away, which sites are somebody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, lazyload

from hanse.identity.permissions import Permission
from hanse.identity.principals import Principal
from hanse.revisions import History
from hanse.web import ground
from registry import directory, states
from registry.directory import Listed
from registry.models import Downtime, DowntimeEndpoint, DowntimeService, Endpoint, Service, Site
from registry.rights import may_site
from registry.schemas.fields import parse_time

Body = dict[str, Any]


def sites(session: Session, as_of: str | None = None) -> list[Listed]:
    """All sites in brief, by name."""
    return directory.sites(ground().db, session, as_of)


def downtimes(session: Session, numbers: Sequence[int]) -> list[Body]:
    """Downtimes by their numbers as bodies, in the order of the numbers; times are moments."""
    wanted = [str(number) for number in numbers]
    found = states.by_id(session, "downtime", where=[History.entity_id.in_(wanted)]) if wanted else []
    bodies = {state.id: state.body for state in found}
    return [
        {**body, **{edge: parse_time(body[edge]) for edge in ("start", "end")}}
        for number in wanted
        if (body := bodies.get(number)) is not None
    ]


def ongoing(session: Session) -> list[Downtime]:
    """Downtimes that are going on, the first to end first."""
    return list(
        session.scalars(select(Downtime).where(Downtime.state == "ongoing").order_by(Downtime.end_at))
    )


def away(session: Session, only: str | None = None) -> set[str]:
    """Sites whose every service is in an outage that is going on; of them `only` this one when it is named."""
    links = session.execute(
        select(DowntimeService.downtime_id, DowntimeService.service_id, DowntimeService.whole)
        .join(Downtime)
        .where(
            Downtime.state == "ongoing",
            Downtime.severity == "OUTAGE",
            or_(DowntimeService.end_at.is_(None), DowntimeService.end_at > func.now()),
        )
    ).all()
    if not links:
        return set()
    gone = {service for _, service, whole in links if whole} | _wholly(
        session, [(downtime, service) for downtime, service, whole in links if not whole]
    )
    touched = select(Service.site_id).where(Service.id.in_(gone))
    statement = select(Site.name, Service.id).join(Service).where(Site.id.in_(touched))
    services: dict[str, set[int]] = {}
    for name, number in session.execute(statement if only is None else statement.where(Site.name == only)):
        services.setdefault(name, set()).add(number)
    return {name for name, numbers in services.items() if numbers <= gone}


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


def own_sites(session: Session, principal: Principal, permission: Permission) -> list[Site]:
    """Sites over which the principal holds the permission, by name."""
    brief = select(Site).options(lazyload(Site.contacts), lazyload(Site.shares), lazyload(Site.properties))
    return [
        site for site in session.scalars(brief.order_by(Site.name)) if may_site(principal, permission, site)
    ]
