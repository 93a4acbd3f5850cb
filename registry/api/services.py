"""/api/v1: services, endpoints."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, current_principal, ground
from registry import finding, services, states
from registry.api.answers import (
    Body,
    NumberPath,
    RemovalQuery,
    SitePath,
    page_of,
    read_revision,
    tagged,
    with_revision,
)
from registry.rights import EDIT_SITE
from registry.schemas.services import (
    EndpointEdit,
    EndpointIn,
    EndpointOut,
    EndpointPage,
    EndpointQuery,
    ServiceEdit,
    ServiceIn,
    ServiceOut,
    ServicePage,
    ServiceQuery,
)
from registry.schemas.sites import OneQuery

api = Api("registry_services", __name__, "Services", csv=True)
Answer = tuple[Body, int, dict[str, str]]


@api.get("/services", permission=PUBLIC, summary="Services by id", responses={200: ServicePage}, revised=True)
def list_services(query: ServiceQuery) -> Body:
    """Filters are exact; `as_of` gives the services as they were."""
    with ground().db.transaction() as session:
        found = finding.services(session, query, query.limit + 1)
    shown = [_service_answer(state) for state in found[: query.limit]]
    return page_of(found, query.limit, shown, shown[-1]["id"] if shown else "")


@api.post(
    "/sites/<site>/services",
    permission=EDIT_SITE,
    summary="Register a service of a site",
    responses={201: ServiceOut},
)
def register_service(path: SitePath, body: ServiceIn) -> Answer:
    """A new service with its endpoints."""
    return _one(services.register(ground().db, current_principal(), path.site, body), status=201)


@api.get("/services/<int:number>", permission=PUBLIC, summary="One service", responses={200: ServiceOut})
def one_service(path: NumberPath, query: OneQuery) -> Answer:
    """A service as it is, or as it was."""
    return _one(path.number, query.as_of)


@api.patch(
    "/services/<int:number>", permission=EDIT_SITE, summary="Change a service", responses={200: ServiceOut}
)
def change_service(path: NumberPath, body: ServiceEdit) -> Answer:
    """Only the fields that are sent; with If-Match only when nobody was quicker."""
    services.edit(ground().db, current_principal(), path.number, body, read_revision())
    return _one(path.number)


@api.delete("/services/<int:number>", permission=EDIT_SITE, summary="Remove a service", responses={204: None})
def remove_service(path: NumberPath, query: RemovalQuery) -> None:
    """The service with its endpoints."""
    services.remove(ground().db, current_principal(), path.number, query.reason, read_revision())


def _one(number: int, as_of: str | None = None, *, status: int = 200) -> Answer:
    with ground().db.transaction() as session:
        state = states.find(session, "service", str(number), as_of)
    body, _, headers = tagged(state, _service_answer(state))
    return body, status, headers


def _service_answer(state: states.State) -> Body:
    body = with_revision(state)
    if not current_principal().signed_in:
        body["email"] = None
        body["endpoints"] = [{**endpoint, "email": None} for endpoint in body["endpoints"]]
    return body


@api.get(
    "/endpoints", permission=PUBLIC, summary="Endpoints by id", responses={200: EndpointPage}, revised=True
)
def list_endpoints(query: EndpointQuery) -> Body:
    """Every endpoint with what others need to know of its service."""
    with ground().db.transaction() as session:
        found = finding.endpoints(session, query, query.limit + 1)
    shown = [state.body for state in found[: query.limit]]
    return page_of(found, query.limit, shown, shown[-1]["id"] if shown else "")


@api.post(
    "/services/<int:number>/endpoints",
    permission=EDIT_SITE,
    summary="Add an endpoint",
    responses={201: EndpointOut},
)
def add_endpoint(path: NumberPath, body: EndpointIn) -> tuple[Body, int]:
    """A new address of a service."""
    return _endpoint(services.add_endpoint(ground().db, current_principal(), path.number, body)), 201


@api.get("/endpoints/<int:number>", permission=PUBLIC, summary="One endpoint", responses={200: EndpointOut})
def one_endpoint(path: NumberPath, query: OneQuery) -> Answer:
    """An endpoint as it is, or as it was."""
    with ground().db.transaction() as session:
        state = states.find(session, "endpoint", str(path.number), query.as_of)
    return tagged(state, state.body)


@api.patch(
    "/endpoints/<int:number>",
    permission=EDIT_SITE,
    summary="Change an endpoint",
    responses={200: EndpointOut},
)
def change_endpoint(path: NumberPath, body: EndpointEdit) -> Body:
    """Only the fields that are sent."""
    services.edit_endpoint(ground().db, current_principal(), path.number, body, read_revision())
    return _endpoint(path.number)


@api.delete(
    "/endpoints/<int:number>", permission=EDIT_SITE, summary="Remove an endpoint", responses={204: None}
)
def remove_endpoint(path: NumberPath, query: RemovalQuery) -> None:
    """Take an address off its service."""
    services.remove_endpoint(ground().db, current_principal(), path.number, query.reason, read_revision())


def _endpoint(number: int) -> Body:
    with ground().db.transaction() as session:
        return states.find(session, "endpoint", str(number)).body
