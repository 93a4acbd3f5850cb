"""/api/v1: sites as GLUE, and /v1: what sites publish of their clouds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from flask import Response, request

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, conditional, current_principal, ground
from registry import cloud_history, cloudinfo, information
from registry.api.answers import Body, SitePath, SiteThingPath
from registry.models import CloudDocument, CloudRefusal
from registry.recording import find_site
from registry.renderings import glue2_ldif, glue2_xml
from registry.rights import PUBLISH_CLOUD, may_site
from registry.schemas.cloudinfo import DocumentOut, DocumentsOut, PublishedOut, PublishQuery, RefusalOut
from registry.schemas.sites import OneQuery
from registry.settings import RegistrySettings

api = Api("registry_information", __name__, "Information system", csv=True)
# the addresses that cloud tools publish to have no /api in them
publishing = Api("registry_publishing", __name__, "Information system", prefix="/v1")
_LDIF = "text/ldif; charset=utf-8"
_XML = "application/xml; charset=utf-8"


def _text(parts: Iterable[str], kind: str) -> Response:
    answer = conditional(Response("".join(parts), content_type=kind))
    answer.headers["Vary"] = "Cookie, Authorization"
    return answer


def _shows_contacts() -> bool:
    return current_principal().signed_in


@api.get("/glue2.ldif", permission=PUBLIC, summary="All sites as GLUE 2.0 LDIF, below o=glue")
def all_ldif(query: OneQuery) -> Response:
    """What a BDII loads. Contacts are in it for callers who are signed in."""
    with ground().db.transaction() as session:
        found = information.entities(session, contacts=_shows_contacts(), as_of=query.as_of)
    return _text(glue2_ldif.render(found), _LDIF)


@api.get("/glue2.xml", permission=PUBLIC, summary="All sites as GLUE 2.0 XML")
def all_xml(query: OneQuery) -> Response:
    """Valid by the schema that OGF publishes (spec_2.0_r1)."""
    with ground().db.transaction() as session:
        found = information.entities(session, contacts=_shows_contacts(), as_of=query.as_of)
    return _text(glue2_xml.render(found), _XML)


@api.get("/glue21.json", permission=PUBLIC, summary="The clouds of all sites as GLUE 2.1 JSON")
def all_json(query: OneQuery) -> list[Body]:
    """A document for each site with a cloud."""
    with ground().db.transaction() as session:
        return list(information.documents(session, query.as_of))


@api.get("/sites/<site>/glue2.ldif", permission=PUBLIC, summary="A site as GLUE 2.0 LDIF")
def site_ldif(path: SitePath, query: OneQuery) -> Response:
    """Below o=glue, with the entry of the suffix."""
    with ground().db.transaction() as session:
        found = information.entities(session, path.site, contacts=_shows_contacts(), as_of=query.as_of)
    return _text(glue2_ldif.render(found), _LDIF)


@api.get("/sites/<site>/glue2.xml", permission=PUBLIC, summary="A site as GLUE 2.0 XML")
def site_xml(path: SitePath, query: OneQuery) -> Response:
    """Valid by the schema that OGF publishes (spec_2.0_r1)."""
    with ground().db.transaction() as session:
        found = information.entities(session, path.site, contacts=_shows_contacts(), as_of=query.as_of)
    return _text(glue2_xml.render(found), _XML)


@api.get("/sites/<site>/glue21.json", permission=PUBLIC, summary="A site's clouds as GLUE 2.1 JSON")
def site_json(path: SitePath, query: OneQuery) -> Body:
    """As cloud tools speak it: what the site publishes while it is valid, else what the registry declares."""
    with ground().db.transaction() as session:
        return dict(information.document(session, path.site, query.as_of))


@publishing.put(
    "/sites/<site>/cloudinfo",
    permission=PUBLISH_CLOUD,
    summary="Publish a cloud-info document",
    responses={202: PublishedOut, 204: None},
)
def publish(path: SitePath, query: PublishQuery) -> tuple[Body | None, int]:
    """The raw GLUE 2.1 JSON of cloud-info-provider (or LDIF) as the body, whatever its content type.

    202 when it is new, 204 when this very text stood already, 422 with each fault by object and field.
    """
    return _publish(path.site, query)


@publishing.post(
    "/sites/<site>/cloudinfo",
    permission=PUBLISH_CLOUD,
    summary="Publish a cloud-info document",
    responses={202: PublishedOut, 204: None},
)
def publish_by_post(path: SitePath, query: PublishQuery) -> tuple[Body | None, int]:
    """The same as PUT, for clients that only post."""
    return _publish(path.site, query)


def _publish(site: str, query: PublishQuery) -> tuple[Body | None, int]:
    arrival = cloudinfo.Arrival(request.get_data(), "api", query.gocdb_id)
    held = ground().settings
    assert isinstance(held, RegistrySettings)
    made = cloudinfo.publish(ground().db, current_principal(), site, arrival, keep_days=held.cloudinfo_days)
    if not made.fresh:
        return None, 204
    return published_answer(made, site), 202


def published_answer(made: cloudinfo.Published, site: str) -> Body:
    """What became of a document, for the wire."""
    row = made.document
    named = (row.body["CloudComputingService"][0].get("OtherInfo") or {}).get("gocdb_id")
    return PublishedOut(
        id=str(row.id),
        site=site,
        service=row.service,
        sha256=row.sha256,
        state="current" if row.current else "older",
        format=row.format,
        created_at=row.created_at,
        valid_until=row.valid_until,
        gocdb_id=None if named is None else str(named),
        notes=list(made.notes),
    ).model_dump()


@publishing.get(
    "/sites/<site>/cloudinfo",
    permission=PUBLIC,
    summary="What a site has published, and what was refused",
    responses={200: DocumentsOut},
)
def list_documents(path: SitePath) -> Body:
    """Documents that are kept, the newest first. What was refused is for those who may publish for the site."""
    now = datetime.now(UTC)
    with ground().db.transaction() as session:
        site = find_site(session, path.site)
        rows = cloud_history.of_site(session, site)
        own = may_site(current_principal(), PUBLISH_CLOUD, site)
        refused = cloudinfo.refusals(session, site) if own else []
    return {
        "items": [document_answer(row, now) for row in rows],
        "refused": [refusal_answer(row) for row in refused],
    }


def document_answer(row: CloudDocument, now: datetime) -> Body:
    """A document for the wire, without its text."""
    return DocumentOut(
        id=str(row.id),
        service=row.service,
        sha256=row.sha256,
        format=row.format,
        source=row.source,
        sender_name=row.sender_name if current_principal().signed_in else "",
        received_at=row.received_at,
        heard_at=row.heard_at,
        created_at=row.created_at,
        valid_until=row.valid_until,
        current=row.current,
        valid=row.current and row.valid_until > now,
    ).model_dump()


def refusal_answer(row: CloudRefusal) -> Body:
    """A refused document for the wire, without its text."""
    return RefusalOut(
        id=str(row.id),
        sha256=row.sha256,
        source=row.source,
        sender_name=row.sender_name,
        received_at=row.received_at,
        heard_at=row.heard_at,
        times=row.times,
        reason=row.reason,
        faults=row.faults,
    ).model_dump()


@publishing.get(
    "/sites/<site>/cloudinfo/<int:number>", permission=PUBLIC, summary="A published document, whole"
)
def one_document(path: SiteThingPath) -> Body:
    """GLUE 2.1 JSON, whatever it came as."""
    with ground().db.transaction() as session:
        return cloudinfo.document_body(session, path.site, path.number)


@publishing.delete(
    "/sites/<site>/cloudinfo/<int:number>",
    permission=PUBLISH_CLOUD,
    summary="Forget a cloud that is no more",
    responses={204: None},
)
def withdraw(path: SiteThingPath) -> None:
    """Its document, and those before it."""
    cloudinfo.withdraw(ground().db, current_principal(), path.site, path.number)


@publishing.get(
    "/sites/<site>/cloudinfo/refused/<int:number>",
    permission=PUBLISH_CLOUD,
    summary="A refused document as it came",
)
def one_refusal(path: SiteThingPath) -> Response:
    """The bytes, for repair."""
    with ground().db.transaction() as session:
        text = cloudinfo.refusal_text(session, current_principal(), path.site, path.number)
    answer = Response(text, content_type="application/octet-stream")
    answer.headers["Content-Disposition"] = f'attachment; filename="refused-{path.number}.txt"'
    return answer
