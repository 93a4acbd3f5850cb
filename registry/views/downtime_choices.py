"""What the pages of downtimes offer to choose from, and at which sites somebody may declare: names alone, not sites."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.permissions import allows
from hanse.identity.principals import Principal
from registry.models import Ngi, Site, VoShare
from registry.rights import DECLARE_DOWNTIME


def own_names(session: Session, principal: Principal) -> list[str]:
    """The sites at which the principal may declare, by name."""
    if not principal.signed_in:
        return []
    rows = session.execute(select(Site.name, Ngi.name).join(Ngi).order_by(Site.name))
    return [name for name, ngi in rows if allows(principal, DECLARE_DOWNTIME, f"site:{name}", f"ngi:{ngi}")]


def choices(session: Session) -> dict[str, Any]:
    """Sites, NGIs and VOs for filters."""
    sites = session.scalars(select(Site.name).order_by(Site.name))
    ngis = session.scalars(select(Ngi.name).where(Ngi.id.in_(select(Site.ngi_id))).order_by(Ngi.name))
    vos = session.scalars(select(VoShare.vo).distinct().order_by(VoShare.vo))
    return {name: [("", "any"), *((one, one) for one in found)] for name, found in
            (("sites", sites), ("ngis", ngis), ("vos", vos))}  # fmt: skip
