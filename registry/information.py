"""What the information system tells of each site: the clouds it publishes while they hold, else what the registry
declares, and its other services; now, or as it was. A published document stands in the place of the declared service
that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry import cloud_history, cloudinfo, states
from registry.models import CloudDocument, Downtime, DowntimeService
from registry.observed import same_address
from registry.renderings import glue20, glue21_json
from registry.renderings.glue20_entity import Entity
from registry.schemas.fields import iso
from registry.states import Moment, State

Body = Mapping[str, Any]
Keys = dict[tuple[int, object], str]


@dataclass(frozen=True)
class _Known:
    """What is read at once for all sites that are rendered; documents by the number of their site."""

    services: Mapping[str, Sequence[State]]
    documents: Mapping[int, Sequence[CloudDocument]]
    keys: Keys
    closed: frozenset[str]


def sites(
    session: Session,
    name: str | None = None,
    *,
    contacts: bool = False,
    now: datetime | None = None,
    as_of: str | None = None,
) -> Iterator[glue20.Site]:
    """Sites to be rendered, by name; one of them, or all. Raises NotFound. `contacts` only for who may see them."""
    one = name is not None
    found = [states.find_named(session, "site", name, as_of)] if name else states.by_name(
        session, "site", as_of=as_of
    )  # fmt: skip
    moment = states.moment(session, as_of)
    if moment is None:
        known = _known_now(session, name, now or datetime.now(UTC))
    else:
        known = _known_then(session, found if one else None, found, moment)
    for site in found:
        if site.body["certification"] == "Closed" and not one:
            continue
        clouds, rest = _clouds(site, known)
        yield glue20.Site(
            site.body,
            clouds,
            [(service.body, service.id in known.closed) for service in rest],
            site.body["contacts"] if contacts else (),
        )


def _known_now(session: Session, name: str | None, now: datetime) -> _Known:
    current = cloudinfo.current(session, name, valid_at=now, whole=True)
    keys = cloudinfo.gocdb_ids(session, [document.site_id for document in current])
    return _Known(_services(session, name, None), _by_site(current), keys, _closed(session))


def _known_then(
    session: Session, asked: Sequence[State] | None, sites: Sequence[State], moment: Moment
) -> _Known:
    """`asked` are the sites that are rendered, None for all."""
    as_of = str(moment.number)
    name = asked[0].body["name"] if asked else None
    services = _services(session, name, as_of)
    numbers = None if asked is None else [int(site.id) for site in asked]
    stood = cloud_history.then(session, moment.at, site_ids=numbers, whole=True)
    return _Known(services, _by_site(stood), _keys_then(sites, services), _closed_then(session, as_of))


def _services(session: Session, name: str | None, as_of: str | None) -> dict[str, list[State]]:
    where = [] if name is None else [states.text_of("site") == name]
    services: dict[str, list[State]] = {}
    for state in states.by_id(session, "service", where=where, as_of=as_of):
        services.setdefault(state.body["site"], []).append(state)
    return services


def _by_site(found: Sequence[CloudDocument]) -> dict[int, list[CloudDocument]]:
    documents: dict[int, list[CloudDocument]] = {}
    for document in found:
        documents.setdefault(document.site_id, []).append(document)
    return documents


def _keys_then(sites: Sequence[State], services: Mapping[str, Sequence[State]]) -> Keys:
    """Keys of services by site and address, as `cloudinfo.gocdb_ids` gives them for now."""
    found: Keys = {}
    for site in sites:
        for service in services.get(site.body["name"], ()):
            urls = [*(endpoint["url"] for endpoint in service.body["endpoints"]), service.body["url"]]
            for url in filter(None, urls):
                found.setdefault((int(site.id), same_address(url)), service.body["primary_key"])
    return found


def _closed(session: Session) -> frozenset[str]:
    """Services in an outage that is going on."""
    ongoing = (
        select(DowntimeService.service_id)
        .join(Downtime)
        .where(Downtime.state == "ongoing", Downtime.severity == "OUTAGE")
    )
    return frozenset(str(number) for number in session.scalars(ongoing))


def _closed_then(session: Session, as_of: str) -> frozenset[str]:
    where = [states.text_of("state") == "ongoing", states.text_of("severity") == "OUTAGE"]
    found = states.by_id(session, "downtime", where=where, as_of=as_of)
    return frozenset(number for downtime in found for number in downtime.body["services"])


def _clouds(site: State, known: _Known) -> tuple[list[glue21_json.Document], list[State]]:
    """The clouds of a site as documents, and its services that are none."""
    published = known.documents.get(int(site.id), ())
    seen = {
        same_address(endpoint["url"]) for document in published for endpoint in document.facts["endpoints"]
    }
    clouds = [_completed(document, known) for document in published]
    rest = []
    for service in known.services.get(site.body["name"], ()):
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


def entities(
    session: Session, name: str | None = None, *, contacts: bool = False, as_of: str | None = None
) -> list[Entity]:
    """GLUE 2.0 entities of one site, or of all."""
    found = sites(session, name, contacts=contacts, as_of=as_of)
    return [entity for site in found for entity in glue20.entities(site)]


def document(session: Session, name: str, as_of: str | None = None) -> glue21_json.Document:
    """One site's clouds as one GLUE 2.1 document. Raises NotFound when there is no such site."""
    return glue21_json.merged(next(sites(session, name, as_of=as_of)).clouds)


def documents(session: Session, as_of: str | None = None) -> list[glue21_json.Document]:
    """The clouds of all sites, a document for each site that has one."""
    return [glue21_json.merged(site.clouds) for site in sites(session, as_of=as_of) if site.clouds]
