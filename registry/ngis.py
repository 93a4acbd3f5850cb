"""NGIs: register, change, remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities, roles, scopes
from registry.federation_entities import put_ngi, put_whole_ngi
from registry.keys import FRESH, Keys
from registry.models import Ngi, Project, Role, Site, owned_entity_id, project_ngi
from registry.recording import check_unchanged, recording
from registry.rights import EDIT_NGI, RUN_FEDERATION, check_owner, is_operator
from registry.schemas.sites import NgiEdit, NgiIn


def register(db: Database, principal: Principal, form: NgiIn) -> str:
    """Register an NGI; returns its name. Raises Conflict when the name is taken."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"NGI {form.name} registered") as (session, change):
        create(session, change, form)
    return form.name


def create(session: Session, change: Change, form: NgiIn, keys: Keys = FRESH) -> Ngi:
    """Write a new NGI inside the revision of an operator; an import gives the `keys` that it keeps."""
    scopes.check(session, form.scopes, operator=True)
    number, _ = keys.take(session, owned_entity_id)
    ngi = Ngi(id=number, **form.model_dump(exclude={"reason"}))
    session.add(ngi)
    session.flush()
    put_ngi(change, ngi)
    return ngi


def edit(db: Database, principal: Principal, name: str, form: NgiEdit, expected: int | None = None) -> str:
    """Change the fields that `form` names; returns the NGI's name, which may be new. For its own people too."""
    values = form.model_dump(exclude_unset=True, exclude={"reason"})
    with recording(db, principal, form.reason or f"NGI {name} changed") as (session, change):
        ngi = lock(session, name)
        check_owner(principal, EDIT_NGI, ngi)
        check_unchanged(session, "ngi", ngi.id, expected)
        apply(session, change, ngi, values, operator=is_operator(principal))
        return ngi.name


def replace(db: Database, principal: Principal, name: str, form: NgiIn, expected: int | None = None) -> str:
    """Put `form` in the place of NGI `name`; a new name is passed on to its sites, projects and people."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"NGI {name} changed") as (session, change):
        ngi = lock(session, name)
        check_unchanged(session, "ngi", ngi.id, expected)
        apply(session, change, ngi, form.model_dump(exclude={"reason"}), operator=True)
    return form.name


def apply(session: Session, change: Change, ngi: Ngi, values: Mapping[str, Any], *, operator: bool) -> None:
    """Set the fields of a locked NGI inside the caller's revision, and record it."""
    old_name = ngi.name
    new_name = values.get("name", old_name)
    if new_name is None:
        raise Refused("An NGI needs a name.", FieldFault("name", "cannot be empty"))
    if new_name != old_name and not operator:
        raise Refused(
            "Only a federation operator may give an NGI another name.",
            FieldFault("name", "ask a federation operator"),
        )
    if "scopes" in values:
        scopes.check(session, values["scopes"], present=ngi.scopes, operator=operator)
    for field, value in values.items():
        setattr(ngi, field, value)
    session.flush()
    if ngi.name == old_name:
        put_ngi(change, ngi)
    else:
        put_whole_ngi(session, change, ngi)


def lock(session: Session, name: str) -> Ngi:
    """The NGI, locked against other writers. Raises NotFound."""
    ngi = session.scalar(select(Ngi).where(Ngi.name == name).with_for_update())
    if ngi is None:
        raise NotFound(f"There is no NGI {name}.")
    return ngi


def remove(
    db: Database, principal: Principal, name: str, reason: str = "", expected: int | None = None
) -> None:
    """Remove an NGI that has no sites and stands in no project, with its people's roles. Raises Conflict."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, reason or f"NGI {name} removed") as (session, change):
        ngi = lock(session, name)
        check_unchanged(session, "ngi", ngi.id, expected)
        found = uses(session, ngi)
        if found:
            raise Conflict(
                f"NGI {name} is in use by {scopes.in_words(found)}; move its sites to another NGI and take it out"
                " of its projects first."
            )
        roles.end_with(session, ngi, principal, reason or f"NGI {name} removed")
        delete(session, change, ngi)


def delete(session: Session, change: Change, ngi: Ngi) -> None:
    """Remove an NGI inside the caller's revision, with its people's roles."""
    for role in session.scalars(select(Role.id).where(Role.ngi_id == ngi.id)):
        entities.delete_role(change, role)
    change.delete("ngi", str(ngi.id))
    session.delete(ngi)
    session.flush()


def uses(session: Session, ngi: Ngi) -> list[str]:
    """What stands in the way of removing the NGI, in words."""
    sites = session.scalars(select(Site.name).where(Site.ngi_id == ngi.id).order_by(Site.name))
    projects = session.scalars(
        select(Project.name).join(project_ngi).where(project_ngi.c.ngi_id == ngi.id).order_by(Project.name)
    )
    return [*(f"site {one}" for one in sites), *(f"project {one}" for one in projects)]
