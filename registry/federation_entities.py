"""Scopes, projects and service groups as entities of the revision log: see `registry.entities`."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.revisions import Change
from registry.bodies import Body, extensions, ngi_body, service_type_body
from registry.entities import put_role, put_site
from registry.models import (
    Ngi,
    Project,
    Role,
    Scope,
    ServiceGroup,
    ServiceType,
    Site,
    project_ngi,
    service_group_service,
)


def scope_body(scope: Scope) -> Body:
    """A scope."""
    return {
        "id": str(scope.id),
        "name": scope.name,
        "description": scope.description or "",
        "reserved": bool(scope.reserved),
    }


def project_body(project: Project) -> Body:
    """A project with the names of its NGIs."""
    return {
        "id": str(project.id),
        "name": project.name,
        "description": project.description or "",
        "ngis": sorted(ngi.name for ngi in project.ngis),
    }


def service_group_body(group: ServiceGroup) -> Body:
    """A service group with the ids of its services."""
    return {
        "id": str(group.id),
        "primary_key": group.primary_key,
        "name": group.name,
        "description": group.description or "",
        "monitored": group.monitored,
        "email": group.email,
        "scopes": sorted(group.scopes),
        "services": [str(number) for number in sorted(service.id for service in group.services)],
        "extensions": extensions(group.properties),
    }


def put_scope(change: Change, scope: Scope) -> None:
    """Record the scope as it now is."""
    change.put("scope", str(scope.id), scope_body(scope))


def put_service_type(change: Change, kind: ServiceType) -> None:
    """Record the service type as it now is."""
    change.put("service_type", str(kind.id), service_type_body(kind))


def put_project(change: Change, project: Project) -> None:
    """Record the project as it now is."""
    change.put("project", str(project.id), project_body(project))


def put_ngi(change: Change, ngi: Ngi) -> None:
    """Record the NGI as it now is."""
    change.put("ngi", str(ngi.id), ngi_body(ngi))


def put_service_group(change: Change, group: ServiceGroup) -> None:
    """Record the service group as it now is."""
    change.put("service_group", str(group.id), service_group_body(group))


def put_whole_ngi(session: Session, change: Change, ngi: Ngi) -> None:
    """Record all that names the NGI: needed when its name changes."""
    put_ngi(change, ngi)
    for site in session.scalars(select(Site).where(Site.ngi_id == ngi.id)):
        put_site(change, site)
    for project in session.scalars(select(Project).join(project_ngi).where(project_ngi.c.ngi_id == ngi.id)):
        put_project(change, project)
    for role in session.scalars(select(Role).where(Role.ngi_id == ngi.id)):
        put_role(change, role)


def groups_of(session: Session, services: Collection[int]) -> list[int]:
    """The service groups that hold any of the services."""
    column = service_group_service.c
    asked = select(column.service_group_id).where(column.service_id.in_(services)).distinct()
    return list(session.scalars(asked.order_by(column.service_group_id)))


def put_service_groups_again(session: Session, change: Change, numbers: Collection[int]) -> None:
    """Record service groups anew that lost a service because it was removed."""
    for group in session.scalars(select(ServiceGroup).where(ServiceGroup.id.in_(numbers))):
        session.refresh(group, ["services"])
        put_service_group(change, group)
