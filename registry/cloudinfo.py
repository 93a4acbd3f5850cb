"""What sites publish of their clouds: taking documents, keeping the last good one and those before, and the bad ones.

Documents are observations, not decisions: they have a history of their own and are no revisions of the registry. What a
person takes over from them is (`registry.drift`).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, contains_eager, undefer
from sqlalchemy.orm.attributes import set_committed_value

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused, TooLarge
from hanse.identity.principals import Principal
from registry import cloud_history
from registry.cloudinfo_reading import Reading, read
from registry.models import CloudDocument, CloudRefusal, Endpoint, Service, Site
from registry.observed import facts_of, same_address
from registry.recording import find_site, take_lock
from registry.rights import PUBLISH_CLOUD, check_site

REFUSALS_KEPT: Final = 20
Body = dict[str, Any]


@dataclass(frozen=True)
class Arrival:
    """A document as it came: its bytes, over which way, and the service that the sender names beside it."""

    content: bytes
    source: str
    gocdb_id: str | None = None

    @property
    def sha256(self) -> str:
        """Which text it is."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Published:
    """What became of a document. `fresh` is False when this very text had come before."""

    document: CloudDocument
    fresh: bool
    notes: tuple[str, ...] = ()


def publish(
    db: Database,
    principal: Principal,
    site_name: str,
    arrival: Arrival,
    now: datetime | None = None,
    *,
    keep_days: float,
) -> Published:
    """Take a document for a site. Raises NotFound, Unauthorised, Forbidden; Refused with its faults, after it was kept.

    The same text again changes nothing but the time at which it was last heard. Of earlier documents one a day is kept
    for `keep_days`.
    """
    now = now or datetime.now(UTC)
    with db.transaction() as session:
        site = find_site(session, site_name)
        check_site(principal, PUBLISH_CLOUD, site)
        known = _known(session, site, arrival, now)
        if known is not None:
            known.heard_at = now
            return Published(known, fresh=False)
    try:
        reading = read(arrival.content, now)
        with db.transaction() as session:
            made = _store(session, principal, site, arrival, reading, now)
            if made.fresh:
                cloud_history.forget_old(session, made.document, keep_days, now)
            return made
    except (Refused, TooLarge) as refusal:
        with db.transaction() as session:
            _keep_refused(session, principal, site, arrival, refusal, now)
        raise


def _known(session: Session, site: Site, arrival: Arrival, now: datetime) -> CloudDocument | None:
    return session.scalar(
        select(CloudDocument)
        .where(
            CloudDocument.site_id == site.id,
            CloudDocument.sha256 == arrival.sha256,
            CloudDocument.valid_until > now,
        )
        .limit(1)
    )


def _store(
    session: Session, principal: Principal, site: Site, arrival: Arrival, reading: Reading, now: datetime
) -> Published:
    take_lock(session, f"cloud documents of {site.id}")
    faults = list(_belonging(session, site, arrival, reading))
    if faults:
        raise Refused("The document was not taken; the last good one stands.", *faults)
    standing = session.scalar(
        select(CloudDocument).where(
            CloudDocument.site_id == site.id,
            CloudDocument.service == reading.service,
            CloudDocument.current,
        )
    )
    again = session.scalar(
        select(CloudDocument).where(
            CloudDocument.site_id == site.id,
            CloudDocument.service == reading.service,
            CloudDocument.sha256 == arrival.sha256,
        )
    )
    if again is not None:  # two senders at the same moment
        again.heard_at = now
        return Published(again, fresh=False)
    newest = standing is None or standing.created_at <= reading.created_at
    if standing is not None and newest:
        standing.current = False
        session.flush()
    named = _named(reading.document, arrival.gocdb_id)
    document = CloudDocument(
        site_id=site.id,
        service=reading.service,
        sha256=arrival.sha256,
        format=reading.format,
        source=arrival.source,
        sender=principal.key,
        sender_name=principal.name,
        received_at=now,
        heard_at=now,
        created_at=reading.created_at,
        valid_until=reading.valid_until,
        current=newest,
        body=named,
        facts=facts_of(named),
    )
    session.add(document)
    session.flush()
    notes = reading.notes if newest else (*reading.notes, "A newer document stands; this one was only kept.")
    return Published(document, fresh=True, notes=notes)


