"""NGIs, service groups and the small lists in the XML of GOCDB's programmatic interface (5.12)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from registry.renderings import gocdb_xml as xml
from registry.renderings.gocdb_xml import EndpointRow, Property


class NgiRow(NamedTuple):
    """An NGI as `get_ngi` shows it."""

    id: int
    name: str
    description: str | None
    email: str | None
    ggus_su: str | None
    rod_email: str | None
    helpdesk_email: str | None
    security_email: str | None
    sites: int
    scopes: Sequence[str]


class Named(NamedTuple):
    """An NGI or a project by id and name; an NGI's address beside them."""

    id: int
    name: str
    email: str | None = None


class Certified(NamedTuple):
    """A site, its certification status, and since when it holds."""

    id: int
    name: str
    status: str
    since: datetime


class Step(NamedTuple):
    """A step of a site's certification; `person` and `subject` (DER) are of whoever made it, where that is known."""

    id: int
    at: datetime
    site: str
    old: str
    new: str
    name: str
    subject: bytes | None
    person: int | None
    reason: str


class MemberRow(NamedTuple):
    """A service in a group."""

    id: int
    primary_key: str
    hostname: str
    service_type: str
    host_ip: str | None
    host_ipv6: str | None
    host_dn: str | None
    production: bool
    monitored: bool
    scopes: Sequence[str]
    endpoints: Sequence[EndpointRow] = ()
    properties: Sequence[Property] = ()


class GroupRow(NamedTuple):
    """A service group; services and properties where they are shown."""

    id: int
    primary_key: str
    name: str
    description: str
    monitored: bool
    email: str | None
    scopes: Sequence[str]
    services: Sequence[MemberRow] = ()
    properties: Sequence[Property] = ()


def ngi(row: NgiRow) -> str:
    """An `NGI` of `get_ngi`; its PRIMARY_KEY is the plain id."""
    at = "    "
    return (
        f'  <NGI ID="{row.id}" NAME="{xml.attribute(row.name)}">\n'
        f"{at}<PRIMARY_KEY>{row.id}</PRIMARY_KEY>\n"
        f"{xml.always(at, 'NAME', row.name)}"
        f"{at}<OBJECT_ID>{row.id}</OBJECT_ID>\n"
        f"{xml.always(at, 'DESCRIPTION', row.description)}"
        f"{xml.always(at, 'EMAIL', row.email)}"
        f"{xml.always(at, 'GGUS_SU', row.ggus_su)}"
        f"{xml.always(at, 'ROD_EMAIL', row.rod_email)}"
        f"{xml.always(at, 'HELPDESK_EMAIL', row.helpdesk_email)}"
        f"{xml.always(at, 'SECURITY_EMAIL', row.security_email)}"
        f"{at}<SITE_COUNT>{row.sites}</SITE_COUNT>\n"
        f"{xml.scopes_of(at, row.scopes)}"
        "  </NGI>\n"
    )


def roc_in_list(number: int, name: str) -> str:
    """A `ROC` of `get_roc_list`."""
    return f'  <ROC PRIMARY_KEY="{number}G0" ROC_NAME="{xml.attribute(name)}"/>\n'


def sub_grid(number: int, name: str, ngi_name: str) -> str:
    """A `SUBGRID` of `get_subgrid_list`."""
    facts = f'SUBGRID_NAME="{xml.attribute(name)}" PARENT_ROC="{xml.attribute(ngi_name)}"'
    return f'  <SUBGRID PRIMARY_KEY="{number}G0" {facts}/>\n'


def country_count(country: str, count: int) -> str:
    """A `SITE` of `get_site_count_per_country`."""
    return f"  <SITE>\n{xml.always('    ', 'COUNTRY', country)}    <COUNT>{count}</COUNT>\n  </SITE>\n"


