"""Scopes: which there are, and who may give which to what (reference 2.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.permissions import check as check_right
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities
from registry.federation_entities import put_ngi, put_scope, put_service_group
from registry.models import Ngi, Scope, Service, ServiceGroup, Site
from registry.recording import check_unchanged, recording
from registry.rights import RUN_FEDERATION
from registry.schemas.records import ScopeEdit, ScopeIn

_CARRIERS = (Ngi, Site, Service, ServiceGroup)


def check(
    session: Session,
    wanted: Collection[str],
    *,
    present: Collection[str] = (),
    parents: Collection[str] = (),
    operator: bool,
) -> None:
    """Refuse scopes that something may not carry. `present` are those it has, `parents` those of what it belongs to.

    A reserved scope may be given by an operator, or where the parent has it; one of the scopes is not reserved. Scopes
    stay as they are until the end of the transaction. Raises Refused.
    """
    asked = select(Scope.name, Scope.reserved).where(Scope.name.in_(wanted)).with_for_update(read=True)
    known = {name: reserved for name, reserved in session.execute(asked)}
    unknown = sorted(set(wanted) - known.keys())
    if unknown:
        raise Refused(
            f"There is no scope {', '.join(unknown)}.",
            FieldFault("scopes", "choose from GET /api/v1/scopes, or ask an operator to add it"),
        )
    if all(known.values()):
        raise Refused(
            "One scope must not be reserved; reserved ones come on top.",
            FieldFault("scopes", "add one that is not reserved, such as EGI or Local"),
        )
    barred = sorted(name for name, reserved in known.items() if reserved and name not in {*present, *parents})
    if barred and not operator:
        raise Refused(
            f"The scope {', '.join(barred)} is reserved.",
            FieldFault("scopes", f"ask a federation operator for {', '.join(barred)}"),
        )


def reserved_names(session: Session) -> frozenset[str]:
    """The reserved scopes."""
    return frozenset(session.scalars(select(Scope.name).where(Scope.reserved)))


def choices(session: Session) -> list[Scope]:
    """All scopes, the free ones first, by name."""
    return list(session.scalars(select(Scope).order_by(Scope.reserved, func.lower(Scope.name), Scope.name)))


def register(db: Database, principal: Principal, form: ScopeIn) -> str:
    """Add a scope; returns its name. Raises Conflict when the name is taken."""
    check_right(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"Scope {form.name} added") as (session, change):
        return create(session, change, form.name, form.description, reserved=form.reserved).name


def create(
    session: Session, change: Change, name: str, description: str = "", *, reserved: bool = False
) -> Scope:
    """Write a new scope inside the caller's revision."""
    scope = Scope(name=name, description=description, reserved=reserved)
    session.add(scope)
    session.flush()
    put_scope(change, scope)
    return scope


def add_missing(session: Session, change: Change, names: Iterable[str]) -> list[str]:
    """Add the scopes that there are not yet, as free ones; returns their names. For files that bring their own."""
    wanted = set(names)
    missing = sorted(wanted - set(session.scalars(select(Scope.name).where(Scope.name.in_(wanted)))))
    for name in missing:
        create(session, change, name)
    return missing


def edit(db: Database, principal: Principal, name: str, form: ScopeEdit, expected: int | None = None) -> str:
    """Change the fields that `form` names; what carries the scope follows a new name. Returns the name."""
    check_right(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"Scope {name} changed") as (session, change):
        values = form.model_dump(exclude_unset=True, exclude={"reason"})
        return apply(session, change, name, values, expected)


def apply(
    session: Session, change: Change, name: str, values: Mapping[str, Any], expected: int | None = None
) -> str:
    """Set the fields of a scope inside the revision of an operator; returns its name, which may be new."""
    if values.get("name") not in (None, name):
        _lock_carriers(session, name)
    scope = _lock(session, name)
    check_unchanged(session, "scope", scope.id, expected)
    if values.get("reserved") and not scope.reserved:
        _check_others_left(session, name)
    for field, value in values.items():
        if value is not None:
            setattr(scope, field, value)
    session.flush()
    put_scope(change, scope)
    if scope.name != name:
        _rename(session, change, name, scope.name)
    return scope.name


