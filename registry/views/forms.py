"""Forms for sites: register, change, certify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, request
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import Conflict, HanseError
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from hanse.web.wire import faults_of
from registry import certification, sites, states
from registry.models import CERTIFICATIONS, Site
from registry.rights import CERTIFY_SITE, EDIT_SITE, REGISTER_SITE, check_site, is_operator
from registry.schemas.sites import CertificationIn, SiteEdit, SiteIn
from registry.views.words import capacity_words

pages = Pages("registry_forms", __name__)
CAPACITY = ("vcpu", "ram_gb", "storage_tb", "volumes", "public_ips")
PLAIN = (
    "official_name",
    "description",
    "home_url",
    "telephone",
    "country",
    "country_code",
    "location",
    "timezone",
    "latitude",
    "longitude",
    "middleware",
    "agent_url",
)
FLAGS = ("production", "notify")
LABELS = {
    "name": "Short name",
    "ngi": "NGI",
    "official_name": "Official name",
    "country_code": "Country code",
    "home_url": "Home page",
    "agent_url": "Site agent",
    "capacity": "Capacity",
    "contacts": "Contacts",
    "supports": "VOs",
    "usage_site_names": "Usage names",
}


@pages.get("/sites/new", permission=REGISTER_SITE)
def new_site() -> BaseResponse:
    """Register a site."""
    return _form_page("new", FormFaults({"production": "true", "notify": "true", "scopes": "EGI"}))


@pages.post("/sites/new", permission=REGISTER_SITE)
def register() -> BaseResponse:
    """Register it; what was typed stays when it is refused."""
    kept = request.form.to_dict()
    values = {**_values(kept), "name": kept.get("name", ""), "ngi": kept.get("ngi", "")}
    values = {field: value for field, value in values.items() if value is not None}
    try:
        name = sites.register(ground().db, current_principal(), SiteIn.model_validate(values))
    except ValidationError as error:
        return _form_page("new", _faults(error, kept), status=422)
    except HanseError as error:
        return _form_page("new", FormFaults.of(error, kept), status=422)
    return redirect(f"/sites/{name}", 303)


@pages.get("/sites/<name>/edit", permission=EDIT_SITE)
def edit_site(name: str) -> BaseResponse:
    """Change a site; the form remembers the revision that it shows."""
    with ground().db.transaction() as session:
        state = states.find_named(session, "site", name)
        check_site(current_principal(), EDIT_SITE, session.get_one(Site, int(state.id)))
    return _form_page(name, FormFaults({**_typed(state.body), "revision": str(state.revision)}))


@pages.post("/sites/<name>/edit", permission=EDIT_SITE)
def save_site(name: str) -> BaseResponse:
    """Save it unless somebody was quicker; what was typed stays."""
    kept = request.form.to_dict()
    revision = kept.get("revision", "")
    try:
        form = SiteEdit.model_validate({**_values(kept), "reason": kept.get("reason", "").strip()})
        expected = int(revision) if revision.isdigit() and len(revision) < 16 else None
        sites.edit(ground().db, current_principal(), name, form, expected)
    except ValidationError as error:
        return _form_page(name, _faults(error, kept), status=422)
    except Conflict as error:
        return _form_page(name, FormFaults.of(error, kept), status=409)
    except HanseError as error:
        return _form_page(name, FormFaults.of(error, kept), status=422)
    return redirect(f"/sites/{name}", 303)


@pages.post("/sites/<name>/certification", permission=CERTIFY_SITE)
def certify(name: str) -> BaseResponse:
    """Change the certification of a site, with a reason."""
    form, faults = read_form(CertificationIn)
    if form is not None:
        try:
            certification.certify(ground().db, current_principal(), name, form)
            return redirect(f"/sites/{name}", 303)
        except HanseError as error:
            faults = FormFaults.of(error, request.form.to_dict())
    with ground().db.transaction() as session:
        body = states.find_named(session, "site", name).body
    return _form_page(name, FormFaults(_typed(body)), certification=faults, status=422)


def _form_page(
    name: str, form: FormFaults, *, certification: FormFaults | None = None, status: int = 200
) -> BaseResponse:
    with ground().db.transaction() as session:
        ngis = [state.body["name"] for state in states.by_name(session, "ngi")]
        body = None if name == "new" else states.find_named(session, "site", name).body
    return page(
        "registry/site_form.html",
        title="Register a site" if body is None else f"Change {name}",
        sentence="It begins as a candidate."
        if body is None
        else f"Offers {capacity_words(body['capacity'])}.",
        crumbs=[("Sites", "/sites"), *([(name, f"/sites/{name}")] if body else [])],
        status=status,
        api="/api/v1/sites" if body is None else f"/api/v1/sites/{name}",
        form=form,
        body=body,
        labels=LABELS,
        ngis=[(ngi, ngi) for ngi in ngis],
        statuses=[(one, one) for one in CERTIFICATIONS],
        certification_form=certification or FormFaults(),
        operator=is_operator(current_principal()),
    )


def _faults(error: ValidationError, kept: Mapping[str, Any]) -> FormFaults:
    faults: dict[str, str] = {}
    for fault in faults_of(error):
        field, _, inner = fault.field.partition(".")
        name = f"{field}_{inner}" if field == "capacity" and inner in CAPACITY else field
        reason = f"line {fault.record}: {fault.reason}" if fault.record else fault.reason
        faults.setdefault(name if name != "body" else "summary", reason)
    count = len(faults)
    return FormFaults(
        kept, faults, f"Not saved: {count} {'field' if count == 1 else 'fields'} must be mended."
    )


def _values(kept: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the form as the use case takes them; an empty field is None."""
    values: dict[str, Any] = {field: kept.get(field, "").strip() or None for field in PLAIN}
    values["description"] = kept.get("description", "").replace("\r\n", "\n").strip()
    values |= {field: kept.get(field) == "true" for field in FLAGS}
    for field in ("latitude", "longitude"):
        values[field] = _number(values[field])
    values["capacity"] = {
        field: _number(kept.get(f"capacity_{field}", "").strip() or None) for field in CAPACITY
    }
    values["contacts"] = [_contact(line) for line in _lines(kept, "contacts")]
    values["supports"] = [_share(line) for line in _lines(kept, "supports")]
    values["usage_site_names"] = _lines(kept, "usage_site_names")
    values["scopes"] = [scope for scope in kept.get("scopes", "").replace(",", " ").split() if scope]
    return values


