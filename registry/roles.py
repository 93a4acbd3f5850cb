"""Roles of people: granted by whom `registry.role_matrix` allows, laid down, revoked; what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, Forbidden, NotFound, Refused
from hanse.identity.permissions import who_may
from hanse.identity.principals import FEDERATION, Principal
from hanse.revisions import Change
from registry import brief, entities, mails, people
from registry.models import ApiCredential, Ngi, Person, Project, Role, RoleAction, ServiceGroup, Site
from registry.models.people import Owner
from registry.models.role_names import ROLE_TYPES, held_at, shown
from registry.recording import find_ngi, recording
from registry.rights import deciding, kind_of, may_decide_role, scopes_of
from registry.schemas.people import RoleIn

_TABLES: dict[str, type[Site] | type[Project] | type[ServiceGroup]] = {
    "site": Site,
    "project": Project,
    "servicegroup": ServiceGroup,
}
_WORDS = {"site": "site", "ngi": "NGI", "project": "project", "servicegroup": "service group"}


def grant(db: Database, principal: Principal, form: RoleIn, base_url: str = "") -> int:
    """Grant a role, asked for or not; returns its id. Raises Forbidden, NotFound, Refused, Conflict when held."""
    reason = form.reason or f"{shown(form.role)} granted in {form.scope}"
    with recording(db, principal, reason) as (session, recorded):
        owner = resolve_scope(session, form.role, form.scope)
        check_may_decide(principal, form.role, owner)
        person = people.find(session, form.person)
        row = standing(session, person.id, form.role, owner)
        if row is not None and row.status == "GRANTED":
            raise Conflict(f"{person.name} holds the role {shown(form.role)} in {form.scope} already.")
        if row is None:
            row = create(session, recorded, person, form.role, owner, principal, form.reason)
        else:
            settle(session, recorded, row, principal, form.reason)
        tell(session, row, principal, f"You are {shown(row.role)} now", form.reason, base_url)
        return row.id


def create(
    session: Session,
    recorded: Change,
    person: Person,
    role: str,
    owner: Owner | None,
    by: Principal,
    reason: str = "",
    number: int | None = None,
) -> Role:
    """Write a granted role inside the caller's revision; one that comes back has its `number`."""
    row = Role(
        id=number,
        person=person,
        role=role,
        **owner_columns(owner),
        status="GRANTED",
        requested_by=by.name,
        granted_at=datetime.now(UTC),
        granted_by=by.name,
    )
    session.add(row)
    session.flush()
    session.refresh(row, ["site", "ngi", "project", "service_group"])
    note(session, row, "granted", by, reason, new="GRANTED")
    entities.put_role(recorded, row)
    return row


def settle(session: Session, recorded: Change, row: Role, by: Principal, reason: str) -> None:
    """Turn a request into a role inside the caller's revision."""
    row.status, row.granted_at, row.granted_by = "GRANTED", datetime.now(UTC), by.name
    session.flush()
    session.expire(row.person, ["roles", "requests"])
    note(session, row, "granted", by, reason, old="PENDING", new="GRANTED")
    entities.put_role(recorded, row)


def owner_columns(owner: Owner | None) -> dict[str, int]:
    """The column of a role that names its owner."""
    kind = kind_of(owner)
    column = "service_group_id" if kind == "servicegroup" else f"{kind}_id"
    return {} if owner is None else {column: owner.id}


def standing(session: Session, person: int, role: str, owner: Owner | None) -> Role | None:
    """The role that the person holds or asked for in that place; locked."""
    wanted = select(Role).where(Role.person_id == person, Role.role == role).with_for_update(of=Role)
    for column, number in owner_columns(owner).items():
        wanted = wanted.where(getattr(Role, column) == number)
    return session.scalar(wanted)


def resolve_scope(session: Session, role: str, scope: str) -> Owner | None:
    """What a scope names; None for the federation. Raises Refused when the role is not held there, NotFound."""
    kind, _, name = scope.partition(":")
    wanted = ROLE_TYPES[role].held_at
    if kind != wanted:
        example = "federation" if wanted == "federation" else f"{wanted}:NAME"
        raise Refused(
            f"The role {shown(role)} cannot be held in {scope}.",
            FieldFault("scope", f"must be {example} for this role"),
        )
    if kind == "federation":
        return None
    if kind == "ngi":
        return find_ngi(session, name)
    table = _TABLES[kind]
    owner = session.scalar(select(table).where(table.name == name))
    if not isinstance(owner, Site | Project | ServiceGroup):
        raise NotFound(f"There is no {_WORDS[kind]} {name}.")
    return owner


def check_may_decide(principal: Principal, role: str, owner: Owner | None) -> None:
    """Raise Forbidden unless the principal may grant, reject and revoke roles there."""
    if may_decide_role(principal, owner):
        return
    scopes = scopes_of(owner)
    raise Forbidden(
        f"You may not grant, reject or revoke the role {shown(role)} in {scopes[0]};"
        f" {who_may(deciding(owner), *scopes)} may."
    )


def withdraw(db: Database, principal: Principal, number: int, reason: str, base_url: str = "") -> None:
    """Revoke a role, lay an own one down, or take an own request back.

    Raises Refused for the last federation operator, and when an API credential would be left without an owner who has
    a role at its site.
    """
    with recording(db, principal, reason or f"Role {number} withdrawn") as (session, recorded):
        row = session.get(Role, number, with_for_update={"of": Role})
        if row is None:
            raise NotFound(f"There is no role {number}.")
        own = principal.person is not None and str(row.person_id) == principal.person
        if not own:
            check_may_decide(principal, row.role, row.owner)
        note(session, row, "laid down" if own else "revoked", principal, reason, old=row.status)
        if not own:
            tell(session, row, principal, f"You are no longer {shown(row.role)}", reason, base_url)
        delete(session, recorded, row)


