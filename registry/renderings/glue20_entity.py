"""An entity of GLUE 2.0 (GFD.147), as LDIF and XML both write it, and the few ways in which documents name others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Body = Mapping[str, Any]
Value = str | int | float | bool
Fields = dict[str, Any]

# fields that may have several values in both renderings (GFD.147)
_MANY: Final = frozenset(
    {"OtherInfo", "Capability", "StatusInfo", "Semantics", "TrustedCA", "Rule", "Owner", "WWW"}
)


@dataclass(frozen=True)
class Entity:
    """An entity: `fields` by their XML names (None and empty are left out), `links` to other entities by XML names.

    `parent` is what it hangs below in the LDAP tree; `keys` are its foreign keys there, by LDAP names.
    """

    kind: str
    id: str
    fields: Fields = field(default_factory=dict)
    links: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parent: Entity | None = None
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    created: str = ""
    validity_s: int | None = None

    def values(self, name: str) -> list[Value]:
        """The values of a field: plain ones alone, none of them empty, at most one where GLUE has one."""
        value = self.fields.get(name)
        many = value if isinstance(value, list | tuple) else [value]
        plain = [one for one in many if isinstance(one, str | int | float) and str(one).strip()]
        return plain if name in _MANY else plain[:1]


def place(entity: Entity) -> tuple[str, ...]:
    """Kind and id of the entity and of all above it: where it stands, and which it is."""
    above = place(entity.parent) if entity.parent else ()
    return (*above, entity.kind, entity.id)


def vos_of(policy: Body) -> list[str]:
    """The VOs that a policy names, in its rules and its user domains."""
    rules = [str(rule) for rule in policy.get("Rule") or ()]
    named = [rule.removeprefix("VO:") for rule in rules if rule.startswith("VO:")]
    return list(dict.fromkeys([*linked(policy, "PolicyUserDomain"), *named]))


def linked(one: Body, kind: str) -> list[str]:
    """The ids of a kind that an object of a GLUE 2.1 document is associated with."""
    found = (one.get("Associations") or {}).get(kind) or []
    return [str(each) for each in found] if isinstance(found, list) else [str(found)]
