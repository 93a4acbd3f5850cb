"""Changing a downtime: its times, its words, and which services and endpoints it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import HanseError, Refused
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import downtime_parts, downtime_series, downtimes, states
from registry.models import Downtime, Endpoint
from registry.rehearsal import Rehearsal
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtimes import DowntimeEdit
from registry.views import saving
from registry.views.downtime_wizard import site_blocks
from registry.views.downtimes import can_now, one_sentence
from registry.views.saving import Saved

pages = Pages("registry_downtime_edit", __name__)
LABELS: Final = {
    "start": "Begins",
    "end": "Ends",
    "severity": "Severity",
    "description": "Reason",
    "services": "Services",
    "endpoints": "Endpoints",
}
WORDS: Final = ("start", "end", "severity", "description")
Body = dict[str, Any]


@pages.get("/downtimes/<int:number>/edit", permission=DECLARE_DOWNTIME)
def edit_form(number: int) -> BaseResponse:
    """What may still be changed, with the rules beside it."""
    return _show(number)


@pages.post("/downtimes/<int:number>/edit", permission=DECLARE_DOWNTIME)
def edit(number: int) -> BaseResponse:
    """Save what differs; what was typed stays when it is refused."""
    kept: Body = {name: request.form.get(name, "") for name in (*WORDS, "revision")}
    kept |= {name: request.form.getlist(name) for name in ("services", "endpoints")}
    if saving.is_check():
        with ground().db.transaction() as session:
            _check(session, number)
        found = _edited(number, kept, Rehearsal(ground().db))
        status = 422 if found else 303
        told = Saved(None if found else number, found or FormFaults(kept), status)
        return saving.told_so_far(kept, told, LABELS)
    wrong = _edited(number, kept, ground().db)
    return _show(number, wrong) if wrong else redirect(f"/downtimes/{number}", 303)


def _edited(number: int, kept: Body, db: Database) -> FormFaults | None:
    """Save what differs; what was wrong, None when nothing was."""
    try:
        with db.transaction() as session:
            body = states.find(session, "downtime", str(number)).body
            _check(session, number)
            given = {**_words(kept, body), **_affected(session, number, kept)}
        if given:
            downtimes.edit(db, current_principal(), number, _valid(given), saving.expected(kept))
    except HanseError as error:
        return FormFaults.of(error, kept)
    return None


def _show(number: int, form: FormFaults | None = None) -> BaseResponse:
    with ground().db.transaction() as session:
        state = states.find(session, "downtime", str(number))
        body = state.body
        can = can_now(_check(session, number), body["sites"])
        blocks = site_blocks(session, body["sites"])
        services, endpoints = _named(session, number)
    typed = {name: body[name] for name in ("severity", "description")}
    typed |= {name: body[name][:16] for name in ("start", "end")}
    typed |= {"revision": state.revision, "services": services, "endpoints": endpoints}
    return page(
        "registry/downtime_edit.html",
        title=f"Change downtime {number}",
        sentence=one_sentence(body),
        crumbs=[("Downtimes", "/downtimes"), (str(number), f"/downtimes/{number}"), ("Change", "")],
        status=422 if form else 200,
        api=f"PATCH /api/v1/downtimes/{number}",
        downtime=body,
        can=can,
        blocks=blocks,
        form=form or FormFaults(typed),
        labels=LABELS,
    )


def _check(session: Session, number: int) -> Downtime:
    """The downtime, for those who may change it: at every site."""
    row = session.get_one(Downtime, number)
    downtime_parts.check_rights(current_principal(), [part.site for part in row.parts])
    return row


def _named(session: Session, number: int) -> tuple[list[str], list[str]]:
    """The services and endpoints that are taken alone; nothing of a site or a service that is taken whole."""
    try:
        form = downtime_series.form_of(session, number, None, None)
    except Refused:  # all its services are gone
        return [], []
    return [str(one) for one in form.services or ()], [str(one) for one in form.endpoints or ()]


def _words(kept: Mapping[str, Any], body: Body) -> Body:
    """The fields that were typed otherwise; a time is known to the minute in the form."""
    given: Body = {}
    for name in ("start", "end"):
        if kept[name] and kept[name] != body[name][:16]:
            given[name] = kept[name] + ("Z" if "Z" not in kept[name] and "+" not in kept[name] else "")
    for name in ("severity", "description"):
        if kept[name].strip() and kept[name].strip() != body[name]:
            given[name] = kept[name].strip()
    return given


def _affected(session: Session, number: int, kept: Mapping[str, Any]) -> Body:
    """What is taken, when something else was chosen; an endpoint counts only where its service is taken."""
    services, endpoints = _named(session, number)
    if set(services) == set(kept["services"]) and set(endpoints) == set(kept["endpoints"]):
        return {}
    row = session.get_one(Downtime, number)
    left = (
        _of_services(session, kept["endpoints"], kept["services"]) if kept["services"] else kept["endpoints"]
    )
    chosen: Body = {"sites": row.site_names}
    return chosen | {
        name: found for name, found in (("services", kept["services"]), ("endpoints", left)) if found
    }


def _of_services(session: Session, endpoints: Sequence[str], services: Sequence[str]) -> list[str]:
    numbers = [int(one) for one in endpoints if one.isdigit() and len(one) < 16]
    owned = select(Endpoint.id, Endpoint.service_id).where(Endpoint.id.in_(numbers))
    return [str(number) for number, service in session.execute(owned) if str(service) in services]


def _valid(given: Body) -> DowntimeEdit:
    try:
        return DowntimeEdit.model_validate(given)
    except ValidationError as error:
        raise Refused("The downtime was not changed.", *faults_of(error)) from None
