"""Pages where extension properties are kept, and the services of a group."""

from __future__ import annotations

from flask import redirect, request
from pydantic import BaseModel
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import FieldFault, Refused
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import properties, service_groups, states
from registry.models import Endpoint, Service, ServiceGroup, Site
from registry.rights import EDIT_GROUP, EDIT_SITE, check_owner
from registry.schemas.records import ExtensionForm, ServiceGroupEdit
from registry.views import records, saving
from registry.views.record_kinds import GROUPS

pages = Pages("registry_extensions", __name__)


@pages.get("/extensions/site/<name>", permission=EDIT_SITE)
def of_site(name: str) -> BaseResponse:
    """The properties of a site."""
    return _page("site", name)


@pages.post("/extensions/site/<name>", permission=EDIT_SITE)
def change_of_site(name: str) -> BaseResponse:
    """Set or remove one of them."""
    return _change("site", name)


@pages.get("/extensions/service/<int:number>", permission=EDIT_SITE)
def of_service(number: int) -> BaseResponse:
    """The properties of a service."""
    return _page("service", str(number))


@pages.post("/extensions/service/<int:number>", permission=EDIT_SITE)
def change_of_service(number: int) -> BaseResponse:
    """Set or remove one of them."""
    return _change("service", str(number))


@pages.get("/extensions/endpoint/<int:number>", permission=EDIT_SITE)
def of_endpoint(number: int) -> BaseResponse:
    """The properties of an endpoint."""
    return _page("endpoint", str(number))


@pages.post("/extensions/endpoint/<int:number>", permission=EDIT_SITE)
def change_of_endpoint(number: int) -> BaseResponse:
    """Set or remove one of them."""
    return _change("endpoint", str(number))


@pages.get("/extensions/service-group/<name>", permission=EDIT_GROUP)
def of_group(name: str) -> BaseResponse:
    """The properties of a service group."""
    return _page("service_group", name)


@pages.post("/extensions/service-group/<name>", permission=EDIT_GROUP)
def change_of_group(name: str) -> BaseResponse:
    """Set or remove one of them."""
    return _change("service_group", name)


def _page(
    kind: properties.Kind, key: str, form: FormFaults | None = None, *, status: int = 200
) -> BaseResponse:
    by_name = kind in ("site", "service_group")
    with ground().db.transaction() as session:
        state = (states.find_named if by_name else states.find)(session, kind, key)
        owner = _owner(session.get_one(_TABLES[kind], int(state.id)))
        check_owner(current_principal(), EDIT_GROUP if kind == "service_group" else EDIT_SITE, owner)
    back, called = _back(kind, state.body)
    return page(
        "registry/extensions.html",
        title=f"Extension properties of {called}",
        sentence="Keys and values that other programs read; Hanse only keeps them.",
        crumbs=[("Sites", "/sites"), (called, back)],
        within="/federation" if kind == "service_group" else "/sites",
        status=status,
        api=f"/api/v1/{_PATHS[kind]}/{key}/extensions",
        kept=state.body["extensions"],
        most=properties.MOST,
        revision=state.revision,
        form=form or FormFaults(),
        back=back,
    )


_TABLES = {"site": Site, "service": Service, "endpoint": Endpoint, "service_group": ServiceGroup}
_PATHS = {"site": "sites", "service": "services", "endpoint": "endpoints", "service_group": "service-groups"}


def _owner(row: object) -> Site | ServiceGroup:
    """Whose people keep the properties."""
    if isinstance(row, Service):
        return row.site
    if isinstance(row, Endpoint):
        return row.service.site
    assert isinstance(row, Site | ServiceGroup)
    return row


def _back(kind: properties.Kind, body: dict[str, str]) -> tuple[str, str]:
    if kind == "service_group":
        return f"{GROUPS.path}/{body['name']}", body["name"]
    if kind == "site":
        return f"/sites/{body['name']}", body["name"]
    number = body["id"] if kind == "service" else body["service_id"]
    called = f"{body['service_type']} on {body['hostname']}"
    return (
        f"/sites/{body['site']}#service-{number}",
        called if kind == "service" else f"{body['name']} of {called}",
    )


def _change(kind: properties.Kind, key: str) -> BaseResponse:
    kept, principal = request.form.to_dict(), current_principal()

    def parse() -> ExtensionForm:
        return ExtensionForm(key=kept.get("key", "").strip(), value=kept.get("value", "").strip())

    def act(db: Database, form: ExtensionForm) -> str:
        expected = saving.expected(kept)
        if kept.get("act") == "remove":
            properties.drop(db, principal, kind, key, [form.key], expected=expected)
        else:
            properties.save(db, principal, kind, key, {form.key: form.value}, expected=expected)
        return form.key

    if saving.is_check():
        return saving.checked(kept, parse, act, _LABELS)
    saved = saving.save(kept, parse, act)
    if saved.done is None:
        return _page(kind, key, saved.faults, status=saved.status)
    return redirect(request.path, 303)


_LABELS = {"key": "Key", "value": "Value"}


@pages.post(f"{GROUPS.path}/<name>/services", permission=EDIT_GROUP)
def change_services(name: str) -> BaseResponse:
    """Add services to a group by host name or id, or take one out."""
    kept = request.form.to_dict()
    asked, take_out = kept.get("service", "").strip()[:255], kept.get("act") == "remove"

    def parse() -> Asked:
        return Asked(service=asked)

    def act(db: Database, form: Asked) -> str:
        _change_services(db, name, form.service, take_out=take_out)
        return name

    if saving.is_check():
        return saving.checked(kept, parse, act, {"service": "Service"})
    saved = saving.save(kept, parse, act)
    if saved.done is None:
        return records.one_page(GROUPS, name, saved.faults, status=saved.status)
    return redirect(f"{GROUPS.path}/{name}", 303)


class Asked(BaseModel):
    """What is typed into the form: a host name, or an id."""

    service: str


def _change_services(db: Database, name: str, asked: str, *, take_out: bool) -> None:
    """Written by the use case that checks and locks; what it read before stands in the revision it expects."""
    with db.transaction() as session:
        state = states.find_named(session, "service_group", name)
        wanted = select(Service.id).where(
            Service.id == int(asked)
            if asked.isdigit() and len(asked) < 16
            else Service.hostname == asked.lower()
        )
        found = set(session.scalars(wanted))
    present = {int(number) for number in state.body["services"]}
    if not found:
        raise Refused(
            f"There is no service on {asked or 'a host without a name'}.",
            FieldFault("service", "write a host name or an id as the list of services shows it"),
        )
    if not take_out and found <= present:
        raise Refused(f"{asked} is in the group already.", FieldFault("service", "is in the group already"))
    after = sorted(present - found if take_out else present | found)
    word = "taken out of" if take_out else "added to"
    form = ServiceGroupEdit.model_validate({"services": after, "reason": f"{asked} {word} {name}"})
    service_groups.edit(db, current_principal(), name, form, state.revision)
