"""What several pages read: sites as they are or were, who is watched, who is away, which sites are somebody's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from hanse.identity.permissions import Permission
from hanse.identity.principals import Principal
from registry import states
from registry.models import Downtime, DowntimeEndpoint, DowntimeService, Endpoint, Service, Site
from registry.rights import may_site

Body = dict[str, Any]


def sites(session: Session, as_of: str | None = None) -> list[Body]:
    """All sites by name."""
    return [state.body for state in states.by_name(session, "site", as_of=as_of)]


def monitored(session: Session, only: str | None = None) -> set[str]:
    """Sites with an endpoint that is watched; of them `only` this one when it is named."""
    watched = exists().where(
        Service.site_id == Site.id, Endpoint.service_id == Service.id, Endpoint.monitored, Service.monitored
    )
    statement = select(Site.name).where(watched)
    return set(session.scalars(statement if only is None else statement.where(Site.name == only)))


def ongoing(session: Session) -> list[Downtime]:
    """Downtimes that are going on, the first to end first."""
    return list(
        session.scalars(select(Downtime).where(Downtime.state == "ongoing").order_by(Downtime.end_at))
    )


def away(session: Session, only: str | None = None) -> set[str]:
    """Sites whose every service is in an outage that is going on; of them `only` this one when it is named."""
    spared = exists().where(
        Endpoint.service_id == DowntimeService.service_id,
        Endpoint.id.not_in(
            select(DowntimeEndpoint.endpoint_id).where(
                DowntimeEndpoint.downtime_id == DowntimeService.downtime_id
            )
        ),
    )
    gone = (
        select(DowntimeService.service_id)
        .join(Downtime)
        .where(
            Downtime.state == "ongoing",
            Downtime.severity == "OUTAGE",
            or_(DowntimeService.end_at.is_(None), DowntimeService.end_at > func.now()),
            or_(DowntimeService.whole, ~spared),
        )
    )
    touched = select(Service.site_id).where(Service.id.in_(gone))
    works = exists().where(Service.site_id == Site.id, Service.id.not_in(gone))
    statement = select(Site.name).where(Site.id.in_(touched), ~works)
    return set(session.scalars(statement if only is None else statement.where(Site.name == only)))


def own_sites(session: Session, principal: Principal, permission: Permission) -> list[Site]:
    """Sites over which the principal holds the permission, by name."""
    return [
        site
        for site in session.scalars(select(Site).order_by(Site.name))
        if may_site(principal, permission, site)
    ]