def _belonging(session: Session, site: Site, arrival: Arrival, reading: Reading) -> Sequence[FieldFault]:
    faults = []
    if reading.site and reading.site != site.name:
        faults.append(
            FieldFault(
                f"CloudComputingService {reading.service}: Associations.AdminDomain",
                f"names {reading.site[:200]}, and this was sent for {site.name}",
            )
        )
    named = arrival.gocdb_id or reading.gocdb_id
    if named is not None and named not in service_keys(session, site):
        faults.append(
            FieldFault(
                "gocdb_id",
                f"{site.name} has no service {named[:64]}; leave it out, and it is found by the endpoint's address",
            )
        )
    return faults


def service_keys(session: Session, site: Site) -> set[str]:
    """The keys of a site's services in the GOCDB interface."""
    return set(session.scalars(select(Service.primary_key).where(Service.site_id == site.id)))


def _named(document: dict[str, list[Body]], gocdb_id: str | None) -> dict[str, list[Body]]:
    if gocdb_id is None:
        return document
    service = dict(document["CloudComputingService"][0])
    service["OtherInfo"] = {**(service.get("OtherInfo") or {}), "gocdb_id": gocdb_id}
    return {**document, "CloudComputingService": [service]}


def _keep_refused(
    session: Session,
    principal: Principal,
    site: Site,
    arrival: Arrival,
    refusal: Refused | TooLarge,
    now: datetime,
) -> None:
    take_lock(session, f"cloud documents of {site.id}")
    known = session.scalar(
        select(CloudRefusal).where(CloudRefusal.site_id == site.id, CloudRefusal.sha256 == arrival.sha256)
    )
    faults = [{"field": fault.field, "reason": fault.reason} for fault in refusal.fields]
    if known is not None:
        known.heard_at, known.times = now, known.times + 1
        known.reason, known.faults = refusal.detail, faults
        return
    session.add(
        CloudRefusal(
            site_id=site.id,
            sha256=arrival.sha256,
            source=arrival.source,
            sender=principal.key,
            sender_name=principal.name,
            received_at=now,
            heard_at=now,
            times=1,
            reason=refusal.detail,
            faults=faults,
            content=b"" if isinstance(refusal, TooLarge) else arrival.content,
        )
    )
    session.flush()
    kept = (
        select(CloudRefusal.id)
        .where(CloudRefusal.site_id == site.id)
        .order_by(CloudRefusal.heard_at.desc(), CloudRefusal.id.desc())
        .limit(REFUSALS_KEPT)
    )
    session.execute(
        delete(CloudRefusal).where(
            CloudRefusal.site_id == site.id, CloudRefusal.id.not_in(kept.scalar_subquery())
        )
    )


def current(
    session: Session,
    site: str | None = None,
    *,
    valid_at: datetime | None = None,
    whole: bool = False,
) -> list[CloudDocument]:
    """The current document of each cloud with its facts, by site; of one site, or only those valid then; with their
    text (`whole`).
    """
    statement = select(CloudDocument).join(Site).where(CloudDocument.current)
    if site is not None:
        statement = statement.where(Site.name == site)
    if valid_at is not None:
        statement = statement.where(CloudDocument.valid_until > valid_at)
    if whole:
        statement = statement.options(undefer(CloudDocument.body))
    # the site's own lists are not needed to say its name
    statement = statement.options(
        contains_eager(CloudDocument.site).load_only(Site.name), *_WITHOUT_LISTS
    ).order_by(Site.name, CloudDocument.service)
    found = list(session.scalars(statement))
    _read_facts(session, found)
    return found