def certification_date(row: Certified) -> str:
    """A `site` of `get_cert_status_date`. The day has 24 hours AND two halves: as GOCDB writes it."""
    since = row.since.astimezone(UTC)
    when = f"{since:%d}-{_MONTHS[since.month - 1]}-{since:%y %H.%M.%S} {'AM' if since.hour < 12 else 'PM'}"
    return (
        f'  <site ID="{row.id}">\n'
        f"    <name>{xml.escape(row.name)}</name>\n"
        f"    <cert_status>{xml.escape(row.status)}</cert_status>\n"
        f"    <cert_date>{when}</cert_date>\n"
        "  </site>\n"
    )


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def certification_step(row: Step, by: str) -> str:
    """A `result` of `get_cert_status_changes`."""
    at = row.at.astimezone(UTC)
    return (
        f'  <result ID="{row.id}">\n'
        f"    <TIME>{at:%d}-{_MONTHS[at.month - 1]}-{at:%Y %H.%M.%S}</TIME>\n"
        f"    <UNIX_TIME>{int(at.timestamp())}</UNIX_TIME>\n"
        f"    <SITE>{xml.escape(row.site)}</SITE>\n"
        f"    <OLD_STATUS>{xml.escape(row.old)}</OLD_STATUS>\n"
        f"    <NEW_STATUS>{xml.escape(row.new)}</NEW_STATUS>\n"
        f"{xml.always('    ', 'CHANGED_BY', by)}"
        f"{xml.always('    ', 'COMMENT', row.reason)}"
        "  </result>\n"
    )


def group_head(row: GroupRow, portal: str) -> str:
    """What `get_service_group` and `get_service_group_role` begin a group with."""
    at = "    "
    return (
        f'  <SERVICE_GROUP ID="{row.id}" PRIMARY_KEY="{xml.attribute(row.primary_key)}">\n'
        f"{xml.always(at, 'NAME', row.name)}"
        f"{xml.always(at, 'DESCRIPTION', row.description)}"
        f"{at}<MONITORED>{xml.yes(row.monitored)}</MONITORED>\n"
        f"{xml.always(at, 'CONTACT_EMAIL', row.email)}"
        f"{at}<GOCDB_PORTAL_URL>{xml.portal_url(portal, 'Service_Group', row.id)}</GOCDB_PORTAL_URL>\n"
    )


def service_group(row: GroupRow, portal: str) -> str:
    """A `SERVICE_GROUP` of `get_service_group`."""
    at = "    "
    return (
        group_head(row, portal)
        + "".join(_member(one, portal) for one in row.services)
        + f"{xml.scopes_of(at, row.scopes)}{xml.extensions_of(at, row.properties)}  </SERVICE_GROUP>\n"
    )


def _member(row: MemberRow, portal: str) -> str:
    at = "      "
    return (
        f'    <SERVICE_ENDPOINT PRIMARY_KEY="{xml.attribute(row.primary_key)}">\n'
        f"{at}<HOSTNAME>{xml.escape(row.hostname)}</HOSTNAME>\n"
        f"{at}<GOCDB_PORTAL_URL>{xml.portal_url(portal, 'Service', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{at}<SERVICE_TYPE>{xml.escape(row.service_type)}</SERVICE_TYPE>\n"
        f"{xml.always(at, 'HOST_IP', row.host_ip)}"
        f"{xml.always(at, 'HOST_IPV6', row.host_ipv6)}"
        f"{xml.always(at, 'HOSTDN', row.host_dn)}"
        f"{at}<IN_PRODUCTION>{xml.yes(row.production)}</IN_PRODUCTION>\n"
        f"{at}<NODE_MONITORED>{xml.yes(row.monitored)}</NODE_MONITORED>\n"
        f"{xml.endpoints_of(at, 'ENDPOINTS', row.endpoints, extensions=True, email=True)}"
        f"{xml.scopes_of(at, row.scopes)}{xml.extensions_of(at, row.properties)}"
        "    </SERVICE_ENDPOINT>\n"
    )
