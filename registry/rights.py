"""Who may do what in the registry. A right over a site is held at the site, at its NGI, or for the federation."""

from __future__ import annotations

from hanse.identity.permissions import Permission, allows, check
from hanse.identity.principals import Principal
from registry.models import Site

OPERATORS = frozenset({"federation_operator"})
OF_A_SITE = frozenset({"federation_operator", "ngi_manager", "site_administrator"})

RUN_FEDERATION = Permission("change the federation's records", OPERATORS, "federation")
REGISTER_SITE = Permission("register sites", frozenset({"federation_operator", "ngi_manager"}))
CERTIFY_SITE = Permission("certify sites", frozenset({"federation_operator", "ngi_manager"}))
REMOVE_SITE = Permission("remove sites", OPERATORS, "federation")
EDIT_SITE = Permission("change this site", OF_A_SITE)
DECLARE_DOWNTIME = Permission("declare and change downtimes here", OF_A_SITE)
KEEP_MACHINES = Permission("keep certificates and tokens of this site's machines", OF_A_SITE)
GRANT_ROLES = Permission("grant and withdraw roles", frozenset({*OF_A_SITE}))
READ_PEOPLE = Permission(
    "read about people",
    frozenset({"federation_operator", "ngi_manager", "site_administrator", "site_security_officer"}),
)
READ_LOG = Permission("read the log of changes", OF_A_SITE | {"site_security_officer", "service"})
READ_OVERVIEW = Permission("read the overview", frozenset({"service", "federation_operator"}), "federation")


def site_scopes(site: Site) -> tuple[str, str]:
    """The scopes in which a right over the site can be held."""
    return f"site:{site.name}", f"ngi:{site.ngi.name}"


def check_site(principal: Principal, permission: Permission, site: Site) -> None:
    """Raise Unauthorised or Forbidden unless the principal holds the permission over this very site."""
    check(principal, permission, *site_scopes(site))


def may_site(principal: Principal, permission: Permission, site: Site) -> bool:
    """True when the principal holds the permission over this very site."""
    return allows(principal, permission, *site_scopes(site))


def is_operator(principal: Principal) -> bool:
    """True for a federation operator."""
    return principal.has("federation_operator", "federation")
