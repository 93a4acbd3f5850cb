"""Roles of people: who may grant which, grant, withdraw."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, Forbidden, NotFound, Refused
from hanse.identity.permissions import who_may
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities, people
from registry.models import Ngi, Person, Role, Site
from registry.recording import find_ngi, recording
from registry.rights import GRANT_ROLES, is_operator
from registry.schemas.people import RoleIn

_SCOPE_OF = {
    "federation_operator": "federation",
    "ngi_manager": "ngi",
    "site_administrator": "site",
    "site_security_officer": "site",
}


def may_grant(principal: Principal, role: str, site: Site | None) -> bool:
    """Operators grant everything, NGI managers the roles of their sites, administrators the security officers."""
    if is_operator(principal):
        return True
    if site is None:
        return False
    if principal.has("ngi_manager", f"ngi:{site.ngi.name}"):
        return True
    return role == "site_security_officer" and principal.has("site_administrator", f"site:{site.name}")


def grant(db: Database, principal: Principal, form: RoleIn) -> int:
    """Grant a role; returns its id. Raises Forbidden, NotFound, Refused, Conflict when the person holds it."""
    reason = form.reason or f"{form.role.replace('_', ' ')} granted in {form.scope}"
    with recording(db, principal, reason) as (session, recorded):
        site, ngi = resolve_scope(session, form.role, form.scope)
        _check(principal, form.role, site, form.scope)
        person = people.find(session, form.person)
        return create(session, recorded, person, form.role, site, ngi, principal.name).id


def create(
    session: Session,
    recorded: Change,
    person: Person,
    role: str,
    site: Site | None,
    ngi: Ngi | None,
    granted_by: str,
) -> Role:
    """Write a role inside the caller's revision."""
    row = Role(
        person=person,
        role=role,
        site=site,
        ngi=ngi,
        status="GRANTED",
        granted_at=datetime.now(UTC),
        granted_by=granted_by,
    )
    session.add(row)
    session.flush()
    entities.put_role(recorded, row)
    return row


def resolve_scope(session: Session, role: str, scope: str) -> tuple[Site | None, Ngi | None]:
    """The site or NGI that a scope names. Raises Refused when the role does not go with it, NotFound."""
    kind, _, name = scope.partition(":")
    if kind != _SCOPE_OF[role]:
        wanted = _SCOPE_OF[role]
        example = "federation" if wanted == "federation" else f"{wanted}:NAME"
        raise Refused(
            f"The role {role} cannot be held in {scope}.",
            FieldFault("scope", f"must be {example} for this role"),
        )
    if kind == "site":
        site = session.scalar(select(Site).where(Site.name == name))
        if site is None:
            raise NotFound(f"There is no site {name}.")
        return site, None
    return None, find_ngi(session, name) if kind == "ngi" else None


def _check(principal: Principal, role: str, site: Site | None, scope: str) -> None:
    if not may_grant(principal, role, site):
        who = who_may(GRANT_ROLES) if site is None else "a federation operator or the NGI's manager"
        raise Forbidden(f"You may not grant or withdraw {role.replace('_', ' ')} in {scope}; {who} may.")


def withdraw(db: Database, principal: Principal, number: int, reason: str) -> None:
    """Withdraw a role. Everybody may lay down an own role. Raises Refused for the last federation operator."""
    with recording(db, principal, reason or f"Role {number} withdrawn") as (session, recorded):
        row = session.get(Role, number, with_for_update={"of": Role})
        if row is None:
            raise NotFound(f"There is no role {number}.")
        if principal.person is None or str(row.person_id) != principal.person:
            _check(principal, row.role, row.site, row.scope)
        delete(session, recorded, row)


def delete(session: Session, recorded: Change, row: Role) -> None:
    """Take a role away inside the caller's revision."""
    if row.role == "federation_operator" and _operators(session) <= 1:
        raise Refused("This is the last federation operator; grant the role to somebody else first.")
    entities.delete_role(recorded, row.id)
    session.delete(row)
    session.flush()


def _operators(session: Session) -> int:
    # locked, so that two operators cannot lay the role down at the same moment
    return len(
        session.scalars(select(Role).where(Role.role == "federation_operator").with_for_update(of=Role)).all()
    )


def listed(session: Session, scope: str | None, person: int | None) -> list[Role]:
    """Roles, the newest first."""
    wanted = select(Role).order_by(Role.id.desc())
    if person is not None:
        wanted = wanted.where(Role.person_id == person)
    rows = list(session.scalars(wanted))
    return rows if scope is None else [row for row in rows if row.scope == scope]
