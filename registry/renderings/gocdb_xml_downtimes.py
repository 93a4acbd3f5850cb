"""Downtimes in the XML of GOCDB's programmatic interface (5.12)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from registry.renderings import gocdb_xml as xml
from registry.renderings.gocdb_xml import EndpointRow


class AffectedService(NamedTuple):
    """A service under a downtime, with its endpoints that are affected."""

    primary_key: str
    hostname: str
    service_type: str
    site: str
    endpoints: Sequence[EndpointRow]
    end_at: datetime


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


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _formatted(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _head(row: DowntimeRow) -> str:
    return (
        f'  <DOWNTIME ID="{row.id}" PRIMARY_KEY="{xml.attribute(row.primary_key)}"'
        f' CLASSIFICATION="{xml.attribute(row.classification)}">\n'
    )


def _facts(at: str, row: DowntimeRow, end: datetime, *, formatted: bool = True) -> str:
    text = (
        f"{at}<SEVERITY>{xml.escape(row.severity)}</SEVERITY>\n"
        f"{xml.always(at, 'DESCRIPTION', row.description)}"
        f"{at}<INSERT_DATE>{_epoch(row.created_at)}</INSERT_DATE>\n"
        f"{at}<START_DATE>{_epoch(row.start_at)}</START_DATE>\n"
        f"{at}<END_DATE>{_epoch(end)}</END_DATE>\n"
    )
    if not formatted:
        return text
    return (
        f"{text}{at}<FORMATED_START_DATE>{_formatted(row.start_at)}</FORMATED_START_DATE>\n"
        f"{at}<FORMATED_END_DATE>{_formatted(end)}</FORMATED_END_DATE>\n"
    )


def _key(at: str, key: str) -> str:
    return f"{at}<PRIMARY_KEY>{xml.escape(key)}</PRIMARY_KEY>\n"


def _link(at: str, row: DowntimeRow, portal: str) -> str:
    return f"{at}<GOCDB_PORTAL_URL>{xml.portal_url(portal, 'Downtime', row.id)}</GOCDB_PORTAL_URL>\n"


def downtime(row: DowntimeRow, portal: str) -> str:
    """The `DOWNTIME`s of `get_downtime`: the same downtime once for each of its services, with that service's end."""
    at = "    "
    head, link = _head(row) + _key(at, row.primary_key), _link(at, row, portal)
    return "".join(
        head
        + _affected_names(at, one)
        + link
        + xml.endpoints_of(at, "AFFECTED_ENDPOINTS", one.endpoints)
        + _facts(at, row, one.end_at)
        + "  </DOWNTIME>\n"
        for one in row.services
    )


def _affected_names(at: str, row: AffectedService) -> str:
    return (
        f"{at}<HOSTNAME>{xml.escape(row.hostname)}</HOSTNAME>\n"
        f"{at}<SERVICE_TYPE>{xml.escape(row.service_type)}</SERVICE_TYPE>\n"
        f"{at}<ENDPOINT>{xml.escape(row.hostname + row.service_type)}</ENDPOINT>\n"
        f"{at}<HOSTED_BY>{xml.escape(row.site)}</HOSTED_BY>\n"
    )


def downtime_nested(row: DowntimeRow, portal: str) -> str:
    """A `DOWNTIME` of `get_downtime_nested_services`; a service has no end of its own here, so the last counts."""
    at, inner = "    ", "        "
    services = "".join(
        "      <SERVICE>\n"
        f"{_key(inner, one.primary_key)}"
        f"{_affected_names(inner, one)}"
        f"{xml.endpoints_of(inner, 'AFFECTED_ENDPOINTS', one.endpoints)}"
        "      </SERVICE>\n"
        for one in row.services
    )
    return (
        f"{_head(row)}{_facts(at, row, row.end_at)}{_link(at, row, portal)}"
        f"{at}<SERVICES>\n{services}{at}</SERVICES>\n"
        "  </DOWNTIME>\n"
    )


def downtime_to_broadcast(row: DowntimeRow, portal: str) -> str:
    """The `DOWNTIME`s of `get_downtime_to_broadcast`: once a service, each with ALL endpoints of the downtime."""
    at = "    "
    head = _head(row) + _key(at, row.primary_key)
    every = sorted((endpoint for one in row.services for endpoint in one.endpoints), key=lambda each: each.id)
    endpoints = xml.endpoints_of(at, "AFFECTED_ENDPOINTS", every)
    reminder = _epoch(row.start_at - timedelta(days=1))
    return "".join(
        f"{head}{at}<SITENAME>{xml.escape(one.site)}</SITENAME>\n"
        f"{at}<HOSTNAME>{xml.escape(one.hostname)}</HOSTNAME>\n"
        f"{at}<SERVICE_TYPE>{xml.escape(one.service_type)}</SERVICE_TYPE>\n"
        f"{at}<HOSTED_BY>{xml.escape(one.site)}</HOSTED_BY>\n"
        f"{_link(at, row, portal)}{endpoints}{_facts(at, row, one.end_at, formatted=False)}"
        f"{at}<REMINDER_START_DOWNTIME>{reminder}</REMINDER_START_DOWNTIME>\n"
        f"{at}<BROADCASTING_START_DOWNTIME/>\n"
        "  </DOWNTIME>\n"
        for one in row.services
    )
