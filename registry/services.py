"""Services and their endpoints: register, change, remove."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import downtime_parts, entities, scopes
from registry.federation_entities import groups_of, put_service_groups_again
from registry.keys import FRESH, Keys
from registry.models import (
    DowntimeEndpoint,
    DowntimeService,
    Endpoint,
    Service,
    ServiceType,
    Site,
    service_id,
)
from registry.recording import check_unchanged, lock_service, lock_site, recording, take_lock
from registry.rights import EDIT_SITE, check_site, is_operator
from registry.schemas.services import (
    EndpointEdit,
    EndpointFields,
    EndpointIn,
    ServiceEdit,
    ServiceIn,
)
from registry.sites import merged_properties

ONLY_ENDPOINT = "main"
_PLAIN = (
    "service_type",
    "hostname",
    "url",
    "description",
    "host_dn",
    "host_ip",
    "host_ipv6",
    "host_os",
    "host_arch",
    "email",
    "beta",
    "production",
    "monitored",
    "notify",
    "scopes",
)


def register(db: Database, principal: Principal, site_name: str, form: ServiceIn) -> int:
    """Register a service of a site; returns its id. Raises NotFound, Forbidden, Refused, Conflict."""
    reason = form.reason or f"Service {form.service_type} on {form.hostname} registered"
    with recording(db, principal, reason) as (session, change):
        site = lock_site(session, site_name)
        check_site(principal, EDIT_SITE, site)
        return create(session, change, site, form, operator=is_operator(principal)).id


def create(
    session: Session,
    change: Change,
    site: Site,
    form: ServiceIn,
    keys: Keys = FRESH,
    *,
    operator: bool = False,
) -> Service:
    """Write a new service of a locked site inside the caller's revision; an import gives the `keys` that it keeps."""
    scopes.check(session, form.scopes, parents=site.scopes, operator=operator)
    number, primary_key = keys.take(session, service_id)
    service = Service(id=number, primary_key=primary_key, site=site)
    with session.no_autoflush:
        _set_fields(service, form.model_dump())
        for endpoint in form.endpoints or _only_endpoint(form):
            service.endpoints.append(_new_endpoint(endpoint, form.service_type, keys))
        _check_rules(session, service)
    session.add(service)
    session.flush()
    entities.put_service(change, service)
    downtime_parts.take_in_service(session, change, service, datetime.now(UTC))
    return service


def _only_endpoint(form: ServiceIn) -> list[EndpointFields]:
    if form.url is None or "endpoints" in form.model_fields_set:  # an empty list means none
        return []
    return [EndpointFields(name=ONLY_ENDPOINT, url=form.url, monitored=form.monitored)]


def _new_endpoint(form: EndpointFields, service_type: str, keys: Keys = FRESH) -> Endpoint:
    endpoint = Endpoint(properties=[])
    if form.name in keys.endpoints:
        endpoint.id = keys.endpoints[form.name]
    _set_endpoint(endpoint, form.model_dump(), service_type)
    return endpoint


def edit(
    db: Database, principal: Principal, number: int, form: ServiceEdit, expected: int | None = None
) -> None:
    """Change the fields that `form` names. Raises Conflict when somebody was quicker than `expected`."""
    with recording(db, principal, form.reason or f"Service {number} changed") as (session, change):
        service = lock_service(session, number)
        check_site(principal, EDIT_SITE, service.site)
        check_unchanged(session, "service", number, expected)
        values = form.model_dump(exclude_unset=True, exclude={"reason"})
        apply(session, change, service, values, operator=is_operator(principal))


def apply(
    session: Session, change: Change, service: Service, values: Mapping[str, Any], *, operator: bool = False
) -> None:
    """Set the fields of a service of a locked site inside the caller's revision, and record it."""
    empty = [field for field in ("service_type", "hostname") if values.get(field, "") is None]
    if empty:
        raise Refused(
            "A service needs these fields.", *(FieldFault(field, "cannot be empty") for field in empty)
        )
    if "scopes" in values:
        scopes.check(
            session,
            values["scopes"],
            present=service.scopes,
            parents=service.site.scopes,
            operator=operator,
        )
    with session.no_autoflush:
        _set_fields(service, values)
        _check_rules(session, service)
    session.flush()
    entities.put_service(change, service)


def _set_fields(service: Service, values: Mapping[str, Any]) -> None:
    for field in _PLAIN:
        if field in values:
            setattr(service, field, values[field])
    if "extensions" in values:
        service.properties = merged_properties(service.properties, values["extensions"])


def _check_rules(session: Session, service: Service) -> None:
    # the type stays as it is until the end of the transaction: its exception from monitoring is part of the rule
    kind = session.scalar(
        select(ServiceType).where(ServiceType.name == service.service_type).with_for_update(read=True)
    )
    if kind is None:
        raise Refused(
            f"There is no service type {service.service_type}.",
            FieldFault(
                "service_type", "choose one of GET /api/v1/service-types, or ask an operator to add it"
            ),
        )
    if service.production and not service.monitored and not kind.monitoring_exception:
        raise Refused(
            "A service in production is monitored.",
            FieldFault("monitored", f"must be true while {service.service_type} is in production"),
        )
    take_lock(session, "service hosts")
    other = session.scalar(
        select(Site.name)
        .join(Service)
        .where(
            Service.hostname == service.hostname,
            Service.service_type == service.service_type,
            Service.site_id != service.site.id,
        )
    )
    if other is not None:
        raise Conflict(
            f"{service.service_type} on {service.hostname} is registered at site {other}.",
            FieldFault("hostname", f"belongs to {other}"),
        )


