"""Services: the list over all sites, and one service with its endpoints, what hits it and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import request
from markupsafe import Markup
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC, allows
from hanse.revisions import History
from hanse.web import Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import finding, neighbours, standing, states, trail
from registry.models import Downtime, DowntimeService, Service, ServiceType
from registry.rights import DECLARE_DOWNTIME, EDIT_SITE, READ_LOG, may_site
from registry.schemas.services import ServiceQuery
from registry.views import looking
from registry.views.home import settings
from registry.views.words import lines

pages = Pages("registry_service_pages", __name__)
PAGE = 50
FILTERS = ("q", "site", "service_type", "scope", "production", "monitored", "as_of")
YES_NO = (("", "any"), ("true", "yes"), ("false", "no"))


def _query() -> tuple[ServiceQuery, str]:
    """The filter in the address; what cannot be read is left out and named."""
    given = {name: value for name, value in request.args.items() if value and name in (*FILTERS, "cursor")}
    try:
        return ServiceQuery.model_validate({**given, "limit": PAGE}), ""
    except ValidationError as error:
        wrong = [fault.field for fault in faults_of(error)]
        kept = {name: value for name, value in given.items() if name not in wrong}
        told = f"The filter by {', '.join(wrong).replace('_', ' ')} cannot be read and was left out."
        return ServiceQuery.model_validate({**kept, "limit": PAGE}), told


@pages.get("/services", permission=PUBLIC)
def all_services() -> BaseResponse:
    """Services of all sites, with their endpoints."""
    query, told = _query()
    with ground().db.transaction() as session:
        found = finding.services(session, query, PAGE + 1)
        kinds = list(session.scalars(select(ServiceType.name).order_by(ServiceType.name)))
        total = session.scalar(select(func.count()).select_from(Service)) or 0
        number = states.number_at(session, query.as_of)
        moment = None if number is None else (states.moment_of(session, number), number)
    shown = [state.body for state in found[:PAGE]]
    filters = [
        (name, f"{name.replace('_', ' ')} {request.args[name]}") for name in FILTERS if request.args.get(name)
    ]
    address = request.query_string.decode("ascii", "replace")
    return page(
        "registry/services.html",
        title="Services",
        sentence=Markup("<b>{} services</b> stand in the registry.").format(f"{total:,}"),
        api=f"/api/v1/services?{address}" if address else "/api/v1/services",
        csv=f"/api/v1/services.csv?{address}" if address else "/api/v1/services.csv",
        services=shown,
        next_cursor=shown[-1]["id"] if len(found) > PAGE else None,
        kinds=[("", "any"), *((kind, kind) for kind in kinds)],
        yes_no=YES_NO,
        filters=[one for one in filters if one[0] != "as_of"],
        told=told,
        moment=moment,
        as_of=query.as_of,
    )


@pages.get("/services/<int:number>", permission=PUBLIC)
def one_service(number: int) -> BaseResponse:
    """What it is, whether its endpoints answer, which downtimes hit it, and what became of it."""
    as_of = request.args.get("as_of") or None
    with ground().db.transaction() as session:
        state = states.find(session, "service", str(number), as_of)
    site = state.body["site"]
    question = ("monitoring", standing.OF_SITE[1].format(site=quote(site, safe="")))
    heard = neighbours.ask(ground().db, settings(), {"monitoring": question})["monitoring"]
    with ground().db.transaction() as session:
        moment_number = states.number_at(session, as_of)
        moment = None if moment_number is None else (states.moment_of(session, moment_number), moment_number)
        row = session.get(Service, number)
        downtimes = [] if moment else _downtimes(session, number)
        history = _history(session, number, moment_number)
        rights = _rights(row)
    told: Mapping[str, Any] = next(
        (one for one in heard.body.get("sites", ()) if one.get("site") == site), {}
    )
    seen = {} if moment else {str(one.get("id")): one for one in told.get("endpoints", ())}
    return page(
        "registry/service.html",
        title=state.body["service_type"],
        sentence=_sentence(state.body, seen, past=moment is not None),
        crumbs=[("Sites", "/sites"), (site, f"/sites/{site}"), ("Services", f"/services?site={site}")],
        api=f"/api/v1/services/{number}" + (f"?as_of={as_of}" if as_of else ""),
        refresh_s=None if as_of else 30,
        service=state.body,
        revision=state.revision,
        updated_at=state.at,
        seen=seen,
        heard=heard,
        downtimes=downtimes,
        history=history,
        rights=rights,
        moment=moment,
        settings=settings(),
        signed_in=current_principal().signed_in,
    )


def _downtimes(session: Session, number: int) -> list[dict[str, Any]]:
    """Those that go on or are to come first, then the latest that are over."""
    of_service = select(DowntimeService.downtime_id).where(DowntimeService.service_id == number)
    found = session.scalars(
        select(Downtime.id)
        .where(Downtime.id.in_(of_service))
        .order_by(Downtime.state == "ended", Downtime.start_at.desc())
        .limit(8)
    )
    return looking.downtimes(session, list(found))


def _history(session: Session, number: int, upto: int | None) -> Any:
    # the log holds addresses of people and machines
    if not allows(current_principal(), READ_LOG):
        return []
    where = [] if upto is None else [History.from_revision <= upto]
    which = trail.Wanted(kind="service", id=str(number))
    return lines(trail.events(session, which, where=where, limit=8))


def _rights(row: Service | None) -> Mapping[str, bool]:
    principal = current_principal()
    known = {"edit": EDIT_SITE, "declare": DECLARE_DOWNTIME}
    return {word: row is not None and may_site(principal, right, row.site) for word, right in known.items()}


def _sentence(service: Mapping[str, Any], seen: Mapping[str, Any], *, past: bool) -> Markup:
    where = Markup(" <code>{}</code> at {}.").format(service["hostname"], service["site"])
    if past or not service["endpoints"]:
        return where if past else Markup("<b>It has no endpoint, so nothing is watched.</b>") + where
    watched = [seen[one["id"]] for one in service["endpoints"] if one["id"] in seen]
    failing = [one for one in watched if one.get("state") in ("down", "degraded")]
    if failing:
        cause = str(failing[0].get("cause") or "An endpoint fails").rstrip(".")
        return Markup("<b>{}.</b>").format(cause) + where
    if watched and all(one.get("state") == "ok" for one in watched):
        return Markup("<b>Every endpoint answers.</b>") + where
    return where
