"""The XML of GOCDB's programmatic interface (5.12), element for element and space for space.

Consumers join pages by dropping whole lines, so the pretty printing is part of the interface. Rows come in as plain
tuples and go out as text: a tree of 5,000 services would cost ten times the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
# what XML 1.0 cannot carry at all is not accepted into the registry either; were it there, one service would make the
# whole answer unreadable
_UNREADABLE = "\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff"
_ODD = re.compile(f"[&<>\r{_UNREADABLE}]")
_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ODD_ATTRIBUTE = re.compile(f'[&<>"\r\n\t{_UNREADABLE}]')
_ATTRIBUTE = {**_TEXT, '"': "&quot;", "\n": "&#10;", "\t": "&#9;"}


def escape(text: str) -> str:
    """Text as the content of an element."""
    return _ODD.sub(lambda found: _TEXT.get(found[0], "\ufffd"), text)


def attribute(text: str) -> str:
    """Text as the value of an attribute."""
    return _ODD_ATTRIBUTE.sub(lambda found: _ATTRIBUTE.get(found[0], "\ufffd"), text)


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
    infrastructure: str
    certification: str
    timezone: str | None
    latitude: float | None
    longitude: float | None
    csirt_email: str | None
    notify: bool
    domain: str | None
    scopes: Sequence[str]
    properties: Sequence[Property] = ()
    tier: str | None = None
    sub_grid: str | None = None
    ip_range: str | None = None
    ipv6_range: str | None = None
    csirt_telephone: str | None = None


class EndpointRow(NamedTuple):
    """An endpoint of a service."""

    id: int
    name: str
    url: str
    interface: str
    monitored: bool
    properties: Sequence[Property] = ()
    email: str | None = None


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


def answer(items: Iterable[str], meta: str = "") -> str:
    """A whole answer. Nothing found is `<results/>`."""
    inner = meta + "".join(items)
    return f"{HEAD}<results>\n{inner}</results>\n" if inner else f"{HEAD}<results/>\n"


def page_links(links: Mapping[str, str], count: int, size: int) -> str:
    """The `meta` of a page; `links` by their `rel`, in order."""
    lines = [f'    <link rel="{rel}" href="{attribute(href)}"/>\n' for rel, href in links.items()]
    lines += [f"    <count>{count}</count>\n", f"    <max_page_size>{size}</max_page_size>\n"]
    return "  <meta>\n" + "".join(lines) + "  </meta>\n"


def always(indent: str, name: str, value: str | None) -> str:
    """An element that stands there also when it is empty."""
    return f"{indent}<{name}>{escape(value)}</{name}>\n" if value else f"{indent}<{name}/>\n"


def maybe(indent: str, name: str, value: str | None) -> str:
    """An element that is left out when it is empty."""
    return f"{indent}<{name}>{escape(value)}</{name}>\n" if value else ""


def yes(value: bool) -> str:
    """Y or N."""
    return "Y" if value else "N"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.10g}"


def portal_url(portal: str, kind: str, number: int) -> str:
    """The address of an object in the portal, escaped for an element; `kind` as GOCDB spells it."""
    return f"{escape(portal)}/portal/index.php?Page_Type={kind}&amp;id={number}"


def scopes_of(indent: str, scopes: Sequence[str]) -> str:
    """`SCOPES` with what is in it."""
    if not scopes:
        return f"{indent}<SCOPES/>\n"
    inner = "".join(f"{indent}  <SCOPE>{escape(scope)}</SCOPE>\n" for scope in scopes)
    return f"{indent}<SCOPES>\n{inner}{indent}</SCOPES>\n"


def extensions_of(indent: str, properties: Sequence[Property]) -> str:
    """`EXTENSIONS` with what is in it."""
    if not properties:
        return f"{indent}<EXTENSIONS/>\n"
    inner = "".join(
        f"{indent}  <EXTENSION>\n"
        f"{indent}    <LOCAL_ID>{one.id}</LOCAL_ID>\n"
        f"{indent}    <KEY>{escape(one.key)}</KEY>\n"
        f"{always(indent + '    ', 'VALUE', one.value)}"
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
        f"{maybe(at, 'OFFICIAL_NAME', row.official_name)}"
        f"{maybe(at, 'SITE_DESCRIPTION', row.description)}"
        f"{at}<GOCDB_PORTAL_URL>{portal_url(portal, 'Site', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{maybe(at, 'HOME_URL', row.home_url)}"
        f"{maybe(at, 'CONTACT_EMAIL', row.contact_email)}"
        f"{maybe(at, 'CONTACT_TEL', row.telephone)}"
        f"{maybe(at, 'ALARM_EMAIL', row.alarm_email)}"
        f"{maybe(at, 'GIIS_URL', row.giis_url)}"
        f"{maybe(at, 'TIER', row.tier)}"
        f"{always(at, 'COUNTRY_CODE', row.country_code)}"
        f"{always(at, 'COUNTRY', row.country)}"
        f"{always(at, 'ROC', row.ngi)}"
        f"{maybe(at, 'SUBGRID', row.sub_grid)}"
        f"{always(at, 'PRODUCTION_INFRASTRUCTURE', row.infrastructure)}"
        f"{always(at, 'CERTIFICATION_STATUS', row.certification)}"
        f"{maybe(at, 'TIMEZONE', row.timezone)}"
        f"{maybe(at, 'LATITUDE', _number(row.latitude))}"
        f"{maybe(at, 'LONGITUDE', _number(row.longitude))}"
        f"{maybe(at, 'CSIRT_EMAIL', row.csirt_email)}"
        f"{at}<NOTIFICATIONS>{'TRUE' if row.notify else 'FALSE'}</NOTIFICATIONS>\n"
        f"{domain}{maybe(at, 'SITE_IP', row.ip_range)}{maybe(at, 'SITE_IPV6', row.ipv6_range)}"
        f"{scopes_of(at, row.scopes)}{extensions_of(at, row.properties)}"
        "  </SITE>\n"
    )


def service(row: ServiceRow, portal: str) -> str:
    """A `SERVICE_ENDPOINT` of `get_service` and `get_service_endpoint`."""
    at = "    "
    return (
        f'  <SERVICE_ENDPOINT PRIMARY_KEY="{attribute(row.primary_key)}">\n'
        f"{at}<PRIMARY_KEY>{escape(row.primary_key)}</PRIMARY_KEY>\n"
        f"{at}<HOSTNAME>{escape(row.hostname)}</HOSTNAME>\n"
        f"{at}<GOCDB_PORTAL_URL>{portal_url(portal, 'Service', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{maybe(at, 'HOSTDN', row.host_dn)}"
        f"{maybe(at, 'HOST_OS', row.host_os)}"
        f"{maybe(at, 'HOST_ARCH', row.host_arch)}"
        f"{at}<BETA>{yes(row.beta)}</BETA>\n"
        f"{at}<SERVICE_TYPE>{escape(row.service_type)}</SERVICE_TYPE>\n"
        f"{maybe(at, 'HOST_IP', row.host_ip)}"
        f"{maybe(at, 'HOST_IPV6', row.host_ipv6)}"
        f"{at}<CORE/>\n"
        f"{at}<IN_PRODUCTION>{yes(row.production)}</IN_PRODUCTION>\n"
        f"{at}<NODE_MONITORED>{yes(row.monitored)}</NODE_MONITORED>\n"
        f"{at}<NOTIFICATIONS>{yes(row.notify)}</NOTIFICATIONS>\n"
        f"{at}<SITENAME>{escape(row.site)}</SITENAME>\n"
        f"{at}<COUNTRY_NAME>{escape(row.country)}</COUNTRY_NAME>\n"
        f"{at}<COUNTRY_CODE>{escape(row.country_code)}</COUNTRY_CODE>\n"
        f"{at}<ROC_NAME>{escape(row.ngi)}</ROC_NAME>\n"
        f"{always(at, 'URL', row.url)}"
        f"{endpoints_of(at, 'ENDPOINTS', row.endpoints, extensions=True)}"
        f"{scopes_of(at, row.scopes)}{extensions_of(at, row.properties)}"
        "  </SERVICE_ENDPOINT>\n"
    )


def endpoints_of(
    at: str, name: str, rows: Sequence[EndpointRow], *, extensions: bool = False, email: bool = False
) -> str:
    """Endpoints under the element `name`."""
    if not rows:
        return f"{at}<{name}/>\n"
    inner = f"{at}    "
    text = "".join(
        f"{at}  <ENDPOINT>\n"
        f"{inner}<ID>{row.id}</ID>\n"
        f"{inner}<NAME>{escape(row.name)}</NAME>\n"
        f"{extensions_of(inner, row.properties) if extensions else ''}"
        f"{always(inner, 'URL', row.url)}"
        f"{always(inner, 'INTERFACENAME', row.interface)}"
        f"{inner}<ENDPOINT_MONITORED>{'Y' if row.monitored else 'N'}</ENDPOINT_MONITORED>\n"
        f"{always(inner, 'CONTACT_EMAIL', row.email) if email else ''}"
        f"{at}  </ENDPOINT>\n"
        for row in rows
    )
    return f"{at}<{name}>\n{text}{at}</{name}>\n"


def service_type(number: int, name: str, description: str) -> str:
    """A `SERVICE_TYPE` of `get_service_types`."""
    return (
        f'  <SERVICE_TYPE TYPE_ID="{number}G0" PRIMARY_KEY="{number}G0">\n'
        f"{always('    ', 'SERVICE_TYPE_NAME', name)}"
        f"{always('    ', 'SERVICE_TYPE_DESC', description)}"
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
        "SUBGRID": row.sub_grid or "",
        "GIIS_URL": row.giis_url or "",
    }
    return "  <SITE " + " ".join(f'{name}="{attribute(value)}"' for name, value in facts.items()) + "/>\n"
