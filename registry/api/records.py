"""/api/v1: service types, scopes, service groups."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, PathModel, current_principal, ground
from registry import scopes, service_groups, service_types, states
from registry.api.answers import Body, Name, RemovalQuery, read_revision, with_revision
from registry.api.listing import Answer, Where, one_by_name, page_by_name
from registry.finding import holds
from registry.rights import ADD_GROUP, EDIT_GROUP, RUN_FEDERATION
from registry.schemas.records import (
    ListQuery,
    ScopeEdit,
    ScopeIn,
    ScopeOut,
    ScopePage,
    ScopeQuery,
    ServiceGroupEdit,
    ServiceGroupIn,
    ServiceGroupOut,
    ServiceGroupPage,
    ServiceGroupQuery,
)
from registry.schemas.services import ServiceTypeEdit, ServiceTypeIn, ServiceTypeOut, ServiceTypePage
from registry.schemas.sites import OneQuery

api = Api("registry_records", __name__, "Service types, scopes and groups", csv=True)


class TypePath(PathModel):
    """A service type by its name."""

    kind: Name


class ScopePath(PathModel):
    """A scope by its name."""

    scope: Name


class GroupPath(PathModel):
    """A service group by its name."""

    group: Name


@api.get(
    "/service-types",
    permission=PUBLIC,
    summary="What a service can be",
    responses={200: ServiceTypePage},
    revised=True,
)
def list_types(query: ListQuery) -> Body:
    """Service types by name."""
    return page_by_name("service_type", query)


@api.post(
    "/service-types", permission=RUN_FEDERATION, summary="Add a service type", responses={201: ServiceTypeOut}
)
def add_type(body: ServiceTypeIn) -> Answer:
    """A new service type."""
    name = service_types.register(ground().db, current_principal(), body)
    return one_by_name("service_type", name, status=201)


@api.get(
    "/service-types/<kind>", permission=PUBLIC, summary="One service type", responses={200: ServiceTypeOut}
)
def one_type(path: TypePath, query: OneQuery) -> Answer:
    """A service type as it is, or as it was."""
    return one_by_name("service_type", path.kind, query.as_of)


@api.patch(
    "/service-types/<kind>",
    permission=RUN_FEDERATION,
    summary="Change a service type",
    responses={200: ServiceTypeOut},
)
def change_type(path: TypePath, body: ServiceTypeEdit) -> Answer:
    """Only the fields that are sent; services follow a new name."""
    name = service_types.edit(ground().db, current_principal(), path.kind, body, read_revision())
    return one_by_name("service_type", name)


@api.delete(
    "/service-types/<kind>",
    permission=RUN_FEDERATION,
    summary="Remove a service type",
    responses={204: None},
)
def remove_type(path: TypePath, query: RemovalQuery) -> None:
    """Refused while services have it."""
    service_types.remove(ground().db, current_principal(), path.kind, query.reason, read_revision())


@api.get("/scopes", permission=PUBLIC, summary="Scopes by name", responses={200: ScopePage}, revised=True)
def list_scopes(query: ScopeQuery) -> Body:
    """What NGIs, sites, services and groups can be sorted by."""
    return page_by_name("scope", query, _scope_filter(query))


def _scope_filter(query: ScopeQuery) -> Where:
    return [] if query.reserved is None else [states.text_of("reserved") == str(query.reserved).lower()]


@api.post("/scopes", permission=RUN_FEDERATION, summary="Add a scope", responses={201: ScopeOut})
def add_scope(body: ScopeIn) -> Answer:
    """A new scope."""
    return one_by_name("scope", scopes.register(ground().db, current_principal(), body), status=201)


@api.get("/scopes/<scope>", permission=PUBLIC, summary="One scope", responses={200: ScopeOut})
def one_scope(path: ScopePath, query: OneQuery) -> Answer:
    """A scope as it is, or as it was."""
    return one_by_name("scope", path.scope, query.as_of)


@api.patch("/scopes/<scope>", permission=RUN_FEDERATION, summary="Change a scope", responses={200: ScopeOut})
def change_scope(path: ScopePath, body: ScopeEdit) -> Answer:
    """Only the fields that are sent; what carries the scope follows a new name."""
    return one_by_name(
        "scope", scopes.edit(ground().db, current_principal(), path.scope, body, read_revision())
    )


@api.delete("/scopes/<scope>", permission=RUN_FEDERATION, summary="Remove a scope", responses={204: None})
def remove_scope(path: ScopePath, query: RemovalQuery) -> None:
    """Refused while anything carries it."""
    scopes.remove(ground().db, current_principal(), path.scope, query.reason, read_revision())


@api.get(
    "/service-groups",
    permission=PUBLIC,
    summary="Service groups by name",
    responses={200: ServiceGroupPage},
    revised=True,
)
def list_groups(query: ServiceGroupQuery) -> Body:
    """With `service`, those that hold it."""
    return page_by_name("service_group", query, _group_filter(query), _group_answer)


def _group_filter(query: ServiceGroupQuery) -> Where:
    where = [] if query.scope is None else [holds("scopes", query.scope)]
    return where if query.service is None else [*where, holds("services", str(query.service))]


@api.post(
    "/service-groups",
    permission=ADD_GROUP,
    summary="Make a service group",
    responses={201: ServiceGroupOut},
)
def add_group(body: ServiceGroupIn) -> Answer:
    """A new service group; who makes it administers it."""
    return _group(service_groups.register(ground().db, current_principal(), body), status=201)


@api.get(
    "/service-groups/<group>",
    permission=PUBLIC,
    summary="One service group",
    responses={200: ServiceGroupOut},
)
def one_group(path: GroupPath, query: OneQuery) -> Answer:
    """A service group as it is, or as it was."""
    return _group(path.group, query.as_of)


@api.patch(
    "/service-groups/<group>",
    permission=EDIT_GROUP,
    summary="Change a service group",
    responses={200: ServiceGroupOut},
)
def change_group(path: GroupPath, body: ServiceGroupEdit) -> Answer:
    """Only the fields that are sent; with If-Match only when nobody was quicker."""
    return _group(service_groups.edit(ground().db, current_principal(), path.group, body, read_revision()))


@api.delete(
    "/service-groups/<group>",
    permission=EDIT_GROUP,
    summary="Remove a service group",
    responses={204: None},
)
def remove_group(path: GroupPath, query: RemovalQuery) -> None:
    """With the roles in it; its services stay."""
    service_groups.remove(ground().db, current_principal(), path.group, query.reason, read_revision())


def _group(name: str, as_of: str | None = None, *, status: int = 200) -> Answer:
    return one_by_name("service_group", name, as_of, show=_group_answer, status=status)


def _group_answer(state: states.State) -> Body:
    body = with_revision(state)
    return body if current_principal().signed_in else {**body, "email": None}
