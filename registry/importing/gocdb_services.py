"""Taking over services with their endpoints, service groups, downtimes and steps of certification of a GOCDB."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select

from hanse.revisions import Change
from registry import bodies, service_groups, services
from registry.federation_entities import service_group_body
from registry.importing.gocdb_context import Context, given, own
from registry.importing.gocdb_records import Bundle, Record
from registry.keys import Keys
from registry.models import Endpoint, Service, ServiceGroup, Site
from registry.schemas.records import ServiceGroupIn
from registry.schemas.services import EndpointFields, ServiceIn

_SERVICE: Final = (
    "beta",
    "endpoints",
    "extensions",
    "host_arch",
    "host_dn",
    "host_ip",
    "host_ipv6",
    "host_os",
    "hostname",
    "monitored",
    "notify",
    "production",
    "scopes",
    "service_type",
    "url",
)
_ENDPOINT: Final = ("name", "url", "interface", "monitored", "email", "extensions")
_GROUP: Final = ("description", "email", "extensions", "monitored", "scopes", "services")


def take_service(context: Context, change: Change, site: Site, record: Record) -> None:
    """One service of a locked site."""
    with context.trying("service", record, site):
        _service(context, change, site, record)


def _service(context: Context, change: Change, site: Site, record: Record) -> None:
    row = _here(context, site, record)
    if row is None and context.removed_here("service", record):
        return
    values = own(record.values)
    values.pop("site", None)
    values = {name: value for name, value in values.items() if value not in (None, [])}
    values["endpoints"] = [
        {name: one[name] for name in _ENDPOINT if name in one} for one in record.values["endpoints"]
    ]
    needed = ["service_type", "hostname"]
    found = context.accepted("service", record, ServiceIn, values, needed)
    if found is None:
        return
    form, notes = found
    theirs = {**given(form, _SERVICE), "endpoints": _endpoints(form.endpoints, form.service_type)}
    if "scopes" in theirs:
        theirs["scopes"] = sorted(theirs["scopes"])
    if row is None:
        keys, more = context.numbers.keep("service", record.number, record.key)
        row = services.create(
            context.session, change, site, form, _with_endpoints(context, keys, record), operator=True
        )
        context.numbers.later("service_id", row.id, record.values.get("extension_numbers", {}))
        _number_properties(context, row, record)
        _match_endpoints(context, row, record)
        context.added("service", record, row.id, theirs, notes + more)
        return
    present, body = row, bodies.service_body(row)
    told = {(one["name"], key) for one in theirs["endpoints"] for key in one}
    body["endpoints"] = _as_told(body["endpoints"], told)
    merged = context.merged("service", record, theirs, body)
    context.settle(
        "service", record, row.id, theirs, merged, notes,
        lambda wanted: _write(context, change, present, form, record, wanted),
    )  # fmt: skip
    _match_endpoints(context, present, record)


def _here(context: Context, site: Site, record: Record) -> Service | None:
    """What an earlier import made of it; else a service of this type and host that no other record stands for."""
    before = context.memory.find("service", record.key)
    if before is not None:
        row = context.session.get(Service, int(before.entity_id))
        if row is not None:
            return row
    same = (
        select(Service)
        .where(
            Service.site_id == site.id,
            Service.hostname == str(record.values.get("hostname", "")).lower(),
            Service.service_type == record.values.get("service_type"),
        )
        .order_by(Service.id)
    )
    rows = list(context.session.scalars(same))
    exact = next((row for row in rows if row.primary_key == record.key), None)
    return exact or next((row for row in rows if not context.memory.stands_for("service", row.id)), None)


def _endpoints(forms: list[EndpointFields], service_type: str) -> list[dict[str, Any]]:
    """Endpoints by name, with what GOCDB tells of them."""
    found = []
    for form in sorted(forms, key=lambda one: one.name):
        values = given(form, _ENDPOINT)
        found.append({**values, "interface": form.interface or service_type})
    return found


def _as_told(endpoints: list[dict[str, Any]], told: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Our endpoints with those fields alone that the other side tells, so that the two compare."""
    names = {name for name, _ in told}
    found = []
    for one in sorted(endpoints, key=lambda each: str(each["name"])):
        wanted = _ENDPOINT if one["name"] not in names else [key for name, key in told if name == one["name"]]
        found.append({key: one[key] for key in wanted})
    return found


