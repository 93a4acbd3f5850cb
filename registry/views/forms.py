"""Forms for sites: register, change, certify."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import certification, sites, states
from registry.models import Site
from registry.models.base import INFRASTRUCTURES
from registry.rights import CERTIFY_SITE, EDIT_SITE, REGISTER_SITE, check_site, is_operator
from registry.schemas.sites import CertificationIn, SiteEdit, SiteIn
from registry.views import saving
from registry.views.saving import Typed
from registry.views.words import capacity_words

pages = Pages("registry_forms", __name__)
CAPACITY = ("vcpu", "ram_gb", "storage_tb", "volumes", "public_ips")
PLAIN = (
    "official_name",
    "description",
    "home_url",
    "telephone",
    "domain",
    "giis_url",
    "country",
    "country_code",
    "location",
    "timezone",
    "latitude",
    "longitude",
    "middleware",
    "infrastructure",
    "ip_range",
    "ipv6_range",
    "tier",
    "sub_grid",
    "agent_url",
)
LABELS = {
    "name": "Short name",
    "ngi": "NGI",
    "official_name": "Official name",
    "description": "Description",
    "home_url": "Home page",
    "telephone": "Telephone",
    "domain": "Domain",
    "giis_url": "Site BDII",
    "country": "Country",
    "country_code": "Country code",
    "location": "Town",
    "timezone": "Time zone",
    "latitude": "Latitude",
    "longitude": "Longitude",
    "middleware": "Middleware",
    "infrastructure": "Infrastructure",
    "ip_range": "IPv4 range",
    "ipv6_range": "IPv6 range",
    "tier": "Tier",
    "sub_grid": "Sub-grid",
    "agent_url": "Site agent",
    "capacity_vcpu": "vCPU",
    "capacity_ram_gb": "RAM",
    "capacity_storage_tb": "Storage",
    "capacity_volumes": "Volumes",
    "capacity_public_ips": "Public IPs",
    "contacts": "Contacts",
    "supports": "VOs",
    "scopes": "Scopes",
    "usage_site_names": "Usage names",
    "extensions": "Extension properties",
    "notify": "Notifications",
    "reason": "Reason",
}
_TELEPHONE = re.compile(r"[+0-9][0-9 ()./-]*")


@pages.get("/sites/new", permission=REGISTER_SITE)
def new_site() -> BaseResponse:
    """Register a site."""
    return _form_page("new", FormFaults({"infrastructure": "Production", "notify": "true", "scopes": "EGI"}))


@pages.post("/sites/new", permission=REGISTER_SITE)
def register() -> BaseResponse:
    """Register it; what was typed stays when it is refused. While it is typed it is checked only."""
    kept, principal = request.form.to_dict(), current_principal()

    def parse() -> SiteIn:
        values = {**_values(kept), "name": kept.get("name", ""), "ngi": kept.get("ngi", "")}
        return SiteIn.model_validate({field: value for field, value in values.items() if value is not None})

    if saving.is_check():
        return saving.checked(
            kept, parse, lambda db, form: sites.register(db, principal, form), LABELS, _field
        )
    saved = saving.save(kept, parse, lambda db, form: sites.register(db, principal, form), _field)
    if saved.done is None:
        return _form_page("new", saved.faults, status=saved.status)
    return redirect(f"/sites/{saved.done}", 303)


@pages.get("/sites/<name>/edit", permission=EDIT_SITE)
def edit_site(name: str) -> BaseResponse:
    """Change a site; the form remembers the revision that it shows."""
    state = _my_site(name)
    return _form_page(name, FormFaults({**_typed(state.body), "revision": str(state.revision)}))


@pages.post("/sites/<name>/edit", permission=EDIT_SITE)
def save_site(name: str) -> BaseResponse:
    """Save it unless somebody was quicker; what was typed stays."""
    kept, principal = request.form.to_dict(), current_principal()
    _my_site(name)

    def parse() -> SiteEdit:
        values = _values(kept)
        if is_operator(principal):
            values |= {field: kept[field].strip() for field in ("name", "ngi") if kept.get(field, "").strip()}
        return SiteEdit.model_validate({**values, "reason": kept.get("reason", "").strip()})

    def act(db: Database, form: SiteEdit) -> str:
        return sites.edit(db, principal, name, form, saving.expected(kept))

    if saving.is_check():
        return saving.checked(kept, parse, act, LABELS, _field)
    saved = saving.save(kept, parse, act, _field)
    if saved.done is not None:
        return redirect(f"/sites/{saved.done}", 303)
    faults = _after_theirs(name, kept, saved.faults) if saved.quicker else saved.faults
    return _form_page(name, faults, status=saved.status)


def _my_site(name: str) -> states.State:
    """The site, when the caller may change it. Raises NotFound, Forbidden."""
    with ground().db.transaction() as session:
        state = states.find_named(session, "site", name)
        check_site(current_principal(), EDIT_SITE, session.get_one(Site, int(state.id)))
    return state


def _after_theirs(name: str, kept: Typed, faults: FormFaults) -> FormFaults:
    with ground().db.transaction() as session:
        entity_id = states.find_named(session, "site", name).id
    now, then = saving.state_then("site", entity_id, kept.get("revision", ""))
    if then is None:
        return faults
    return saving.merged(kept, _typed(then.body), _typed(now.body), faults.summary, now.revision, LABELS)


@pages.post("/sites/<name>/certification", permission=CERTIFY_SITE)
def certify(name: str) -> BaseResponse:
    """Change the certification of a site, with a reason."""

    def act(db: Database, form: CertificationIn) -> str:
        certification.certify(db, current_principal(), name, form)
        return name

    def again(faults: FormFaults, status: int) -> BaseResponse:
        with ground().db.transaction() as session:
            body = states.find_named(session, "site", name).body
        return _form_page(name, FormFaults(_typed(body)), certification_form=faults, status=status)

    return saving.small(
        CertificationIn,
        act,
        {"status": "Next", "reason": "Reason"},
        again,
        lambda done: redirect(f"/sites/{done}", 303),
    )


def _form_page(
    name: str, form: FormFaults, *, certification_form: FormFaults | None = None, status: int = 200
) -> BaseResponse:
    operator = is_operator(current_principal())
    with ground().db.transaction() as session:
        ngis = [state.body["name"] for state in states.by_name(session, "ngi")]
        body = None if name == "new" else states.find_named(session, "site", name).body
    return page(
        "registry/site_form.html",
        title="Register a site" if body is None else f"Change {name}",
        sentence="It begins as a candidate."
        if body is None
        else f"Offers {capacity_words(body['capacity']) or 'nothing that was declared'}.",
        crumbs=[("Sites", "/sites"), *([(name, f"/sites/{name}")] if body else [])],
        status=status,
        api="POST /api/v1/sites" if body is None else f"/api/v1/sites/{name}",
        form=form,
        body=body,
        labels=LABELS,
        ngis=[(ngi, ngi) for ngi in ngis],
        infrastructures=[(one, one) for one in INFRASTRUCTURES],
        statuses=[(one, one) for one in certification.next_steps(body["certification"], operator=operator)]
        if body
        else [],
        certification_form=certification_form or FormFaults(),
        operator=operator,
    )


def _field(name: str) -> str:
    """The field of the form for a part of the model: capacity.vcpu -> capacity_vcpu."""
    field, _, inner = name.partition(".")
    if field == "capacity" and inner in CAPACITY:
        return f"capacity_{inner}"
    return "infrastructure" if field == "production" else field


def _values(kept: Typed) -> dict[str, Any]:
    """The fields of the form as the use case takes them; an empty field is None."""
    values: dict[str, Any] = {field: kept.get(field, "").strip() or None for field in PLAIN}
    values["description"] = kept.get("description", "").replace("\r\n", "\n").strip()
    values["notify"] = kept.get("notify") == "true"
    for field in ("latitude", "longitude"):
        values[field] = _number(values[field])
    values["capacity"] = {
        field: _number(kept.get(f"capacity_{field}", "").strip() or None) for field in CAPACITY
    }
    values["contacts"] = [_contact(line) for line in saving.lines(kept, "contacts")]
    values["supports"] = [_share(line) for line in saving.lines(kept, "supports")]
    values["usage_site_names"] = saving.lines(kept, "usage_site_names")
    values["scopes"] = saving.words(kept, "scopes")
    if "extensions" in kept:
        values["extensions"] = saving.pairs(kept, "extensions")
    if values["infrastructure"] is None:
        del values["infrastructure"]
    return values


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
    """ "admin, Laura Gil, laura.gil@bifi.example, +34 976 000 000"; the address or the number may be left out."""
    kind, *parts = (part.strip() for part in line.split(","))
    telephone = parts.pop() if len(parts) > 1 and _TELEPHONE.fullmatch(parts[-1]) else None
    email = parts.pop() if len(parts) > 1 and "@" in parts[-1] else None
    return {"kind": kind, "name": ", ".join(parts), "email": email, "telephone": telephone}


def _typed_contact(contact: Mapping[str, Any]) -> str:
    parts = (contact["kind"], contact["name"], contact.get("email"), contact.get("telephone"))
    return ", ".join(part for part in parts if part)


def _share(line: str) -> dict[str, Any]:
    """ "training.egi.eu 20"; the number may be left out."""
    vo, _, vcpu = line.partition(" ")
    return {"vo": vo.strip(), "vcpu": _number(vcpu.strip() or None)}


def _typed(body: Mapping[str, Any]) -> dict[str, str]:
    """A site as it is typed into the form."""
    typed = saving.typed_text(body, (*PLAIN, "name", "ngi")) | saving.typed_flags(body, ("notify",))
    typed |= {
        f"capacity_{field}": "" if body["capacity"].get(field) is None else str(body["capacity"][field])
        for field in CAPACITY
    }
    typed["contacts"] = "\n".join(_typed_contact(one) for one in body["contacts"])
    typed["supports"] = "\n".join(
        one["vo"] if one["vcpu"] is None else f"{one['vo']} {one['vcpu']}" for one in body["supports"]
    )
    typed["usage_site_names"] = "\n".join(body["usage_site_names"])
    typed["scopes"] = ", ".join(body["scopes"])
    typed["extensions"] = saving.typed_pairs(body.get("extensions", {}))
    return typed
