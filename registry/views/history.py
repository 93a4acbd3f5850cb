"""The log of changes: the trail, one revision and its undo, what differs between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import redirect, request
from pydantic import ValidationError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import HanseError, NotFound
from hanse.identity.permissions import allows
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import comparing, states, trail, undo
from registry.api.history import span, upto, wanted
from registry.rights import READ_LOG
from registry.schemas.history import DiffQuery, EventQuery, UndoIn
from registry.views import looking, saving
from registry.views.words import lines, shorten, value_words

pages = Pages("registry_history_pages", __name__)
EVENTS = 100
KINDS = (
    "site",
    "service",
    "endpoint",
    "downtime",
    "ngi",
    "project",
    "service_group",
    "scope",
    "service_type",
    "host_certificate",
    "grant",
    "identity",
)
_FILTERS = ("site", "ngi", "kind", "id", "person", "actor", "by", "since", "until")


@pages.get("/history", permission=READ_LOG)
def history() -> BaseResponse:
    """Who changed what, when and why."""
    query, told = _query()
    with ground().db.transaction() as session:
        known = upto(session, query.as_of)
        events = trail.events(session, wanted(query), where=known, before=query.before, limit=EVENTS)
        names, ngis = _names(session)
    found = lines(events)
    chosen = {name: request.args[name] for name in _FILTERS if request.args.get(name)}
    asked = f"?{urlencode(chosen)}" if chosen else ""
    return page(
        "registry/history.html",
        title="History",
        sentence=_sentence(chosen),
        crumbs=[("Sites", "/sites"), *([(query.site, f"/sites/{query.site}")] if query.site else [])],
        api=f"/api/v1/history{asked}",
        csv=f"/api/v1/history.csv{asked}",
        lines=found,
        told=told,
        chosen=chosen,
        next_before=events[-1].number if len(events) == EVENTS else None,
        names=names,
        ngis=ngis,
        kinds=[("", "any"), *((one, one.replace("_", " ")) for one in KINDS)],
    )


def _query() -> tuple[EventQuery, str]:
    """The filter in the address; what cannot be read is left out and named."""
    given = {
        name: value
        for name, value in request.args.items()
        if value and name in (*_FILTERS, "before", "as_of")
    }
    try:
        return EventQuery.model_validate(given), ""
    except ValidationError as error:
        wrong = {fault.field for fault in faults_of(error)}
        kept = {name: value for name, value in given.items() if name not in wrong}
        told = f"The filter by {', '.join(sorted(wrong))} cannot be read and was left out."
        return EventQuery.model_validate(kept), told


def _names(session: Session) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    sites = [("", "any"), *((site["name"], site["name"]) for site in looking.sites(session))]
    ngis = [state.body["name"] for state in states.by_name(session, "ngi")]
    return sites, [("", "any"), *((name, name) for name in ngis)]


def _sentence(chosen: dict[str, str]) -> str:
    words = [chosen[name] for name in ("site", "ngi") if name in chosen]
    if "kind" in chosen:
        words.append(f"{chosen['kind'].replace('_', ' ')} {chosen.get('id', '')}".strip())
    by = chosen.get("by") or (f"person {chosen['person']}" if "person" in chosen else "")
    return (
        "Every change, by whom and why"
        + (f", of {', '.join(words)}" if words else "")
        + (f", by {by}" if by else "")
    ) + "."


@pages.get("/history/<int:number>", permission=READ_LOG)
def one_revision(number: int) -> BaseResponse:
    """All that one revision changed, and whether it can be undone."""
    return _revision_page(number, FormFaults())


def _revision_page(number: int, form: FormFaults, status: int = 200) -> BaseResponse:
    with ground().db.transaction() as session:
        newest = states.number_at(session, request.args.get("as_of"))
        if newest is not None and number > newest:
            raise NotFound(f"There was no revision {number:,} at that time; the newest was {newest:,}.")
        looked = undo.look(session, number)
    first = looked.events[0]
    return page(
        "registry/revision.html",
        title=f"Revision {number:,}",
        sentence=first.reason,
        crumbs=[("History", "/history")],
        api=f"/api/v1/revisions/{number}",
        status=status,
        number=number,
        first=first,
        events=[(event, shorten(event.changes)) for event in looked.events],
        looked=looked,
        lost=[(one, value_words(one.now), value_words(one.then)) for one in looked.lost],
        form=form,
    )


@pages.post("/history/<int:number>/undo", permission=READ_LOG)
def undo_revision(number: int) -> BaseResponse:
    """Undo it as a new change; where that is refused the reasons stand on the revision's page."""

    def act(db: Database, form: UndoIn) -> int:
        done = undo.undo(db, current_principal(), number, form.reason, overwrite=form.overwrite)
        return done.revision

    return saving.small(
        UndoIn,
        act,
        {"reason": "Reason"},
        lambda faults, _: _revision_page(number, faults, 422),
        lambda revision: redirect(f"/history/{revision}", 303),
    )


