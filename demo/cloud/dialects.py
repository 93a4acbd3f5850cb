"""How two OCCI servers differ in what they answer: rOCCI-server (OpenNebula) and ooi (OpenStack)."""

from __future__ import annotations

from dataclasses import dataclass

from demo.cloud.machines import Machine, Size
from hanse.occi.model import (
    COMPUTE,
    COMPUTE_ACTION,
    CORE,
    INFRASTRUCTURE,
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
    ActionLink,
    AttributeDefinition,
    Category,
    Document,
    Link,
    Value,
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
_COMPUTE_ATTRIBUTES = ("architecture", "cores", "hostname", "memory", "speed", "state")


@dataclass(frozen=True)
class Dialect:
    """What is special about a server.

    `kind_places` absolute or relative; `memory_unit_mb` how many MB one unit of occi.compute.memory is;
    `context` the contextualisation mixins it knows.
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
    )


DIALECTS = {"rocci": rocci, "ooi": ooi}


def model(dialect: Dialect, base: str) -> Document:
    """The answer of the query interface; `base` is where this server is reached, with a final slash."""
    root = base if dialect.absolute_kinds else "/"
    kinds = [_kind(CORE + "entity", "", root), _kind(CORE + "resource", CORE + "entity", root)]
    kinds += [_kind(CORE + "link", CORE + "entity", root)]
    kinds += [_kind(name, CORE + "resource", root) for name in (COMPUTE, STORAGE, NETWORK)]
    kinds += [_kind(name, CORE + "link", root) for name in (STORAGE_LINK, NETWORK_INTERFACE)]
    actions = [Category(term, COMPUTE_ACTION, "action", f"{term} compute instance") for term in ACTIONS]
    mixins = [_mixin(name, root) for name in (OS_TPL, RESOURCE_TPL, *dialect.context)]
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


def description(dialect: Dialect, machine: Machine, base: str) -> Document:
    """A machine as the server describes it."""
    place = f"{base}compute/{machine.id}"
    root = base if dialect.absolute_kinds else "/"
    wanted = (dialect.image_scheme + machine.image, dialect.size_scheme + machine.size.term)
    mixins = [one for one in templates(dialect, root) if one.identifier in wanted]
    attributes: dict[str, Value] = {
        "occi.core.id": machine.id,
        "occi.core.title": machine.title,
        "occi.compute.architecture": "x64",
        "occi.compute.cores": machine.size.vcpu,
        "occi.compute.memory": machine.size.memory_mb // dialect.memory_unit_mb,
        "occi.compute.hostname": machine.hostname,
        "occi.compute.state": "active" if machine.active else "inactive",
    }
    verbs = ("stop", "restart", "suspend") if machine.active else ("start",)
    actions = tuple(ActionLink(f"{place}?action={verb}", COMPUTE_ACTION + verb) for verb in verbs)
    kind = _kind(COMPUTE, CORE + "resource", root)
    return Document((kind, *mixins), attributes, (_interface(machine, base),), actions)


def _interface(machine: Machine, base: str) -> Link:
    return Link(
        target=f"{base}network/public",
        rel=(NETWORK,),
        location=f"{base}networklink/{machine.id}",
        categories=(NETWORK_INTERFACE,),
        attributes={
            "occi.networkinterface.address": machine.address,
            "occi.networkinterface.state": "active",
        },
    )


def _kind(identifier: str, parent: str, root: str) -> Category:
    bare = Category.of(identifier, "kind")
    compute = identifier == COMPUTE
    names = [f"occi.compute.{name}" for name in _COMPUTE_ATTRIBUTES] if compute else []
    return Category(
        bare.term,
        bare.scheme,
        "kind",
        f"{bare.term} (simulated)",
        (parent,) if parent else (),
        f"{root}{bare.term}/",
        tuple(AttributeDefinition(name) for name in ("occi.core.id", "occi.core.title", *names)),
        tuple(COMPUTE_ACTION + term for term in ACTIONS) if compute else (),
    )


def _mixin(identifier: str, root: str) -> Category:
    bare = Category.of(identifier, "mixin")
    place = bare.term if bare.scheme == INFRASTRUCTURE else f"mixin/{bare.term}"
    return Category(bare.term, bare.scheme, "mixin", location=f"{root}{place}/")
