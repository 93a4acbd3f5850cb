"""The pages. They ask what the API asks, so that every number on them has a call that returns it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import Response, redirect, request
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import FieldFault, HanseError, Refused
from hanse.identity.permissions import PUBLIC, allows
from hanse.jobs import last_runs
from hanse.pages.words import age, count, percent
from hanse.web import FormFaults, Pages, authorise, current_principal, ground, page
from monitoring import alerts, attending, feed, handling, incidents, phases, reading, reasons, schedule, story
from monitoring.api.endpoints import check_out, read_endpoint
from monitoring.api.incidents import authorise_incident, incident_detail, monitoring_settings
from monitoring.api.status import read_probes, read_status
from monitoring.clock import database_time
from monitoring.letters import public_recipient
from monitoring.models import Incident, Site
from monitoring.permissions import ACKNOWLEDGE, PROBE, TRY_OUT
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
OVER_DAYS = 7


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


# --- incidents ---


@monitoring_pages.get("/incidents", permission=PUBLIC)
def list_incidents() -> Response:
    """What is failing now, and what was lately; the first one opened."""
    with ground().db.transaction() as session:
        shown = _list(session, _chosen_list(), request.args.get("site") or None)
    opened = shown["open"]
    sentence = (
        "Nothing fails that we know of."
        if not opened
        else Markup("<b>{}</b> open.").format(count(len(opened), "incident"))
    )
    return page(
        "monitoring/incidents.html",
        title="Incidents",
        sentence=sentence,
        api="/api/v1/incidents",
        csv="/api/v1/incidents.csv",
        refresh_s=30,
        **shown,
    )


@monitoring_pages.get("/incidents/<int:number>", permission=PUBLIC)
def incident(number: int) -> Response:
    """Cause, who is hit, who was told."""
    return _incident_page(number)


@monitoring_pages.post("/incidents/<int:number>/acknowledge", permission=ACKNOWLEDGE)
def acknowledge(number: int) -> BaseResponse:
    """Say that it is in hand."""
    return _act(
        number,
        lambda session, by: incidents.acknowledge(session, number, by, request.form.get("comment", "")),
    )


@monitoring_pages.post("/incidents/<int:number>/comments", permission=ACKNOWLEDGE)
def comment(number: int) -> BaseResponse:
    """A line for the story."""
    return _act(
        number, lambda session, by: incidents.comment(session, number, by, request.form.get("text", ""))
    )


@monitoring_pages.post("/incidents/<int:number>/assign", permission=ACKNOWLEDGE)
def assign(number: int) -> BaseResponse:
    """Say whose it is."""
    return _act(number, lambda session, by: handling.assign(session, number, by, request.form.get("to", "")))


@monitoring_pages.post("/incidents/<int:number>/silence", permission=ACKNOWLEDGE)
def silence(number: int) -> BaseResponse:
    """No alerts of it for a while."""
    return _act(number, lambda session, by: handling.silence(session, number, by, _hours()))


@monitoring_pages.post("/incidents/<int:number>/escalate", permission=ACKNOWLEDGE)
def escalate(number: int) -> BaseResponse:
    """Tell everybody once more, and those for escalations."""
    audience = alerts.audience_of(monitoring_settings())
    return _act(number, lambda session, by: handling.escalate(session, number, by, audience))


def _hours() -> float:
    given = request.form.get("hours", "")
    try:
        return float(given)
    except ValueError:
        raise Refused("Not silenced.", FieldFault("hours", "is a number of hours from 0 to 720")) from None


@monitoring_pages.get("/notifications", permission=TRY_OUT)
def notifications() -> Response:
    """Where alerts go, and a test of it."""
    return _notifications_page([])


@monitoring_pages.post("/notifications", permission=TRY_OUT)
def try_out() -> BaseResponse:
    """Send a test message to each address."""
    return _notifications_page(attending.try_out(monitoring_settings(), current_principal().name))


def _notifications_page(tried: Sequence[tuple[str, str, str]]) -> Response:
    audience = alerts.audience_of(monitoring_settings())
    known = [("webhook", url) for url in audience.webhooks] + list(audience.others)
    if audience.mail:
        known += [("smtp", address) for address in (*audience.operators, *audience.escalations)]
    outcome = {(notifier, recipient): said for notifier, recipient, said in tried}
    return page(
        "monitoring/notifications.html",
        title="Notifications",
        sentence=Markup("Alerts go to <b>{}</b> of the federation{}.").format(
            count(len(known), "address", "addresses"),
            " and to the contacts of the sites" if audience.mail and audience.mail_sites else "",
        ),
        crumbs=[("Incidents", "/incidents"), ("Notifications", "")],
        within="/incidents",
        known=[
            (notifier, public_recipient(notifier, recipient), outcome.get((notifier, recipient), ""))
            for notifier, recipient in dict.fromkeys(known)
        ],
    )


def _act(number: int, do: Any) -> BaseResponse:
    try:
        with ground().db.transaction() as session:
            authorise_incident(incidents.find(session, number))
            do(session, current_principal().name)
    except HanseError as fault:
        if fault.__class__.__name__ not in ("Refused", "Conflict"):
            raise
        form = FormFaults.of(fault, request.form.to_dict())
        return _incident_page(number, form, 409 if fault.__class__.__name__ == "Conflict" else 422)
    return redirect(f"/incidents/{number}", 303)


def _incident_page(number: int, form: FormFaults | None = None, status_code: int = 200) -> Response:
    with ground().db.transaction() as session:
        detail = incident_detail(session, number)
        told = story.tell(session, number, to_stranger=not current_principal().signed_in)
        listed = _list(session, _chosen_list(), None)
        now = database_time(session)
        downtimes = [d for d in feed.downtimes_of(session, [detail.site])[detail.site] if d.end > now]
        before = _same_before(session, told.incident)
    scope = f"site:{detail.site}" if detail.site else "federation"
    where = detail.site or "Monitoring"
    return page(
        "monitoring/incident.html",
        title=f"{where}: {detail.title}",
        sentence=_incident_sentence(detail),
        crumbs=[("Incidents", "/incidents"), (str(number), "")],
        api=f"/api/v1/incidents/{number}",
        refresh_s=5 if detail.ended_at is None else None,
        status=status_code,
        incident=detail,
        state=_incident_kind(told.incident),
        checks=[(check, check_out(check)) for check in told.checks],
        may=allows(current_principal(), ACKNOWLEDGE, scope),
        downtimes=downtimes,
        before=before,
        form=form,
        titles=reasons.TITLES,
        **listed,
    )


def _incident_kind(row: Incident) -> str:
    if row.ended_at is not None:
        return "ok"
    if row.muted_by is not None:
        return "downtime"
    return "unknown" if row.severity == "doubt" else row.severity


def _incident_sentence(detail: Any) -> Markup:
    began = f"{detail.began_at:%a %d %b, %H:%M}"
    owner = detail.contacts[0].name or detail.contacts[0].email if detail.contacts else ""
    if detail.ended_at is not None:
        return Markup("Began {} UTC and was over after <b>{}</b>.").format(
            began, age(detail.ended_at - detail.began_at)
        )
    whose = Markup(" Whose: <b>{}</b>.").format(owner) if owner else Markup("")
    return Markup("Since {} UTC.").format(began) + whose


def _chosen_list() -> str:
    chosen = request.args.get("show", "open")
    return chosen if chosen in ("open", "over", "all") else "open"


def _list(session: Any, chosen: str, site: str | None) -> dict[str, Any]:
    now = database_time(session)
    opened = story.open_incidents(session, site)
    over = story.over_lately(session, now - timedelta(days=OVER_DAYS), site)
    probes = read_probes(session)
    return {
        "open": opened if chosen in ("open", "all") else [],
        "over": over,
        "open_count": len(opened),
        "chosen": chosen,
        "site": site,
        "sites": sorted(session.scalars(select(Site.name))),
        "now": now,
        "kind_of": _incident_kind,
        "title_of": reasons.title,
        "probes": probes,
    }


def _same_before(session: Any, row: Incident) -> Incident | None:
    """The last incident of the site with the same reason: what was done then may help now."""
    earlier = select(Incident).where(
        Incident.site == row.site, Incident.reason == row.reason, Incident.number < row.number
    )
    found: Incident | None = session.scalars(earlier.order_by(Incident.number.desc()).limit(1)).first()
    return found


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
