"""Downtimes as GOCDB's interface picks them: by time, and by what they affect.

A service may end before its downtime does. Where the interface speaks of one service (`get_downtime`), that service's
own end is told, and the filters by time look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.gocdb.asking import (
    Asked,
    BadValue,
    Condition,
    Parameters,
    Wide,
    among,
    day,
    in_order,
    like,
    names,
    one_of,
    scope_condition,
    whole,
)
from registry.gocdb.expressions import condition
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
from registry.renderings.gocdb_xml import EndpointRow
from registry.renderings.gocdb_xml_downtimes import AffectedService, DowntimeRow

_DATES = frozenset({"startdate", "enddate", "windowstart", "windowend", "ongoing_only"})
_BOOLEANS: Final = {"y": True, "1": True, "true": True, "n": False, "0": False, "false": False}
MOST_DAYS: Final = 36_500


def check_together(given: Sequence[str] | frozenset[str]) -> None:
    """Raise BadValue for parameters that exclude each other."""
    names_given = set(given)
    if "ongoing_only" in names_given and {"startdate", "enddate"} & names_given:
        raise BadValue(
            "Invalid parameter combination - do not specify startdate or enddate with ongoing_only"
        )
    if "all_lastmonth" in names_given and _DATES & names_given:
        raise BadValue(
            "Invalid parameter combination - all_lastmonth cannot be used with other date parameters"
        )


def find_downtimes(session: Session, asked: Asked) -> list[DowntimeRow]:
    """Downtimes by id with their services, as `get_downtime` filters them; a page counts downtimes, not services."""
    check_together(frozenset(asked.parameters))
    where = [*_of_downtime(asked), *_of_time(asked), *_of_service(asked)]
    return _found(session, asked, where)


def find_announced(session: Session, asked: Asked) -> list[DowntimeRow]:
    """Downtimes that were declared in the last `interval` days (1), as `get_downtime_to_broadcast` picks them."""
    parameters = asked.parameters
    days = whole("interval", parameters["interval"]) if parameters.get("interval") else 1
    where = [
        Downtime.created_at > asked.now - timedelta(days=min(days, MOST_DAYS)),
        scope_condition(Service.scopes, parameters, asked.default_scopes),
    ]
    if parameters.get("id"):
        where.append(Downtime.id == whole("id", parameters["id"]))
    return _found(session, asked, where)


def _found(session: Session, asked: Asked, where: Sequence[Condition]) -> list[DowntimeRow]:
    links = _joined(select(DowntimeService.downtime_id)).where(*where)
    columns: Wide = select(
        Downtime.id, Downtime.primary_key, Downtime.classification, Downtime.severity, Downtime.description,
        Downtime.created_at, Downtime.start_at, Downtime.end_at,
    )  # fmt: skip
    found = session.execute(asked.page.cut(columns.where(Downtime.id.in_(links)), Downtime.id)).all()
    rows = in_order(found, lambda row: row[0])
    affected = _affected(session, [row[0] for row in rows], where)
    return [DowntimeRow(*(*row, affected.get(row[0], ()))) for row in rows]


def _joined(statement: Any) -> Any:
    return (
        statement.join(Downtime, Downtime.id == DowntimeService.downtime_id)
        .join(Service, Service.id == DowntimeService.service_id)
        .join(Site, Site.id == Service.site_id)
        .join(Ngi, Ngi.id == Site.ngi_id)
    )


def _end() -> ColumnElement[datetime]:
    return func.coalesce(DowntimeService.end_at, Downtime.end_at)


def _affected(
    session: Session, downtimes: Sequence[int], where: Sequence[Condition]
) -> dict[int, list[AffectedService]]:
    endpoints = _affected_endpoints(session, downtimes)
    columns: Wide = select(
        DowntimeService.downtime_id, Service.id, Service.primary_key, Service.hostname, Service.service_type,
        Site.name, _end(),
    )  # fmt: skip
    services = _joined(columns).where(among(DowntimeService.downtime_id, downtimes), *where)
    found: dict[int, list[AffectedService]] = {}
    for row in session.execute(services.order_by(Service.id)):
        downtime, service, *facts, end = row
        one = AffectedService(*(*facts, endpoints.get((downtime, service), ()), end))
        found.setdefault(downtime, []).append(one)
    return found


def _affected_endpoints(
    session: Session, downtimes: Sequence[int]
) -> dict[tuple[int, int], list[EndpointRow]]:
    links: Wide = (
        select(
            DowntimeEndpoint.downtime_id, Endpoint.service_id,
            Endpoint.id, Endpoint.name, Endpoint.url, Endpoint.interface_name, Endpoint.monitored,
        )
        .join(Endpoint, Endpoint.id == DowntimeEndpoint.endpoint_id)
        .where(among(DowntimeEndpoint.downtime_id, downtimes))
        .order_by(Endpoint.id)
    )  # fmt: skip
    found: dict[tuple[int, int], list[EndpointRow]] = {}
    for row in session.execute(links):
        found.setdefault((row[0], row[1]), []).append(EndpointRow(*row[2:]))
    return found


def _of_downtime(asked: Asked) -> list[Condition]:
    parameters = asked.parameters
    where: list[Condition] = [
        column == parameters[name].strip().upper()
        for name, column in (("severity", Downtime.severity), ("classification", Downtime.classification))
        if parameters.get(name)
    ]
    if parameters.get("id"):
        where.append(Downtime.id == whole("id", parameters["id"]))
    return where


def _of_time(asked: Asked) -> list[Condition]:
    """`ongoing_only=no` asks for all: that GOCDB answers it like `yes` is a slip that nobody can build on."""
    given, now = asked.parameters, asked.now
    where: list[Condition] = []
    if _ongoing(given):
        where += [Downtime.start_at <= now, _end() >= now]
    bounds: dict[str, Callable[[datetime], Condition]] = {
        "windowstart": lambda at: _end() > at,
        "windowend": lambda at: Downtime.start_at < at + timedelta(days=1),
        "startdate": lambda at: Downtime.start_at > at,
        "enddate": lambda at: _end() < at,
    }
    where += [holds(day(name, given)) for name, holds in bounds.items() if name in given]
    if "all_lastmonth" in given:
        where.append(Downtime.start_at > _month_before(now) - timedelta(days=1))
    return where


def _ongoing(given: Parameters) -> bool:
    value = given.get("ongoing_only", "no").strip().lower()
    if value not in ("yes", "no"):
        raise BadValue("Invalid ongoing_only value - must be 'yes' or 'no'")
    return value == "yes"


def _is_true(given: Parameters, name: str, column: InstrumentedAttribute[bool]) -> list[Condition]:
    """Here GOCDB compares with what the database takes for a boolean, so scripts write 1 and true as well."""
    value = _BOOLEANS.get(given.get(name, "").strip().lower())
    return [] if value is None else [column.is_(value)]


def _month_before(now: datetime) -> datetime:
    last_of_month = now.replace(day=1) - timedelta(days=1)
    return last_of_month.replace(day=min(now.day, last_of_month.day))


def _of_service(asked: Asked) -> list[Condition]:
    given = asked.parameters
    where = [scope_condition(Service.scopes, given, asked.default_scopes)]
    if "topentity" in given:
        columns = (Service.hostname, Site.name, Ngi.name, Site.country)
        where.append(or_(*(like(column, given["topentity"]) for column in columns)))
    where += one_of(
        given, {"sitelist": Site.name, "ngilist": Ngi.name, "service_type_list": Service.service_type}
    )
    where += _is_true(given, "production", Service.production)
    where += _is_true(given, "monitored", Service.monitored)
    where += names(given, {"certification_status": Site.certification})
    if given.get("site_extensions"):
        where.append(condition(given["site_extensions"], lambda: ExtensionProperty.site_id == Site.id))
    if given.get("service_extensions"):
        where.append(
            condition(given["service_extensions"], lambda: ExtensionProperty.service_id == Service.id)
        )
    return where
