"""What an OCCI document holds, whichever rendering it came in.

Categories (kinds, mixins, actions) are compared by their identifier, scheme + term. Attribute values keep the
type the wire gave them: a bare number is an int or float, a quoted one stays text (pyssf quotes its numbers).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Value = str | int | float | bool

CORE = "http://schemas.ogf.org/occi/core#"
INFRASTRUCTURE = "http://schemas.ogf.org/occi/infrastructure#"
COMPUTE = INFRASTRUCTURE + "compute"
STORAGE = INFRASTRUCTURE + "storage"
NETWORK = INFRASTRUCTURE + "network"
STORAGE_LINK = INFRASTRUCTURE + "storagelink"
NETWORK_INTERFACE = INFRASTRUCTURE + "networkinterface"
OS_TPL = INFRASTRUCTURE + "os_tpl"
RESOURCE_TPL = INFRASTRUCTURE + "resource_tpl"
IP_NETWORK = "http://schemas.ogf.org/occi/infrastructure/network#ipnetwork"
IP_INTERFACE = "http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface"
COMPUTE_ACTION = "http://schemas.ogf.org/occi/infrastructure/compute/action#"
USER_DATA_V1 = "http://schemas.openstack.org/compute/instance#user_data"
PUBLIC_KEY_V1 = "http://schemas.openstack.org/instance/credentials#public_key"
USER_DATA_V12 = "http://schemas.ogf.org/occi/infrastructure/compute#user_data"
SSH_KEY_V12 = "http://schemas.ogf.org/occi/infrastructure/credentials#ssh_key"


@dataclass(frozen=True, slots=True)
class AttributeDefinition:
    """One attribute that a kind, mixin or action declares."""

    name: str
    mutable: bool = True
    required: bool = False
    type: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Category:
    """A kind, a mixin or an action; `kind_of` is "kind", "mixin", "action", or "" where it was left out.

    `parents` holds every identifier of `rel` (rOCCI 2 gives two: the parent mixin and the kind it is for).
    """

    term: str
    scheme: str
    kind_of: str = ""
    title: str = ""
    parents: tuple[str, ...] = ()
    location: str = ""
    attributes: tuple[AttributeDefinition, ...] = ()
    actions: tuple[str, ...] = ()

    @property
    def identifier(self) -> str:
        """Scheme and term together: what two categories are compared by."""
        return self.scheme + self.term

    @classmethod
    def of(cls, identifier: str, kind_of: str = "") -> "Category":
        """The bare category of an identifier "scheme#term", as a request names it.

        Raises ValueError when there is no "#" to divide at."""
        scheme, mark, term = identifier.rpartition("#")
        if not mark or not term or not scheme:
            raise ValueError(f'"{identifier}" is not scheme#term.')
        return cls(term, scheme + "#", kind_of)


@dataclass(frozen=True, slots=True)
class ActionLink:
    """An action that can be asked of an entity now, and where to POST it."""

    target: str
    action: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link from an entity: to `target`, which is a `rel`; `categories` type the link itself, kind first."""

    target: str
    rel: tuple[str, ...]
    location: str = ""
    categories: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """One OCCI message: a query answer, an entity, a collection, or a request, by what it carries.

    `members` holds the entities of a JSON collection; text renderings carry `locations` instead."""

    categories: tuple[Category, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    action_links: tuple[ActionLink, ...] = ()
    locations: tuple[str, ...] = ()
    members: tuple["Document", ...] = ()

    @property
    def kinds(self) -> tuple[Category, ...]:
        """The kinds, in the order they came."""
        return tuple(c for c in self.categories if c.kind_of == "kind")

    @property
    def mixins(self) -> tuple[Category, ...]:
        """The mixins, in the order they came."""
        return tuple(c for c in self.categories if c.kind_of == "mixin")

    @property
    def actions(self) -> tuple[Category, ...]:
        """The actions, in the order they came."""
        return tuple(c for c in self.categories if c.kind_of == "action")

    @property
    def kind(self) -> Category | None:
        """The one kind of an entity; None where the message names none."""
        return next(iter(self.kinds), None)

    def find(self, identifier: str) -> Category | None:
        """The category of this identifier, or None."""
        return next((c for c in self.categories if c.identifier == identifier), None)

    def children_of(self, parent: str) -> tuple[Category, ...]:
        """Mixins whose `rel` names the parent: the images under os_tpl, the sizes under resource_tpl."""
        return tuple(c for c in self.mixins if parent in c.parents and c.identifier != parent)

    def is_empty(self) -> bool:
        """True when the message says nothing at all (pyssf's bare "OK", an empty collection)."""
        return self == Document()


def duplicates(categories: Iterable[Category]) -> tuple[str, ...]:
    """Identifiers that a query answer defines more than once, in order of first repetition."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for category in categories:
        if category.identifier in seen:
            twice[category.identifier] = None
        seen.add(category.identifier)
    return tuple(twice)
