"""Service types, services, groups and downtimes in GOCDB's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from registry.importing.gocdb_records import Record, Values
from registry.importing.gocdb_sites import person
from registry.importing.gocdb_words import (
    Gathered,
    attribute,
    epoch,
    extension_numbers,
    extensions,
    given,
    number,
    portal_number,
    scopes,
    yes,
)
from registry.importing.hostile_xml import Element


def service_type(found: Gathered, element: Element) -> None:
    """get_service_types."""
    name = element.get("SERVICE_TYPE_NAME")
    if name:
        key = attribute(element, "PRIMARY_KEY") or attribute(element, "TYPE_ID")
        values = given(description=element.get("SERVICE_TYPE_DESC"))
        found.put(found.service_types, name, number(key), name, values)


def service(found: Gathered, element: Element) -> None:
    """get_service, get_service_endpoint."""
    key = attribute(element, "PRIMARY_KEY") or element.get("PRIMARY_KEY")
    hostname, kind = element.get("HOSTNAME"), element.get("SERVICE_TYPE")
    if not key or not hostname or not kind:
        return
    values = {
        **given(
            service_type=kind,
            hostname=hostname,
            host_dn=element.get("HOSTDN"),
            host_os=element.get("HOST_OS"),
            host_arch=element.get("HOST_ARCH"),
            host_ip=element.get("HOST_IP"),
            host_ipv6=element.get("HOST_IPV6"),
            url=element.get("URL"),
            site=element.get("SITENAME"),
        ),
        "beta": yes(element.get("BETA")),
        "production": yes(element.get("IN_PRODUCTION")),
        "monitored": yes(element.get("NODE_MONITORED")),
        "notify": yes(element.get("NOTIFICATIONS")),
        "endpoints": endpoints(element),
        "scopes": scopes(element),
        "extensions": extensions(element),
        "extension_numbers": extension_numbers(element),
    }
    found.put(found.services, key, portal_number(element) or number(key), f"{kind} on {hostname}", values)


def endpoints(element: Element, holder: str = "ENDPOINTS") -> list[Values]:
    """The endpoints in ENDPOINTS, each with its number there as `number`."""
    inside = element.first(holder)
    if inside is None:
        return []
    return [
        {
            **given(
                number=number(one.get("ID")),
                name=one.get("NAME"),
                url=one.get("URL"),
                interface=one.get("INTERFACENAME"),
                email=one.get("CONTACT_EMAIL"),
            ),
            "monitored": yes(one.get("ENDPOINT_MONITORED")),
            "extensions": extensions(one),
            "extension_numbers": extension_numbers(one),
        }
        for one in inside.all("ENDPOINT")
    ]


def group(found: Gathered, element: Element) -> None:
    """get_service_group, get_service_group_role. The e-mail addresses of endpoints stand only here."""
    key, name = attribute(element, "PRIMARY_KEY"), element.get("NAME")
    if not key or not name:
        return
    values: dict[str, Any] = given(
        description=element.get("DESCRIPTION"), email=element.get("CONTACT_EMAIL"), scopes=scopes(element)
    )
    for endpoint in (each for one in element.all("SERVICE_ENDPOINT") for each in endpoints(one)):
        if "number" in endpoint and "email" in endpoint:
            found.endpoint_emails[endpoint["number"]] = endpoint["email"]
    members = [attribute(one, "PRIMARY_KEY") for one in element.all("SERVICE_ENDPOINT")]
    if members or element.first("SCOPES") is not None:
        values["services"] = [one for one in members if one]
        values["extensions"] = extensions(element)
        values["extension_numbers"] = extension_numbers(element)
    values["monitored"] = yes(element.get("MONITORED"))
    found.put(found.groups, key, number(attribute(element, "ID")) or number(key), name, values)
    for one in element.all("USER"):
        user = person(found, one, str(portal_number(one) or "") and f"{portal_number(one)}G0")
        if user is not None and (held := (one.get("ROLE"), "servicegroup", name)) not in user.roles:
            user.roles.append(held)


def downtime(found: Gathered, element: Element) -> None:
    """get_downtime (one element a service), get_downtime_nested_services, get_downtime_to_broadcast."""
    key = attribute(element, "PRIMARY_KEY")
    start, end = epoch(element.get("START_DATE")), epoch(element.get("END_DATE"))
    if not key or start is None or end is None:
        return
    values = given(
        severity=element.get("SEVERITY").upper(),
        classification=attribute(element, "CLASSIFICATION").upper(),
        description=element.get("DESCRIPTION"),
        created_at=epoch(element.get("INSERT_DATE")),
        start=start,
        end=end,
    )
    record = found.put(found.downtimes, key, number(attribute(element, "ID")), key, values)
    nested = element.first("SERVICES")
    for one in [element] if nested is None else nested.all("SERVICE"):
        _affected(record, one, "" if nested is None else one.get("PRIMARY_KEY"))


def _affected(record: Record, element: Element, key: str) -> None:
    """A service is named by its key where it is given, else by host, type and site."""
    named = (element.get("HOSTNAME"), element.get("SERVICE_TYPE"), element.get("HOSTED_BY"))
    services: dict[tuple[str, str, str], str] = record.values.setdefault("services", {})
    if named[0] and not services.get(named):
        services[named] = key
    affected: dict[int, tuple[str, str, str]] = record.values.setdefault("endpoints", {})
    for one in endpoints(element, "AFFECTED_ENDPOINTS"):
        if "number" in one:
            affected.setdefault(one["number"], named)


THING_READERS: Final[Mapping[str, tuple[str, Callable[[Gathered, Element], None]]]] = {
    "get_service_types": ("SERVICE_TYPE", service_type),
    "get_service": ("SERVICE_ENDPOINT", service),
    "get_service_endpoint": ("SERVICE_ENDPOINT", service),
    "get_service_group": ("SERVICE_GROUP", group),
    "get_service_group_role": ("SERVICE_GROUP", group),
    "get_downtime": ("DOWNTIME", downtime),
    "get_downtime_nested_services": ("DOWNTIME", downtime),
}
