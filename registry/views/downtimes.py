"""Downtimes: the list, and the form that says what will be refused before anything is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import FieldFault, HanseError, NotFound, Refused
from hanse.identity.permissions import PUBLIC
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import downtime_finding, downtimes, finding, impact
from registry.models import Service, Site
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtimes import DowntimeIn, DowntimeQuery, EndIn
from registry.views import looking

pages = Pages("registry_downtime_pages", __name__)
LABELS = {
    "start": "Begins",
    "end": "Ends",
    "severity": "Severity",
    "description": "Reason",
    "services": "Services",
    "site": "Site",
}


@pages.get("/downtimes", permission=PUBLIC)
def all_downtimes() -> BaseResponse:
    """Going on, planned, past."""
    site = request.args.get("site") or None
    try:
        query = DowntimeQuery(site=site, cursor=request.args.get("cursor"), limit=50)
    except ValidationError:
        raise NotFound("There are no downtimes of such a site.") from None
    with ground().db.transaction() as session:
        after = finding.number_cursor(query.cursor)
        found = downtime_finding.find(session, query, after=after, limit=query.limit + 1)
        mine = {one.name for one in looking.own_sites(session, current_principal(), DECLARE_DOWNTIME)}
        names = [one["name"] for one in looking.sites(session)]
    shown = [state.body for state in found[: query.limit]]
    parts = [
        ("Going on", [one for one in shown if one["state"] == "ongoing"], "Nothing is away by plan."),
        ("Planned", [one for one in shown if one["state"] == "planned"][::-1], "No downtime is planned."),
        ("Past", [one for one in shown if one["state"] == "ended"], "No downtime has ended."),
    ]
    counted = {title: len(rows) for title, rows, _ in parts}
    return page(
        "registry/downtimes.html",
        title="Downtimes",
        sentence=f"{counted['Going on']} going on, {counted['Planned']} planned"
        + (f" at {site}." if site else "."),
        crumbs=[("Sites", "/sites"), *([(site, f"/sites/{site}")] if site else [])],
        api="/api/v1/downtimes" + (f"?site={site}" if site else ""),
        parts=parts,
        mine=mine,
        names=[("", "any"), *((name, name) for name in names)],
        next_cursor=shown[-1]["id"] if len(found) > query.limit else None,
    )


@pages.post("/downtimes/<int:number>/end", permission=DECLARE_DOWNTIME)
def end(number: int) -> BaseResponse:
    """End a downtime in 60 s."""
    downtimes.end_early(ground().db, current_principal(), number, EndIn())
    return redirect(f"/downtimes#downtime-{number}", 303)


@pages.post("/downtimes/<int:number>/delete", permission=DECLARE_DOWNTIME)
def delete(number: int) -> BaseResponse:
    """Delete a downtime that has not begun."""
    downtimes.remove(ground().db, current_principal(), number, "")
    return redirect("/downtimes", 303)


@pages.get("/downtimes/new", permission=DECLARE_DOWNTIME)
def new() -> BaseResponse:
    """What and when; with `step=check` what it would do. Everything typed stands in the address."""
    given = request.args
    with ground().db.transaction() as session:
        mine = looking.own_sites(session, current_principal(), DECLARE_DOWNTIME)
        site = _chosen(mine, given.get("site"))
        if site is None:
            return _choose_site(mine)
        services = _services(session, site)
    if given.get("step") != "check":
        return _form_page(site, services, _kept(given))
    return _checked(site, services, given)


def _chosen(mine: Sequence[Site], name: str | None) -> Site | None:
    if name is None and len(mine) == 1:
        return mine[0]
    return next((site for site in mine if site.name == name), None)


def _services(session: Session, site: Site) -> list[Service]:
    return list(session.scalars(select(Service).where(Service.site_id == site.id).order_by(Service.id)))


def _choose_site(mine: Sequence[Site]) -> BaseResponse:
    return page(
        "registry/downtime_site.html",
        title="Declare a downtime",
        sentence="Step 1 of 3. At which site?",
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes")],
        sites=mine,
    )


def _kept(given: MultiDict[str, str]) -> dict[str, Any]:
    return {**given.to_dict(), "services": given.getlist("services")}


def _form_page(
    site: Site, services: Sequence[Service], kept: Mapping[str, Any], faults: FormFaults | None = None
) -> BaseResponse:
    form = faults or FormFaults(kept)
    return page(
        "registry/downtime_form.html",
        title="Declare a downtime",
        sentence="Step 2 of 3. What and when; nothing is saved yet.",
        crumbs=[("Sites", "/sites"), (site.name, f"/sites/{site.name}"), ("Downtimes", "/downtimes")],
        status=422 if form else 200,
        api=f"/api/v1/downtimes?site={site.name}",
        site=site,
        services=services,
        form=form,
        labels=LABELS,
        now=datetime.now(UTC).replace(second=0, microsecond=0),
    )


def _checked(site: Site, services: Sequence[Service], given: MultiDict[str, str]) -> BaseResponse:
    read = _read(site, services, given)
    if read.form is None:
        return _form_page(site, services, _kept(given), read.faults)
    return _impact_page(site, services, given, read.form)


@dataclass(frozen=True)
class _Read:
    form: DowntimeIn | None
    faults: FormFaults


def _read(site: Site, services: Sequence[Service], given: MultiDict[str, str]) -> _Read:
    """The form as the use case takes it, or its faults; times in the form are UTC."""
    kept = _kept(given)
    chosen = given.getlist("services")
    whole = len(chosen) in (0, len(services))
    values: dict[str, Any] = {
        "site": site.name,
        "severity": given.get("severity") or None,
        "description": (given.get("description") or "").strip(),
        "start": _moment(given.get("start")),
        "end": _moment(given.get("end")),
    }
    if not whole:
        values["services"] = chosen
    values = {name: value for name, value in values.items() if value is not None}
    try:
        return _Read(DowntimeIn.model_validate(values), FormFaults())
    except ValidationError as error:
        faults = {fault.field.partition(".")[0]: _sentence(fault) for fault in faults_of(error)}
        count = len(faults)
        words = f"{count} {'field' if count == 1 else 'fields'} must be mended before this can be declared."
        return _Read(None, FormFaults(kept, faults, words))


def _sentence(fault: FieldFault) -> str:
    return "is needed" if fault.reason == "is missing" else fault.reason


def _moment(text: str | None) -> str | None:
    """What a browser's date and time field gives, as UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _impact_page(
    site: Site, services: Sequence[Service], given: MultiDict[str, str], form: DowntimeIn
) -> BaseResponse:
    faults: Sequence[FieldFault] = ()
    try:
        downtimes.try_out(ground().db, current_principal(), form)
    except Refused as error:
        faults = error.fields
    start = form.start or datetime.now(UTC)
    end_at = max(form.end, start)
    with ground().db.transaction() as session:
        row = session.get_one(Site, site.id)
        hit = impact.of(session, row, start, end_at)
    chosen = [one for one in services if form.services is None or one.id in form.services]
    return page(
        "registry/downtime_impact.html",
        title="Declare a downtime",
        sentence=_impact_sentence(hit),
        crumbs=[("Sites", "/sites"), (site.name, f"/sites/{site.name}"), ("Downtimes", "/downtimes")],
        status=422 if faults else 200,
        api=f"/api/v1/downtimes?site={site.name}",
        site=site,
        form=form,
        start=start,
        chosen=chosen,
        services=services,
        hit=hit,
        rules=impact.rules(start, end_at, site.name, faults),
        faults=faults,
        kept=_kept(given),
        back="/downtimes/new?" + _query_without_step(),
    )


