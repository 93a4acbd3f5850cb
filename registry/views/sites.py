"""Sites: the list, one site, its machines; services; the portal links of the GOCDB interface."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import redirect, request
from markupsafe import Markup
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import HanseError, NotFound
from hanse.identity.permissions import PUBLIC, allows
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import credentials, finding, neighbours, standing, states
from registry.models import Downtime, Service, Site
from registry.rights import DECLARE_DOWNTIME, EDIT_SITE, KEEP_MACHINES, READ_LOG, may_site
from registry.schemas.services import ServiceQuery
from registry.schemas.sites import HostCertificateIn, SiteQuery, TokenIn
from registry.views import looking
from registry.views.home import settings
from registry.views.words import capacity_words, lines

pages = Pages(
    "registry_pages",
    __name__,
    nav=[
        ("All sites", "/sites"),
        ("Services", "/services"),
        ("Downtimes", "/downtimes"),
        ("People", "/people"),
        ("History", "/history"),
        ("Account", "/account"),
    ],
)
REPLICATION = ("vomsdb", "/api/v1/replication")
PUBLISHING = ("accounting", "/api/v1/publishing?limit=500")


def _query() -> tuple[SiteQuery, str]:
    """The filter in the address; what cannot be read is left out and named."""
    given = {name: value for name, value in request.args.items() if value and name in SiteQuery.model_fields}
    try:
        return SiteQuery.model_validate({**given, "limit": 1000}), ""
    except ValidationError as error:
        wrong = [fault.field for fault in faults_of(error)]
        kept = {name: value for name, value in given.items() if name not in wrong and name != "limit"}
        told = f"The filter by {', '.join(wrong).replace('_', ' ')} cannot be read and was left out."
        return SiteQuery.model_validate({**kept, "limit": 1000}), told


@pages.get("/sites", permission=PUBLIC)
def all_sites() -> BaseResponse:
    """Sites, those in trouble first."""
    query, told = _query()
    db = ground().db
    heard = neighbours.ask(db, settings(), {"monitoring": standing.QUESTION})["monitoring"]
    with db.transaction() as session:
        found = [state.body for state in finding.sites(session, query)]
        every = looking.sites(session, query.as_of)
        standings = standing.standings(heard, every, looking.monitored(session), looking.away(session))
        moment = _moment(session, query.as_of)
    state = request.args.get("state", "")
    found = [site for site in found if not state or standings[site["name"]].kind == state]
    found.sort(key=lambda site: (standings[site["name"]].rank, site["name"]))
    vcpu = sum(site["capacity"].get("vcpu") or 0 for site in found)
    return page(
        "registry/sites.html",
        title="Sites",
        sentence=_list_sentence(found, vcpu, [standings[site["name"]] for site in found]),
        api=_api_of("/api/v1/sites"),
        csv=_api_of("/api/v1/sites.csv"),
        sites=found,
        standings=standings,
        counted=standing.tell([standings[site["name"]] for site in found]),
        choices=_choices(every),
        told=told,
        vcpu=vcpu,
        monitoring=heard,
        moment=moment,
        as_of=query.as_of,
    )


def _moment(session: Any, as_of: str | None) -> tuple[datetime | None, int] | None:
    number = states.number_at(session, as_of)
    return None if number is None else (states.moment_of(session, number), number)


def _api_of(path: str) -> str:
    query = request.query_string.decode("ascii", "replace")
    return f"{path}?{query}" if query else path


def _choices(sites: list[dict[str, Any]]) -> Mapping[str, list[tuple[str, str]]]:
    def options(field: str) -> list[tuple[str, str]]:
        values = sorted({site[field] for site in sites if site[field]})
        return [("", "any"), *((value, value) for value in values)]

    vos = sorted({share["vo"] for site in sites for share in site["supports"]})
    countries = sorted({(site["country_code"], site["country"]) for site in sites}, key=lambda pair: pair[1])
    return {
        "ngi": options("ngi"),
        "middleware": options("middleware"),
        "certification": options("certification"),
        "country_code": [("", "any"), *countries],
        "vo": [("", "any"), *((vo, vo) for vo in vos)],
    }


def _list_sentence(found: list[dict[str, Any]], vcpu: int, known: list[standing.Standing]) -> Markup:
    countries = len({site["country"] for site in found})
    first = Markup("{} {} in {} {} offer {} vCPU.").format(
        len(found),
        "site" if len(found) == 1 else "sites",
        countries,
        "country" if countries == 1 else "countries",
        f"{vcpu:,}",
    )
    counted = dict(standing.tell(known))
    verbs = {"down": "down", "degraded": "degraded", "downtime": "in downtime"}
    trouble = [f"{counted[kind]} {word}" for kind, word in verbs.items() if kind in counted]
    return first + (Markup(" <b>{}.</b>").format(", ".join(trouble)) if trouble else Markup(" None fails."))


@pages.get("/sites/<name>", permission=PUBLIC)
def one_site(name: str) -> BaseResponse:
    """Is it well; if not, which part, since when."""
    as_of = request.args.get("as_of") or None
    db = ground().db
    with db.transaction() as session:
        site = states.find_named(session, "site", name, as_of)
        site_name = site.body["name"]
        services = finding.services(session, ServiceQuery(site=site_name, as_of=as_of, limit=1000))
        past = states.by_id(
            session,
            "downtime",
            where=[states.text_of("site") == site_name],
            as_of=as_of,
            newest_first=True,
            limit=6,
        )
        # the log holds addresses of people and machines
        reads_log = allows(current_principal(), READ_LOG)
        events = states.events(session, where=[states.of_site(site_name)], limit=60) if reads_log else []
        certificates = states.by_id(
            session, "host_certificate", where=[states.text_of("site") == site_name], as_of=as_of
        )
        moment = _moment(session, as_of)
        row = session.get(Site, int(site.id))
        rights = _rights(row)
        watched, away = looking.monitored(session), looking.away(session)
    heard = neighbours.ask(
        db, settings(), {"monitoring": standing.WITH_DAYS, "vomsdb": REPLICATION, "accounting": PUBLISHING}
    )
    found = standing.standings(heard["monitoring"], [site.body], watched, away)[site_name]
    signed_in = current_principal().signed_in
    return page(
        "registry/site.html",
        title=site_name,
        sentence=_site_sentence(found, site.body, len(services), past=moment is not None),
        crumbs=[
            ("Sites", "/sites"),
            (site.body["country"], f"/sites?country_code={site.body['country_code']}"),
            (site.body["ngi"], f"/sites?ngi={site.body['ngi']}"),
        ],
        api=_api_of(f"/api/v1/sites/{site_name}"),
        refresh_s=None if as_of else 30,
        site=site.body,
        revision=site.revision,
        updated_at=site.at,
        found=found,
        services=[state.body for state in services],
        downtimes=[state.body for state in past],
        certificates=[state.body for state in certificates],
        history=lines(events)[:8],
        heard=heard,
        pairs=[pair for pair in heard["vomsdb"].body.get("pairs", ()) if pair.get("site") == site_name],
        publishing=_of_site(heard["accounting"], site_name),
        offers=capacity_words(site.body["capacity"]),
        signed_in=signed_in,
        rights=rights,
        moment=moment,
        settings=settings(),
        now=datetime.now(UTC),
    )


def _rights(row: Site | None) -> Mapping[str, bool]:
    principal = current_principal()
    known = {"edit": EDIT_SITE, "declare": DECLARE_DOWNTIME, "machines": KEEP_MACHINES}
    return {word: row is not None and may_site(principal, right, row) for word, right in known.items()}


def _of_site(publishing: neighbours.Heard, site: str) -> Mapping[str, Any] | None:
    return next((one for one in publishing.body.get("items", ()) if one.get("site") == site), None)


def _site_sentence(found: standing.Standing, site: Mapping[str, Any], services: int, *, past: bool) -> Markup:
    facts = Markup(" {} with {} {}.").format(
        site["official_name"], services, "service" if services == 1 else "services"
    )
    if past:
        return facts
    if found.kind == "ok":
        return Markup("<b>Every endpoint answers.</b>") + facts
    if found.kind in ("down", "degraded"):
        return Markup("<b>{}.</b>").format((found.cause or "An endpoint fails").rstrip(".")) + facts
    words = found.cause[:1].upper() + found.cause[1:] if found.cause else "Nothing is known of it"
    return Markup("<b>{}.</b>").format(words) + facts


@pages.get("/services", permission=PUBLIC)
def all_services() -> BaseResponse:
    """Services of all sites, with their endpoints."""
    given = {
        name: value for name, value in request.args.items() if value and name in ("site", "service_type")
    }
    try:
        query = ServiceQuery.model_validate({**given, "cursor": request.args.get("cursor"), "limit": 50})
    except ValidationError:
        raise NotFound("There are no services of such a site or type.") from None
    with ground().db.transaction() as session:
        found = finding.services(session, query, query.limit + 1)
        kinds = sorted(
            set(session.scalars(Service.__table__.select().with_only_columns(Service.service_type)))
        )
        names = [site["name"] for site in looking.sites(session)]
    shown = [state.body for state in found[: query.limit]]
    return page(
        "registry/services.html",
        title="Services",
        sentence=f"Services that the sites of {settings().federation} run.",
        api=_api_of("/api/v1/services"),
        services=shown,
        next_cursor=shown[-1]["id"] if len(found) > query.limit else None,
        kinds=[("", "any"), *((kind, kind) for kind in kinds)],
        names=[("", "any"), *((name, name) for name in names)],
    )


@pages.get("/sites/<name>/machines", permission=KEEP_MACHINES)
def machines(name: str) -> BaseResponse:
    """Certificates and tokens with which the machines of a site sign in."""
    return _machines_page(name, FormFaults(), FormFaults())


def _machines_page(
    name: str, certificate: FormFaults, token: FormFaults, *, made: str = "", status: int = 200
) -> BaseResponse:
    with ground().db.transaction() as session:
        tokens = credentials.site_tokens(session, current_principal(), name)
        certificates = credentials.host_certificates(session, name)
    return page(
        "registry/machines.html",
        title=f"Machines of {name}",
        sentence="What they sign in with when they send usage, fetch identities, or publish.",
        crumbs=[("Sites", "/sites"), (name, f"/sites/{name}")],
        status=status,
        name=name,
        certificates=certificates,
        tokens=tokens,
        certificate_form=certificate,
        token_form=token,
        made=made,
    )


@pages.post("/sites/<name>/machines/certificates", permission=KEEP_MACHINES)
def add_certificate(name: str) -> BaseResponse:
    """Register a host certificate."""
    kept = request.form.to_dict()
    try:
        form = HostCertificateIn(pem=kept.get("pem", "").strip()[:20_000] + "\n")
        credentials.add_host_certificate(ground().db, current_principal(), name, form)
    except HanseError as error:
        return _machines_page(name, FormFaults.of(error, kept), FormFaults(), status=422)
    return redirect(f"/sites/{name}/machines", 303)


@pages.post("/sites/<name>/machines/certificates/<int:number>/remove", permission=KEEP_MACHINES)
def remove_certificate(name: str, number: int) -> BaseResponse:
    """Take a host certificate off the site."""
    credentials.remove_host_certificate(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/machines", 303)


@pages.post("/sites/<name>/machines/tokens", permission=KEEP_MACHINES)
def make_token(name: str) -> BaseResponse:
    """Make a site token and show it once."""
    kept = request.form.to_dict()
    try:
        form = TokenIn.model_validate({"name": kept.get("name", "")})
    except ValidationError as error:
        faults = {fault.field: fault.reason for fault in faults_of(error)}
        return _machines_page(name, FormFaults(), FormFaults(kept, faults, "No token was made."), status=422)
    _, token = credentials.make_site_token(ground().db, current_principal(), name, form)
    return _machines_page(name, FormFaults(), FormFaults(), made=token, status=201)


@pages.post("/sites/<name>/machines/tokens/<int:number>/withdraw", permission=KEEP_MACHINES)
def withdraw_token(name: str, number: int) -> BaseResponse:
    """Withdraw a site token."""
    credentials.withdraw_site_token(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/machines", 303)


@pages.get("/portal/index.php", permission=PUBLIC)
def portal() -> BaseResponse:
    """Where the portal links of GOCDB's interface lead."""
    kind, number = request.args.get("Page_Type", ""), request.args.get("id", "")
    if not number.isdigit() or len(number) > 15:
        raise NotFound("This link names nothing here.")
    with ground().db.transaction() as session:
        if kind == "Site" and (site := session.get(Site, int(number))):
            return redirect(f"/sites/{site.name}")
        if kind == "Service" and (service := session.get(Service, int(number))):
            return redirect(f"/sites/{service.site.name}#service-{service.id}")
        if kind == "Downtime" and (downtime := session.get(Downtime, int(number))):
            return redirect(f"/downtimes?site={downtime.site.name}#downtime-{downtime.id}")
    raise NotFound("This link names nothing that is registered here now.")
