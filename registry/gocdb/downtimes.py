"""Downtimes as GOCDB's interface picks them: by time, and by what they affect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from registry.gocdb.asking import (
    BadValue,
    Condition,
    Page,
    Parameters,
    Wide,
    extension_condition,
    in_order,
    like,
    names,
    scope_condition,
    yes_no,
)
from registry.models import (
    Downtime,
    DowntimeEndpoint,
    DowntimeService,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Service,
    Site,
)
from registry.renderings.gocdb_xml import AffectedService, DowntimeRow, EndpointRow


def find_downtimes(
    session: Session, parameters: Parameters, page: Page, default: Sequence[str], now: datetime
) -> list[DowntimeRow]:
    """Downtimes by id with their services, as `get_downtime` filters them; a page counts downtimes, not services."""
    of_downtime = _downtime_conditions(parameters, now)
    of_service = _affected_conditions(parameters, default)
    links = (
        select(DowntimeService.downtime_id)
        .join(Service, Service.id == DowntimeService.service_id)
        .join(Site, Site.id == Service.site_id)
        .join(Ngi, Ngi.id == Site.ngi_id)
        .where(*of_service)
    )
    columns: Wide = select(
        Downtime.id, Downtime.primary_key, Downtime.classification, Downtime.severity, Downtime.description,
        Downtime.created_at, Downtime.start_at, Downtime.end_at,
    )  # fmt: skip
    found = session.execute(page.cut(columns.where(*of_downtime, Downtime.id.in_(links)), Downtime.id)).all()
    rows = in_order(found, lambda row: row[0])
    affected = _affected(session, [row[0] for row in rows], of_service)
    return [DowntimeRow(*(*row, affected.get(row[0], ()))) for row in rows]


def _affected(
    session: Session, downtimes: Sequence[int], of_service: Sequence[Condition]
) -> dict[int, list[AffectedService]]:
    endpoints: dict[tuple[int, int], list[EndpointRow]] = {}
    links: Wide = (
        select(
            DowntimeEndpoint.downtime_id, Endpoint.service_id,
            Endpoint.id, Endpoint.name, Endpoint.url, Endpoint.interface_name, Endpoint.monitored,
        )
        .join(Endpoint, Endpoint.id == DowntimeEndpoint.endpoint_id)
        .where(DowntimeEndpoint.downtime_id.in_(downtimes))
        .order_by(Endpoint.id)
    )  # fmt: skip
    for row in session.execute(links):
        endpoints.setdefault((row[0], row[1]), []).append(EndpointRow(*row[2:]))
    services: Wide = (
        select(
            DowntimeService.downtime_id, Service.id, Service.primary_key, Service.hostname, Service.service_type,
            Site.name,
        )
        .join(Service, Service.id == DowntimeService.service_id)
        .join(Site, Site.id == Service.site_id)
        .join(Ngi, Ngi.id == Site.ngi_id)
        .where(DowntimeService.downtime_id.in_(downtimes), *of_service)
        .order_by(Service.id)
    )  # fmt: skip
    found: dict[int, list[AffectedService]] = {}
    for row in session.execute(services):
        one = AffectedService(*(*row[2:], endpoints.get((row[0], row[1]), ())))
        found.setdefault(row[0], []).append(one)
    return found


def _downtime_conditions(parameters: Parameters, now: datetime) -> list[Condition]:
    where: list[Condition] = []
    if parameters.get("id"):
        where.append(Downtime.id == _whole("id", parameters["id"]))
    if parameters.get("ongoing_only", "").lower() == "yes":
        where += [Downtime.start_at <= now, Downtime.end_at >= now]
    where += [
        column == parameters[name].upper()
        for name, column in (("severity", Downtime.severity), ("classification", Downtime.classification))
        if parameters.get(name)
    ]
    if "windowstart" in parameters:
        where.append(Downtime.end_at > _date("windowstart", parameters))
    if "windowend" in parameters:
        where.append(Downtime.start_at < _date("windowend", parameters) + timedelta(days=1))
    if "startdate" in parameters:
        where.append(Downtime.start_at > _date("startdate", parameters))
    if "enddate" in parameters:
        where.append(Downtime.end_at < _date("enddate", parameters))
    if "all_lastmonth" in parameters:
        where.append(Downtime.start_at > _month_before(now) - timedelta(days=1))
    return where


def _month_before(now: datetime) -> datetime:
    last_of_month = now.replace(day=1) - timedelta(days=1)
    return last_of_month.replace(day=min(now.day, last_of_month.day))


def _affected_conditions(parameters: Parameters, default: Sequence[str]) -> list[Condition]:
    where = [scope_condition(Service.scopes, parameters, default)]
    if parameters.get("topentity"):
        columns = (Service.hostname, Site.name, Ngi.name, Site.country)
        where.append(or_(*(like(column, parameters["topentity"]) for column in columns)))
    for name, column in (
        ("sitelist", Site.name),
        ("ngilist", Ngi.name),
        ("service_type_list", Service.service_type),
    ):
        if parameters.get(name):
            where.append(column.in_([one.strip() for one in parameters[name].split(",")]))
    where += yes_no(parameters, "production", Service.production)
    where += yes_no(parameters, "monitored", Service.monitored)
    where += names(parameters, {"certification_status": Site.certification})
    if parameters.get("site_extensions"):
        where.append(
            extension_condition(parameters["site_extensions"], lambda: ExtensionProperty.site_id == Site.id)
        )
    if parameters.get("service_extensions"):
        where.append(
            extension_condition(
                parameters["service_extensions"], lambda: ExtensionProperty.service_id == Service.id
            )
        )
    return where


def _whole(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value):
        raise BadValue(f"Invalid '{name}' parameter - must be a whole number greater than or equal to zero")
    return int(value)


def _date(name: str, parameters: Parameters) -> datetime:
    """A day; GOCDB's parser takes a year or a month alone as well."""
    found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{1,2}))?(?:-([0-9]{1,2}))?", parameters[name].strip())
    try:
        if found is None:
            raise ValueError
        return datetime(int(found[1]), int(found[2] or 1), int(found[3] or 1), tzinfo=UTC)
    except ValueError:
        raise BadValue(f"Invalid '{name}' parameter - must be a date in the form YYYY-MM-DD") from None
