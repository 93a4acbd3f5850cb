"""/api/v1: sites, and what the machines of a site sign in with."""

from __future__ import annotations

import base64

from flask import Response

from hanse.identity import names
from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.web import Api, csv_response, current_principal, ground
from registry import credentials, finding, sites, states
from registry.api.answers import (
    Body,
    RemovalQuery,
    SitePath,
    SiteThingPath,
    page_of,
    read_revision,
    site_answer,
    tagged,
)
from registry.models import Credential, HostCertificate
from registry.remembered import TokenThen
from registry.rights import (
    EDIT_SITE,
    KEEP_MACHINES,
    REGISTER_SITE,
    REMOVE_SITE,
)
from registry.schemas.sites import (
    HostCertificateIn,
    HostCertificateList,
    HostCertificateOut,
    OneQuery,
    SiteEdit,
    SiteIn,
    SiteOut,
    SitePage,
    SiteQuery,
    TokenIn,
    TokenList,
    TokenMade,
    TokenOut,
)

api = Api("registry_sites", __name__, "Sites", csv=True)
Answer = tuple[Body, int, dict[str, str]]
CSV_COLUMNS = (
    "name",
    "official_name",
    "country_code",
    "country",
    "location",
    "ngi",
    "middleware",
    "certification",
    "production",
    "vcpu",
    "ram_gb",
    "storage_tb",
    "volumes",
    "public_ips",
    "vos",
)


@api.get(
    "/sites", permission=PUBLIC, summary="Sites by name", responses={200: SitePage}, revised=True, csv=False
)
def list_sites(query: SiteQuery) -> Body:
    """Filters are exact; `as_of` gives the sites as they were."""
    with ground().db.transaction() as session:
        found = finding.sites(session, query, query.limit + 1)
    shown = [site_answer(state) for state in found[: query.limit]]
    return page_of(found, query.limit, shown, shown[-1]["name"] if shown else "")


@api.get("/sites.csv", permission=PUBLIC, summary="Sites as CSV")
def list_sites_csv(query: SiteQuery) -> Response:
    """The same filters; one row a site."""
    with ground().db.transaction() as session:
        found = finding.sites(session, query)
    rows = [{**state.body, **state.body["capacity"], "vos": _vos(state.body)} for state in found]
    return csv_response(rows, CSV_COLUMNS, "sites.csv")


def _vos(body: Body) -> str:
    return " ".join(share["vo"] for share in body["supports"])


@api.post("/sites", permission=REGISTER_SITE, summary="Register a site", responses={201: SiteOut})
def register_site(body: SiteIn) -> Answer:
    """A new site; its certification begins as Candidate unless a federation operator says otherwise."""
    return _one(sites.register(ground().db, current_principal(), body), status=201)


@api.get("/sites/<site>", permission=PUBLIC, summary="One site", responses={200: SiteOut})
def one_site(path: SitePath, query: OneQuery) -> Answer:
    """A site as it is, or as it was."""
    return _one(path.site, query.as_of)


@api.patch("/sites/<site>", permission=EDIT_SITE, summary="Change a site", responses={200: SiteOut})
def change_site(path: SitePath, body: SiteEdit) -> Answer:
    """Only the fields that are sent; with If-Match only when nobody was quicker."""
    return _one(sites.edit(ground().db, current_principal(), path.site, body, read_revision()))


@api.delete("/sites/<site>", permission=REMOVE_SITE, summary="Remove a site", responses={204: None})
def remove_site(path: SitePath, query: RemovalQuery) -> None:
    """The site with its services, downtimes, credentials and roles; the log keeps what it was."""
    sites.remove(ground().db, current_principal(), path.site, query.reason, read_revision())


def _one(name: str, as_of: str | None = None, *, status: int = 200) -> Answer:
    with ground().db.transaction() as session:
        state = states.find_named(session, "site", name, as_of)
    body, _, headers = tagged(state, site_answer(state))
    return body, status, headers