_WITHOUT_LISTS = tuple(
    contains_eager(CloudDocument.site).lazyload(name)
    for name in (Site.contacts, Site.shares, Site.properties)
)
# facts never change, so each process reads them once: what was published is kept by what it is
_KNOWN_FACTS: OrderedDict[tuple[int, str, datetime], Body] = OrderedDict()
_KNOWN_MOST: Final = 2000
_KNOWN_LOCK = threading.Lock()


def _read_facts(session: Session, documents: Sequence[CloudDocument]) -> None:
    keys = {row.id: (row.id, row.sha256, row.received_at) for row in documents}
    with _KNOWN_LOCK:
        known = {number: _KNOWN_FACTS[key] for number, key in keys.items() if key in _KNOWN_FACTS}
    missing = [number for number in keys if number not in known]
    if missing:
        rows = session.execute(
            select(CloudDocument.id, CloudDocument.facts).where(CloudDocument.id.in_(missing))
        )
        fresh = {number: facts for number, facts in rows}
        known |= fresh
        with _KNOWN_LOCK:
            _KNOWN_FACTS.update({keys[number]: facts for number, facts in fresh.items()})
            while len(_KNOWN_FACTS) > _KNOWN_MOST:
                _KNOWN_FACTS.popitem(last=False)
    for row in documents:
        set_committed_value(row, "facts", known[row.id])


def refusals(session: Session, site: Site) -> list[CloudRefusal]:
    """What was not taken from a site, the newest first, since its last good document."""
    return list(
        session.scalars(
            select(CloudRefusal)
            .where(CloudRefusal.site_id == site.id)
            .order_by(CloudRefusal.heard_at.desc(), CloudRefusal.id.desc())
        )
    )


def refusal_text(session: Session, principal: Principal, site_name: str, number: int) -> bytes:
    """A refused document as it came, for those who may publish for the site. Raises NotFound, Forbidden."""
    site = find_site(session, site_name)
    check_site(principal, PUBLISH_CLOUD, site)
    row = session.get(CloudRefusal, number)
    if row is None or row.site_id != site.id:
        raise NotFound(f"{site_name} has no refused document {number}.")
    return row.content


def document_body(session: Session, site_name: str, number: int) -> Body:
    """One kept document as GLUE 2.1 JSON. Raises NotFound."""
    row = session.get(CloudDocument, number, options=[undefer(CloudDocument.body)])
    if row is None or row.site.name != site_name:
        raise NotFound(f"{site_name} has no document {number}.")
    return dict(row.body)


def withdraw(db: Database, principal: Principal, site_name: str, number: int) -> None:
    """Forget a cloud that is no more: its document and those before it. Raises NotFound, Forbidden."""
    with db.transaction() as session:
        site = find_site(session, site_name)
        check_site(principal, PUBLISH_CLOUD, site)
        row = session.get(CloudDocument, number)
        if row is None or row.site_id != site.id:
            raise NotFound(f"{site_name} has no document {number}.")
        session.execute(
            delete(CloudDocument).where(
                CloudDocument.site_id == site.id, CloudDocument.service == row.service
            )
        )


def gocdb_ids(session: Session, sites: Sequence[int]) -> dict[tuple[int, object], str]:
    """Keys of services by site and address: how a document without one finds its own."""
    found: dict[tuple[int, object], str] = {}
    rows = session.execute(
        select(Service.site_id, Service.primary_key, Service.url, Endpoint.url)
        .outerjoin(Endpoint, Endpoint.service_id == Service.id)
        .where(Service.site_id.in_(sites))
        .order_by(Service.id, Endpoint.id)
    )
    for site_id, key, service_url, endpoint_url in rows:
        for url in (endpoint_url, service_url):
            if url:
                found.setdefault((site_id, same_address(url)), key)
    return found


def gocdb_id_of(document: CloudDocument, known: dict[tuple[int, object], str]) -> str | None:
    """The key of the document's service: what it names itself, or that of the service at its first known address."""
    named = document.facts["gocdb_id"]
    if named:
        return str(named)
    for endpoint in document.facts["endpoints"]:
        key = known.get((document.site_id, same_address(endpoint["url"])))
        if key is not None:
            return key
    return None
