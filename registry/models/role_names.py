"""The roles of people: Hanse's name, the name that GOCDB's clients know, where it is held, what it implies.

Names inside are of one kind (`site_operations_manager`); GOCDB's spelling stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

OwnerKind = Literal["federation", "project", "ngi", "site", "servicegroup"]


@dataclass(frozen=True)
class RoleType:
    """A role. `shown` is its exact name in GOCDB 5 (reference 2.4); `implies` is granted with it in the feed.

    The other services ask for four names only (federation_operator, ngi_manager, site_administrator,
    site_security_officer), so that a role with the same powers carries one of them along.
    """

    name: str
    shown: str
    held_at: OwnerKind
    implies: str | None = None

    @property
    def words(self) -> str:
        """The role inside a sentence: `site operations manager`."""
        return (
            self.name.replace("_", " ")
            .replace("ngi", "NGI")
            .replace("egi csirt", "EGI CSIRT")
            .replace("cod", "COD")
        )


_TYPES: Final = (
    RoleType("federation_operator", "Federation Operator", "federation"),
    RoleType("chief_operations_officer", "Chief Operations Officer", "project"),
    RoleType("cod_administrator", "COD Administrator", "project"),
    RoleType("cod_staff", "COD Staff", "project"),
    RoleType("egi_csirt_officer", "EGI CSIRT Officer", "project"),
    RoleType("ngi_manager", "NGI Manager", "ngi"),
    RoleType("ngi_operations_manager", "NGI Operations Manager", "ngi", "ngi_manager"),
    RoleType("ngi_operations_deputy_manager", "NGI Operations Deputy Manager", "ngi", "ngi_manager"),
    RoleType("ngi_security_officer", "NGI Security Officer", "ngi", "ngi_manager"),
    RoleType("regional_staff_rod", "Regional Staff (ROD)", "ngi"),
    RoleType("regional_first_line_support", "Regional First Line Support", "ngi"),
    RoleType("site_operations_manager", "Site Operations Manager", "site", "site_administrator"),
    RoleType(
        "site_operations_deputy_manager", "Site Operations Deputy Manager", "site", "site_administrator"
    ),
    RoleType("site_administrator", "Site Administrator", "site"),
    RoleType("site_security_officer", "Site Security Officer", "site"),
    RoleType("service_group_administrator", "Service Group Administrator", "servicegroup"),
)
ROLE_TYPES: Final[Mapping[str, RoleType]] = {one.name: one for one in _TYPES}
BY_SHOWN: Final[Mapping[str, RoleType]] = {one.shown.casefold(): one for one in _TYPES}
PERSON_ROLES: Final = tuple(ROLE_TYPES)


def held_at(kind: OwnerKind) -> frozenset[str]:
    """The roles that are held at sites, NGIs, projects, service groups, or for the federation."""
    return frozenset(one.name for one in _TYPES if one.held_at == kind)


def shown(role: str) -> str:
    """The role as people and GOCDB's clients read it; a name that is none of ours comes back as it is."""
    found = ROLE_TYPES.get(role)
    return role if found is None else found.shown
