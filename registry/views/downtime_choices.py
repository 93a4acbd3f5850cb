"""What the pages of downtimes offer to choose from, and at which sites somebody may declare: names alone, not sites."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hanse.identity.permissions import allows
from hanse.identity.principals import Principal
from hanse.web import ground
from registry import directory
from registry.rights import DECLARE_DOWNTIME


def own_names(session: Session, principal: Principal) -> list[str]:
    """The sites at which the principal may declare, by name."""
    if not principal.signed_in:
        return []
    every = directory.look(ground().db, session).sites
    held = {grant.scope for grant in principal.grants}
    of_ngi = {ngi: allows(principal, DECLARE_DOWNTIME, f"ngi:{ngi}") for ngi in {site.ngi for site in every}}
    return [
        site.name
        for site in every
        if of_ngi[site.ngi]
        or (f"site:{site.name}" in held and allows(principal, DECLARE_DOWNTIME, f"site:{site.name}"))
    ]


def choices(session: Session) -> dict[str, Any]:
    """Sites, NGIs and VOs for filters."""
    every = directory.look(ground().db, session).sites
    found = directory.choices(every)
    sites = [("", "any"), *((site.name, site.name) for site in every)]
    return {"sites": sites, "ngis": found["ngi"], "vos": found["vo"]}
