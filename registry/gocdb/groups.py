"""NGIs, projects and service groups as GOCDB's interface picks them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.gocdb.asking import Asked, Wide, among, in_order, names, properties_of, scope_condition
from registry.gocdb.expressions import condition
from registry.gocdb.services import endpoints_of
from registry.models import (
    ExtensionProperty,
    Ngi,
    Project,
    Service,
    ServiceGroup,
    Site,
    service_group_service,
)
from registry.renderings.gocdb_xml_groups import GroupRow, MemberRow, Named, NgiRow


def find_ngis(session: Session, asked: Asked) -> list[NgiRow]:
    """NGIs by id, as `get_ngi` filters them."""
    where = names(asked.parameters, {"roc": Ngi.name})
    where.append(scope_condition(Ngi.scopes, asked.parameters, asked.default_scopes))
    sites = select(func.count()).select_from(Site).where(Site.ngi_id == Ngi.id).scalar_subquery()
    columns: Wide = select(
        Ngi.id, Ngi.name, Ngi.description, Ngi.email, Ngi.ggus_su, Ngi.rod_email, Ngi.helpdesk_email,
        Ngi.security_email, sites, Ngi.scopes,
    )  # fmt: skip
    found = session.execute(asked.page.cut(columns.where(*where), Ngi.id)).all()
    return [NgiRow(*row) for row in in_order(found, lambda row: row[0])]


def ngi_names(session: Session, asked: Asked) -> list[Named]:
    """Id, name and address of the NGIs that `roc` names, by id, whatever their scopes."""
    columns: Wide = select(Ngi.id, Ngi.name, Ngi.email).where(*names(asked.parameters, {"roc": Ngi.name}))
    found = session.execute(asked.page.cut(columns, Ngi.id)).all()
    return [Named(*row) for row in in_order(found, lambda row: row[0])]


def project_names(session: Session, asked: Asked) -> list[Named]:
    """Id and name of the projects that `project` names, by id."""
    columns: Wide = select(Project.id, Project.name).where(
        *names(asked.parameters, {"project": Project.name})
    )
    found = session.execute(asked.page.cut(columns, Project.id)).all()
    return [Named(*row) for row in in_order(found, lambda row: row[0])]


def find_groups(session: Session, asked: Asked, *, members: bool) -> list[GroupRow]:
    """Service groups by id with their services where `members` are wanted."""
    parameters = asked.parameters
    where = names(parameters, {"service_group_name": ServiceGroup.name})
    where.append(scope_condition(ServiceGroup.scopes, parameters, asked.default_scopes))
    if parameters.get("extensions"):
        where.append(
            condition(parameters["extensions"], lambda: ExtensionProperty.service_group_id == ServiceGroup.id)
        )
    columns: Wide = select(
        ServiceGroup.id, ServiceGroup.primary_key, ServiceGroup.name, ServiceGroup.description,
        ServiceGroup.monitored, ServiceGroup.email, ServiceGroup.scopes,
    ).where(*where)  # fmt: skip
    rows = in_order(session.execute(asked.page.cut(columns, ServiceGroup.id)).all(), lambda row: row[0])
    if not members:
        return [GroupRow(*row) for row in rows]
    numbers = [row[0] for row in rows]
    of_group = _members(session, numbers)
    properties = properties_of(session, ExtensionProperty.service_group_id, numbers)
    return [GroupRow(*(*row, of_group.get(row[0], ()), properties.get(row[0], ()))) for row in rows]


def _members(session: Session, groups: Sequence[int]) -> dict[int, list[MemberRow]]:
    columns: Wide = (
        select(
            service_group_service.c.service_group_id, Service.id, Service.primary_key, Service.hostname,
            Service.service_type, Service.host_ip, Service.host_ipv6, Service.host_dn, Service.production,
            Service.monitored, Service.scopes,
        )
        .join(Service, Service.id == service_group_service.c.service_id)
        .where(among(service_group_service.c.service_group_id, groups))
        .order_by(Service.id)
    )  # fmt: skip
    rows = session.execute(columns).all()
    services = sorted({row[1] for row in rows})
    endpoints = endpoints_of(session, services)
    properties = properties_of(session, ExtensionProperty.service_id, services)
    found: dict[int, list[MemberRow]] = {}
    for group, number, *facts in rows:
        one = MemberRow(*(number, *facts, endpoints.get(number, ()), properties.get(number, ())))
        found.setdefault(group, []).append(one)
    return found
