"""What spans sites in a federation file: scopes, projects, service groups. Steps of `federation_steps.Application`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, NotFound, Refused
from hanse.revisions import Change
from registry import ngis, projects, scopes, service_groups, service_types
from registry.models import Ngi, Project, Scope, Service, ServiceGroup, ServiceType, Site
from registry.renderings.federation_yaml import FederationDoc, GroupDoc, GroupMemberDoc, ProjectDoc, ScopeDoc
from registry.schemas.records import ProjectIn, ServiceGroupIn
from registry.snapshot import group_values, project_values, scope_values


class Steps(Protocol):
    """What an application of a file gives to the steps here."""

    session: Session
    change: Change

    def step(
        self, action: str, kind: str, name: str, changes: dict[str, tuple[Any, Any]] | None = None
    ) -> None:
        """Note a step."""

    def differs(
        self, kind: str, name: str, wanted: dict[str, Any], present: dict[str, Any]
    ) -> dict[str, Any]:
        """The wanted values that differ, noted as a step."""

    def add_scopes(self, wanted: Iterable[str]) -> None:
        """Add the scopes that there are not yet."""


@dataclass
class Spanning:
    """The steps for what spans sites."""

    steps: Steps
    added: set[str] = field(default_factory=set)

    def new_scopes(self, wanted: Iterable[ScopeDoc]) -> None:
        """Scopes that there are not yet, before anything carries them."""
        present = set(self.steps.session.scalars(select(Scope.name)))
        for entry in wanted:
            if entry.name not in present:
                self.added.add(entry.name)
                self.steps.step("add", "scope", entry.name)
                scopes.create(self.steps.session, self.steps.change, entry.name, entry.description)

    def scopes(self, wanted: Iterable[ScopeDoc]) -> None:
        """Their fields at the end, when everything carries what it shall carry: a reserved one can be refused."""
        for entry in wanted:
            row = self.steps.session.scalar(select(Scope).where(Scope.name == entry.name))
            assert row is not None
            values, present = set_fields(entry), scope_values(row)
            if entry.name in self.added:  # the step is noted already
                differing = {key: value for key, value in values.items() if present[key] != value}
            else:
                differing = self.steps.differs("scope", entry.name, values, present)
            if differing:
                scopes.apply(self.steps.session, self.steps.change, entry.name, differing)

    def project(self, wanted: ProjectDoc) -> None:
        """A project with its NGIs."""
        session, change = self.steps.session, self.steps.change
        row = session.scalar(select(Project).where(Project.name == wanted.name).with_for_update(of=Project))
        values = set_fields(wanted)
        if "ngis" in values:
            values["ngis"] = sorted(values["ngis"])
        if row is None:
            self.steps.step("add", "project", wanted.name)
            projects.create(session, change, ProjectIn.model_validate(values))
            return
        differing = self.steps.differs("project", wanted.name, values, project_values(row))
        if differing:
            projects.apply(session, change, row, differing)

    def group(self, wanted: GroupDoc) -> None:
        """A service group; its services are named by site, type and host."""
        session, change = self.steps.session, self.steps.change
        row = session.scalar(
            select(ServiceGroup).where(ServiceGroup.name == wanted.name).with_for_update(of=ServiceGroup)
        )
        values = set_fields(wanted)
        members = [member_id(session, one) for one in wanted.services]
        if "services" in values:
            values["services"] = sorted(values["services"], key=_member_order)
        if "scopes" in values:
            values["scopes"] = sorted(values["scopes"])
        if row is None:
            self.steps.step("add", "service_group", wanted.name)
            self.steps.add_scopes(wanted.scopes)
            form = ServiceGroupIn.model_validate({**values, "services": members})
            service_groups.create(session, change, form, operator=True)
            return
        differing = self.steps.differs("service_group", wanted.name, values, group_values(row))
        if differing:
            self.steps.add_scopes(differing.get("scopes", ()))
            if "services" in differing:
                differing["services"] = members
            service_groups.apply(session, change, row, differing, operator=True)

    def prune(self, document: FederationDoc) -> None:
        """Remove groups and projects that the file does not name, in the sections that it has."""
        session, change = self.steps.session, self.steps.change
        if "service_groups" in document.model_fields_set:
            kept = {entry.name for entry in document.service_groups}
            groups = select(ServiceGroup).where(ServiceGroup.name.not_in(kept)).order_by(ServiceGroup.id)
            for group in session.scalars(groups).all():
                self.steps.step("remove", "service_group", group.name)
                service_groups.delete(session, change, group)
        if "projects" in document.model_fields_set:
            kept = {entry.name for entry in document.projects}
            found = select(Project).where(Project.name.not_in(kept)).order_by(Project.id)
            for project in session.scalars(found).all():
                self.steps.step("remove", "project", project.name)
                projects.delete(session, change, project)

    def prune_words(self, document: FederationDoc) -> None:
        """Remove NGIs, then the words that nothing uses any more: scopes and service types."""
        session, change = self.steps.session, self.steps.change
        if "ngis" in document.model_fields_set:
            kept = {entry.name for entry in document.ngis}
            for ngi in session.scalars(select(Ngi).where(Ngi.name.not_in(kept)).order_by(Ngi.id)).all():
                _check_unused("NGI", ngi.name, ngis.uses(session, ngi))
                self.steps.step("remove", "ngi", ngi.name)
                ngis.delete(session, change, ngi)
        if "scopes" in document.model_fields_set:
            kept = {entry.name for entry in document.scopes}
            for scope in session.scalars(
                select(Scope).where(Scope.name.not_in(kept)).order_by(Scope.name)
            ).all():
                _check_unused("scope", scope.name, scopes.uses(session, scope.name))
                self.steps.step("remove", "scope", scope.name)
                scopes.delete(session, change, scope)
        if "service_types" in document.model_fields_set:
            kept = {entry.name for entry in document.service_types}
            kinds = select(ServiceType).where(ServiceType.name.not_in(kept)).order_by(ServiceType.name)
            for kind in session.scalars(kinds).all():
                _check_unused("service type", kind.name, service_types.uses(session, kind.name))
                self.steps.step("remove", "service_type", kind.name)
                service_types.delete(session, change, kind)


def _check_unused(word: str, name: str, uses: list[str]) -> None:
    if uses:
        raise Refused(
            f"The {word} {name} is not in the file, but in use by {scopes.in_words(uses)}.",
            FieldFault("prune", f"name {name} in the file, or take it off what uses it"),
        )


def member_id(session: Session, entry: GroupMemberDoc) -> int:
    """The id of the service that a group's entry means. Raises NotFound."""
    same = (
        select(Service.id)
        .join(Site)
        .where(
            Site.name == entry.site,
            Service.service_type == entry.type,
            Service.hostname == entry.hostname.lower(),
        )
        .order_by(Service.id)
        .offset(entry.nth - 1)
        .limit(1)
    )
    found = session.scalar(same)
    if found is None:
        which = f"{entry.type} on {entry.hostname}" + (f" number {entry.nth}" if entry.nth > 1 else "")
        raise NotFound(f"There is no service {which} at {entry.site}.")
    return found


def _member_order(member: dict[str, Any]) -> tuple[str, str, str, int]:
    return member["site"], member["type"], member["hostname"], member["nth"]


def set_fields(model: Any) -> dict[str, Any]:
    """The fields that the file names, each whole."""
    whole = model.model_dump()
    return {name: whole[name] for name in type(model).model_fields if name in model.model_fields_set}
