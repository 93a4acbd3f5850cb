"""Taking over service types, scopes, projects, NGIs and sites of a GOCDB."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import func, select

from hanse.revisions import Change
from registry import bodies, certification, entities, ngis, projects, scopes, service_types, sites
from registry.federation_entities import project_body
from registry.importing.gocdb_contacts import CONTACT_FIELDS, contacts_list, contacts_of, with_contacts
from registry.importing.gocdb_context import Context, given, own
from registry.importing.gocdb_records import Bundle, Record
from registry.models import Ngi, Project, ServiceType, Site
from registry.schemas.records import ProjectIn
from registry.schemas.services import ServiceTypeIn
from registry.schemas.sites import NgiIn, SiteIn

UNKNOWN_COUNTRY: Final = ("Unknown", "ZZ")
_NGI: Final = (
    "description",
    "email",
    "ggus_su",
    "helpdesk_email",
    "rod_email",
    "scopes",
    "security_email",
)
_SITE: Final = (
    "certification",
    "country",
    "country_code",
    "description",
    "domain",
    "extensions",
    "giis_url",
    "home_url",
    "infrastructure",
    "ip_range",
    "ipv6_range",
    "latitude",
    "longitude",
    "name",
    "ngi",
    "notify",
    "official_name",
    "scopes",
    "sub_grid",
    "telephone",
    "tier",
    "timezone",
)


def take_base(context: Context, bundle: Bundle) -> None:
    """Service types, scopes and NGIs: what sites stand on."""
    change = context.revision(f"Imported from {bundle.source}: types, scopes, NGIs")
    for name in scopes.add_missing(context.session, change, bundle.scopes()):
        context.added("scope", Record(name, None, name), name, {}, [])
    for record in bundle.service_types:
        with context.trying("service_type", record):
            _service_type(context, change, record)
    for record in bundle.ngis:
        with context.trying("ngi", record):
            _ngi(context, change, record)


def _service_type(context: Context, change: Change, record: Record) -> None:
    found = context.accepted(
        "service_type", record, ServiceTypeIn, {"name": record.name, **record.values}, ["name"]
    )
    if found is None:
        return
    form, notes = found
    theirs = given(form, ["description"])
    row = context.session.scalar(select(ServiceType).where(ServiceType.name == form.name))
    if row is None:
        row = service_types.create(context.session, change, form)
        context.added("service_type", record, row.id, theirs, notes)
        return
    present = row
    merged = context.merged("service_type", record, theirs, bodies.service_type_body(row))
    context.settle(
        "service_type", record, row.id, theirs, merged, notes,
        lambda values: service_types.apply(context.session, change, present, values),
    )  # fmt: skip


def _ngi(context: Context, change: Change, record: Record) -> None:
    values = {"name": record.name, **{key: value for key, value in record.values.items() if value}}
    found = context.accepted("ngi", record, NgiIn, values, ["name"])
    if found is None:
        return
    form, notes = found
    theirs = _sorted_scopes(given(form, _NGI))
    row = context.session.scalar(select(Ngi).where(Ngi.name == form.name).with_for_update())
    if row is None:
        keys, more = context.numbers.keep("owned", record.number, None)
        row = ngis.create(context.session, change, form, keys)
        context.added("ngi", record, row.id, theirs, notes + more)
        return
    present = row
    merged = context.merged("ngi", record, theirs, bodies.ngi_body(row))
    context.settle(
        "ngi", record, row.id, theirs, merged, notes,
        lambda wanted: ngis.apply(context.session, change, present, wanted, operator=True),
    )  # fmt: skip


def take_projects(context: Context, bundle: Bundle) -> None:
    """Projects; an NGI that is here already and takes part stays in."""
    change = context.revision(f"Imported from {bundle.source}: projects")
    for record in bundle.projects:
        with context.trying("project", record):
            _project(context, change, record)


def _project(context: Context, change: Change, record: Record) -> None:
    here = set(context.session.scalars(select(Ngi.name)))
    wanted = [name for name in record.values.get("ngis", ()) if name in here]
    found = context.accepted("project", record, ProjectIn, {"name": record.name, "ngis": wanted}, ["name"])
    if found is None:
        return
    form, notes = found
    row = context.session.scalar(select(Project).where(Project.name == form.name).with_for_update(of=Project))
    if row is None:
        keys, more = context.numbers.keep("owned", record.number, None)
        row = projects.create(context.session, change, form, keys)
        context.added("project", record, row.id, {"ngis": sorted(form.ngis)}, notes + more)
        return
    present, body = row, project_body(row)
    theirs = {"ngis": sorted({*form.ngis, *body["ngis"]})}
    merged = context.merged("project", record, theirs, body)
    context.settle(
        "project", record, row.id, theirs, merged, notes,
        lambda values: projects.apply(context.session, change, present, values),
    )  # fmt: skip


def take_site(context: Context, record: Record, source: str) -> Site | None:
    """One site, in a revision of its own with all that comes after it; None when it was skipped."""
    change = context.revision(f"Imported from {source}: site {record.name}")
    with context.trying("site", record):
        _site(context, change, record)
    return context.session.scalar(select(Site).where(func.lower(Site.name) == record.name.lower()))


def _site(context: Context, change: Change, record: Record) -> None:
    row = _here(context, record)
    if row is None and context.removed_here("site", record):
        return
    values, notes = _site_form(record, row)
    found = context.accepted("site", record, SiteIn, values, ["name", "ngi"])
    if found is None:
        return
    form, more = found
    notes += more
    theirs = {**_sorted_scopes(given(form, _SITE)), **contacts_of(record.values, notes)}
    theirs.pop("certification", None) if "certification" not in record.values else None
    if row is None:
        keys, kept = context.numbers.keep("owned", record.number, record.key)
        row = sites.create(context.session, change, form, keys, operator=True)
        _set_contacts(context, change, row, {name: theirs[name] for name in CONTACT_FIELDS if name in theirs})
        if since := record.values.get("certification_since"):
            row.certification_since = since
        context.session.flush()
        entities.put_site(change, row)
        context.numbers.later("site_id", row.id, record.values.get("extension_numbers", {}))
        context.added("site", record, row.id, theirs, notes + kept)
        return
    present = row
    merged = context.merged("site", record, theirs, {**bodies.site_body(row), **with_contacts(row)})
    context.settle(
        "site", record, row.id, theirs, merged, notes,
        lambda wanted: _write_site(context, change, present, record, wanted),
    )  # fmt: skip


def _here(context: Context, record: Record) -> Site | None:
    """The site that this is: what an earlier import made of it, or the one of the same name."""
    before = context.memory.find("site", record.key)
    locked = select(Site).with_for_update(of=Site)
    if before is not None and (row := context.session.scalar(locked.where(Site.id == int(before.entity_id)))):
        return row
    return context.session.scalar(locked.where(func.lower(Site.name) == record.name.lower()))


def _site_form(record: Record, row: Site | None) -> tuple[dict[str, Any], list[str]]:
    """The record as SiteIn takes it; what a site needs and GOCDB does not tell is made up for a new one, and noted."""
    values = own(record.values)
    notes: list[str] = []
    form: dict[str, Any] = {
        name: values[name] for name in _SITE if name in values and values[name] not in (None, [])
    }
    form["name"] = record.name
    if "subgrid" in values:
        form["sub_grid"] = values["subgrid"]
    for name in ("latitude", "longitude"):
        if name in form:
            form[name] = _degrees(form[name])
    country, code = UNKNOWN_COUNTRY
    if not re.fullmatch("[A-Z]{2}", form.get("country_code", "")):
        if row is None:
            notes.append("country_code: none is told; ZZ stands for an unknown country")
        form["country_code"] = code if row is None else row.country_code
    fallbacks = {"country": country, "official_name": record.name}
    for name, made_up in fallbacks.items():
        if not form.get(name):
            form[name] = made_up if row is None else getattr(row, name)
    return form, notes


def _degrees(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _write_site(context: Context, change: Change, row: Site, record: Record, wanted: dict[str, Any]) -> None:
    """Set the fields that differ; a step of certification is a step, with the source as its reason."""
    wanted = dict(wanted)
    status = wanted.pop("certification", None)
    contacts = {name: wanted.pop(name) for name in CONTACT_FIELDS if name in wanted}
    if status is not None:
        reason = f"Imported from {context.report.source}"
        certification.take_step(context.session, change, context.principal, row, status, reason)
        row.certification_since = record.values.get("certification_since") or row.certification_since
    sites.apply(context.session, change, row, wanted, operator=True)
    _set_contacts(context, change, row, contacts)


def _set_contacts(context: Context, change: Change, row: Site, wanted: dict[str, str]) -> None:
    if wanted:
        rows = with_contacts(row)
        sites.set_fields(context.session, row, {"contacts": contacts_list(row, {**rows, **wanted})})
        context.session.flush()
        entities.put_site(change, row)


def _sorted_scopes(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "scopes": sorted(values["scopes"])} if "scopes" in values else values
