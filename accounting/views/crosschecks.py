"""/cross-checks: usage that does not agree with registry and membership; /usage/log: what was done to the figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from flask import Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from accounting import crosschecks, events
from accounting.asking.sight import sight_of
from accounting.crosschecks.listing import STATES, Counted, Wanted
from accounting.models import Finding
from accounting.permissions import DECIDE_FINDING, READ_EVENTS, READ_FINDINGS
from hanse.errors import HanseError, Refused
from hanse.identity.permissions import allows
from hanse.pages.words import count
from hanse.web import Pages, current_principal, ground, page

crosschecks_pages = Pages(
    "accounting_crosschecks_pages", __name__, nav=[("Cross-checks", "/cross-checks"), ("Log", "/usage/log")]
)
ROWS = 50
OWNERS = {"federation": "the operators", "site": "site", "vo": "VO"}


@crosschecks_pages.get("/cross-checks", permission=READ_FINDINGS)
def cross_checks() -> Response:
    """What was found, by check; the newest of one check in full."""
    return _page()


def _page(problem: str = "", status: int = 200, at: int = 0) -> Response:
    given = request.args if request.method == "GET" else request.form
    state = given.get("state", "open") if given.get("state") in STATES else "open"
    site, vo = given.get("site", "")[:255], given.get("vo", "")[:255]
    before = _number(given.get("before"))
    with ground().db.transaction() as session:
        counted = crosschecks.counts(session, current_principal(), Wanted(site=site, vo=vo))
        kind = _chosen(counted, given.get("kind", ""), state)
        wanted = Wanted(kind, site, vo, state)
        rows = crosschecks.findings(session, current_principal(), wanted, before=before, limit=ROWS + 1)
        sites, vos = crosschecks.places(session, current_principal())
    place = {"kind": kind, "state": state, **({"site": site} if site else {}), **({"vo": vo} if vo else {})}
    return page(
        "accounting/cross_checks.html", title="Cross-checks", sentence=_sentence(counted), status=status,
        crumbs=[("Usage", "/usage")], api=f"/api/v1/cross-checks?{urlencode(place)}",
        csv=f"/api/v1/cross-checks.csv?{urlencode(place)}", counted=counted, kind=kind, state=state, site=site, vo=vo,
        checks=crosschecks.CHECKS, rows=rows[:ROWS], more=len(rows) > ROWS, place=place, problem=problem, at=at,
        may_decide={row.id for row in rows if allows(current_principal(), DECIDE_FINDING, row.owner)},
        owner_of=owner_words, sites=_choices(sites), vos=_choices(vos), before=before,
        said=request.args.get("said", ""),
    )  # fmt: skip


def _chosen(counted: Sequence[Counted], asked: str, state: str) -> str:
    kinds = [one.kind for one in counted]
    if asked in kinds:
        return asked
    return max(counted, key=lambda one: (one.states[state], -kinds.index(one.kind))).kind


def _sentence(counted: Sequence[Counted]) -> Markup:
    found = [one for one in counted if one.states["open"]]
    if not found:
        return Markup("<b>Nothing is open</b>: usage agrees with what registry and membership say.")
    many = sum(one.states["open"] for one in found)
    most = max(found, key=lambda one: one.states["open"])
    most_of = most.title[0].lower() + most.title[1:]
    open_ones, checks = count(many, "finding is open", "findings are open"), count(len(found), "check")
    return Markup("<b>{}</b>, of {}. Most: {}.").format(open_ones, checks, most_of)


def _choices(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def owner_words(row: Finding) -> str:
    """Who mends a finding, in words: `site BIFI`, `VO chipster`, `the operators`."""
    kind, _, name = row.owner.partition(":")
    return f"{OWNERS[kind]} {name}".strip()


@crosschecks_pages.post("/cross-checks/<int:number>/decide", permission=DECIDE_FINDING)
def decide_finding(number: int) -> BaseResponse:
    """Acknowledge, accept with a reason, or take back."""
    what, reason = request.form.get("decision", ""), request.form.get("reason", "")
    now = datetime.now(UTC)
    try:
        with ground().db.transaction() as session:
            if what == "accepted":
                crosschecks.accept(session, current_principal(), number, reason, now)
            elif what == "acknowledged":
                crosschecks.acknowledge(session, current_principal(), number, reason, now)
            elif what == "open":
                crosschecks.take_back(session, current_principal(), number)
            else:
                raise Refused("Choose what to decide: acknowledge, accept, or open again.")
    except HanseError as error:
        return _page(problem=_told(error), status=422, at=number)
    kept = {name: request.form[name] for name in ("kind", "state", "site", "vo") if request.form.get(name)}
    said = {"accepted": "Accepted.", "acknowledged": "Acknowledged."}.get(what, "Open again.")
    return redirect(f"/cross-checks?{urlencode({**kept, 'said': said})}", 303)


def _told(error: HanseError) -> str:
    return " ".join([error.detail, *(f"{fault.field}: {fault.reason}." for fault in error.fields)])


@crosschecks_pages.get("/usage/log", permission=READ_EVENTS)
def usage_log() -> Response:
    """What was done to the figures, newest first."""
    given = request.args
    site, kind = given.get("site", "")[:255], given.get("kind", "")
    kind = kind if kind in events.KINDS else ""
    with ground().db.transaction() as session:
        sight = sight_of(session, current_principal())
        sites = _choices(events.sites(session))
        rows = events.listed(
            session, site=site, kind=kind, sites=None if sight.everything else sight.sites,
            before=_number(given.get("before")), limit=ROWS + 1,
        )  # fmt: skip
    place = {"site": site, "kind": kind}
    return page(
        "accounting/usage_log.html", title="Log of usage", crumbs=[("Usage", "/usage")],
        sentence=_log_sentence(rows), api=f"/api/v1/usage-events?{urlencode(place)}",
        csv=f"/api/v1/usage-events.csv?{urlencode(place)}", rows=rows[:ROWS], more=len(rows) > ROWS, kinds=events.KINDS,
        site=site, kind=kind, place=place, sites=sites,
    )  # fmt: skip


def _log_sentence(rows: Sequence[object]) -> str:
    if not rows:
        return "Nothing was done to the figures but loading what came."
    return "Whatever changed figures beside the loading of what came, with who did it and why."


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
