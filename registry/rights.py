"""Who may do what in the registry: the table of `registry.role_matrix` as permissions that routes and use cases ask.

A right over a site is held at the site, at its NGI, at the NGI's projects, or for the federation.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import object_session

from hanse.identity.permissions import Permission, allows, check
from hanse.identity.principals import Principal
from registry.models import Ngi, Project, Site, project_ngi
from registry.models.people import Owner
from registry.models.role_names import ROLE_TYPES, OwnerKind
from registry.role_matrix import OPERATORS, Action, anywhere, who

RUN_FEDERATION = Permission("change the federation's records", OPERATORS, "federation")
REGISTER_SITE = Permission("register sites", who("ngi", "add site"))
CERTIFY_SITE = Permission("certify sites", who("site", "certify"))
LOOK_AT_SITE = Permission("look at this site's evidence", who("site", "edit") | who("site", "certify"))
REMOVE_SITE = Permission("remove sites", OPERATORS, "federation")
EDIT_SITE = Permission("change this site", who("site", "edit"))
READ_DRIFT = Permission("read how sites differ from what they publish", who("site", "edit") | OPERATORS)
PUBLISH_CLOUD = Permission("publish what this cloud offers", who("site", "edit") | {"site_machine"})
DECLARE_DOWNTIME = Permission("declare and change downtimes here", who("site", "edit"))
KEEP_MACHINES = Permission("keep certificates and tokens of this site's machines", who("site", "edit"))
KEEP_API_CREDENTIALS = Permission("keep API credentials of this site", who("site", "keep API credentials"))
DROP_API_CREDENTIALS = Permission("delete API credentials of this site", who("site", "drop API credentials"))
EDIT_NGI = Permission("change this NGI", who("ngi", "edit"))
EDIT_PROJECT = Permission("change this project", who("project", "edit"))
EDIT_GROUP = Permission("change this service group", who("servicegroup", "edit"))
ADD_GROUP = Permission("make service groups", anywhere("edit"))
GRANT_ROLES = Permission("grant, reject and revoke roles", anywhere("decide roles"))
READ_PEOPLE = Permission("read about people", anywhere("read people"))
READ_LOG = Permission("read the log of changes", anywhere("read log") | {"service"})
READ_OVERVIEW = Permission("read the overview", frozenset({"service", "federation_operator"}), "federation")

_DECIDE = {
    kind: Permission("grant, reject and revoke roles here", who(kind, "decide roles"))
    for kind in ("site", "ngi", "project", "servicegroup")
}
_KINDS: tuple[tuple[type, OwnerKind], ...] = ((Site, "site"), (Ngi, "ngi"), (Project, "project"))


def kind_of(owner: Owner | None) -> OwnerKind:
    """What a role hangs on; None stands for the federation."""
    if owner is None:
        return "federation"
    return next((kind for table, kind in _KINDS if isinstance(owner, table)), "servicegroup")


def scopes_of(owner: Owner | None) -> tuple[str, ...]:
    """The scopes in which a right over it can be held, its own first."""
    if owner is None:
        return ("federation",)
    own = f"{kind_of(owner)}:{owner.name}"
    if isinstance(owner, Site):
        return own, *scopes_of(owner.ngi)
    return (own, *_project_scopes(owner)) if isinstance(owner, Ngi) else (own,)


def _project_scopes(ngi: Ngi) -> list[str]:
    session = object_session(ngi)
    if session is None:
        return []
    names = select(Project.name).join(project_ngi).where(project_ngi.c.ngi_id == ngi.id)
    return [f"project:{name}" for name in session.scalars(names.order_by(Project.name))]


def _scopes_for(principal: Principal, owner: Owner) -> tuple[str, ...]:
    """As `scopes_of`, without the question for projects when the principal has no role in any."""
    if any(grant.scope.startswith("project:") for grant in principal.grants):
        return scopes_of(owner)
    if isinstance(owner, Site):
        return f"site:{owner.name}", f"ngi:{owner.ngi.name}"
    return (f"{kind_of(owner)}:{owner.name}",)


def site_scopes(site: Site) -> tuple[str, ...]:
    """The scopes in which a right over the site can be held."""
    return scopes_of(site)


def check_owner(principal: Principal, permission: Permission, owner: Owner) -> None:
    """Raise Unauthorised or Forbidden unless the principal holds the permission over this very site, NGI, ..."""
    check(principal, permission, *_scopes_for(principal, owner))


def may_owner(principal: Principal, permission: Permission, owner: Owner) -> bool:
    """True when the principal holds the permission over this very site, NGI, project or service group."""
    return allows(principal, permission, *_scopes_for(principal, owner))


def check_site(principal: Principal, permission: Permission, site: Site) -> None:
    """Raise Unauthorised or Forbidden unless the principal holds the permission over this very site."""
    check_owner(principal, permission, site)


def may_site(principal: Principal, permission: Permission, site: Site) -> bool:
    """True when the principal holds the permission over this very site."""
    return may_owner(principal, permission, site)


def is_operator(principal: Principal) -> bool:
    """True for a federation operator."""
    return principal.has("federation_operator", "federation")


def deciding(owner: Owner | None) -> Permission:
    """The right to grant, reject and revoke the roles of a site, NGI, project, group or (None) the federation."""
    return RUN_FEDERATION if owner is None else _DECIDE[kind_of(owner)]


def may_decide_role(principal: Principal, owner: Owner | None) -> bool:
    """True when the principal may grant, reject and revoke roles there."""
    if owner is None:
        return is_operator(principal)
    return may_owner(principal, deciding(owner), owner)


def held_by(owner: Owner | None, action: Action) -> list[tuple[str, str]]:
    """(role, scope) of everybody who may do it to the owner, by the table."""
    allowed = who(kind_of(owner), action)
    return [
        (role, scope)
        for scope in (*scopes_of(owner), "federation")
        for role in sorted(allowed)
        if ROLE_TYPES[role].held_at == scope.partition(":")[0]
    ]