def remove(db: Database, principal: Principal, number: int, reason: str, expected: int | None = None) -> None:
    """Remove a service with its endpoints; downtimes that named it go on without it."""
    with recording(db, principal, reason or f"Service {number} removed") as (session, change):
        service = lock_service(session, number)
        check_site(principal, EDIT_SITE, service.site)
        check_unchanged(session, "service", number, expected)
        delete(session, change, service)


def delete(session: Session, change: Change, service: Service) -> None:
    """Remove a service of a locked site inside the caller's revision."""
    touched = list(
        session.scalars(select(DowntimeService.downtime_id).where(DowntimeService.service_id == service.id))
    )
    groups = groups_of(session, [service.id])
    entities.delete_service(change, service)
    session.delete(service)
    session.flush()
    put_service_groups_again(session, change, groups)
    downtime_parts.record_again(session, change, touched)


def add_endpoint(db: Database, principal: Principal, number: int, form: EndpointIn) -> int:
    """Add an endpoint to a service; returns its id. Raises Conflict when the name is taken."""
    with recording(db, principal, form.reason or f"Endpoint {form.name} added") as (session, change):
        service = lock_service(session, number)
        check_site(principal, EDIT_SITE, service.site)
        return append_endpoint(session, change, service, form).id


def append_endpoint(session: Session, change: Change, service: Service, form: EndpointFields) -> Endpoint:
    """Add an endpoint to a service of a locked site inside the caller's revision."""
    endpoint = _new_endpoint(form, service.service_type)
    service.endpoints.append(endpoint)
    session.flush()
    entities.put_service(change, service)
    downtime_parts.take_in_endpoints(session, change, service, datetime.now(UTC))
    return endpoint


def apply_endpoint(
    session: Session, change: Change, service: Service, endpoint: Endpoint, values: Mapping[str, Any]
) -> None:
    """Set the fields of an endpoint of a locked site inside the caller's revision, and record it."""
    _set_endpoint(endpoint, values, service.service_type)
    session.flush()
    entities.put_service(change, service)


def edit_endpoint(
    db: Database, principal: Principal, number: int, form: EndpointEdit, expected: int | None
) -> None:
    """Change the fields of an endpoint that `form` names."""
    values = form.model_dump(exclude_unset=True, exclude={"reason"})
    empty = [field for field in ("name", "url") if values.get(field, "") is None]
    if empty:
        raise Refused(
            "An endpoint needs these fields.", *(FieldFault(field, "cannot be empty") for field in empty)
        )
    with recording(db, principal, form.reason or f"Endpoint {number} changed") as (session, change):
        endpoint, service = lock_endpoint(session, number)
        check_site(principal, EDIT_SITE, service.site)
        check_unchanged(session, "endpoint", number, expected)
        apply_endpoint(session, change, service, endpoint, values)


def remove_endpoint(
    db: Database, principal: Principal, number: int, reason: str, expected: int | None = None
) -> None:
    """Remove an endpoint from its service."""
    with recording(db, principal, reason or f"Endpoint {number} removed") as (session, change):
        endpoint, service = lock_endpoint(session, number)
        check_site(principal, EDIT_SITE, service.site)
        check_unchanged(session, "endpoint", number, expected)
        delete_endpoint(session, change, service, endpoint)


def delete_endpoint(session: Session, change: Change, service: Service, endpoint: Endpoint) -> None:
    """Remove an endpoint of a locked site inside the caller's revision."""
    touched = list(
        session.scalars(
            select(DowntimeEndpoint.downtime_id).where(DowntimeEndpoint.endpoint_id == endpoint.id)
        )
    )
    service.endpoints.remove(endpoint)
    session.flush()
    change.delete("endpoint", str(endpoint.id))
    entities.put_service(change, service)
    downtime_parts.record_again(session, change, touched)


def set_endpoints(
    session: Session, change: Change, service: Service, wanted: list[EndpointFields], keys: Keys = FRESH
) -> None:
    """Make the service's endpoints those of `wanted`, matched by name, inside the caller's revision."""
    by_name = {endpoint.name: endpoint for endpoint in service.endpoints}
    for form in wanted:
        endpoint = by_name.pop(form.name, None)
        if endpoint is None:
            service.endpoints.append(_new_endpoint(form, service.service_type, keys))
        else:
            _set_endpoint(endpoint, form.model_dump(), service.service_type)
    session.flush()
    for endpoint in by_name.values():
        delete_endpoint(session, change, service, endpoint)
    entities.put_service(change, service)
    downtime_parts.take_in_endpoints(session, change, service, datetime.now(UTC))


def lock_endpoint(session: Session, number: int) -> tuple[Endpoint, Service]:
    """The endpoint and its service, with their site locked against other writers. Raises NotFound."""
    owner = session.scalar(select(Endpoint.service_id).where(Endpoint.id == number))
    if owner is None:
        raise NotFound(f"There is no endpoint {number}.")
    service = lock_service(session, owner)
    endpoint = next((endpoint for endpoint in service.endpoints if endpoint.id == number), None)
    if endpoint is None:
        raise NotFound(f"There is no endpoint {number}; it was removed a moment ago.")
    return endpoint, service


def _set_endpoint(endpoint: Endpoint, values: Mapping[str, Any], service_type: str) -> None:
    for field in ("name", "url", "description", "email", "monitored"):
        if field in values:
            setattr(endpoint, field, values[field])
    if "interface" in values:
        endpoint.interface_name = values["interface"] or service_type
    if "extensions" in values:
        endpoint.properties = merged_properties(endpoint.properties, values["extensions"])