def _with_endpoints(context: Context, keys: Keys, record: Record) -> Keys:
    numbers = {
        one["name"]: number
        for one in record.values["endpoints"]
        if "name" in one and (number := context.numbers.number("endpoint", one.get("number"))) is not None
    }
    return Keys(keys.number, keys.primary_key, numbers)


def _match_endpoints(context: Context, row: Service, record: Record) -> None:
    """Which endpoint here is which there; downtimes name them by number."""
    here = {one.name: one.id for one in row.endpoints}
    for one in record.values["endpoints"]:
        if "number" in one and one.get("name") in here:
            context.endpoints[one["number"]] = here[one["name"]]


def _number_properties(context: Context, row: Service, record: Record) -> None:
    told = {one.get("name"): one.get("extension_numbers", {}) for one in record.values["endpoints"]}
    for endpoint in row.endpoints:
        context.numbers.later("endpoint_id", endpoint.id, told.get(endpoint.name, {}))


def _write(
    context: Context, change: Change, row: Service, form: ServiceIn, record: Record, wanted: dict[str, Any]
) -> None:
    """Set the fields that differ; what GOCDB does not tell of an endpoint stays."""
    fields = {name: value for name, value in wanted.items() if name != "endpoints"}
    if fields:
        services.apply(context.session, change, row, fields, operator=True)
    if "endpoints" in wanted:
        here = {one.name: one for one in row.endpoints}
        kept = [_filled(one, here.get(one.name)) for one in form.endpoints]
        keys = _with_endpoints(context, Keys(), record)
        services.set_endpoints(context.session, change, row, kept, keys)


def _filled(form: EndpointFields, row: Endpoint | None) -> EndpointFields:
    if row is None:
        return form
    silent = {
        "description": row.description,
        "email": row.email,
        "extensions": bodies.extensions(row.properties),
    }
    left = {name: value for name, value in silent.items() if name not in form.model_fields_set}
    return form.model_copy(update=left)


def take_groups(context: Context, bundle: Bundle) -> None:
    """Service groups, with those of their services that are here."""
    change = context.revision(f"Imported from {bundle.source}: service groups")
    for record in bundle.groups:
        with context.trying("service_group", record):
            _group(context, change, record)


def _group(context: Context, change: Change, record: Record) -> None:
    values = {
        name: value for name, value in own(record.values).items() if value not in (None,) and name != "scopes"
    }
    if record.values.get("scopes"):
        values["scopes"] = record.values["scopes"]
    values["name"] = record.name
    keys_there = record.values.get("services", ())
    met = {key: context.memory.find("service", key) for key in keys_there}
    here = {key: one.entity_id for key, one in met.items() if one is not None}
    absent = [key for key in keys_there if key not in here]
    if "services" in values:
        values["services"] = sorted({str(one) for one in here.values()}, key=int)
    found = context.accepted("service_group", record, ServiceGroupIn, values, ["name"])
    if found is None:
        return
    form, notes = found
    notes += [f"service {key} left out: it is not here" for key in absent]
    theirs = given(form, _GROUP)
    theirs["scopes"] = sorted(form.scopes)
    if "services" in theirs:
        theirs["services"] = [str(one) for one in theirs["services"]]
    row = context.session.scalar(
        select(ServiceGroup).where(ServiceGroup.name == form.name).with_for_update(of=ServiceGroup)
    )
    if row is None:
        keys, more = context.numbers.keep("owned", record.number, record.key)
        row = service_groups.create(context.session, change, form, keys, operator=True)
        context.numbers.later("service_group_id", row.id, record.values.get("extension_numbers", {}))
        context.added("service_group", record, row.id, theirs, notes + more)
        return
    present = row
    merged = context.merged("service_group", record, theirs, service_group_body(row))
    context.settle(
        "service_group", record, row.id, theirs, merged, notes,
        lambda wanted: service_groups.apply(context.session, change, present, _ids(wanted), operator=True),
    )  # fmt: skip


def _ids(values: dict[str, Any]) -> dict[str, Any]:
    if "services" not in values:
        return values
    return {**values, "services": [int(one) for one in values["services"]]}
