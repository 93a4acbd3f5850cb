"""GLUE 2.0 entities as XML in the order that the published schema wants (GFD.209, `spec_2.0_r1`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from registry.renderings.glue20_entity import Entity, Value

NAMESPACE: Final = "http://schemas.ogf.org/glue/2009/03/spec_2.0_r1"
# XML 1.0 section 2.2: what no document can carry
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENDPOINT: Final = (
    "URL",
    "Capability",
    "Technology",
    "InterfaceName",
    "InterfaceVersion",
    "Semantics",
    "Implementor",
    "ImplementationName",
    "ImplementationVersion",
    "QualityLevel",
    "HealthState",
    "HealthStateInfo",
    "ServingState",
    "IssuerCA",
    "TrustedCA",
    "DowntimeInfo",
)
_SERVICE: Final = ("Capability", "Type", "QualityLevel", "StatusInfo", "Complexity")
# kinds in the order of the root's children: the base type, the fields in order, the associations in order
_FORM: Final = {
    "Location": ("", ("Place", "Country", "Latitude", "Longitude"), ("DomainID",)),
    "Contact": ("", ("Detail", "Type"), ("DomainID",)),
    "AdminDomain": (
        "Domain",
        ("Description", "WWW", "Distributed", "Owner"),
        ("ServiceID", "ContactID", "LocationID"),
    ),
    "ComputingService": ("Service", _SERVICE, ("EndpointID", "ShareID", "ManagerID")),
    "Service": ("Service", _SERVICE, ("EndpointID",)),
    "ComputingEndpoint": ("Endpoint", _ENDPOINT, ("ServiceID", "ShareID", "PolicyID")),
    "Endpoint": ("Endpoint", _ENDPOINT, ("ServiceID",)),
    "ComputingShare": ("Share", ("ServingState",), ("EndpointID", "ResourceID", "ServiceID", "PolicyID")),
    "ComputingManager": (
        "Manager",
        ("ProductName", "ProductVersion", "TotalLogicalCPUs"),
        ("ServiceID", "ResourceID"),
    ),
    "ExecutionEnvironment": (
        "Resource",
        (
            "Platform",
            "VirtualMachine",
            "LogicalCPUs",
            "MainMemorySize",
            "OSFamily",
            "ConnectivityIn",
            "ConnectivityOut",
        ),
        ("ManagerID", "ShareID"),
    ),
    "AccessPolicy": ("Policy", ("Scheme", "Rule"), ("EndpointID", "DomainID")),
    "MappingPolicy": ("Policy", ("Scheme", "Rule"), ("ShareID", "DomainID")),
    "ApplicationEnvironment": (
        "",
        ("AppName", "AppVersion", "Repository", "Description"),
        ("ManagerID",),
    ),
}
# the root's children stand in groups; what is of one group may stand in any order inside it
_GROUPS: Final = {kind: number for number, kind in enumerate(_FORM)}


def render(entities: Iterable[Entity]) -> Iterator[str]:
    """The document, piece by piece."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<GLUE2 xmlns="{NAMESPACE}">\n'
    shown = [entity for entity in entities if entity.kind in _FORM]
    for entity in sorted(shown, key=lambda one: _GROUPS[one.kind]):
        yield "".join(_element(entity))
    yield "</GLUE2>\n"


def _element(entity: Entity) -> Iterator[str]:
    base, fields, links = _FORM[entity.kind]
    attributes = {"BaseType": base, "CreationTime": _moment(entity.created)}
    if entity.validity_s is not None:
        attributes["Validity"] = str(entity.validity_s)
    told = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items() if value)
    yield f"  <{entity.kind}{told}>\n"
    yield _tag("ID", entity.id)
    for name in ("Name", "OtherInfo", *fields):
        for value in entity.values(name):
            yield _tag(name, value)
    yield "    <Associations>\n"
    for name in links:
        for value in dict.fromkeys(entity.links.get(name) or ()):
            yield "  " + _tag(name, value)
    yield f"    </Associations>\n  </{entity.kind}>\n"


def _tag(name: str, value: Value) -> str:
    text = str(value).lower() if isinstance(value, bool) else _FORBIDDEN.sub("?", str(value))
    return f"    <{name}>{escape(text)}</{name}>\n"


def _moment(text: str) -> str:
    """A time as xsd:dateTime has it; nothing when it cannot be read."""
    try:
        return datetime.fromisoformat(text).isoformat().replace("+00:00", "Z") if text else ""
    except ValueError:
        return ""