@pages.get("/history/diff", permission=READ_LOG)
def diff() -> BaseResponse:
    """What differs between two moments."""
    given = {
        name: value
        for name, value in request.args.items()
        if value and name in ("since", "until", "site", "ngi", "kind", "cursor")
    }
    if (as_of := request.args.get("as_of", "")) and "since" in given:
        given.setdefault("until", as_of)
    form, ends = FormFaults(given), (0, 0)
    found: list[comparing.Difference] = []
    with ground().db.transaction() as session:
        names, ngis = _names(session)
        if "since" in given:
            form, found, ends = _differences(session, given)
    return page(
        "registry/diff.html",
        title="What differs",
        sentence=_diff_sentence(given, found) if "since" in given and not form else "Choose two moments.",
        crumbs=[("History", "/history")],
        api="/api/v1/diff" + (f"?{urlencode(given)}" if given else ""),
        csv="/api/v1/diff.csv" + (f"?{urlencode(given)}" if given else ""),
        status=422 if form else 200,
        form=form,
        asked="since" in given,
        found=[(one, shorten(one.changes)) for one in found],
        ends=ends,
        next_cursor=comparing.cursor(found, PAGE),
        names=names,
        ngis=ngis,
        kinds=[("", "any"), *((one, one.replace("_", " ")) for one in KINDS)],
    )


PAGE = 100


def _differences(
    session: Session, given: dict[str, str]
) -> tuple[FormFaults, list[comparing.Difference], tuple[int, int]]:
    try:
        query = DiffQuery.model_validate({**given, "limit": PAGE})
        before, until = span(session, query.since, query.until)
        which = trail.Wanted(site=query.site, ngi=query.ngi, kind=query.kind)
        beyond = comparing.beyond(query.cursor)
        found = comparing.compare(session, before, until, which, beyond=beyond, limit=PAGE)
    except ValidationError as error:
        faults = {fault.field: fault.reason for fault in faults_of(error)}
        return FormFaults(given, faults, "These moments cannot be compared."), [], (0, 0)
    except HanseError as error:
        return FormFaults.of(error, given), [], (0, 0)
    return FormFaults(given), found, (before, until)


def _diff_sentence(given: dict[str, str], found: list[Any]) -> str:
    of = given.get("site") or given.get("ngi") or "the federation"
    if not found:
        return f"Nothing of {of} differs between these moments."
    counted = [(act, sum(one.act == act for one in found)) for act in ("added", "changed", "removed")]
    return f"Of {of}: " + ", ".join(f"{many} {act}" for act, many in counted if many) + "."


@dataclass(frozen=True)
class Offer:
    """The bar that takes back what the reader just did: its words, where it posts, the time that is left."""

    words: str
    action: str
    left: str


def undo_offer() -> Offer | None:
    """What the reader did in the last two minutes; for the frame of every page."""
    principal = current_principal()
    if not principal.signed_in or request.method != "GET" or request.args.get("as_of"):
        return None
    with ground().db.transaction() as session:
        done = undo.offered(session, principal, datetime.now(UTC))
    if done is None or not done.undoable or not allows(principal, READ_LOG):
        return None
    words = done.reason if done.reason.endswith((".", "!", "?")) else f"{done.reason}."
    minutes, seconds = divmod(done.left_s, 60)
    left = f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
    return Offer(words, f"/history/{done.revision}/undo", left)


pages.blueprint.app_context_processor(lambda: {"undo_offer": undo_offer})