def delete(session: Session, recorded: Change, row: Role) -> None:
    """Take a role away inside the caller's revision."""
    check_removable(session, row)
    entities.delete_role(recorded, row.id)
    session.delete(row)
    session.flush()


def end_with(session: Session, owner: Owner, by: Principal, reason: str) -> None:
    """Note what becomes of the roles in a site, NGI, project or service group that is about to be removed."""
    for column, number in owner_columns(owner).items():
        for row in session.scalars(select(Role).where(getattr(Role, column) == number).order_by(Role.id)):
            note(session, row, "revoked", by, reason, old=row.status)


def check_removable(session: Session, row: Role) -> None:
    """Refuse to take the last operator's role, or a site role on which an API credential stands."""
    if row.status != "GRANTED":
        return
    if row.role == "federation_operator" and _operators(session) <= 1:
        raise Refused("This is the last federation operator; grant the role to somebody else first.")
    if row.site_id is None or row.role not in held_at("site"):
        return
    # locked, so that no credential is added while the role goes
    kept = session.scalars(
        select(ApiCredential)
        .where(ApiCredential.owner_id == row.person_id, ApiCredential.site_id == row.site_id)
        .with_for_update(of=ApiCredential)
    ).all()
    others = session.scalar(
        select(func.count())
        .select_from(Role)
        .where(
            Role.person_id == row.person_id,
            Role.site_id == row.site_id,
            Role.status == "GRANTED",
            Role.id != row.id,
        )
    )
    if kept and not others:
        raise Refused(
            f"{row.person.name} answers for {len(kept)} API credentials of {row.scope.partition(':')[2]};"
            " somebody else with a role there must take them over, or they must be deleted, before the role goes."
        )


def _operators(session: Session) -> int:
    # locked, so that two operators cannot lay the role down at the same moment
    wanted = select(Role).where(Role.role == "federation_operator", Role.status == "GRANTED")
    return len(session.scalars(wanted.with_for_update(of=Role)).all())


def note(
    session: Session, row: Role, action: str, by: Principal, reason: str, *, old: str = "", new: str = ""
) -> None:
    """Write what was done with a role or a request, by whom and why."""
    owner = row.owner
    session.add(
        RoleAction(
            action=action,
            role_id=row.id,
            role=row.role,
            scope=row.scope,
            owner_id=None if owner is None else owner.id,
            person_id=row.person_id,
            person_name=row.person.name,
            by_person_id=int(by.person) if by.person is not None and by.person.isdigit() else None,
            by_name=by.name,
            old_status=old,
            new_status=new,
            reason=reason,
        )
    )
    session.flush()


def tell(session: Session, row: Role, by: Principal, what: str, reason: str, base_url: str) -> None:
    """Mail to the person of a role what was decided, unless it was the person's own doing."""
    if row.person.email is None or by.person == str(row.person_id):
        return
    where = "for the federation" if row.scope == "federation" else f"at {row.scope.partition(':')[2]}"
    body = (
        f"Dear {row.person.name},\n\n{what} {where}. Decided by {by.name}.\n"
        + (f"Reason: {reason}\n" if reason else "")
        + (f"\nYour roles: {base_url}/account\n" if base_url else "")
    )
    mails.queue(session, row.person.email, f"{what} {where}", body, about=f"role:{row.id}")


def listed(
    session: Session,
    scope: str | None,
    person: int | None,
    status: str = "GRANTED",
    *,
    before: int | None = None,
    limit: int | None = None,
) -> list[Role]:
    """Roles that were granted (or requests: PENDING), the newest first; those with an id below `before`."""
    wanted = select(Role).where(Role.status == status).order_by(Role.id.desc()).limit(limit)
    if person is not None:
        wanted = wanted.where(Role.person_id == person)
    if scope is not None:
        wanted = wanted.where(held_in(scope))
    if before is not None:
        wanted = wanted.where(Role.id < before)
    return list(session.scalars(wanted.options(*brief.of_roles())))


_OWNERS: Final[Mapping[str, tuple[Any, Any]]] = {
    "site": (Role.site_id, Site),
    "ngi": (Role.ngi_id, Ngi),
    "project": (Role.project_id, Project),
    "servicegroup": (Role.service_group_id, ServiceGroup),
}


def held_in(scope: str) -> ColumnElement[bool]:
    """Roles in a scope such as "site:BIFI"; none for one that is not there."""
    if scope == FEDERATION:
        return and_(*(column.is_(None) for column, _ in _OWNERS.values()))
    kind, _, name = scope.partition(":")
    if kind not in _OWNERS:
        return false()
    column, table = _OWNERS[kind]
    held: ColumnElement[bool] = column == select(table.id).where(table.name == name).scalar_subquery()
    return held


def actions(
    session: Session,
    *,
    scope: str | None = None,
    person: int | None = None,
    before: int | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> list[RoleAction]:
    """What was decided, by a moment if one is given, the newest first; `before` is the id of the last one seen."""
    wanted = select(RoleAction).order_by(RoleAction.id.desc()).limit(limit)
    if scope is not None:
        wanted = wanted.where(RoleAction.scope == scope)
    if person is not None:
        wanted = wanted.where((RoleAction.person_id == person) | (RoleAction.by_person_id == person))
    if until is not None:
        wanted = wanted.where(RoleAction.at <= until)
    return list(session.scalars(wanted if before is None else wanted.where(RoleAction.id < before)))
