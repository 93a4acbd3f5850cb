"""The pages. They ask what the API asks, so that every number on them has a call that returns it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC, allows
from hanse.jobs import last_runs
from hanse.pages.words import age, count, percent
from hanse.web import Pages, authorise, current_principal, ground, page
from monitoring import alerts, feed, phases, reading, schedule, story
from monitoring.api.endpoints import read_endpoint
from monitoring.api.status import read_probes, read_status
from monitoring.clock import database_time
from monitoring.permissions import PROBE
from monitoring.words import IN_WORDS, ORDER, kind, worst_first

monitoring_pages = Pages(
    "monitoring_pages",
    __name__,
    nav=[
        ("Incidents", "/incidents"),
        ("Endpoints", "/endpoints"),
        ("Status", "/status"),
        ("Probes", "/probes"),
    ],
)
PLANNED_DAYS = 7


# --- status, for everybody ---


@monitoring_pages.get("/status", permission=PUBLIC)
def status() -> Response:
    """Is my site all right, and if not, since when."""
    with ground().db.transaction() as session:
        found = read_status(session, with_days=True)
        now = found.generated_at
        troubled = [site for site in found.sites if site.state != "ok"]
        known = feed.downtimes_of(session, [site.site for site in troubled])
        numbers = {line.incident for site in troubled for line in site.endpoints if line.incident}
        told = {number: story.tell(session, number, to_stranger=False) for number in numbers}
        planned = [d for d in feed.downtimes(session) if now < d.start < now + timedelta(days=PLANNED_DAYS)]
    counts = found.counts.model_dump()
    kind_now = next((word for word in ("down", "degraded", "unknown") if counts[word]), "ok")
    return page(
        "monitoring/status.html",
        title=found.sentence,
        sentence=_counts_sentence(counts, now),
        api="/api/v1/status",
        csv="/api/v1/status.csv",
        refresh_s=30,
        overview=found,
        kind=kind_now,
        now_lines=[_now_line(site, told, known[site.site], now) for site in troubled],
        planned=planned,
        bars={site.site: _bars([day.model_dump() for day in site.days]) for site in found.sites},
        today=now.date(),
        first_day=now.date() - timedelta(days=reading.SHOWN_DAYS - 1),
        now=now,
    )


def _bars(days: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Days for the 90-day bar, with what was wrong and how long as their tip."""
    return [{"day": day["day"], "state": day["state"], "note": _day_note(day["seconds"])} for day in days]


def _day_note(seconds: dict[str, float]) -> str:
    wrong = [
        f"{IN_WORDS[state]} {age(seconds[state])}" for state in ORDER if state != "ok" and seconds.get(state)
    ]
    return ", ".join(wrong)


def _counts_sentence(counts: dict[str, int], now: datetime) -> str:
    known = {state: counts["in_order" if state == "ok" else state] for state in ORDER}
    said = {**IN_WORDS, "downtime": "in downtime"}
    words = [f"{number} {said[state]}" for state, number in known.items() if number]
    return f"{', '.join(words)}. Read {now:%H:%M} UTC." if words else f"Read {now:%H:%M} UTC."


def _now_line(site: Any, told: dict[int, story.Story], known: list[Any], now: datetime) -> dict[str, Any]:
    line = {"site": site.site, "state": site.state, "since": site.since, "words": site.cause, "more": ""}
    number = next((endpoint.incident for endpoint in site.endpoints if endpoint.incident), None)
    downtime = next((d for d in known if d.runs_at(now)), None)
    if site.state == "downtime" and downtime is not None:
        line |= {"since": downtime.start, "words": downtime.description or "Planned downtime"}
        line["more"] = f"Ends {downtime.end:%d %b, %H:%M} UTC, in {age(downtime.end - now)}."
    elif number is not None:
        line |= {"words": told[number].title, "incident": number, "since": told[number].incident.began_at}
        line["more"] = _who_knows(told[number])
    elif site.state == "unknown":
        line["words"] = site.cause or "There is no result yet."
    return line


def _who_knows(told: story.Story) -> str:
    if told.incident.acknowledged_by:
        return "Somebody works on it."
    sent = [
        row.done_at for row in told.notifications if row.outcome == "sent" and row.event != alerts.RECOVERY
    ]
    return f"The site was told at {min(sent):%H:%M} UTC." if sent else ""  # type: ignore[type-var]


