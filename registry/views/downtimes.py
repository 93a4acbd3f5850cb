"""Downtimes: the list, one with its history, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import Refused
from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.words import count, moment
from hanse.web import FormFaults, Pages, after, current_principal, ground, page
from hanse.web.wire import faults_of, from_pairs
from registry import downtime_drafts, downtime_finding, downtimes, states, trail
from registry.models import Downtime, Service, Site
from registry.rights import DECLARE_DOWNTIME, READ_LOG, may_site
from registry.rules import GRACE, NOTICE, delete_fault, edit_faults
from registry.schemas.downtimes import DowntimeFilter, EndIn
from registry.views import downtime_list, saving
from registry.views.downtime_choices import choices, own_names
from registry.views.downtime_list import Part
from registry.views.words import lines

pages = Pages("registry_downtime_pages", __name__)
PAGE: Final = 50
FILTERS: Final = ("site", "ngi", "vo", "severity", "q", "since", "until", "mine")
Body = dict[str, Any]


@pages.get("/downtimes", permission=PUBLIC)
def all_downtimes() -> BaseResponse:
    """Going on, planned, past; what is asked for stands in the address."""
    asked, form = _asked()
    principal = current_principal()
    with ground().db.transaction() as session:
        mine = own_names(session, principal)
        only = mine if request.args.get("mine") else None
        moment = past_of(session)
        key = after(request.args.get("cursor")) if asked.state else None
        as_of = None if moment is None else str(moment[1])
        parts = downtime_list.parts(session, asked, only, key, as_of)
        drafts = downtime_drafts.of(session, principal) if mine and moment is None else []
        offered = choices(session)
    return page(
        "registry/downtimes.html",
        title="Downtimes",
        sentence=_list_sentence(parts, asked),
        crumbs=[("Sites", "/sites"), *([(asked.site, f"/sites/{asked.site}")] if asked.site else [])],
        status=422 if form else 200,
        api="/api/v1/downtimes" + _query(asked),
        csv="/api/v1/downtimes.csv" + _query(asked),
        parts=parts,
        mine=set(mine),
        drafts=drafts,
        calendar="/downtimes/calendar" + _query(asked, "site", "ngi", "vo"),
        subscribe="/downtimes.ics" + _query(asked, "site", "ngi", "vo", "severity"),
        filtered=any(request.args.get(name) for name in FILTERS),
        form=form,
        moment=moment,
        **offered,
    )


def _asked() -> tuple[DowntimeFilter, FormFaults]:
    """The filters of the address. What cannot be meant is told and left out."""
    kept = from_pairs(DowntimeFilter, request.args)
    given = {name: value for name, value in kept.items() if value and name in DowntimeFilter.model_fields}
    for name in ("since", "until"):
        if len(given.get(name, "")) == 10:  # a day, as the form gives it
            given[name] += "T00:00:00Z"
    try:
        return DowntimeFilter.model_validate(given), FormFaults(kept)
    except ValidationError as error:
        faults = {fault.field.partition(".")[0]: fault.reason for fault in faults_of(error)}
        rest = {name: value for name, value in given.items() if name not in faults}
        return DowntimeFilter.model_validate(rest), FormFaults(kept, faults, "Some filters were left out.")


def _query(asked: DowntimeFilter, *names: str) -> str:
    given = asked.model_dump(exclude_none=True, mode="json", include=set(names) or None)
    return "?" + urlencode({name: str(value) for name, value in given.items()}) if given else ""


def past_of(session: Session) -> tuple[datetime | None, int] | None:
    """The moment and the revision that `as_of` in the address means; None for the present."""
    revision = states.number_at(session, request.args.get("as_of"))
    return None if revision is None else (states.moment_of(session, revision), revision)


def _list_sentence(parts: Sequence[Part], asked: DowntimeFilter) -> str:
    words = [f"{part.count} {part.title.lower()}" for part in parts if part.state != "ended"]
    where = f" at {asked.site}" if asked.site else ""
    return f"{', '.join(words)}{where}." if words else f"Past downtimes{where}."


@pages.get("/downtimes/<int:number>", permission=PUBLIC)
def one(number: int) -> BaseResponse:
    """One downtime: what it affects until when, what can be done now, and what became of it."""
    return _one_page(number)


def _one_page(number: int, form: FormFaults | None = None) -> BaseResponse:
    as_of = request.args.get("as_of") or None
    principal = current_principal()
    with ground().db.transaction() as session:
        state = states.find(session, "downtime", str(number), as_of)
        row = session.get(Downtime, number)
        sites = list(session.scalars(select(Site).where(Site.name.in_(state.body["sites"]))))
        may = [site.name for site in sites if may_site(principal, DECLARE_DOWNTIME, site)]
        past = past_of(session)
        affected = _affected(session, state.body)
        can = {} if row is None or past else can_now(row, may)
        series = _series(session, state.body)
        log = _log(session, number) if allows(principal, READ_LOG) else []
    return page(
        "registry/downtime.html",
        title=f"Downtime {number}",
        sentence=one_sentence(state.body),
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes"), (", ".join(state.body["sites"]), "")],
        status=422 if form else 200,
        api=f"/api/v1/downtimes/{number}" + (f"?as_of={as_of}" if as_of else ""),
        downtime=state.body,
        revision=state.revision,
        affected=affected,
        may=may,
        can=can,
        series=series,
        lines=log,
        moment=past,
        form=form or FormFaults(),
        now=datetime.now(UTC),
    )


def _affected(session: Session, body: Body) -> list[dict[str, Any]]:
    """The services with site, host, endpoints and end; one that is gone is told by its id."""
    numbers = [int(one) for one in body["services"]]
    services = {
        one.id: one
        for one in session.scalars(select(Service).where(Service.id.in_(numbers)).order_by(Service.id))
    }
    affected = {int(one) for one in body["endpoints"]}
    found = []
    for number in numbers:
        service = services.get(number)
        own = [] if service is None else [one for one in service.endpoints if one.id in affected]
        end = body.get("service_ends", {}).get(str(number), body["end"])
        found.append(
            {
                "id": number,
                "site": "" if service is None else service.site.name,
                "type": f"service {number}" if service is None else service.service_type,
                "hostname": "removed since" if service is None else service.hostname,
                "urls": [one.url for one in own],
                "of": 0 if service is None else len(service.endpoints),
                "end": end,
                "early": str(number) in body.get("service_ends", {}),
                "over": datetime.fromisoformat(end) <= datetime.now(UTC),
            }
        )
    return sorted(found, key=lambda one: (one["site"], one["id"]))


def can_now(row: Downtime, may: Sequence[str]) -> dict[str, Any]:
    """What may be done with it now, by its rules and by the right at every site; `why` says why something may not."""
    now = datetime.now(UTC)
    everywhere = set(row.site_names) <= set(may)
    span = (row.start_at, row.end_at)
    edit = edit_faults(span, span, row.classification, now)
    removal = delete_fault(row.start_at, row.classification, now)
    fixed = row.start_at - NOTICE if row.classification == "SCHEDULED" else None
    return {
        "edit": everywhere and not edit,
        "delete": everywhere and removal is None,
        "end": everywhere and row.state == "ongoing",
        "end_parts": bool(may) and row.state == "ongoing" and row.end_at > now + GRACE,
        "again": everywhere,
        "why": next((fault.reason for fault in [*edit, *filter(None, [removal])]), "") if may else "",
        "fixed": fixed if fixed and fixed > now else None,
        "elsewhere": sorted(set(row.site_names) - set(may)) if may else [],
    }


def _series(session: Session, body: Body) -> list[Body]:
    if body.get("series") is None:
        return []
    found = downtime_finding.find(session, DowntimeFilter(series=int(body["series"])), limit=60)
    return [one.body for one in reversed(found)]


def _log(session: Session, number: int) -> Sequence[Any]:
    return lines(trail.events(session, trail.Wanted(kind="downtime", id=str(number)), limit=PAGE))


def one_sentence(body: Body) -> str:
    """ "2 services of BIFI and CESNET are away until Wed 25 Nov, 22:16 UTC"."""
    many = len(body["services"])
    where = " and ".join(body["sites"])
    whole = set(body["whole_sites"]) >= set(body["sites"])
    what = where if whole else f"{count(many, 'service')} of {where}"
    single = len(body["sites"]) == 1 if whole else many == 1
    how = "away" if body["severity"] == "OUTAGE" else "at risk"
    if body["state"] == "ongoing":
        return f"{what} {'is' if single else 'are'} {how} until {moment(body['end'])} UTC."
    verb = "will be" if body["state"] == "planned" else "was" if single else "were"
    return f"{what} {verb} {how} from {moment(body['start'])} to {moment(body['end'])} UTC."


@pages.post("/downtimes/<int:number>/end", permission=DECLARE_DOWNTIME)
def end(number: int) -> BaseResponse:
    """End a downtime in 60 s."""
    return _end(number, EndIn())


@pages.post("/downtimes/<int:number>/end-services", permission=DECLARE_DOWNTIME)
def end_services(number: int) -> BaseResponse:
    """End it for the services that are chosen; the others stay away."""

    def act(db: Database, form: EndIn) -> int:
        if not form.services:
            raise Refused("Nothing was ended: choose the services that are back.")
        downtimes.end_early(db, current_principal(), number, form)
        return number

    return saving.small(
        EndIn,
        act,
        {"services": "Services"},
        lambda faults, _: _one_page(number, faults),
        lambda _: redirect(f"/downtimes/{number}", 303),
        all_told=False,
    )


def _end(number: int, form: EndIn) -> BaseResponse:
    try:
        downtimes.end_early(ground().db, current_principal(), number, form)
    except Refused as error:
        return _one_page(number, FormFaults.of(error, {}))
    return redirect(f"/downtimes/{number}", 303)


@pages.post("/downtimes/<int:number>/delete", permission=DECLARE_DOWNTIME)
def delete(number: int) -> BaseResponse:
    """Delete a downtime that has not begun."""
    try:
        downtimes.remove(ground().db, current_principal(), number, "")
    except Refused as error:
        return _one_page(number, FormFaults.of(error, {}))
    return redirect("/downtimes", 303)
