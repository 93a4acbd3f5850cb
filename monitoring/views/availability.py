"""Availability and reliability for people: a month of all NGIs and sites, one site day by day, what is asked to be
counted anew, and the profiles by which all is judged."""

import calendar
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from flask import Response, redirect, request
from markupsafe import Markup
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.permissions import PUBLIC, SIGNED_IN, allows
from hanse.pages.words import count
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from monitoring.api.availability import FigureRow, FiguresOut, FiguresQuery, read_figures
from monitoring.figures import noting, reading, recomputations
from monitoring.figures.bars import day_state
from monitoring.figures.reading import Asked
from monitoring.permissions import DECIDE, PROFILES
from monitoring.profiles import kept
from monitoring.profiles.bodies import BODIES
from monitoring.profiles.defaults import REPORT

availability_pages = Pages("monitoring_availability_pages", __name__, nav=[("Availability", "/availability")])
_MONTHS_BACK = 24


@availability_pages.get("/availability", permission=PUBLIC)
def availability() -> Response:
    """A month: NGIs and their sites against what is promised. The browser prints it, or saves it as PDF."""
    with ground().db.transaction() as session:
        today = noting.today(session)
        first, last = _month(request.args.get("month", ""), today)
        report = _chosen_report(session, request.args.get("report", ""), last)
        asked = FiguresQuery(report=report, first=first, last=last)
        sites = read_figures(session, asked)
        ngis = read_figures(session, asked.model_copy(update={"level": "ngi"}))
        names = [one.name for one in kept.in_force(session, "report", last)]
        waiting = len(recomputations.listed(session, status="pending"))
    groups = _by_ngi(sites.items, ngis.items)
    query = f"report={report}&first={first}&last={last}"
    return page(
        "monitoring/availability.html",
        title=f"Availability, {first:%B %Y}",
        sentence=_sentence(sites, first, last, today),
        api=f"/api/v1/availability?{query}",
        csv=f"/api/v1/availability.csv?{query}",
        figures=sites,
        groups=groups,
        month=f"{first:%Y-%m}",
        months=[(f"{one:%Y-%m}", f"{one:%B %Y}") for one in _months(today)],
        report=report,
        reports=names,
        waiting=waiting,
        last=last,
        today=today,
    )


@availability_pages.get("/availability/<site>", permission=PUBLIC)
def site_availability(site: str) -> Response:
    """One site: its month, its services, and each day."""
    with ground().db.transaction() as session:
        today = noting.today(session)
        first, last = _month(request.args.get("month", ""), today)
        report = _chosen_report(session, request.args.get("report", ""), last)
        asked = FiguresQuery(report=report, first=first, last=last, site=site)
        whole = read_figures(session, asked)
        services = read_figures(session, asked.model_copy(update={"level": "service"}))
        endpoints = read_figures(session, asked.model_copy(update={"level": "endpoint"}))
        days = read_figures(session, asked.model_copy(update={"granularity": "daily"}))
        version = kept.named(session, "report", report, last)
        lines = reading.rows(session, Asked(version.id, "site", last - timedelta(days=89), last, site=site))
        bars = [{"day": row.day, "state": day_state(row.line)} for row in lines]
    if not lines:
        raise NotFound(f"No figures of a site {site[:100]!r} are kept for the 90 days to {last}.")
    query = f"report={report}&site={site}&first={first}&last={last}&granularity=daily"
    return page(
        "monitoring/availability_site.html",
        title=f"{site}, {first:%B %Y}",
        sentence=_site_sentence(whole),
        crumbs=[("Availability", f"/availability?month={first:%Y-%m}"), (site, "")],
        api=f"/api/v1/availability?{query}",
        csv=f"/api/v1/availability.csv?{query}",
        site=site,
        whole=whole.items[0] if whole.items else None,
        figures=whole,
        services=services.items,
        endpoints=endpoints.items,
        days=days.items,
        bars=bars,
        month=f"{first:%Y-%m}",
        months=[(f"{one:%Y-%m}", f"{one:%B %Y}") for one in _months(today)],
        last=last,
    )