# --- endpoints ---


@monitoring_pages.get("/endpoints", permission=PUBLIC)
def endpoints() -> Response:
    """All that is monitored, worst first."""
    wanted_site, wanted_state = request.args.get("site", ""), request.args.get("state", "")
    with ground().db.transaction() as session:
        lines = reading.endpoint_lines(session)
        now = database_time(session)
    shown = [x for x in lines if wanted_site in ("", x.site) and wanted_state in ("", x.state)]
    failing = sum(line.state in ("down", "degraded") for line in lines)
    return page(
        "monitoring/endpoints.html",
        title="Endpoints",
        sentence=Markup("<b>{}</b> of {} not in order.").format(failing, count(len(lines), "endpoint")),
        api="/api/v1/endpoints",
        csv="/api/v1/endpoints.csv",
        refresh_s=30,
        lines=shown,
        sites=sorted({line.site for line in lines}),
        states=sorted({line.state for line in lines}, key=worst_first),
        now=now,
    )


@monitoring_pages.get("/endpoints/<endpoint>", permission=PUBLIC)
def endpoint(endpoint: str) -> Response:
    """Does it answer, and where does the time go."""
    with ground().db.transaction() as session:
        row = story.endpoint(session, endpoint)
        detail = read_endpoint(session, row)
        now = database_time(session)
        view = phases.read(
            session, row.id, request.args.get("check"), signed_in=current_principal().signed_in
        )
        history = reading.histories(session, "endpoint", [row.id])[row.id]
    may = allows(current_principal(), PROBE, f"site:{row.site}")
    return page(
        "monitoring/endpoint.html",
        title=detail.url,
        sentence=_endpoint_sentence(detail, view, now),
        crumbs=[
            ("Endpoints", "/endpoints"),
            (detail.site, f"/endpoints?site={detail.site}"),
            (detail.service_type, ""),
        ],
        api=f"/api/v1/endpoints/{detail.id}",
        refresh_s=5 if view.waiting else 30,
        endpoint=detail,
        active=row.active,
        view=view,
        bars=_bars(history.days),
        may=may,
        today=now.date(),
        now=now,
    )


@monitoring_pages.post("/endpoints/<endpoint>/probe", permission=PROBE)
def probe_now(endpoint: str) -> BaseResponse:
    """Put its checks first in the queue."""
    with ground().db.transaction() as session:
        row = story.endpoint(session, endpoint)
        authorise(PROBE, f"site:{row.site}")
        schedule.ask(session, row.id, current_principal().name, request.form.get("probe", ""))
    return redirect(f"/endpoints/{endpoint}#probe-now", 303)


def _endpoint_sentence(detail: Any, view: Any, now: datetime) -> Markup:
    good = sum(check.state == "ok" for check in detail.checks)
    words = Markup("{} at <b>{}</b>. ").format(detail.service_type or "Endpoint", detail.site)
    if detail.cause:
        return words + Markup("{}.").format(detail.cause)
    if not detail.checks:
        return words + "No check is run on it."
    words += f"{good} of {len(detail.checks)} checks in order"
    if view.shown is not None:
        words += Markup("; the last answer took <b>{:.0f} ms</b>").format(view.shown.took_s * 1000)
    availability = detail.availability_30d
    return words + (
        f"; {percent(availability / 100)} available in 30 days." if availability is not None else "."
    )


# --- probes ---


@monitoring_pages.get("/probes", permission=PUBLIC)
def probes() -> Response:
    """Which probes there are, who runs them, and the run log."""
    with ground().db.transaction() as session:
        found = read_probes(session)
        runs = last_runs(session)
        now = database_time(session)
    alive = [worker for worker in found.workers if worker.alive]
    checks = sum(probe.checks for probe in found.probes)
    return page(
        "monitoring/probes.html",
        title="Probes",
        sentence=Markup("<b>{}</b>, run by <b>{}</b>; {}.").format(
            count(checks, "check"),
            count(len(alive), "worker"),
            f"{found.overdue} late now" if found.overdue else "none late",
        ),
        api="/api/v1/probes",
        refresh_s=30,
        probes=found,
        runs=runs,
        now=now,
        kind=kind,
    )
