"""What a route or a use case demands, and the sentence for whoever lacks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hanse.errors import Forbidden, Unauthorised
from hanse.identity.principals import FEDERATION, Principal

ROLES: Final[Mapping[str, str]] = {
    "federation_operator": "federation operator",
    "chief_operations_officer": "chief operations officer",
    "cod_administrator": "COD administrator",
    "cod_staff": "COD staff member",
    "egi_csirt_officer": "EGI CSIRT officer",
    "ngi_manager": "NGI manager",
    "ngi_operations_manager": "NGI operations manager",
    "ngi_operations_deputy_manager": "NGI operations deputy manager",
    "ngi_security_officer": "NGI security officer",
    "regional_staff_rod": "regional staff member",
    "regional_first_line_support": "first line supporter",
    "site_administrator": "site administrator",
    "site_operations_manager": "site operations manager",
    "site_operations_deputy_manager": "site operations deputy manager",
    "site_security_officer": "site security officer",
    "service_group_administrator": "service group administrator",
    "site_machine": "machine",
    "vo_manager": "VO manager",
    "vo_group_manager": "group manager",
    "vo_member": "member",
    "service": "service of the federation",
}
_KINDS: Final[Mapping[str, str]] = {
    "site": "site",
    "vo": "VO",
    "group": "group",
    "ngi": "NGI",
    "project": "project",
    "servicegroup": "service group",
}
# A sentence that lists ten roles helps nobody: these are left out where the role beside them may too.
_SPOKEN_AS: Final[Mapping[str, str]] = {
    "cod_administrator": "chief_operations_officer",
    "cod_staff": "chief_operations_officer",
    "egi_csirt_officer": "chief_operations_officer",
    "ngi_operations_manager": "ngi_manager",
    "ngi_operations_deputy_manager": "ngi_manager",
    "ngi_security_officer": "ngi_manager",
    "regional_staff_rod": "ngi_manager",
    "regional_first_line_support": "ngi_manager",
    "site_operations_manager": "site_administrator",
    "site_operations_deputy_manager": "site_administrator",
    "site_security_officer": "site_administrator",
}
_HELD_AT: Final[Mapping[str, str]] = {
    "chief_operations_officer": "project",
    "cod_administrator": "project",
    "cod_staff": "project",
    "egi_csirt_officer": "project",
    "ngi_manager": "ngi",
    "ngi_operations_manager": "ngi",
    "ngi_operations_deputy_manager": "ngi",
    "ngi_security_officer": "ngi",
    "regional_staff_rod": "ngi",
    "regional_first_line_support": "ngi",
    "service_group_administrator": "servicegroup",
    "vo_manager": "vo",
    "vo_group_manager": "group",
    "vo_member": "vo",
}


@dataclass(frozen=True)
class Permission:
    """A named right. `name` is what it allows, in words that fit after "may": `declare downtimes`.

    `scope` is a template over the arguments of the path (`federation`, `site:{site}`, `vo:{vo}`). With None
    the route asks only for one of the roles anywhere, and the use case calls `check` with the scopes it
    found.
    """

    name: str
    roles: frozenset[str]
    scope: str | None = None

    def __post_init__(self) -> None:
        unknown = self.roles - set(ROLES) - {"public", "signed_in"}
        if unknown:
            raise ValueError(f"Permission {self.name!r} names the unknown role {sorted(unknown)[0]!r}.")


PUBLIC: Final = Permission("read this", frozenset({"public"}))
SIGNED_IN: Final = Permission("do this", frozenset({"signed_in"}))


def scope_of(permission: Permission, arguments: Mapping[str, object]) -> str | None:
    """The scope a request touches: the template filled from the path arguments. KeyError if one lacks."""
    return None if permission.scope is None else permission.scope.format_map(dict(arguments))


def allows(principal: Principal, permission: Permission, *scopes: str | None) -> bool:
    """True when the principal holds a listed role in one of the scopes, or for the whole federation.

    Without any scope a listed role anywhere suffices: the use case narrows it down.
    """
    if "public" in permission.roles:
        return True
    if "signed_in" in permission.roles:
        return principal.signed_in
    wanted = {scope for scope in scopes if scope is not None}
    return any(
        grant.role in permission.roles and (not wanted or grant.scope == FEDERATION or grant.scope in wanted)
        for grant in principal.grants
    )


def check(principal: Principal, permission: Permission, *scopes: str | None) -> None:
    """Raise Unauthorised (nobody signed in) or Forbidden, saying who may; return when the principal may."""
    if allows(principal, permission, *scopes):
        return
    who = who_may(permission, *scopes)
    if not principal.signed_in:
        raise Unauthorised(f"Sign in with a certificate or a token: {who} may {permission.name}.")
    raise Forbidden(f"Only {who} may {permission.name}; you are signed in as {principal.name}.")


def who_may(permission: Permission, *scopes: str | None) -> str:
    """Who holds the permission, in words: `a site administrator of site CESNET or a federation operator`."""
    if "public" in permission.roles:
        return "everybody"
    if "signed_in" in permission.roles:
        return "people who are signed in"
    wanted = [scope for scope in scopes if scope is not None]
    spoken = [role for role in permission.roles if _SPOKEN_AS.get(role) not in permission.roles]
    phrases = [_phrase(role, wanted) for role in sorted(spoken, key=list(ROLES).index, reverse=True)]
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " or " + phrases[-1]


def _phrase(role: str, scopes: list[str]) -> str:
    words = ROLES[role]
    article = "an" if words[0] in "aeiouEN" else "a"
    kind = _HELD_AT.get(role, "site")
    places = [_place(s) for s in scopes if s.partition(":")[0] == kind]
    if role in ("federation_operator", "service") or not places:
        return f"{article} {words}"
    return f"{article} {words} of {' or '.join(places)}"


def _place(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return f"{_KINDS.get(kind, kind)} {name}"
