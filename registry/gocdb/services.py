"""Services as GOCDB's interface picks them: a few questions over whole sets, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.gocdb.asking import (
    Asked,
    Condition,
    Wide,
    among,
    in_order,
    names,
    properties_of,
    scope_condition,
    yes_no,
)
from registry.gocdb.expressions import condition
from registry.models import Endpoint, ExtensionProperty, Ngi, Service, ServiceType, Site
from registry.renderings.gocdb_xml import EndpointRow, ServiceRow


def find_services(session: Session, asked: Asked) -> list[ServiceRow]:
    """Services by id, as `get_service` and `get_service_endpoint` filter them."""
    columns: Wide = select(
        Service.id, Service.primary_key, Service.hostname, Service.host_dn, Service.host_os, Service.host_arch,
        Service.beta, Service.service_type, Service.host_ip, Service.host_ipv6, Service.production, Service.monitored,
        Service.notify, Site.name, Site.country, Site.country_code, Ngi.name, Service.url, Service.scopes,
    )  # fmt: skip
    statement = columns.join(Site, Service.site_id == Site.id).join(Ngi, Site.ngi_id == Ngi.id)
    found = session.execute(asked.page.cut(statement.where(*_conditions(asked)), Service.id)).all()
    rows = in_order(found, lambda row: row[0])
    numbers = [row[0] for row in rows]
    endpoints = endpoints_of(session, numbers)
    properties = properties_of(session, ExtensionProperty.service_id, numbers)
    return [ServiceRow(*(*row, endpoints.get(row[0], ()), properties.get(row[0], ()))) for row in rows]


def _conditions(asked: Asked) -> list[Condition]:
    parameters = asked.parameters
    where = names(
        parameters,
        {
            "hostname": Service.hostname,
            "sitename": Site.name,
            "roc": Ngi.name,
            "country": Site.country,
            "service_type": Service.service_type,
        },
    )
    where += yes_no(parameters, "monitored", Service.monitored)
    where.append(scope_condition(Service.scopes, parameters, asked.default_scopes))
    if parameters.get("extensions"):
        where.append(condition(parameters["extensions"], lambda: ExtensionProperty.service_id == Service.id))
    return where


def endpoints_of(session: Session, services: Sequence[int]) -> dict[int, list[EndpointRow]]:
    """The endpoints of many services with their properties, by service."""
    wanted: Wide = select(
        Endpoint.service_id, Endpoint.id, Endpoint.name, Endpoint.url, Endpoint.interface_name, Endpoint.monitored,
        Endpoint.email,
    ).where(among(Endpoint.service_id, services))  # fmt: skip
    rows = session.execute(wanted.order_by(Endpoint.id)).all()
    properties = properties_of(session, ExtensionProperty.endpoint_id, [row[1] for row in rows])
    found: dict[int, list[EndpointRow]] = {}
    for service, number, name, url, interface, monitored, email in rows:
        one = EndpointRow(number, name, url, interface, monitored, properties.get(number, ()), email)
        found.setdefault(service, []).append(one)
    return found


def service_types(session: Session) -> list[tuple[int, str, str]]:
    """Number, name and description of every service type, by number."""
    wanted = select(ServiceType.id, ServiceType.name, ServiceType.description).order_by(ServiceType.id)
    return [(number, name, description) for number, name, description in session.execute(wanted)]
