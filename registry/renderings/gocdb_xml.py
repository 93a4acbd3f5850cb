"""The XML of GOCDB's programmatic interface (5.12), element for element and space for space.

Consumers join pages by dropping whole lines, so the pretty printing is part of the interface. Rows come in as plain
tuples and go out as text: a tree of 5,000 services would cost ten times the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ODD = re.compile("[&<>\r]")
_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ODD_ATTRIBUTE = re.compile('[&<>"\r\n\t]')
_ATTRIBUTE = {**_TEXT, '"': "&quot;", "\n": "&#10;", "\t": "&#9;"}


def escape(text: str) -> str:
    """Text as the content of an element."""
    return _ODD.sub(lambda found: _TEXT[found[0]], text)


def attribute(text: str) -> str:
    """Text as the value of an attribute."""
    return _ODD_ATTRIBUTE.sub(lambda found: _ATTRIBUTE[found[0]], text)


class Property(NamedTuple):
    """An extension property."""

    id: int
    key: str
    value: str


class SiteRow(NamedTuple):
    """A site as `get_site` shows it; e-mail lists are joined by `;` already."""

    id: int
    primary_key: str
    name: str
    official_name: str | None
    description: str | None
    home_url: str | None
    contact_email: str | None
    telephone: str | None
    alarm_email: str | None
    giis_url: str | None
    country_code: str
    country: str
    ngi: str
    production: bool
    certification: str
    timezone: str | None
    latitude: float | None
    longitude: float | None
    csirt_email: str | None
    notify: bool
    domain: str | None
    scopes: Sequence[str]
    properties: Sequence[Property] = ()


class EndpointRow(NamedTuple):
    """An endpoint of a service."""

    id: int
    name: str
    url: str
    interface: str
    monitored: bool
    properties: Sequence[Property] = ()


class ServiceRow(NamedTuple):
    """A service as `get_service` shows it."""

    id: int
    primary_key: str
    hostname: str
    host_dn: str | None
    host_os: str | None
    host_arch: str | None
    beta: bool
    service_type: str
    host_ip: str | None
    host_ipv6: str | None
    production: bool
    monitored: bool
    notify: bool
    site: str
    country: str
    country_code: str
    ngi: str
    url: str | None
    scopes: Sequence[str]
    endpoints: Sequence[EndpointRow] = ()
    properties: Sequence[Property] = ()


class AffectedService(NamedTuple):
    """A service under a downtime, with its endpoints that are affected."""

    primary_key: str
    hostname: str
    service_type: str
    site: str
    endpoints: Sequence[EndpointRow]


class DowntimeRow(NamedTuple):
    """A downtime with what it affects."""

    id: int
    primary_key: str
    classification: str
    severity: str
    description: str
    created_at: datetime
    start_at: datetime
    end_at: datetime
    services: Sequence[AffectedService]


def answer(items: Iterable[str], meta: str = "") -> str:
    """A whole answer. Nothing found is `<results/>`."""
    inner = meta + "".join(items)
    return f"{HEAD}<results>\n{inner}</results>\n" if inner else f"{HEAD}<results/>\n"


def page_links(links: Mapping[str, str], count: int, size: int) -> str:
    """The `meta` of a page; `links` by their `rel`, in order."""
    lines = [f'    <link rel="{rel}" href="{attribute(href)}"/>\n' for rel, href in links.items()]
    lines += [f"    <count>{count}</count>\n", f"    <max_page_size>{size}</max_page_size>\n"]
    return "  <meta>\n" + "".join(lines) + "  </meta>\n"


def _always(indent: str, name: str, value: str | None) -> str:
    return f"{indent}<{name}>{escape(value)}</{name}>\n" if value else f"{indent}<{name}/>\n"


def _maybe(indent: str, name: str, value: str | None) -> str:
    return f"{indent}<{name}>{escape(value)}</{name}>\n" if value else ""


def _yes(value: bool) -> str:
    return "Y" if value else "N"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.10g}"


def _portal(portal: str, kind: str, number: int) -> str:
    return f"{escape(portal)}/portal/index.php?Page_Type={kind}&amp;id={number}"


def _scopes(indent: str, scopes: Sequence[str]) -> str:
    if not scopes:
        return f"{indent}<SCOPES/>\n"
    inner = "".join(f"{indent}  <SCOPE>{escape(scope)}</SCOPE>\n" for scope in scopes)
    return f"{indent}<SCOPES>\n{inner}{indent}</SCOPES>\n"


def _extensions(indent: str, properties: Sequence[Property]) -> str:
    if not properties:
        return f"{indent}<EXTENSIONS/>\n"
    inner = "".join(
        f"{indent}  <EXTENSION>\n"
        f"{indent}    <LOCAL_ID>{one.id}</LOCAL_ID>\n"
        f"{indent}    <KEY>{escape(one.key)}</KEY>\n"
        f"{_always(indent + '    ', 'VALUE', one.value)}"
        f"{indent}  </EXTENSION>\n"
        for one in properties
    )
    return f"{indent}<EXTENSIONS>\n{inner}{indent}</EXTENSIONS>\n"


def site(row: SiteRow, portal: str) -> str:
    """A `SITE` of `get_site`."""
    at = "    "
    domain = (
        f"{at}<DOMAIN>\n{at}  <DOMAIN_NAME>{escape(row.domain)}</DOMAIN_NAME>\n{at}</DOMAIN>\n"
        if row.domain
        else f"{at}<DOMAIN/>\n"
    )
    return (
        f'  <SITE ID="{row.id}" PRIMARY_KEY="{attribute(row.primary_key)}" NAME="{attribute(row.name)}">\n'
        f"{at}<PRIMARY_KEY>{escape(row.primary_key)}</PRIMARY_KEY>\n"
        f"{at}<SHORT_NAME>{escape(row.name)}</SHORT_NAME>\n"
        f"{_maybe(at, 'OFFICIAL_NAME', row.official_name)}"
        f"{_maybe(at, 'SITE_DESCRIPTION', row.description)}"
        f"{at}<GOCDB_PORTAL_URL>{_portal(portal, 'Site', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{_maybe(at, 'HOME_URL', row.home_url)}"
        f"{_maybe(at, 'CONTACT_EMAIL', row.contact_email)}"
        f"{_maybe(at, 'CONTACT_TEL', row.telephone)}"
        f"{_maybe(at, 'ALARM_EMAIL', row.alarm_email)}"
        f"{_maybe(at, 'GIIS_URL', row.giis_url)}"
        f"{_always(at, 'COUNTRY_CODE', row.country_code)}"
        f"{_always(at, 'COUNTRY', row.country)}"
        f"{_always(at, 'ROC', row.ngi)}"
        f"{at}<PRODUCTION_INFRASTRUCTURE>{'Production' if row.production else 'Test'}</PRODUCTION_INFRASTRUCTURE>\n"
        f"{_always(at, 'CERTIFICATION_STATUS', row.certification)}"
        f"{_maybe(at, 'TIMEZONE', row.timezone)}"
        f"{_maybe(at, 'LATITUDE', _number(row.latitude))}"
        f"{_maybe(at, 'LONGITUDE', _number(row.longitude))}"
        f"{_maybe(at, 'CSIRT_EMAIL', row.csirt_email)}"
        f"{at}<NOTIFICATIONS>{'TRUE' if row.notify else 'FALSE'}</NOTIFICATIONS>\n"
        f"{domain}{_scopes(at, row.scopes)}{_extensions(at, row.properties)}"
        "  </SITE>\n"
    )


def service(row: ServiceRow, portal: str) -> str:
    """A `SERVICE_ENDPOINT` of `get_service` and `get_service_endpoint`."""
    at = "    "
    return (
        f'  <SERVICE_ENDPOINT PRIMARY_KEY="{attribute(row.primary_key)}">\n'
        f"{at}<PRIMARY_KEY>{escape(row.primary_key)}</PRIMARY_KEY>\n"
        f"{at}<HOSTNAME>{escape(row.hostname)}</HOSTNAME>\n"
        f"{at}<GOCDB_PORTAL_URL>{_portal(portal, 'Service', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{_maybe(at, 'HOSTDN', row.host_dn)}"
        f"{_maybe(at, 'HOST_OS', row.host_os)}"
        f"{_maybe(at, 'HOST_ARCH', row.host_arch)}"
        f"{at}<BETA>{_yes(row.beta)}</BETA>\n"
        f"{at}<SERVICE_TYPE>{escape(row.service_type)}</SERVICE_TYPE>\n"
        f"{_maybe(at, 'HOST_IP', row.host_ip)}"
        f"{_maybe(at, 'HOST_IPV6', row.host_ipv6)}"
        f"{at}<CORE/>\n"
        f"{at}<IN_PRODUCTION>{_yes(row.production)}</IN_PRODUCTION>\n"
        f"{at}<NODE_MONITORED>{_yes(row.monitored)}</NODE_MONITORED>\n"
        f"{at}<NOTIFICATIONS>{_yes(row.notify)}</NOTIFICATIONS>\n"
        f"{at}<SITENAME>{escape(row.site)}</SITENAME>\n"
        f"{at}<COUNTRY_NAME>{escape(row.country)}</COUNTRY_NAME>\n"
        f"{at}<COUNTRY_CODE>{escape(row.country_code)}</COUNTRY_CODE>\n"
        f"{at}<ROC_NAME>{escape(row.ngi)}</ROC_NAME>\n"
        f"{_always(at, 'URL', row.url)}"
        f"{_endpoints(at, 'ENDPOINTS', row.endpoints, extensions=True)}"
        f"{_scopes(at, row.scopes)}{_extensions(at, row.properties)}"
        "  </SERVICE_ENDPOINT>\n"
    )


def _endpoints(at: str, name: str, rows: Sequence[EndpointRow], *, extensions: bool) -> str:
    if not rows:
        return f"{at}<{name}/>\n"
    inner = "".join(
        f"{at}  <ENDPOINT>\n"
        f"{at}    <ID>{row.id}</ID>\n"
        f"{at}    <NAME>{escape(row.name)}</NAME>\n"
        f"{_extensions(at + '    ', row.properties) if extensions else ''}"
        f"{_always(at + '    ', 'URL', row.url)}"
        f"{_always(at + '    ', 'INTERFACENAME', row.interface)}"
        f"{at}    <ENDPOINT_MONITORED>{_yes(row.monitored)}</ENDPOINT_MONITORED>\n"
        f"{at}  </ENDPOINT>\n"
        for row in rows
    )
    return f"{at}<{name}>\n{inner}{at}</{name}>\n"


def service_type(number: int, name: str, description: str) -> str:
    """A `SERVICE_TYPE` of `get_service_types`."""
    return (
        f'  <SERVICE_TYPE TYPE_ID="{number}G0" PRIMARY_KEY="{number}G0">\n'
        f"{_always('    ', 'SERVICE_TYPE_NAME', name)}"
        f"{_always('    ', 'SERVICE_TYPE_DESC', description)}"
        "  </SERVICE_TYPE>\n"
    )


def site_in_list(row: SiteRow) -> str:
    """A `SITE` of `get_site_list`."""
    facts = {
        "ID": str(row.id),
        "PRIMARY_KEY": row.primary_key,
        "NAME": row.name,
        "COUNTRY": row.country,
        "COUNTRY_CODE": row.country_code,
        "ROC": row.ngi,
        "SUBGRID": "",
        "GIIS_URL": row.giis_url or "",
    }
    return "  <SITE " + " ".join(f'{name}="{attribute(value)}"' for name, value in facts.items()) + "/>\n"


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _formatted(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _downtime_head(row: DowntimeRow) -> str:
    return (
        f'  <DOWNTIME ID="{row.id}" PRIMARY_KEY="{attribute(row.primary_key)}"'
        f' CLASSIFICATION="{attribute(row.classification)}">\n'
    )


def _downtime_facts(at: str, row: DowntimeRow) -> str:
    return (
        f"{at}<SEVERITY>{escape(row.severity)}</SEVERITY>\n"
        f"{_always(at, 'DESCRIPTION', row.description)}"
        f"{at}<INSERT_DATE>{_epoch(row.created_at)}</INSERT_DATE>\n"
        f"{at}<START_DATE>{_epoch(row.start_at)}</START_DATE>\n"
        f"{at}<END_DATE>{_epoch(row.end_at)}</END_DATE>\n"
        f"{at}<FORMATED_START_DATE>{_formatted(row.start_at)}</FORMATED_START_DATE>\n"
        f"{at}<FORMATED_END_DATE>{_formatted(row.end_at)}</FORMATED_END_DATE>\n"
    )


def downtime(row: DowntimeRow, portal: str) -> str:
    """The `DOWNTIME`s of `get_downtime`: the same downtime once for each of its services."""
    at = "    "
    url = f"{at}<GOCDB_PORTAL_URL>{_portal(portal, 'Downtime', row.id)}</GOCDB_PORTAL_URL>\n"
    key = f"{at}<PRIMARY_KEY>{escape(row.primary_key)}</PRIMARY_KEY>\n"
    head, facts = _downtime_head(row) + key, _downtime_facts(at, row)
    return "".join(
        head
        + _affected_names(at, one)
        + url
        + _endpoints(at, "AFFECTED_ENDPOINTS", one.endpoints, extensions=False)
        + facts
        + "  </DOWNTIME>\n"
        for one in row.services
    )


def _affected_names(at: str, row: AffectedService) -> str:
    return (
        f"{at}<HOSTNAME>{escape(row.hostname)}</HOSTNAME>\n"
        f"{at}<SERVICE_TYPE>{escape(row.service_type)}</SERVICE_TYPE>\n"
        f"{at}<ENDPOINT>{escape(row.hostname + row.service_type)}</ENDPOINT>\n"
        f"{at}<HOSTED_BY>{escape(row.site)}</HOSTED_BY>\n"
    )


def downtime_nested(row: DowntimeRow, portal: str) -> str:
    """A `DOWNTIME` of `get_downtime_nested_services`."""
    at, inner = "    ", "        "
    services = "".join(
        "      <SERVICE>\n"
        f"{inner}<PRIMARY_KEY>{escape(one.primary_key)}</PRIMARY_KEY>\n"
        f"{_affected_names(inner, one)}"
        f"{_endpoints(inner, 'AFFECTED_ENDPOINTS', one.endpoints, extensions=False)}"
        "      </SERVICE>\n"
        for one in row.services
    )
    return (
        f"{_downtime_head(row)}{_downtime_facts(at, row)}"
        f"{at}<GOCDB_PORTAL_URL>{_portal(portal, 'Downtime', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{at}<SERVICES>\n{services}{at}</SERVICES>\n"
        "  </DOWNTIME>\n"
    )