def _month(given: str, today: date) -> tuple[date, date]:
    """First and last day of a month (`2026-05`, else this one), the last not after today."""
    try:
        first = date.fromisoformat(f"{given}-01") if given else today.replace(day=1)
    except ValueError:
        raise Refused("The month cannot be read.", FieldFault("month", "is written as 2026-05")) from None
    first = min(first, today.replace(day=1))
    return first, min(first.replace(day=calendar.monthrange(first.year, first.month)[1]), today)


def _months(today: date) -> list[date]:
    found = [today.replace(day=1)]
    for _ in range(_MONTHS_BACK):
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found


def _chosen_report(session: Any, given: str, day: date) -> str:
    """The report by name; before the first one is kept, an answer that says so."""
    known = [one.name for one in kept.in_force(session, "report", day)]
    if not known:
        raise NotFound("No figures are kept yet; they are counted within minutes of the first measurement.")
    if given and given not in known:
        raise NotFound(f"There is no report {given[:100]!r}.")
    return given or (REPORT if REPORT in known else known[0])


def _by_ngi(
    sites: Sequence[FigureRow], ngis: Sequence[FigureRow]
) -> list[tuple[str, FigureRow | None, list[FigureRow]]]:
    above = {row.ngi: row for row in ngis}
    below: dict[str, list[FigureRow]] = {}
    for row in sites:
        below.setdefault(row.ngi, []).append(row)
    return [
        (ngi, above.get(ngi), sorted(rows, key=lambda row: (row.availability or 0, row.site)))
        for ngi, rows in sorted(below.items())
    ]


def _sentence(found: FiguresOut, first: date, last: date, today: date) -> Markup:
    if not found.items:
        return Markup("No figures are kept for {}.").format(f"{first:%B %Y}")
    short = [
        row
        for row in found.items
        if (row.availability or 0) < found.availability_promised
        or (row.reliability or 0) < found.reliability_promised
    ]
    kept_it = len(found.items) - len(short)
    until = f" The month is not over: counted to {last:%d %b}." if last == today else ""
    return Markup("<b>{} of {}</b> keep the promise of {:g} % availability and {:g} % reliability.{}").format(
        kept_it,
        count(len(found.items), "site"),
        found.availability_promised,
        found.reliability_promised,
        until,
    )


def _site_sentence(found: FiguresOut) -> Markup:
    if not found.items:
        return Markup("No figures are kept for this month.")
    row = found.items[0]
    return Markup(
        "Available <b>{:.2f} %</b>, reliable <b>{:.2f} %</b>; promised are {:g} % and {:g} %."
    ).format(
        row.availability or 0, row.reliability or 0, found.availability_promised, found.reliability_promised
    )


# --- what is counted anew ---


@availability_pages.get("/recomputations", permission=SIGNED_IN)
def list_recomputations() -> Response:
    """What was asked for, what was decided."""
    with ground().db.transaction() as session:
        rows = [
            {
                "id": row.id,
                "number": row.number,
                "report": row.report,
                "starts": row.starts,
                "ends": row.ends,
                "status": row.status,
                "reason": row.body["reason"],
                "what": _what(row.body),
                "asked_by": row.asked_by,
                "decided_by": row.decided_by,
                "history": row.history,
            }
            for row in recomputations.listed(session)
        ]
    waiting = sum(row["status"] == "pending" for row in rows)
    return page(
        "monitoring/recomputations.html",
        title="Recomputations",
        sentence=Markup("<b>{}</b> wait for a decision.").format(waiting) if rows else "",
        crumbs=[("Availability", "/availability"), ("Recomputations", "")],
        within="/availability",
        rows=rows,
        may=allows(current_principal(), DECIDE, "federation"),
        me=current_principal().name,
    )


def _what(body: Mapping[str, Any]) -> str:
    said = []
    if body["exclude"]:
        said.append(f"without {', '.join(body['exclude'])}")
    if body["exclude_metrics"]:
        said.append(f"without {', '.join(one['metric'] for one in body['exclude_metrics'])}")
    if body["exclude_monitoring_source"]:
        hosts = ", ".join(one["host"] for one in body["exclude_monitoring_source"])
        said.append(f"without what {hosts} measured")
    if body["applied_status_changes"]:
        said.append(", ".join(f"{one['state']} applied" for one in body["applied_status_changes"]))
    return "; ".join(said) or "as it is"