@api.get(
    "/sites/<site>/host-certificates",
    permission=SIGNED_IN,
    summary="Host certificates of a site",
    responses={200: HostCertificateList},
)
def list_host_certificates(path: SitePath, query: OneQuery) -> Body:
    """Certificates that may speak for the site, or might then, the one that ends last first."""
    with ground().db.transaction() as session:
        states.find_named(session, "site", path.site, query.as_of)
        of_site = [states.text_of("site") == path.site]
        found = states.by_id(session, "host_certificate", where=of_site, as_of=query.as_of)
    shown = [{field: state.body[field] for field in HostCertificateOut.model_fields} for state in found]
    return {"items": sorted(shown, key=lambda one: (one["not_after"], -int(one["id"])), reverse=True)}


@api.post(
    "/sites/<site>/host-certificates",
    permission=KEEP_MACHINES,
    summary="Add a host certificate",
    responses={201: HostCertificateOut},
)
def add_host_certificate(path: SitePath, body: HostCertificateIn) -> tuple[Body, int]:
    """A certificate in PEM; while it is valid it may speak for the site."""
    number = credentials.add_host_certificate(ground().db, current_principal(), path.site, body)
    with ground().db.transaction() as session:
        row = next(one for one in credentials.host_certificates(session, path.site) if one.id == number)
    return certificate_answer(row), 201


@api.delete(
    "/sites/<site>/host-certificates/<int:number>",
    permission=KEEP_MACHINES,
    summary="Take a host certificate off a site",
    responses={204: None},
)
def remove_host_certificate(path: SiteThingPath) -> None:
    """From then on it speaks for nobody."""
    credentials.remove_host_certificate(ground().db, current_principal(), path.site, path.number, "")


def certificate_answer(row: HostCertificate) -> Body:
    """A host certificate for the wire."""
    return {
        "id": str(row.id),
        "site": row.site.name,
        "dn": names.slash(row.subject_der),
        "key": row.key,
        "subject_der": base64.b64encode(row.subject_der).decode(),
        "issuer_der": base64.b64encode(row.issuer_der).decode(),
        "not_before": row.not_before,
        "not_after": row.not_after,
    }


@api.get(
    "/sites/<site>/tokens", permission=KEEP_MACHINES, summary="Tokens of a site", responses={200: TokenList}
)
def list_site_tokens(path: SitePath, query: OneQuery) -> Body:
    """Tokens that speak for the site, or did then, without their secrets."""
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        if number is not None:
            then = credentials.site_tokens_then(session, current_principal(), path.site, number)
            return {"items": [token_answer(one) for one in then]}
        rows = credentials.site_tokens(session, current_principal(), path.site)
    return {"items": [token_answer(row) for row in rows]}


@api.post(
    "/sites/<site>/tokens", permission=KEEP_MACHINES, summary="Make a site token", responses={201: TokenMade}
)
def make_site_token(path: SitePath, body: TokenIn) -> tuple[Body, int]:
    """A token that speaks for the site; it is shown this once."""
    row, token = credentials.make_site_token(ground().db, current_principal(), path.site, body)
    return {**token_answer(row), "token": token}, 201


@api.delete(
    "/sites/<site>/tokens/<int:number>",
    permission=KEEP_MACHINES,
    summary="Withdraw a site token",
    responses={204: None},
)
def withdraw_site_token(path: SiteThingPath) -> None:
    """From then on it speaks for nobody."""
    credentials.withdraw_site_token(ground().db, current_principal(), path.site, path.number, "")


def token_answer(row: Credential | TokenThen) -> Body:
    """A token for the wire, without its secret."""
    return TokenOut.model_validate(
        {
            "id": str(row.id),
            "name": row.name,
            "key": row.key,
            "created_at": row.created_at,
            "not_after": row.not_after,
        }
    ).model_dump()
