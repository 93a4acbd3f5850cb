"""Projects: what NGIs take part in. Their roles reach down to the sites."""

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
from registry import entities, roles
from registry.federation_entities import put_project
from registry.keys import FRESH, Keys
from registry.models import Ngi, Project, Role, owned_entity_id
from registry.recording import check_unchanged, recording
from registry.rights import EDIT_PROJECT, RUN_FEDERATION, check_owner, is_operator
from registry.schemas.records import ProjectEdit, ProjectIn


def register(db: Database, principal: Principal, form: ProjectIn) -> str:
    """Register a project; returns its name. Raises Conflict when the name is taken, Refused for unknown NGIs."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, form.reason or f"Project {form.name} registered") as (session, change):
        return create(session, change, form).name


def create(session: Session, change: Change, form: ProjectIn, keys: Keys = FRESH) -> Project:
    """Write a new project inside the caller's revision; an import gives the `keys` that it keeps."""
    number, _ = keys.take(session, owned_entity_id)
    project = Project(id=number, name=form.name, description=form.description, ngis=_ngis(session, form.ngis))
    session.add(project)
    session.flush()
    put_project(change, project)
    return project


def edit(
    db: Database, principal: Principal, name: str, form: ProjectEdit, expected: int | None = None
) -> str:
    """Change the fields that `form` names; returns the project's name, which may be new."""
    values = form.model_dump(exclude_unset=True, exclude={"reason"})
    with recording(db, principal, form.reason or f"Project {name} changed") as (session, change):
        project = lock(session, name)
        check_owner(principal, EDIT_PROJECT, project)
        check_unchanged(session, "project", project.id, expected)
        if values.get("name", name) != name and not is_operator(principal):
            raise Refused(
                "Only a federation operator may give a project another name.",
                FieldFault("name", "ask a federation operator"),
            )
        apply(session, change, project, values)
        return project.name


def apply(session: Session, change: Change, project: Project, values: Mapping[str, Any]) -> None:
    """Set the fields of a locked project inside the caller's revision, and record it."""
    old_name = project.name
    if "name" in values and values["name"] is None:
        raise Refused("A project needs a name.", FieldFault("name", "cannot be empty"))
    for field in ("name", "description"):
        if field in values:
            setattr(project, field, values[field])
    if "ngis" in values:
        project.ngis = _ngis(session, values["ngis"])
    session.flush()
    put_project(change, project)
    if project.name != old_name:
        for role in session.scalars(select(Role).where(Role.project_id == project.id)):
            entities.put_role(change, role)


def _ngis(session: Session, names: Collection[str]) -> list[Ngi]:
    found = list(session.scalars(select(Ngi).where(Ngi.name.in_(names)).order_by(Ngi.name)))
    unknown = sorted(set(names) - {ngi.name for ngi in found})
    if unknown:
        raise Refused(
            f"There is no NGI {', '.join(unknown)}.",
            FieldFault("ngis", "name NGIs that are registered: GET /api/v1/ngis"),
        )
    return found


def lock(session: Session, name: str) -> Project:
    """The project, locked against other writers. Raises NotFound."""
    project = session.scalar(select(Project).where(Project.name == name).with_for_update(of=Project))
    if project is None:
        raise NotFound(f"There is no project {name}.")
    return project


def remove(
    db: Database, principal: Principal, name: str, reason: str = "", expected: int | None = None
) -> None:
    """Remove a project with the roles in it; its NGIs stay."""
    check(principal, RUN_FEDERATION, "federation")
    with recording(db, principal, reason or f"Project {name} removed") as (session, change):
        project = lock(session, name)
        check_unchanged(session, "project", project.id, expected)
        roles.end_with(session, project, principal, reason or f"Project {name} removed")
        delete(session, change, project)


def delete(session: Session, change: Change, project: Project) -> None:
    """Remove a project inside the caller's revision."""
    for role in session.scalars(select(Role.id).where(Role.project_id == project.id)):
        entities.delete_role(change, role)
    change.delete("project", str(project.id))
    session.delete(project)
    session.flush()
