"""What a service can be: types, added, changed and removed by operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities
from registry.federation_entities import put_service_type
from registry.models import Endpoint, Service, ServiceType, Site
from registry.recording import check_unchanged, recording
from registry.rights import RUN_FEDERATION
from registry.schemas.services import ServiceTypeEdit, ServiceTypeIn
from registry.scopes import in_words


def names(session: Session) -> list[str]:
    """The names of all service types."""
    return list(session.scalars(select(ServiceType.name).order_by(func.lower(ServiceType.name))))


def used(session: Session) -> dict[str, int]:
    """How many services there are of each type that has any."""
    counted = select(Service.service_type, func.count()).group_by(Service.service_type)
    return {kind: count for kind, count in session.execute(counted)}


def register(db: Database, principal: Principal, form: ServiceTypeIn) -> str:
    """Add a service type; returns its name. Raises Conflict when the name is taken."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"Service type {form.name} added") as (session, change):
        return create(session, change, form).name


def create(session: Session, change: Change, form: ServiceTypeIn) -> ServiceType:
    """Write a new service type inside the caller's revision."""
    kind = ServiceType(**form.model_dump(exclude={"reason"}))
    session.add(kind)
    session.flush()
    put_service_type(change, kind)
    return kind


def edit(
    db: Database, principal: Principal, name: str, form: ServiceTypeEdit, expected: int | None = None
) -> str:
    """Change the fields that `form` names; services follow a new name. Returns the name."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"Service type {name} changed") as (session, change):
        kind = lock(session, name)
        check_unchanged(session, "service_type", kind.id, expected)
        apply(session, change, kind, form.model_dump(exclude_unset=True, exclude={"reason"}))
        return kind.name


def apply(session: Session, change: Change, kind: ServiceType, values: Mapping[str, Any]) -> None:
    """Set the fields of a locked service type inside the caller's revision, and record it."""
    old_name = kind.name
    if "name" in values and values["name"] is None:
        raise Refused("A service type needs a name.", FieldFault("name", "cannot be empty"))
    if kind.monitoring_exception and values.get("monitoring_exception") is False:
        _check_all_monitored(session, kind.name)
    for field, value in values.items():
        setattr(kind, field, value)
    session.flush()
    put_service_type(change, kind)
    if kind.name != old_name:
        _pass_on(session, change, old_name, kind.name)


def lock(session: Session, name: str) -> ServiceType:
    """The service type, with the sites that have such services locked against other writers. Raises NotFound."""
    of_type = select(Service.site_id).where(Service.service_type == name)
    session.execute(select(Site.id).where(Site.id.in_(of_type)).order_by(Site.id).with_for_update()).all()
    kind = session.scalar(select(ServiceType).where(ServiceType.name == name).with_for_update())
    if kind is None:
        raise NotFound(f"There is no service type {name}.")
    return kind


def _check_all_monitored(session: Session, name: str) -> None:
    unwatched = select(Service).where(Service.service_type == name, Service.production, ~Service.monitored)
    found = [f"{one.hostname} of {one.site.name}" for one in session.scalars(unwatched.order_by(Service.id))]
    if found:
        raise Conflict(
            f"Services of the type {name} are in production without being monitored: {in_words(found)}.",
            FieldFault("monitoring_exception", "have these monitored, or taken out of production, first"),
        )


def _pass_on(session: Session, change: Change, old: str, new: str) -> None:
    """The database has renamed the services' type; interfaces that were called by it and the log follow."""
    of_type = select(Service.id).where(Service.service_type == new)
    session.execute(
        update(Endpoint)
        .where(Endpoint.service_id.in_(of_type), Endpoint.interface_name == old)
        .values(interface_name=new)
        .execution_options(synchronize_session=False)
    )
    for service in session.scalars(
        select(Service).where(Service.service_type == new).execution_options(populate_existing=True)
    ):
        entities.put_service(change, service)


def remove(
    db: Database, principal: Principal, name: str, reason: str = "", expected: int | None = None
) -> None:
    """Remove a service type that no service has. Raises Conflict naming those that do."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, reason or f"Service type {name} removed") as (session, change):
        kind = lock(session, name)
        check_unchanged(session, "service_type", kind.id, expected)
        found = uses(session, name)
        if found:
            raise Conflict(
                f"The service type {name} is in use: {in_words(found)}. Remove or retype these first."
            )
        delete(session, change, kind)


def delete(session: Session, change: Change, kind: ServiceType) -> None:
    """Remove a service type inside the caller's revision."""
    change.delete("service_type", str(kind.id))
    session.delete(kind)
    session.flush()


def uses(session: Session, name: str) -> list[str]:
    """The services of a type, in words."""
    rows = session.scalars(select(Service).where(Service.service_type == name).order_by(Service.id))
    return [f"{one.hostname} of {one.site.name}" for one in rows]
