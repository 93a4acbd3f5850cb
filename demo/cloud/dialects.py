"""How two OCCI servers differ in what they answer: rOCCI-server (OpenNebula) and ooi (OpenStack)."""

from __future__ import annotations

from dataclasses import dataclass

from demo.cloud.things import Size
from hanse.occi.model import (
    COMPUTE,
    COMPUTE_ACTION,
    CORE,
    INFRASTRUCTURE,
    IP_INTERFACE,
    IP_NETWORK,
    NETWORK,
    NETWORK_INTERFACE,
    OS_TPL,
    PUBLIC_KEY_V1,
    RESOURCE_TPL,
    SSH_KEY_V12,
    STORAGE,
    STORAGE_LINK,
    USER_DATA_V1,
    USER_DATA_V12,
    AttributeDefinition,
    Category,
    Document,
)

SIZES = (
    Size("small", "1 vCPU, 2 GB", 1, 2048, 10),
    Size("medium", "4 vCPU, 8 GB", 4, 8192, 40),
    Size("large", "8 vCPU, 12 GB", 8, 12288, 80),
    Size("huge", "32 vCPU, 24 GB", 32, 24576, 160),
    Size("gpu", "4 vCPU, 8 GB, 1 GPU", 4, 8192, 40, gpus=1),
)
IMAGES = {"debian13": "Debian 13", "rocky9": "Rocky Linux 9"}
ACTIONS = ("start", "stop", "restart", "suspend")
_ATTRIBUTES = {
    COMPUTE: ("architecture", "cores", "hostname", "memory", "speed", "state"),
    STORAGE: ("size", "state"),
    NETWORK: ("vlan", "label", "state"),
    STORAGE_LINK: ("deviceid", "mountpoint", "state"),
    NETWORK_INTERFACE: ("interface", "mac", "state"),
}


@dataclass(frozen=True)
class Dialect:
    """What is special about a server.

    `kind_places` absolute or relative; `memory_unit_mb` how many MB one unit of occi.compute.memory is;
    `context` the contextualisation mixins it knows, `user_data_v12` and `key_v12` what it calls the attributes of
    the newer ones, `one_generation` the status for a request that names both generations (None = takes them).
    """

    name: str
    server: str
    answers_wildcard: bool
    created: int
    malformed: int
    no_room: int
    empty_list: int
    needs_id: bool
    absolute_kinds: bool
    location_header: str
    image_scheme: str
    size_scheme: str
    memory_unit_mb: int
    context: tuple[str, ...]
    interface_place: str
    user_data_v12: str
    key_v12: str
    one_generation: int | None

    def place(self, kind: str) -> str:
        """Where the entities of a kind are, below the endpoint."""
        if kind == NETWORK_INTERFACE:
            return self.interface_place
        return kind.rpartition("#")[2]

    def kind(self, identifier: str, base: str) -> Category:
        """A kind of the infrastructure as this server defines it; `base` is its address with a final slash."""
        parent = CORE + ("link" if identifier in (STORAGE_LINK, NETWORK_INTERFACE) else "resource")
        return _kind(self, identifier, parent, base if self.absolute_kinds else "/")


def rocci(site: str) -> Dialect:
    """rOCCI-server 2 in front of OpenNebula."""
    schemes = f"http://schemas.{site.lower()}.example/occi/infrastructure"
    return Dialect(
        name="rOCCI",
        server="rOCCI-server OCCI/1.1 OCCI-CRTP/1.0 OCCI/1.2 OCCI-CRTP/1.1 (simulated by the Hanse demo)",
        answers_wildcard=False,
        created=201,
        malformed=400,
        no_room=409,
        empty_list=200,
        needs_id=True,
        absolute_kinds=False,
        location_header="Location",
        image_scheme=f"{schemes}/os_tpl#",
        size_scheme=f"{schemes}/resource_tpl#",
        memory_unit_mb=1024,
        context=(SSH_KEY_V12, USER_DATA_V12, PUBLIC_KEY_V1, USER_DATA_V1),
        interface_place="networkinterface",
        user_data_v12="occi.compute.userdata",
        key_v12="occi.credentials.ssh.publickey",
        one_generation=None,
    )


def ooi(site: str) -> Dialect:
    """ooi in front of OpenStack."""
    return Dialect(
        name="ooi",
        server="ooi/1.2.0 OCCI/1.1 OCCI/1.2 (simulated by the Hanse demo)",
        answers_wildcard=True,
        created=200,
        malformed=500,
        no_room=403,
        empty_list=204,
        needs_id=False,
        absolute_kinds=True,
        location_header="X-OCCI-Location",
        image_scheme="http://schemas.openstack.org/template/os#",
        size_scheme="http://schemas.openstack.org/template/resource#",
        memory_unit_mb=1,
        context=(PUBLIC_KEY_V1, USER_DATA_V1, SSH_KEY_V12, USER_DATA_V12),
        interface_place="networklink",
        user_data_v12="occi.compute.user_data",
        key_v12="occi.credentials.ssh_key",
        one_generation=409,
    )


DIALECTS = {"rocci": rocci, "ooi": ooi}


def model(dialect: Dialect, base: str) -> Document:
    """The answer of the query interface; `base` is where this server is reached, with a final slash."""
    root = base if dialect.absolute_kinds else "/"
    kinds = [_kind(dialect, CORE + "entity", "", root)]
    kinds += [_kind(dialect, CORE + name, CORE + "entity", root) for name in ("resource", "link")]
    kinds += [
        dialect.kind(name, base) for name in (COMPUTE, STORAGE, NETWORK, STORAGE_LINK, NETWORK_INTERFACE)
    ]
    actions = [Category(term, COMPUTE_ACTION, "action", f"{term} compute instance") for term in ACTIONS]
    mixins = [_mixin(name, root) for name in (OS_TPL, RESOURCE_TPL, *dialect.context)]
    mixins += [_mixin(name, root) for name in (IP_NETWORK, IP_INTERFACE)]
    return Document((*kinds, *actions, *mixins, *templates(dialect, root)))


def templates(dialect: Dialect, root: str) -> list[Category]:
    """The images and sizes on offer."""
    images = [
        Category(
            term, dialect.image_scheme, "mixin", f"{title} (simulated)", (OS_TPL,), f"{root}os_tpl/{term}"
        )
        for term, title in IMAGES.items()
    ]
    place = f"{root}resource_tpl/"
    return images + [
        Category(size.term, dialect.size_scheme, "mixin", size.title, (RESOURCE_TPL,), place + size.term)
        for size in SIZES
    ]


def _kind(dialect: Dialect, identifier: str, parent: str, root: str) -> Category:
    bare = Category.of(identifier, "kind")
    names = [f"occi.{bare.term}.{name}" for name in _ATTRIBUTES.get(identifier, ())]
    return Category(
        bare.term,
        bare.scheme,
        "kind",
        f"{bare.term} (simulated)",
        (parent,) if parent else (),
        f"{root}{dialect.place(identifier)}/",
        tuple(AttributeDefinition(name) for name in ("occi.core.id", "occi.core.title", *names)),
        tuple(COMPUTE_ACTION + term for term in ACTIONS) if identifier == COMPUTE else (),
    )


def _mixin(identifier: str, root: str) -> Category:
    bare = Category.of(identifier, "mixin")
    place = bare.term if bare.scheme == INFRASTRUCTURE else f"mixin/{bare.term}"
    return Category(bare.term, bare.scheme, "mixin", location=f"{root}{place}/")
