"""Forms for services and their endpoints: add, change, remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, request
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import NotFound
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import services, states
from registry.models import Downtime, DowntimeService, Service, ServiceType, Site
from registry.rights import EDIT_SITE, check_site
from registry.schemas.services import EndpointEdit, EndpointIn, ServiceEdit, ServiceIn
from registry.views import saving
from registry.views.saving import Typed

pages = Pages("registry_service_forms", __name__)
PLAIN = (
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
)
FLAGS = ("production", "monitored", "beta", "notify")
LABELS = {
    "service_type": "Type",
    "hostname": "Host",
    "url": "Address",
    "description": "Description",
    "host_dn": "Host certificate",
    "host_ip": "IPv4",
    "host_ipv6": "IPv6",
    "host_os": "Operating system",
    "host_arch": "Architecture",
    "email": "Mail",
    "production": "Production",
    "monitored": "Monitoring",
    "beta": "Beta",
    "notify": "Notifications",
    "scopes": "Scopes",
    "extensions": "Extension properties",
    "reason": "Reason",
}
ENDPOINT_PLAIN = ("name", "url", "interface", "description", "email")
ENDPOINT_LABELS = {
    "name": "Name",
    "url": "Address",
    "interface": "Interface",
    "description": "Description",
    "email": "Mail",
    "monitored": "Monitoring",
    "extensions": "Extension properties",
    "reason": "Reason",
}


@pages.get("/sites/<name>/services/new", permission=EDIT_SITE)
def new_service(name: str) -> BaseResponse:
    """Register a service at a site."""
    state = _my_site(name)
    kept = {
        "production": "true",
        "monitored": "true",
        "notify": "true",
        "scopes": ", ".join(state.body["scopes"]),
    }
    return _service_page(name, None, FormFaults(kept))


@pages.post("/sites/<name>/services/new", permission=EDIT_SITE)
def register_service(name: str) -> BaseResponse:
    """Register it; while it is typed it is checked only."""
    kept, principal = request.form.to_dict(), current_principal()
    _my_site(name)

    def parse() -> ServiceIn:
        values = {field: value for field, value in _values(kept).items() if value is not None}
        return ServiceIn.model_validate(values)

    def act(db: Any, form: ServiceIn) -> int:
        return services.register(db, principal, name, form)

    if saving.is_check():
        return saving.checked(kept, parse, act, LABELS)
    saved = saving.save(kept, parse, act)
    if saved.done is None:
        return _service_page(name, None, saved.faults, status=saved.status)
    return redirect(f"/services/{saved.done}", 303)


@pages.get("/services/<int:number>/edit", permission=EDIT_SITE)
def edit_service(number: int) -> BaseResponse:
    """Change a service; the form remembers the revision that it shows."""
    state = _mine(number)
    return _service_page(
        state.body["site"], state, FormFaults({**_typed(state.body), "revision": str(state.revision)})
    )


@pages.post("/services/<int:number>/edit", permission=EDIT_SITE)
def save_service(number: int) -> BaseResponse:
    """Save it unless somebody was quicker; what was typed stays."""
    kept, principal = request.form.to_dict(), current_principal()
    _mine(number)

    def act(db: Any, form: ServiceEdit) -> int:
        services.edit(db, principal, number, form, saving.expected(kept))
        return number

    def parse() -> ServiceEdit:
        return ServiceEdit.model_validate(_values(kept))

    if saving.is_check():
        return saving.checked(kept, parse, act, LABELS)
    saved = saving.save(kept, parse, act)
    if saved.done is not None:
        return redirect(f"/services/{number}", 303)
    faults, now = saved.faults, _mine(number)
    if saved.quicker:
        faults = _after_theirs(now, kept, faults, _typed, LABELS)
    return _service_page(now.body["site"], now, faults, status=saved.status)


@pages.post("/services/<int:number>/remove", permission=EDIT_SITE)
def remove_service(number: int) -> BaseResponse:
    """Remove a service with its endpoints; its form has said who is hit."""
    site = _mine(number).body["site"]
    kept = request.form.to_dict()
    services.remove(
        ground().db, current_principal(), number, kept.get("reason", "").strip()[:300], saving.expected(kept)
    )
    return redirect(f"/sites/{site}", 303)


@pages.get("/services/<int:number>/endpoints/new", permission=EDIT_SITE)
def new_endpoint(number: int) -> BaseResponse:
    """Add an endpoint to a service."""
    return _endpoint_page(_mine(number), None, FormFaults({"monitored": "true"}))


@pages.post("/services/<int:number>/endpoints/new", permission=EDIT_SITE)
def add_endpoint(number: int) -> BaseResponse:
    """Add it; while it is typed it is checked only."""
    kept, principal = request.form.to_dict(), current_principal()
    _mine(number)

    def parse() -> EndpointIn:
        values = {field: value for field, value in _endpoint_values(kept).items() if value is not None}
        return EndpointIn.model_validate(values)

    def act(db: Any, form: EndpointIn) -> int:
        return services.add_endpoint(db, principal, number, form)

    if saving.is_check():
        return saving.checked(kept, parse, act, ENDPOINT_LABELS)
    saved = saving.save(kept, parse, act)
    if saved.done is None:
        return _endpoint_page(_mine(number), None, saved.faults, status=saved.status)
    return redirect(f"/services/{number}", 303)


@pages.get("/services/<int:number>/endpoints/<int:endpoint>/edit", permission=EDIT_SITE)
def edit_endpoint(number: int, endpoint: int) -> BaseResponse:
    """Change an endpoint."""
    service, state = _mine(number), _endpoint(number, endpoint)
    typed = _endpoint_typed(_part(service, endpoint))
    return _endpoint_page(service, endpoint, FormFaults({**typed, "revision": str(state.revision)}))


@pages.post("/services/<int:number>/endpoints/<int:endpoint>/edit", permission=EDIT_SITE)
def save_endpoint(number: int, endpoint: int) -> BaseResponse:
    """Save it unless somebody was quicker; what was typed stays."""
    kept, principal = request.form.to_dict(), current_principal()
    _mine(number)
    _endpoint(number, endpoint)

    def act(db: Any, form: EndpointEdit) -> int:
        services.edit_endpoint(db, principal, endpoint, form, saving.expected(kept))
        return endpoint

    def parse() -> EndpointEdit:
        return EndpointEdit.model_validate(_endpoint_values(kept))

    if saving.is_check():
        return saving.checked(kept, parse, act, ENDPOINT_LABELS)
    saved = saving.save(kept, parse, act)
    if saved.done is not None:
        return redirect(f"/services/{number}", 303)
    faults = saved.faults
    if saved.quicker:
        now = _endpoint(number, endpoint)
        faults = _after_theirs(now, kept, faults, _endpoint_typed, ENDPOINT_LABELS)
    return _endpoint_page(_mine(number), endpoint, faults, status=saved.status)


@pages.post("/services/<int:number>/endpoints/<int:endpoint>/remove", permission=EDIT_SITE)
def remove_endpoint(number: int, endpoint: int) -> BaseResponse:
    """Remove an endpoint from its service."""
    _mine(number)
    _endpoint(number, endpoint)
    reason = request.form.get("reason", "").strip()[:300]
    services.remove_endpoint(ground().db, current_principal(), endpoint, reason)
    return redirect(f"/services/{number}", 303)


def _my_site(name: str) -> states.State:
    """The site, when the caller may change it. Raises NotFound, Forbidden."""
    with ground().db.transaction() as session:
        state = states.find_named(session, "site", name)
        check_site(current_principal(), EDIT_SITE, session.get_one(Site, int(state.id)))
    return state


def _mine(number: int) -> states.State:
    """The service, when the caller may change its site. Raises NotFound, Forbidden."""
    with ground().db.transaction() as session:
        row = session.get(Service, number)
        if row is None:
            raise NotFound(f"There is no service {number}.")
        check_site(current_principal(), EDIT_SITE, row.site)
        return states.find(session, "service", str(number))


def _endpoint(service: int, number: int) -> states.State:
    """The endpoint of this very service. Raises NotFound."""
    with ground().db.transaction() as session:
        state = states.find(session, "endpoint", str(number))
    if state.body["service_id"] != str(service):
        raise NotFound(f"Service {service} has no endpoint {number}.")
    return state


def _part(service: states.State, endpoint: int) -> Mapping[str, Any]:
    for part in service.body["endpoints"]:
        if part["id"] == str(endpoint):
            return dict(part)
    raise NotFound(f"Service {service.id} has no endpoint {endpoint}.")


def _after_theirs(
    now: states.State, kept: Typed, faults: FormFaults, typed: Any, labels: Mapping[str, str]
) -> FormFaults:
    kind = "service" if labels is LABELS else "endpoint"
    _, then = saving.state_then(kind, now.id, kept.get("revision", ""))
    if then is None:
        return faults
    return saving.merged(kept, typed(then.body), typed(now.body), faults.summary, now.revision, labels)


def _service_page(
    site: str, state: states.State | None, form: FormFaults, *, status: int = 200
) -> BaseResponse:
    with ground().db.transaction() as session:
        kinds = list(session.scalars(select(ServiceType.name).order_by(ServiceType.name)))
        hit = _downtimes_of(session, int(state.id)) if state else 0
    return page(
        "registry/service_form.html",
        title="Register a service" if state is None else f"Change {state.body['service_type']}",
        sentence=f"At {site}." if state is None else f"On {state.body['hostname']}, at {site}.",
        crumbs=[
            ("Sites", "/sites"),
            (site, f"/sites/{site}"),
            *([(state.body["hostname"], f"/services/{state.id}")] if state else []),
        ],
        status=status,
        api=f"POST /api/v1/sites/{site}/services" if state is None else f"/api/v1/services/{state.id}",
        form=form,
        site=site,
        service=None if state is None else state.body,
        labels=LABELS,
        kinds=[("", "choose one"), *((kind, kind) for kind in kinds)],
        downtimes=hit,
    )


def _downtimes_of(session: Session, number: int) -> int:
    """Downtimes to come or going on that name the service."""
    found = session.scalars(
        select(Downtime.id)
        .join(DowntimeService)
        .where(DowntimeService.service_id == number, Downtime.state != "ended")
    )
    return len(set(found))


def _endpoint_page(
    service: states.State, endpoint: int | None, form: FormFaults, *, status: int = 200
) -> BaseResponse:
    body = service.body
    return page(
        "registry/endpoint_form.html",
        title="Add an endpoint" if endpoint is None else "Change an endpoint",
        sentence=f"Of {body['service_type']} on {body['hostname']}, at {body['site']}.",
        crumbs=[
            ("Sites", "/sites"),
            (body["site"], f"/sites/{body['site']}"),
            (body["hostname"], f"/services/{service.id}"),
        ],
        status=status,
        api=f"POST /api/v1/services/{service.id}/endpoints"
        if endpoint is None
        else f"/api/v1/endpoints/{endpoint}",
        form=form,
        service=body,
        endpoint=endpoint,
        labels=ENDPOINT_LABELS,
    )


def _values(kept: Typed) -> dict[str, Any]:
    values: dict[str, Any] = {field: kept.get(field, "").strip() or None for field in PLAIN}
    values["description"] = kept.get("description", "").replace("\r\n", "\n").strip()
    values |= {field: kept.get(field) == "true" for field in FLAGS}
    values["scopes"] = saving.words(kept, "scopes")
    values["extensions"] = saving.pairs(kept, "extensions")
    values["reason"] = kept.get("reason", "").strip()
    return values


def _typed(body: Mapping[str, Any]) -> dict[str, str]:
    typed = saving.typed_text(body, PLAIN) | saving.typed_flags(body, FLAGS)
    typed["scopes"] = ", ".join(body["scopes"])
    typed["extensions"] = saving.typed_pairs(body["extensions"])
    return typed


def _endpoint_values(kept: Typed) -> dict[str, Any]:
    values: dict[str, Any] = {field: kept.get(field, "").strip() or None for field in ENDPOINT_PLAIN}
    values["description"] = kept.get("description", "").replace("\r\n", "\n").strip()
    values["monitored"] = kept.get("monitored") == "true"
    values["extensions"] = saving.pairs(kept, "extensions")
    values["reason"] = kept.get("reason", "").strip()
    return values


def _endpoint_typed(body: Mapping[str, Any]) -> dict[str, str]:
    typed = saving.typed_text(body, ENDPOINT_PLAIN) | saving.typed_flags(body, ("monitored",))
    typed["extensions"] = saving.typed_pairs(body["extensions"])
    return typed
