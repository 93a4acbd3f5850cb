"""The five kinds of records that operators keep: what their lists, pages and forms show, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.identity.permissions import Permission, allows
from hanse.identity.principals import Principal
from registry import ngis, projects, scopes, service_groups, service_types, spanning
from registry.models import Ngi, Project, Scope, ServiceGroup, ServiceType
from registry.rights import (
    ADD_GROUP,
    EDIT_GROUP,
    EDIT_NGI,
    EDIT_PROJECT,
    RUN_FEDERATION,
    is_operator,
    may_owner,
)
from registry.schemas.fields import Wire
from registry.schemas.records import (
    ProjectEdit,
    ProjectIn,
    ScopeEdit,
    ScopeIn,
    ServiceGroupEdit,
    ServiceGroupIn,
)
from registry.schemas.services import ServiceTypeEdit, ServiceTypeIn
from registry.schemas.sites import NgiEdit, NgiIn

Body = dict[str, Any]
Facts = Mapping[str, Any]
How = Literal["text", "textarea", "checkbox", "scopes", "ngis"]


@dataclass(frozen=True)
class FormField:
    """A field of a form. `scopes` and `ngis` are lists to tick; only `operator` fields are an operator's."""

    name: str
    label: str
    how: How = "text"
    hint: str = ""
    required: bool = False
    operator: bool = False
    default: str = ""


@dataclass(frozen=True)
class RecordKind:
    """One kind: `name` in addresses, `entity` in the log, `one` and `many` in words; what it may and how it is done.

    `rows` gives the list what stands in no body, by name; `facts` does so for one page; `uses` what a removal would
    meet or take along, in words.
    """

    name: str
    entity: str
    one: str
    many: str
    says: str
    short: str
    add: Permission
    edit: Permission
    remove: Permission
    form_in: type[Wire]
    form_edit: type[Wire]
    fields: tuple[FormField, ...]
    register: Callable[[Database, Principal, Any], str]
    change: Callable[[Database, Principal, str, Any, int | None], str]
    drop: Callable[[Database, Principal, str, str, int | None], None]
    table: Any
    rows: Callable[[Session, str | None], Facts]
    facts: Callable[[Session, Body, str | None], Facts]
    hindered: Callable[[Session, Any], list[str]] = field(default=lambda session, row: [])

    @property
    def path(self) -> str:
        """Where its pages are."""
        return f"/{self.name}"

    @property
    def api(self) -> str:
        """The path of the list in the API."""
        return f"/api/v1/{self.name}"

    def row(self, session: Session, name: str) -> Any:
        """The row as it is now; None when there is none."""
        return session.scalar(select(self.table).where(self.table.name == name))

    def may_edit(self, principal: Principal, row: Any) -> bool:
        """True when the principal may change this very one."""
        if self.edit is RUN_FEDERATION:
            return is_operator(principal)
        return row is not None and may_owner(principal, self.edit, row)

    def may_remove(self, principal: Principal, row: Any) -> bool:
        """True when the principal may remove this very one."""
        if self.remove is RUN_FEDERATION:
            return row is not None and is_operator(principal)
        return row is not None and may_owner(principal, self.remove, row)

    def may_add(self, principal: Principal) -> bool:
        """True when the principal may add one."""
        return allows(principal, self.add, "federation", *(grant.scope for grant in principal.grants))


_NAME = "letters, digits, . _ -; unique in the federation"
_REASON = FormField("reason", "Reason", hint="stands in the log")
_DESCRIPTION = FormField("description", "Description", "textarea")
_SCOPES = FormField("scopes", "Scopes", "scopes", hint="at least one that is not reserved", default="EGI")


def _name(hint: str = _NAME, *, operator: bool = False) -> FormField:
    return FormField("name", "Name", hint=hint, required=True, operator=operator)


def _ngi_rows(session: Session, as_of: str | None) -> Facts:
    return {
        "counts": spanning.sites_by_status(session, as_of),
        "projects_of": spanning.projects_by_ngi(session, as_of),
    }


def _ngi_facts(session: Session, body: Body, as_of: str | None) -> Facts:
    name = body["name"]
    return {
        "sites": spanning.sites_of(session, name, as_of),
        "projects": spanning.projects_of(session, name, as_of),
    }


def _project_facts(session: Session, body: Body, as_of: str | None) -> Facts:
    counts = spanning.sites_by_status(session, as_of)
    return {"counts": {name: counts.get(name, {}) for name in body["ngis"]}}


def _type_rows(session: Session, as_of: str | None) -> Facts:
    return {"used": service_types.used(session) if as_of is None else {}}


def _type_facts(session: Session, body: Body, as_of: str | None) -> Facts:
    found = spanning.services_of_type(session, body["name"], as_of)
    return {"services": found.shown, "total": found.total}


def _scope_rows(session: Session, as_of: str | None) -> Facts:
    return {"used": spanning.scope_uses(session) if as_of is None else {}}


