"""Sites: the list, one site, its machines; services; the portal links of the GOCDB interface."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import redirect, request
from markupsafe import Markup
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, ground, page
from hanse.web.wire import faults_of
from registry import finding, neighbours, standing, states
from registry.models import Downtime, Service, Site
from registry.schemas.sites import SiteQuery
from registry.views import looking
from registry.views.home import settings

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