@availability_pages.post("/recomputations/<recomputation>/<decision>", permission=DECIDE)
def decide(recomputation: str, decision: str) -> BaseResponse:
    """Approve or reject."""
    if decision not in ("approved", "rejected"):
        raise NotFound("A recomputation is approved or rejected.")
    with ground().db.transaction() as session:
        recomputations.decide(session, recomputation, decision, current_principal().name)
    return redirect("/recomputations", 303)


# --- profiles ---


@availability_pages.get("/profiles", permission=PUBLIC)
def profiles() -> Response:
    """By which everything is judged, as of a day."""
    with ground().db.transaction() as session:
        day = _day(request.args.get("date", ""), noting.today(session))
        found = {kind: kept.in_force(session, kind, day) for kind in BODIES}
    return page(
        "monitoring/profiles.html",
        title="Profiles",
        sentence=f"In force on {day:%d %B %Y}. A change holds from a day on, and days since are counted anew.",
        crumbs=[("Availability", "/availability"), ("Profiles", "")],
        within="/availability",
        found=found,
        words=kept.WORDS,
        day=day,
    )


@availability_pages.get("/profiles/<kind>/<profile>", permission=PUBLIC)
def profile(kind: str, profile: str) -> Response:
    """What one says; operators change it here."""
    return _profile_page(kind, profile)


@availability_pages.post("/profiles/<kind>/<profile>", permission=PROFILES)
def change_profile(kind: str, profile: str) -> BaseResponse:
    """Keep what was typed, from a day on."""
    _known(kind)
    try:
        body = BODIES[kind].model_validate(json.loads(request.form.get("body", "")))
        with ground().db.transaction() as session:
            day = _day(request.form.get("date", ""), noting.today(session))
            kept.change(session, kind, profile, body, day, current_principal().name)
    except ValidationError as fault:
        said = "; ".join(f"{one.field}: {one.reason}" for one in faults_of(fault))
        return _profile_page(kind, profile, _faults(said))
    except (ValueError, RecursionError):
        return _profile_page(kind, profile, _faults("is not JSON"))
    except (Refused, Conflict) as fault:
        return _profile_page(kind, profile, FormFaults.of(fault, request.form.to_dict()))
    return redirect(f"/profiles/{kind}/{profile}?date={day}", 303)


def _faults(said: str) -> FormFaults:
    return FormFaults(request.form.to_dict(), {"body": said}, "Not saved: the body must be mended.")


def _profile_page(kind: str, profile: str, form: FormFaults | None = None) -> Response:
    _known(kind)
    with ground().db.transaction() as session:
        today = noting.today(session)
        day = _day(request.args.get("date", ""), today)
        version = kept.find(session, kind, profile, day)
    return page(
        "monitoring/profile.html",
        title=version.name,
        sentence=f"{kept.WORDS[kind].capitalize()}, as it holds from {version.first_day:%d %B %Y} on, {_by(version)}.",
        crumbs=[("Profiles", "/profiles"), (version.name, "")],
        within="/availability",
        status=422 if form else 200,
        kind=kind,
        version=version,
        body=json.dumps(dict(version.body), indent=2, ensure_ascii=False),
        may=allows(current_principal(), PROFILES, "federation"),
        today=today,
        form=form,
    )


def _by(version: kept.Version) -> str:
    """Who keeps it; strangers are told no names."""
    if version.made_by is None:
        return "kept by Hanse itself"
    return f"by {version.made_by if current_principal().signed_in else 'an operator'}"


def _known(kind: str) -> None:
    if kind not in BODIES:
        raise NotFound(f"There are no profiles of the kind {kind[:60]!r}.")


def _day(given: str, default: date) -> date:
    try:
        return date.fromisoformat(given) if given else default
    except ValueError:
        raise Refused("The day cannot be read.", FieldFault("date", "is written as 2026-05-04")) from None