def _scope_facts(session: Session, body: Body, as_of: str | None) -> Facts:
    found = spanning.services_with_scope(session, body["name"], as_of)
    return {
        "carried": spanning.carriers(session, body["name"], as_of),
        "services": found.shown,
        "total": found.total,
    }


def _group_facts(session: Session, body: Body, as_of: str | None) -> Facts:
    return {"services": spanning.services_by_id(session, body["services"], as_of)}


def _nothing(session: Session, as_of: str | None) -> Facts:
    return {}


NGIS = RecordKind(
    name="ngis",
    entity="ngi",
    one="NGI",
    many="NGIs",
    says="National infrastructures: each site belongs to one.",
    short="each site belongs to one",
    add=RUN_FEDERATION,
    edit=EDIT_NGI,
    remove=RUN_FEDERATION,
    form_in=NgiIn,
    form_edit=NgiEdit,
    fields=(
        _name(operator=True),
        _DESCRIPTION,
        FormField("email", "E-mail"),
        FormField("rod_email", "Operators on duty", hint="e-mail of the regional operators on duty (ROD)"),
        FormField("helpdesk_email", "Helpdesk", hint="e-mail"),
        FormField("security_email", "Security", hint="e-mail of the security officers"),
        FormField("ggus_su", "Support unit", hint="its name in the helpdesk, such as NGI_IBERGRID"),
        _SCOPES,
        _REASON,
    ),
    register=ngis.register,
    change=ngis.edit,
    drop=ngis.remove,
    table=Ngi,
    rows=_ngi_rows,
    facts=_ngi_facts,
    hindered=ngis.uses,
)
PROJECTS = RecordKind(
    name="projects",
    entity="project",
    one="project",
    many="Projects",
    says="What NGIs take part in; people of a project may act for its NGIs and their sites.",
    short="NGIs take part in them",
    add=RUN_FEDERATION,
    edit=EDIT_PROJECT,
    remove=RUN_FEDERATION,
    form_in=ProjectIn,
    form_edit=ProjectEdit,
    fields=(
        _name(operator=True),
        _DESCRIPTION,
        FormField("ngis", "NGIs", "ngis", hint="that take part"),
        _REASON,
    ),
    register=projects.register,
    change=projects.edit,
    drop=projects.remove,
    table=Project,
    rows=_nothing,
    facts=_project_facts,
)
GROUPS = RecordKind(
    name="service-groups",
    entity="service_group",
    one="service group",
    many="Service groups",
    says="Services of any sites that belong together, such as those of a service level agreement.",
    short="services that belong together",
    add=ADD_GROUP,
    edit=EDIT_GROUP,
    remove=EDIT_GROUP,
    form_in=ServiceGroupIn,
    form_edit=ServiceGroupEdit,
    fields=(
        _name(),
        _DESCRIPTION,
        FormField("email", "E-mail", hint="one or several, separated by semicolons"),
        FormField("monitored", "Monitored", "checkbox", default="true"),
        _SCOPES,
        _REASON,
    ),
    register=service_groups.register,
    change=service_groups.edit,
    drop=service_groups.remove,
    table=ServiceGroup,
    rows=_nothing,
    facts=_group_facts,
)
TYPES = RecordKind(
    name="service-types",
    entity="service_type",
    one="service type",
    many="Service types",
    says="What a service can be. Programs of the field ask for services by these names.",
    short="what a service can be",
    add=RUN_FEDERATION,
    edit=RUN_FEDERATION,
    remove=RUN_FEDERATION,
    form_in=ServiceTypeIn,
    form_edit=ServiceTypeEdit,
    fields=(
        _name("letters, digits, . _ -; services follow a new name"),
        _DESCRIPTION,
        FormField(
            "monitoring_exception",
            "May be in production without being monitored",
            "checkbox",
        ),
        _REASON,
    ),
    register=service_types.register,
    change=service_types.edit,
    drop=service_types.remove,
    table=ServiceType,
    rows=_type_rows,
    facts=_type_facts,
    hindered=lambda session, row: service_types.uses(session, row.name),
)
SCOPES = RecordKind(
    name="scopes",
    entity="scope",
    one="scope",
    many="Scopes",
    says="Tags that sort NGIs, sites, services and groups. Reserved ones are given by operators, or by what is above.",
    short="tags to sort by",
    add=RUN_FEDERATION,
    edit=RUN_FEDERATION,
    remove=RUN_FEDERATION,
    form_in=ScopeIn,
    form_edit=ScopeEdit,
    fields=(
        _name("letters, digits, . _ -; what carries it follows a new name"),
        _DESCRIPTION,
        FormField("reserved", "Reserved", "checkbox", hint="given by operators only"),
        _REASON,
    ),
    register=scopes.register,
    change=scopes.edit,
    drop=scopes.remove,
    table=Scope,
    rows=_scope_rows,
    facts=_scope_facts,
    hindered=lambda session, row: scopes.uses(session, row.name),
)
KINDS = (NGIS, PROJECTS, GROUPS, TYPES, SCOPES)
