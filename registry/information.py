"""The information system: all that is known of sites, declared and published, as GLUE.

A cloud whose document is valid is shown as it publishes itself; any other as the registry declares it. Clouds that
publish without being registered are shown too: they are what drift is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry import cloudinfo, states
from registry.models import CloudDocument, Downtime, DowntimeService
from registry.observed import same_address
from registry.renderings import glue20, glue21_json
from registry.renderings.glue20_entity import Entity
from registry.schemas.fields import iso
from registry.states import State

Body = Mapping[str, Any]


@dataclass(frozen=True)
class _Known:
    """What is read at once for all sites that are rendered."""

    services: Mapping[str, Sequence[State]]
    documents: Mapping[str, Sequence[CloudDocument]]
    keys: dict[tuple[int, object], str]
    closed: frozenset[str]


def sites(
    session: Session, name: str | None = None, *, contacts: bool = False, now: datetime | None = None
) -> Iterator[glue20.Site]:
    """Sites to be rendered, by name; one of them, or all. Raises NotFound. `contacts` only for who may see them."""
    found = [states.find_named(session, "site", name)] if name else states.by_name(session, "site")
    known = _known(session, name, now or datetime.now(UTC))
    for site in found:
        if site.body["certification"] == "Closed" and name is None:
            continue
        clouds, rest = _clouds(site, known)
        yield glue20.Site(
            site.body,
            clouds,
            [(service.body, service.id in known.closed) for service in rest],
            site.body["contacts"] if contacts else (),
        )


def _known(session: Session, name: str | None, now: datetime) -> _Known:
    where = [] if name is None else [states.text_of("site") == name]
    services: dict[str, list[State]] = {}
    for state in states.by_id(session, "service", where=where):
        services.setdefault(state.body["site"], []).append(state)
    documents: dict[str, list[CloudDocument]] = {}
    current = cloudinfo.current(session, name, valid_at=now, whole=True)
    for document in current:
        documents.setdefault(document.site.name, []).append(document)
    keys = cloudinfo.gocdb_ids(session, [document.site_id for document in current])
    return _Known(services, documents, keys, _closed(session))


def _closed(session: Session) -> frozenset[str]:
    """Services in an outage that is going on."""
    ongoing = (
        select(DowntimeService.service_id)
        .join(Downtime)
        .where(Downtime.state == "ongoing", Downtime.severity == "OUTAGE")
    )
    return frozenset(str(number) for number in session.scalars(ongoing))


def _clouds(site: State, known: _Known) -> tuple[list[glue21_json.Document], list[State]]:
    """The clouds of a site as documents, and its services that are none."""
    name = site.body["name"]
    published = known.documents.get(name, ())
    seen = {
        same_address(endpoint["url"]) for document in published for endpoint in document.facts["endpoints"]
    }
    clouds = [_completed(document, known) for document in published]
    rest = []
    for service in known.services.get(name, ()):
        if not glue21_json.is_cloud(service.body):
            rest.append(service)
        elif all(same_address(one["url"]) not in seen for one in service.body["endpoints"]):
            changed = service.at.replace(microsecond=0)
            clouds.append(
                glue21_json.declared(site.body, service.body, iso(changed), service.id in known.closed)
            )
    return clouds, rest


def _completed(document: CloudDocument, known: _Known) -> glue21_json.Document:
    """The document with its service's key, where it could be found."""
    body = dict(document.body)
    key = cloudinfo.gocdb_id_of(document, known.keys)
    if key is not None:
        service = dict(body["CloudComputingService"][0])
        service["OtherInfo"] = {**(service.get("OtherInfo") or {}), "gocdb_id": key}
        body["CloudComputingService"] = [service]
    return body


def entities(session: Session, name: str | None = None, *, contacts: bool = False) -> list[Entity]:
    """GLUE 2.0 entities of one site, or of all."""
    return [entity for site in sites(session, name, contacts=contacts) for entity in glue20.entities(site)]


def document(session: Session, name: str) -> glue21_json.Document:
    """One site's clouds as one GLUE 2.1 document. Raises NotFound when there is no such site."""
    return glue21_json.merged(next(sites(session, name)).clouds)


def documents(session: Session) -> list[glue21_json.Document]:
    """The clouds of all sites, a document for each site that has one."""
    return [glue21_json.merged(site.clouds) for site in sites(session) if site.clouds]
