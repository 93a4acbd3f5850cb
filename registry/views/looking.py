"""What several pages read: sites as they are or were, downtimes in words, which sites are somebody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from hanse.identity.permissions import Permission
from hanse.identity.principals import Principal
from hanse.revisions import History
from hanse.web import ground
from registry import directory, states
from registry.directory import Listed
from registry.models import Downtime, Site
from registry.rights import may_site
from registry.schemas.fields import parse_time

Body = dict[str, Any]


def sites(session: Session, as_of: str | None = None) -> Sequence[Listed]:
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


def own_sites(session: Session, principal: Principal, permission: Permission) -> list[Site]:
    """Sites over which the principal holds the permission, by name."""
    brief = select(Site).options(lazyload(Site.contacts), lazyload(Site.shares), lazyload(Site.properties))
    return [
        site for site in session.scalars(brief.order_by(Site.name)) if may_site(principal, permission, site)
    ]
