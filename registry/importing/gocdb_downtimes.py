"""Taking over downtimes and the log of certification of a GOCDB: what was, with its times and its class."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import select

from hanse.revisions import Change
from registry import entities
from registry.importing.gocdb_context import Context
from registry.importing.gocdb_records import Bundle, CertificationRecord, Record
from registry.importing.merging import Finding
from registry.models import (
    CERTIFICATIONS,
    CertificationChange,
    Downtime,
    DowntimeEndpoint,
    DowntimePart,
    DowntimeService,
    Endpoint,
    Service,
    Site,
    downtime_id,
)
from registry.rules import classification, state_at
from registry.schemas.downtimes import Severity

_MOST_CHARACTERS = 4000


def take_downtimes(context: Context, bundle: Bundle) -> None:
    """Downtimes, also those that ended: the rules for declaring one do not bind what was declared elsewhere."""
    change = context.revision(f"Imported from {bundle.source}: downtimes")
    for record in bundle.downtimes:
        with context.trying("downtime", record):
            _downtime(context, change, record)


def _downtime(context: Context, change: Change, record: Record) -> None:
    values = record.values
    if values.get("severity") not in get_args(Severity):
        context.skip("downtime", record, f"severity is {values.get('severity') or 'not told'}")
        return
    if values["start"] >= values["end"]:
        context.skip("downtime", record, "it ends before it starts")
        return
    affected, notes = _affected(context, record)
    if not affected:
        context.skip("downtime", record, *notes, "no service that it takes is here")
        return
    theirs = _theirs(record, affected)
    before = context.memory.find("downtime", record.key)
    row = (
        context.session.get(Downtime, int(before.entity_id), with_for_update={"of": Downtime})
        if before
        else None
    )
    if row is None and context.removed_here("downtime", record):
        return
    if row is None:
        row = _new(context, record, affected, notes)
        entities.put_downtime(change, row)
        context.added("downtime", _named(record, row), row.id, theirs, notes)
        return
    present = row
    merged = context.merged("downtime", record, theirs, _ours(row))
    context.settle(
        "downtime", _named(record, row), row.id, theirs, merged, notes,
        lambda wanted: _write(context, change, present, wanted, affected),
    )  # fmt: skip


def _affected(context: Context, record: Record) -> tuple[list[Service], list[str]]:
    """The services that are here, in the order of their ids, and which are not."""
    found: dict[int, Service] = {}
    notes = []
    for (hostname, kind, site), key in record.values.get("services", {}).items():
        row = context.memory.find("service", key) if key else None
        service = context.session.get(Service, int(row.entity_id)) if row is not None else None
        if service is None:
            service = context.session.scalar(
                select(Service)
                .join(Site)
                .where(Service.hostname == hostname.lower(), Service.service_type == kind, Site.name == site)
                .order_by(Service.id)
                .limit(1)
            )
        if service is None:
            notes.append(f"{kind} on {hostname} left out: it is not here")
        else:
            found[service.id] = service
    return [found[one] for one in sorted(found)], notes


def _theirs(record: Record, affected: list[Service]) -> dict[str, Any]:
    values = record.values
    return {
        "severity": values["severity"],
        "description": (values.get("description") or "No reason was given.")[:_MOST_CHARACTERS],
        "start": values["start"],
        "end": values["end"],
        "services": [str(one.id) for one in affected],
    }


def _ours(row: Downtime) -> dict[str, Any]:
    return {
        "severity": row.severity,
        "description": row.description,
        "start": row.start_at.astimezone(UTC),
        "end": row.end_at.astimezone(UTC),
        "services": [str(link.service_id) for link in row.services],
    }


def _endpoints(context: Context, record: Record, affected: list[Service]) -> list[int]:
    """The endpoints taken; all of the services where none is told."""
    wanted = {context.endpoints.get(one) for one in record.values.get("endpoints", {})}
    owners = [one.id for one in affected]
    rows = context.session.scalars(
        select(Endpoint.id).where(Endpoint.service_id.in_(owners)).order_by(Endpoint.id)
    )
    of_services = list(rows)
    return [one for one in of_services if one in wanted] if wanted else of_services


def _new(context: Context, record: Record, affected: list[Service], notes: list[str]) -> Downtime:
    keys, more = context.numbers.keep("downtime", record.number, record.key)
    notes += more
    values, now = _theirs(record, affected), datetime.now(UTC)
    created = record.values.get("created_at") or now
    number, primary_key = keys.take(context.session, downtime_id)
    sites = list(dict.fromkeys(one.site_id for one in affected))
    row = Downtime(
        id=number,
        primary_key=primary_key,
        site_id=sites[0],
        severity=values["severity"],
        classification=record.values.get("classification") or classification(values["start"], created),
        description=values["description"],
        start_at=values["start"],
        end_at=values["end"],
        state=state_at(values["start"], values["end"], now),
        created_at=created,
        created_by=context.report.source,
        parts=[DowntimePart(site_id=one, position=at, whole=False) for at, one in enumerate(sites)],
        services=[DowntimeService(service_id=one.id, whole=False) for one in affected],
        endpoints=[DowntimeEndpoint(endpoint_id=one) for one in _endpoints(context, record, affected)],
    )
    context.session.add(row)
    context.session.flush()
    context.session.refresh(row, ["site", "parts"])
    return row


def _write(
    context: Context, change: Change, row: Downtime, wanted: dict[str, Any], affected: list[Service]
) -> None:
    row.severity = wanted.get("severity", row.severity)
    row.description = wanted.get("description", row.description)
    row.start_at, row.end_at = wanted.get("start", row.start_at), wanted.get("end", row.end_at)
    row.state = state_at(row.start_at, row.end_at, datetime.now(UTC))
    if "services" in wanted:
        kept = {link.service_id: link for link in row.services}
        row.services = [
            kept.get(one.id) or DowntimeService(service_id=one.id, whole=False) for one in affected
        ]
        sites = {part.site_id: part for part in row.parts}
        named = list(dict.fromkeys(one.site_id for one in affected))
        row.parts = [
            sites.get(one) or DowntimePart(site_id=one, position=at, whole=False)
            for at, one in enumerate(named)
        ]
        row.site_id = named[0]
    context.session.flush()
    context.session.refresh(row, ["site", "parts", "services", "endpoints"])
    entities.put_downtime(change, row)


def _named(record: Record, row: Downtime) -> Record:
    return Record(record.key, record.number, f"{record.key} at {row.site.name}", record.values)


def take_certifications(context: Context, bundle: Bundle) -> None:
    """The log of certification, line by line; a line that is here already is left alone."""
    sites = {name: number for number, name in context.session.execute(select(Site.id, Site.name))}
    for step in bundle.certifications:
        name = f"{step.site}: {step.old} to {step.new}, {step.at:%d %b %Y}"
        if step.site not in sites or step.old not in CERTIFICATIONS or step.new not in CERTIFICATIONS:
            why = "the site is not here" if step.site not in sites else "no such status"
            context.report.note(Finding("skip", "certification_change", name, notes=(why,)))
            continue
        _certification(context, sites[step.site], step, name)


def _certification(context: Context, site: int, step: CertificationRecord, name: str) -> None:
    same = select(CertificationChange.id).where(
        CertificationChange.site_id == site,
        CertificationChange.at == step.at,
        CertificationChange.old == step.old,
        CertificationChange.new == step.new,
    )
    if context.session.scalar(same.limit(1)) is not None:
        context.report.note(Finding("same", "certification_change", name))
        return
    row = CertificationChange(
        site_id=site,
        at=step.at,
        old=step.old,
        new=step.new,
        by_key=f"imported:{context.report.source}",
        by_name=step.by[:255] or context.report.source,
        reason=step.reason[:300] or "no reason was given",
    )
    number = context.numbers.number("certification", step.number)
    if number is not None:
        row.id = number
    context.session.add(row)
    context.session.flush()
    context.report.note(Finding("add", "certification_change", name))
