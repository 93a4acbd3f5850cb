"""Who may do what to a site, an NGI, a project, a service group: the rules of GOCDB 5 (reference 2.4) as one table.

`MATRIX` is asked for every right of the registry. A federation operator may everything; Hanse's own role `ngi_manager`
counts as an NGI operations manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from registry.models.role_names import OwnerKind, held_at

Action = Literal[
    "edit",  # of a site also: add and remove services, declare downtimes, keep machines
    "certify",
    "add site",
    "decide roles",  # grant, reject, revoke
    "keep API credentials",
    "drop API credentials",
    "read people",
    "read log",
]
Roles = frozenset[str]

OPERATORS: Final[Roles] = frozenset({"federation_operator"})
S: Final[Roles] = held_at("site")
N: Final[Roles] = held_at("ngi")
ND: Final[Roles] = N - {"regional_staff_rod", "regional_first_line_support"}
P: Final[Roles] = held_at("project")
G: Final[Roles] = held_at("servicegroup")

MATRIX: Final[Mapping[OwnerKind, Mapping[Action, Roles]]] = {
    "site": {
        "edit": S | N | OPERATORS,
        "certify": ND | P | OPERATORS,
        "decide roles": (S - {"site_administrator"}) | ND | OPERATORS,
        # an operator or an NGI does not speak for a site's programs; whoever answers for one works at the site
        "keep API credentials": S,
        "drop API credentials": S | ND | OPERATORS,
        "read people": S | N | P | OPERATORS,
        "read log": S | N | P | OPERATORS,
    },
    "ngi": {
        "edit": N | OPERATORS,
        "add site": ND | OPERATORS,
        "decide roles": ND | P | OPERATORS,
        "read people": S | N | P | OPERATORS,
        "read log": S | N | P | OPERATORS,
    },
    "project": {
        "edit": P | OPERATORS,
        "decide roles": P | OPERATORS,
        "read people": S | N | P | OPERATORS,
        "read log": S | N | P | OPERATORS,
    },
    "servicegroup": {
        "edit": G | OPERATORS,
        "decide roles": G | OPERATORS,
        "read log": S | N | P | G | OPERATORS,
    },
    "federation": {
        "edit": OPERATORS,
        "decide roles": OPERATORS,
    },
}


def who(kind: OwnerKind, action: Action) -> Roles:
    """The roles that may; empty where the rules name nobody."""
    return MATRIX[kind].get(action, frozenset())


def anywhere(action: Action) -> Roles:
    """The roles that may do it to something."""
    return frozenset().union(*(actions.get(action, frozenset()) for actions in MATRIX.values()))