def _lock(session: Session, name: str) -> Scope:
    scope = session.scalar(select(Scope).where(Scope.name == name).with_for_update())
    if scope is None:
        raise NotFound(f"There is no scope {name}.")
    return scope


def _lock_carriers(session: Session, name: str) -> None:
    """Rows before scopes, in the order in which all writers take them."""
    of_service = select(Service.site_id).where(Service.scopes.contains([name]))
    for statement in (
        select(Ngi.id).where(Ngi.scopes.contains([name])).order_by(Ngi.id),
        select(Site.id).where(Site.scopes.contains([name]) | Site.id.in_(of_service)).order_by(Site.id),
        select(ServiceGroup.id).where(ServiceGroup.scopes.contains([name])).order_by(ServiceGroup.id),
    ):
        session.execute(statement.with_for_update()).all()


def _rename(session: Session, change: Change, old: str, new: str) -> None:
    for carrier in _CARRIERS:
        touched = list(session.scalars(select(carrier.id).where(carrier.scopes.contains([old]))))
        renamed = func.array_replace(carrier.scopes, old, new)
        session.execute(
            update(carrier)
            .where(carrier.id.in_(touched))
            .values(scopes=renamed)
            .execution_options(synchronize_session=False)
        )
        for row in session.scalars(
            select(carrier).where(carrier.id.in_(touched)).execution_options(populate_existing=True)
        ):
            _put(change, row)


def _put(change: Change, row: object) -> None:
    if isinstance(row, Ngi):
        put_ngi(change, row)
    elif isinstance(row, Site):
        entities.put_site(change, row)
    elif isinstance(row, Service):
        entities.put_service(change, row)
    elif isinstance(row, ServiceGroup):
        put_service_group(change, row)


def _check_others_left(session: Session, name: str) -> None:
    """A scope that becomes reserved must not leave anything without a free one."""
    reserved = [name, *reserved_names(session)]
    left = uses(session, name, only=reserved)
    if left:
        raise Conflict(
            f"{name} is the only scope that is not reserved of {in_words(left)}.",
            FieldFault("reserved", "give these another scope first"),
        )


def remove(
    db: Database, principal: Principal, name: str, reason: str = "", expected: int | None = None
) -> None:
    """Remove a scope that nothing carries. Raises Conflict naming what does."""
    check_right(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, reason or f"Scope {name} removed") as (session, change):
        scope = _lock(session, name)
        check_unchanged(session, "scope", scope.id, expected)
        found = uses(session, name)
        if found:
            raise Conflict(
                f"{in_words(found)} carry the scope {name}; take it off them first."
                if len(found) > 1
                else f"{in_words(found)} carries the scope {name}; take it off it first.",
            )
        delete(session, change, scope)


def delete(session: Session, change: Change, scope: Scope) -> None:
    """Remove a scope inside the caller's revision."""
    change.delete("scope", str(scope.id))
    session.delete(scope)
    session.flush()


def uses(session: Session, name: str, *, only: Collection[str] | None = None) -> list[str]:
    """What carries a scope, in words; with `only`, what carries no scope beside these."""
    found: list[str] = []
    for carrier, label in ((Ngi, Ngi.name), (Site, Site.name), (ServiceGroup, ServiceGroup.name)):
        condition = carrier.scopes.contains([name])
        if only is not None:
            condition &= carrier.scopes.contained_by(list(only))
        word = {Ngi: "NGI", Site: "site", ServiceGroup: "service group"}[carrier]
        found += [f"{word} {one}" for one in session.scalars(select(label).where(condition).order_by(label))]
    condition = Service.scopes.contains([name])
    if only is not None:
        condition &= Service.scopes.contained_by(list(only))
    services = select(Service.service_type, Service.hostname).where(condition).order_by(Service.id)
    return found + [f"service {kind} on {host}" for kind, host in session.execute(services)]


def in_words(things: list[str], shown: int = 5) -> str:
    """The first of the things, and how many more there are."""
    if len(things) <= shown:
        return ", ".join(things)
    return f"{', '.join(things[:shown])} and {len(things) - shown} more"
