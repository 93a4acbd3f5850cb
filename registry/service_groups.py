"""Service groups: services of any sites under one name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities, roles, scopes
from registry.federation_entities import put_service_group
from registry.keys import FRESH, Keys
from registry.models import Person, Role, Service, ServiceGroup, owned_entity_id
from registry.recording import check_unchanged, recording
from registry.rights import ADD_GROUP, EDIT_GROUP, check_owner, is_operator
from registry.schemas.records import ServiceGroupEdit, ServiceGroupIn
from registry.sites import merged_properties

_PLAIN = ("name", "description", "monitored", "email", "scopes")
ADMINISTRATOR = "service_group_administrator"


def register(db: Database, principal: Principal, form: ServiceGroupIn) -> str:
    """Make a service group; returns its name. Who makes it administers it. Raises Conflict (name taken), Refused."""
    check(principal, ADD_GROUP, "federation", *(grant.scope for grant in principal.grants))
    reason = form.reason or f"Service group {form.name} made"
    with recording(db, principal, reason) as (session, change):
        group = create(session, change, form, operator=is_operator(principal))
        if principal.person is not None:
            person = session.get_one(Person, int(principal.person))
            roles.create(session, change, person, ADMINISTRATOR, group, principal)
        return group.name


def create(
    session: Session, change: Change, form: ServiceGroupIn, keys: Keys = FRESH, *, operator: bool = False
) -> ServiceGroup:
    """Write a new service group inside the caller's revision; an import gives the `keys` that it keeps."""
    number, primary_key = keys.take(session, owned_entity_id)
    group = ServiceGroup(id=number, primary_key=primary_key, scopes=[])
    _set_fields(session, group, form.model_dump(exclude={"reason"}), operator=operator)
    session.add(group)
    session.flush()
    put_service_group(change, group)
    return group


def edit(
    db: Database, principal: Principal, name: str, form: ServiceGroupEdit, expected: int | None = None
) -> str:
    """Change the fields that `form` names; returns the group's name, which may be new."""
    values = form.model_dump(exclude_unset=True, exclude={"reason"})
    with recording(db, principal, form.reason or f"Service group {name} changed") as (session, change):
        group = lock(session, name)
        check_owner(principal, EDIT_GROUP, group)
        check_unchanged(session, "service_group", group.id, expected)
        apply(session, change, group, values, operator=is_operator(principal))
        return group.name


def apply(
    session: Session,
    change: Change,
    group: ServiceGroup,
    values: Mapping[str, Any],
    *,
    operator: bool = False,
) -> None:
    """Set the fields of a locked service group inside the caller's revision, and record it."""
    old_name = group.name
    if "name" in values and values["name"] is None:
        raise Refused("A service group needs a name.", FieldFault("name", "cannot be empty"))
    _set_fields(session, group, values, operator=operator)
    session.flush()
    put_service_group(change, group)
    if group.name != old_name:
        for role in session.scalars(select(Role).where(Role.service_group_id == group.id)):
            entities.put_role(change, role)


def _set_fields(session: Session, group: ServiceGroup, values: Mapping[str, Any], *, operator: bool) -> None:
    with session.no_autoflush:
        if "scopes" in values:
            scopes.check(session, values["scopes"], present=group.scopes, operator=operator)
        for field in _PLAIN:
            if field in values:
                setattr(group, field, values[field])
        if "services" in values:
            group.services = _services(session, values["services"])
        if "extensions" in values:
            group.properties = merged_properties(group.properties, values["extensions"])


def _services(session: Session, numbers: Collection[int]) -> list[Service]:
    found = list(session.scalars(select(Service).where(Service.id.in_(numbers)).order_by(Service.id)))
    unknown = sorted(set(numbers) - {service.id for service in found})
    if unknown:
        listed = ", ".join(map(str, unknown))
        raise Refused(
            f"There is no service {listed}.",
            FieldFault("services", "name services that are registered: GET /api/v1/services"),
        )
    return found


def lock(session: Session, name: str) -> ServiceGroup:
    """The service group, locked against other writers. Raises NotFound."""
    group = session.scalar(
        select(ServiceGroup).where(ServiceGroup.name == name).with_for_update(of=ServiceGroup)
    )
    if group is None:
        raise NotFound(f"There is no service group {name}.")
    return group


def remove(
    db: Database, principal: Principal, name: str, reason: str = "", expected: int | None = None
) -> None:
    """Remove a service group with the roles in it; its services stay."""
    with recording(db, principal, reason or f"Service group {name} removed") as (session, change):
        group = lock(session, name)
        check_owner(principal, EDIT_GROUP, group)
        check_unchanged(session, "service_group", group.id, expected)
        roles.end_with(session, group, principal, reason or f"Service group {name} removed")
        delete(session, change, group)


def delete(session: Session, change: Change, group: ServiceGroup) -> None:
    """Remove a service group inside the caller's revision."""
    for role in session.scalars(select(Role.id).where(Role.service_group_id == group.id)):
        entities.delete_role(change, role)
    change.delete("service_group", str(group.id))
    session.delete(group)
    session.flush()
