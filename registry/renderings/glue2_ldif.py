"""GLUE 2.0 entities as LDIF (RFC 2849) for an LDAP tree below `o=glue`, in the attributes of Debian's `glue-schema`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from registry.renderings.glue20_entity import Entity, Value

SUFFIX: Final = "o=glue"
LINE_BYTES: Final = 76
LONGEST_ID: Final = 180
Attributes = dict[str, list[str]]

# the attribute that names an entity, and the classes it is of, the most special last
_NAMED_BY: Final = {
    "AdminDomain": ("GLUE2DomainID", "Domain"),
    "Location": ("GLUE2LocationID", ""),
    "Contact": ("GLUE2ContactID", ""),
    "Group": ("GLUE2GroupID", ""),
    "Service": ("GLUE2ServiceID", ""),
    "ComputingService": ("GLUE2ServiceID", "Service"),
    "Endpoint": ("GLUE2EndpointID", ""),
    "ComputingEndpoint": ("GLUE2EndpointID", "Endpoint"),
    "ComputingShare": ("GLUE2ShareID", "Share"),
    "ComputingManager": ("GLUE2ManagerID", "Manager"),
    "ExecutionEnvironment": ("GLUE2ResourceID", "Resource"),
    "ApplicationEnvironment": ("GLUE2ApplicationEnvironmentID", ""),
    "AccessPolicy": ("GLUE2PolicyID", "Policy"),
    "MappingPolicy": ("GLUE2PolicyID", "Policy"),
}
# fields that a special class has of its own; the others are those of its base
_OWN: Final = {
    "AdminDomain": {"Distributed", "Owner"},
    "ComputingShare": {"ServingState"},
    "ComputingManager": {"TotalLogicalCPUs"},
    "ExecutionEnvironment": {
        "Platform",
        "VirtualMachine",
        "LogicalCPUs",
        "MainMemorySize",
        "OSFamily",
        "ConnectivityIn",
        "ConnectivityOut",
    },
}
_OF_ALL: Final = {"Name": "GLUE2EntityName", "OtherInfo": "GLUE2EntityOtherInfo"}
_SPECIAL: Final = re.compile(r'([,+"\\<>;=])')
_UNSAFE: Final = re.compile(r"^[ :<]|[\x00\n\r]| $|[^\x00-\x7f]")


def entry(entity: Entity) -> tuple[str, Attributes]:
    """The distinguished name of an entity, and its attributes."""
    named_by, base = _NAMED_BY[entity.kind]
    classes = [f"GLUE2{base}"] if base else []
    attributes: Attributes = {
        "objectClass": [*classes, f"GLUE2{entity.kind}"],
        named_by: [short(entity.id)],
    }
    for name in entity.fields:
        told = _distinct(_text(value) for value in entity.values(name))
        if told:
            attributes[_attribute(entity.kind, base, name)] = told
    if entity.created:
        attributes["GLUE2EntityCreationTime"] = [_moment(entity.created)]
    if entity.validity_s is not None:
        attributes["GLUE2EntityValidity"] = [str(entity.validity_s)]
    for key, linked in entity.keys.items():
        if linked:
            attributes[key] = _distinct(map(short, linked))
    return distinguished_name(entity), attributes


def _attribute(kind: str, base: str, name: str) -> str:
    if name in _OF_ALL:
        return _OF_ALL[name]
    return f"GLUE2{kind if not base or name in _OWN.get(kind, ()) else base}{name}"


def _distinct(values: Iterable[str]) -> list[str]:
    """Values that a directory tells apart: not by case, not by spaces."""
    return list({" ".join(value.split()).casefold(): value for value in reversed(list(values))}.values())[
        ::-1
    ]


def short(number: str) -> str:
    """An id as a directory can name an entry by it: OpenLDAP keeps a name and its normal form in 511 bytes."""
    if number.isascii() and 2 * len(number) <= LONGEST_ID:  # escaping at most doubles it
        return number
    if len(escaped(number).encode()) <= LONGEST_ID:
        return number
    digest = hashlib.sha256(number.encode()).hexdigest()[:24]
    head = number.encode()[: LONGEST_ID // 3].decode(errors="ignore")
    return f"{head}~{digest}"


def _text(value: Value) -> str:
    return str(value).upper() if isinstance(value, bool) else str(value)


def _moment(text: str) -> str:
    """GLUE wants a time in UTC, to the second."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def distinguished_name(entity: Entity) -> str:
    """Where the entity stands in the tree (RFC 4514)."""
    above = distinguished_name(entity.parent) if entity.parent else SUFFIX
    return f"{_NAMED_BY[entity.kind][0]}={escaped(short(entity.id))},{above}"


@lru_cache(maxsize=65_536)
def escaped(value: str) -> str:
    """A value inside a distinguished name (RFC 4514 section 2.4)."""
    text = _SPECIAL.sub(r"\\\1", value).replace("\x00", "\\00")
    if text[:1] in ("#", " "):
        text = "\\" + text
    if text.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text


def render(entities: Iterable[Entity]) -> Iterator[str]:
    """LDIF of the entities, piece by piece, after the entry of the suffix itself."""
    yield written(SUFFIX, {"objectClass": ["organization"], "o": [SUFFIX.partition("=")[2]]})
    for entity in entities:
        yield written(*entry(entity))


def written(name: str, attributes: Attributes) -> str:
    """One entry as LDIF, with the empty line that ends it."""
    lines = [line("dn", name)]
    lines += [line(attribute, value) for attribute, values in attributes.items() for value in values]
    return "".join(lines) + "\n"


def line(attribute: str, value: str) -> str:
    """`attribute: value`, as base64 where LDIF asks for it, folded, with its line end."""
    if _UNSAFE.search(value):
        return _folded(f"{attribute}:: {base64.b64encode(value.encode()).decode()}")
    return _folded(f"{attribute}: {value}" if value else f"{attribute}:")


def _folded(text: str) -> str:
    if len(text) <= LINE_BYTES:
        return text + "\n"
    first, rest = text[:LINE_BYTES], text[LINE_BYTES:]
    step = LINE_BYTES - 1
    parts = [first, *(" " + rest[at : at + step] for at in range(0, len(rest), step))]
    return "\n".join(parts) + "\n"
