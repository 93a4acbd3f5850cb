"""Scopes, projects, service groups, steps of certification and extension properties on the wire."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from registry.schemas.fields import (
    AsOf,
    Description,
    EmailList,
    EntityId,
    NgiName,
    ProjectName,
    PropertyKey,
    PropertyValue,
    Query,
    Reason,
    Scope,
    ServiceGroupName,
    SiteName,
    UtcTime,
    Wire,
)
from registry.schemas.sites import Certification, Extensions, Scopes, once

Part = Annotated[str, Field(max_length=255)]


class ListQuery(Query):
    """A page of a list by name; `q` looks for a part of name or description, `as_of` shows the list as it was."""

    q: Part | None = None
    as_of: AsOf | None = None
    cursor: Part | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class NgiQuery(ListQuery):
    """Which NGIs."""

    scope: Scope | None = None
    project: ProjectName | None = None


class ProjectQuery(ListQuery):
    """Which projects."""

    ngi: NgiName | None = None


class ScopeQuery(ListQuery):
    """Which scopes."""

    reserved: bool | None = None


class ServiceGroupQuery(ListQuery):
    """Which service groups; `service` is the id of one that is in them."""

    scope: Scope | None = None
    service: EntityId | None = None


class ScopeIn(Wire):
    """A new scope. A reserved one is given by operators only."""

    name: Scope
    description: Description = ""
    reserved: bool = False
    reason: Reason = ""


class ScopeEdit(ScopeIn):
    """What to change; only the keys that are there. What carries the scope follows a new name."""

    name: Scope | None = None  # type: ignore[assignment]  # an edit names only what changes


class ScopeOut(Wire):
    """A scope as it stands at `revision`."""

    id: str
    name: str
    description: str
    reserved: bool
    revision: int
    updated_at: UtcTime


class ScopePage(Wire):
    """Scopes by name; `next` is the cursor of the page after, None on the last."""

    items: list[ScopeOut]
    next: str | None


class ProjectIn(Wire):
    """A new project; `ngis` are the names of those that take part."""

    name: ProjectName
    description: Description = ""
    ngis: Annotated[list[NgiName], Field(max_length=1000)] = Field(default=[])
    reason: Reason = ""

    @model_validator(mode="after")
    def _ngis_once(self) -> Self:
        return once(self, "ngis")


class ProjectEdit(ProjectIn):
    """What to change; only the keys that are there."""

    name: ProjectName | None = None  # type: ignore[assignment]  # an edit names only what changes


class ProjectOut(Wire):
    """A project as it stands at `revision`."""

    id: str
    name: str
    description: str
    ngis: list[str]
    revision: int
    updated_at: UtcTime


class ProjectPage(Wire):
    """Projects by name; `next` is the cursor of the page after, None on the last."""

    items: list[ProjectOut]
    next: str | None


class ServiceGroupIn(Wire):
    """A new service group; `services` are ids, of any sites."""

    name: ServiceGroupName
    description: Description = ""
    monitored: bool = True
    email: EmailList | None = None
    scopes: Scopes = Field(default=["EGI"])
    services: Annotated[list[EntityId], Field(max_length=10_000)] = Field(default=[])
    extensions: Extensions = Field(default={})
    reason: Reason = ""

    @model_validator(mode="after")
    def _no_repetitions(self) -> Self:
        return once(once(self, "scopes"), "services")


class ServiceGroupEdit(ServiceGroupIn):
    """What to change; only the keys that are there."""

    name: ServiceGroupName | None = None  # type: ignore[assignment]  # an edit names only what changes


class ServiceGroupOut(Wire):
    """A service group as it stands at `revision`; `services` are ids. The address is for who is signed in."""

    id: str
    primary_key: str
    name: str
    description: str
    monitored: bool
    email: str | None
    scopes: list[str]
    services: list[str]
    extensions: dict[str, str]
    revision: int
    updated_at: UtcTime


class ServiceGroupPage(Wire):
    """Service groups by name; `next` is the cursor of the page after, None on the last."""

    items: list[ServiceGroupOut]
    next: str | None


class CertificationChangeOut(Wire):
    """A step of certification. Who took it and why is told to those who are signed in."""

    id: str
    site: str
    at: UtcTime
    old: str
    new: str
    by: str | None
    reason: str | None


class CertificationChangePage(Wire):
    """Steps of certification, the newest first; `next` is the cursor of the page after, None on the last."""

    items: list[CertificationChangeOut]
    next: str | None


class CertificationChangeQuery(Query):
    """Which steps; `since` and `until` bound their time, `as_of` gives those that had been taken by then."""

    site: SiteName | None = None
    status: Certification | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ExtensionsIn(Wire):
    """Extension properties by key. With `replace` they are all that is left; otherwise the others stay."""

    extensions: Extensions
    replace: bool = False
    reason: Reason = ""


class ExtensionIn(Wire):
    """The value of one extension property."""

    value: PropertyValue
    reason: Reason = ""


class ExtensionsOut(Wire):
    """All extension properties of an object, by key."""

    extensions: dict[str, str]
    revision: int
    updated_at: UtcTime


class ExtensionForm(Wire):
    """One extension property as it is typed."""

    key: PropertyKey
    value: PropertyValue = ""