def _lines(kept: Mapping[str, str], field: str) -> list[str]:
    return [line.strip() for line in kept.get(field, "").splitlines() if line.strip()]


def _number(text: str | None) -> int | float | str | None:
    if text is None:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _contact(line: str) -> dict[str, Any]:
    """ "admin, Laura Gil, laura.gil@bifi.example"."""
    kind, _, rest = line.partition(",")
    name, _, email = rest.rpartition(",")
    return {"kind": kind.strip(), "name": name.strip(), "email": email.strip()}


def _share(line: str) -> dict[str, Any]:
    """ "training.egi.eu 20"; the number may be left out."""
    vo, _, vcpu = line.partition(" ")
    return {"vo": vo.strip(), "vcpu": _number(vcpu.strip() or None)}


def _typed(body: Mapping[str, Any]) -> dict[str, str]:
    """A site as it is typed into the form."""
    typed = {field: "" if body.get(field) is None else str(body[field]) for field in PLAIN}
    typed |= {field: "true" if body[field] else "" for field in FLAGS}
    typed |= {
        f"capacity_{field}": "" if body["capacity"].get(field) is None else str(body["capacity"][field])
        for field in CAPACITY
    }
    typed["contacts"] = "\n".join(f"{one['kind']}, {one['name']}, {one['email']}" for one in body["contacts"])
    typed["supports"] = "\n".join(
        one["vo"] if one["vcpu"] is None else f"{one['vo']} {one['vcpu']}" for one in body["supports"]
    )
    typed["usage_site_names"] = "\n".join(body["usage_site_names"])
    typed["scopes"] = ", ".join(body["scopes"])
    return typed
