"""Asking for a role: the request, who is told of it, and the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import brief, entities, mails, people, remembered, roles, states
from registry.models import Ngi, Person, Project, Role, ServiceGroup, Site
from registry.models.people import Owner
from registry.models.role_names import shown
from registry.recording import recording
from registry.remembered import RoleThen
from registry.rights import held_by, is_operator, may_decide_role
from registry.schemas.people import RoleRequestIn

MOST_SHOWN: Final = 1000
_TABLES: Final[Mapping[str, Any]] = {
    "site": Site,
    "ngi": Ngi,
    "project": Project,
    "servicegroup": ServiceGroup,
}
_LOGGED: Final = {"servicegroup": "service_group"}


def request(db: Database, principal: Principal, form: RoleRequestIn, base_url: str = "") -> int:
    """Ask for a role for oneself; returns the request's id. Raises Conflict when it is held or asked for already."""
    with recording(db, principal, form.reason or f"{shown(form.role)} asked for in {form.scope}") as (
        session,
        recorded,
    ):
        person = people.own(session, principal)
        owner = roles.resolve_scope(session, form.role, form.scope)
        present = roles.standing(session, person.id, form.role, owner)
        if present is not None:
            held = "You hold this role" if present.status == "GRANTED" else "You asked for this role"
            raise Conflict(f"{held} already: {shown(form.role)} in {form.scope}.")
        row = Role(
            person_id=person.id,
            role=form.role,
            **roles.owner_columns(owner),
            status="PENDING",
            requested_by=principal.name,
            request_reason=form.reason,
        )
        session.add(row)
        session.flush()
        roles.note(session, row, "requested", principal, form.reason, new="PENDING")
        entities.put_role(recorded, row)
        _call(session, row, owner, base_url)
        return row.id


def deciders(session: Session, owner: Owner | None) -> list[Person]:
    """People who can decide about roles there, without the operators; operators where nobody else can."""
    allowed = [
        (role, scope) for role, scope in held_by(owner, "decide roles") if role != "federation_operator"
    ]
    found = _holders(session, allowed)
    return found or _holders(session, [("federation_operator", "federation")])


def _holders(session: Session, allowed: Sequence[tuple[str, str]]) -> list[Person]:
    if not allowed:
        return []
    names = {role for role, _ in allowed}
    rows = session.scalars(
        select(Role).where(Role.status == "GRANTED", Role.role.in_(names)).order_by(Role.id)
    )
    wanted = set(allowed)
    return list({row.person_id: row.person for row in rows if (row.role, row.scope) in wanted}.values())


def _call(session: Session, row: Role, owner: Owner | None, base_url: str) -> None:
    """Mail to those who can decide. Nobody with an address among them: the operators are told that too."""
    able = deciders(session, owner)
    told = [person for person in able if person.email and person.id != row.person_id]
    lonely = not told or all(_only_operator(person) for person in told)
    if not told:
        told = [one for one in _holders(session, [("federation_operator", "federation")]) if one.email]
    subject = f"{row.person.name} asks to be {shown(row.role)} in {row.scope}"
    body = (
        f"{row.person.name} asks for the role {shown(row.role)} in {row.scope}.\n"
        + (f"Reason given: {row.request_reason}\n" if row.request_reason else "")
        + (
            "Nobody there can decide about it or has an e-mail address here: it waits for a federation operator.\n"
            if lonely and owner is not None
            else ""
        )
        + (
            f"\nGrant or reject it: {base_url}/roles\n"
            if base_url
            else "\nGrant or reject it on the page Roles.\n"
        )
    )
    mails.queue(session, [one.email for one in told if one.email], subject, body, about=f"role:{row.id}")


def _only_operator(person: Person) -> bool:
    return {role.role for role in person.roles} == {"federation_operator"}


def accept(db: Database, principal: Principal, number: int, reason: str, base_url: str = "") -> None:
    """Grant what was asked for. Raises NotFound, Forbidden, Refused when it was granted meanwhile."""
    with recording(db, principal, reason or f"Request {number} granted") as (session, recorded):
        row = _waiting(session, principal, number)
        roles.settle(session, recorded, row, principal, reason)
        roles.tell(session, row, principal, f"You are {shown(row.role)} now", reason, base_url)


def reject(db: Database, principal: Principal, number: int, reason: str, base_url: str = "") -> None:
    """Reject what was asked for; the reason goes to the person. Raises Refused without one."""
    if not reason:
        raise Refused("Say why.", FieldFault("reason", "must be given: it is mailed to the person who asked"))
    with recording(db, principal, reason) as (session, recorded):
        row = _waiting(session, principal, number)
        roles.note(session, row, "rejected", principal, reason, old="PENDING")
        what = f"Your request to be {shown(row.role)} was rejected"
        roles.tell(session, row, principal, what, reason, base_url)
        _drop(session, recorded, row)


def _drop(session: Session, recorded: Change, row: Role) -> None:
    entities.delete_role(recorded, row.id)
    session.delete(row)
    session.flush()


def _waiting(session: Session, principal: Principal, number: int) -> Role:
    row = session.get(Role, number, with_for_update={"of": Role})
    if row is None:
        raise NotFound(f"There is no request {number}: it was rejected or taken back.")
    roles.check_may_decide(principal, row.role, row.owner)
    if row.status != "PENDING":
        raise Refused(f"This request was granted already, by {row.granted_by}.")
    return row


def waiting(session: Session) -> list[Role]:
    """All requests, the oldest first."""
    wanted = select(Role).where(Role.status == "PENDING").order_by(Role.id)
    return list(session.scalars(wanted.options(*brief.of_roles())))


def for_me(session: Session, principal: Principal) -> list[Role]:
    """The requests that the principal may decide, the oldest first."""
    return [row for row in waiting(session) if may_decide_role(principal, row.owner)]


def for_me_then(session: Session, principal: Principal, number: int) -> list[RoleThen]:
    """The requests that waited after revision `number` and that the principal may decide by the rights of today."""
    waited = remembered.requests(session, number, MOST_SHOWN)
    if is_operator(principal):
        return waited
    owners = _owners(session, number, {role.scope for role in waited})
    may = {scope for scope, owner in owners.items() if may_decide_role(principal, owner)}
    return [role for role in waited if role.scope in may]


def _owners(session: Session, number: int, scopes: set[str]) -> dict[str, Owner]:
    """What today stands for each scope as it was called after revision `number`; without the federation, and without
    what has gone since.
    """
    found: dict[str, Owner] = {}
    for kind, table in _TABLES.items():
        wanted = {scope.partition(":")[2] for scope in scopes if scope.startswith(f"{kind}:")}
        if not wanted:
            continue
        named = states.by_name(
            session, _LOGGED.get(kind, kind), where=[states.name_of().in_(wanted)], as_of=str(number)
        )
        called = {int(state.id): f"{kind}:{state.body['name']}" for state in named}
        rows: Iterable[Owner] = session.scalars(select(table).where(table.id.in_(called)))
        found |= {called[row.id]: row for row in rows}
    return found