def _impact_sentence(hit: impact.Impact) -> str:
    count = len(hit.vos)
    words = f"Step 3 of 3. {count} {'VO is' if count == 1 else 'VOs are'} hit"
    alone = [one.vo for one in hit.left_alone]
    return words + (
        f"; nothing else stays for {', '.join(alone)}." if alone else "; other sites stay for each."
    )


def _query_without_step() -> str:
    return urlencode([(name, value) for name, value in request.args.items(multi=True) if name != "step"])


@pages.post("/downtimes/new", permission=DECLARE_DOWNTIME)
def declare() -> BaseResponse:
    """Declare it; what was typed stays when it is refused."""
    given = request.form
    with ground().db.transaction() as session:
        site = _chosen(looking.own_sites(session, current_principal(), DECLARE_DOWNTIME), given.get("site"))
        if site is None:
            raise NotFound("You may declare downtimes at no such site.")
        services = _services(session, site)
    read = _read(site, services, given)
    if read.form is None:
        return _form_page(site, services, _kept(given), read.faults)
    try:
        number = downtimes.declare(ground().db, current_principal(), read.form)
    except HanseError as error:
        return _form_page(site, services, _kept(given), FormFaults.of(error, _kept(given)))
    return redirect(f"/downtimes?site={site.name}#downtime-{number}", 303)
