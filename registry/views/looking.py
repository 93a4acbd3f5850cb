"""What several pages read: sites as they are or were, who is watched, who is away, which sites are somebody's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.permissions import Permission
from hanse.identity.principals import Principal
from registry import states
from registry.models import Downtime, Endpoint, Service, Site
from registry.rights import may_site

Body = dict[str, Any]


def sites(session: Session, as_of: str | None = None) -> list[Body]:
    """All sites by name."""
    return [state.body for state in states.by_name(session, "site", as_of=as_of)]


def monitored(session: Session) -> set[str]:
    """Sites with an endpoint that is watched."""
    watched = select(Site.name).join(Service).join(Endpoint).where(Endpoint.monitored, Service.monitored)
    return set(session.scalars(watched))


def ongoing(session: Session) -> list[Downtime]:
    """Downtimes that are going on, the first to end first."""
    return list(
        session.scalars(select(Downtime).where(Downtime.state == "ongoing").order_by(Downtime.end_at))
    )


def away(session: Session) -> set[str]:
    """Sites whose every service is in an outage that is going on."""
    services: dict[str, set[int]] = {}
    for name, number in session.execute(select(Site.name, Service.id).join(Service)):
        services.setdefault(name, set()).add(number)
    gone: dict[str, set[int]] = {}
    for downtime in ongoing(session):
        if downtime.severity == "OUTAGE":
            gone.setdefault(downtime.site.name, set()).update(link.service_id for link in downtime.services)
    return {name for name, numbers in gone.items() if numbers >= services.get(name, set())}


def own_sites(session: Session, principal: Principal, permission: Permission) -> list[Site]:
    """Sites over which the principal holds the permission, by name."""
    return [
        site
        for site in session.scalars(select(Site).order_by(Site.name))
        if may_site(principal, permission, site)
    ]
