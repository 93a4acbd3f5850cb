"""Incidents for people: what fails now and what was lately, one with its story, what is done about it, who is told."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from flask import Response, redirect, request
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.words import age, count
from hanse.web import FormFaults, Pages, current_principal, ground, page
from monitoring import alerts, attending, feed, handling, incidents, reasons, story
from monitoring.api.endpoints import check_out
from monitoring.api.incidents import authorise_incident, incident_detail, monitoring_settings
from monitoring.api.status import read_probes
from monitoring.clock import database_time
from monitoring.letters import public_recipient
from monitoring.models import Incident, Site
from monitoring.permissions import ACKNOWLEDGE, TRY_OUT

incident_pages = Pages("monitoring_incident_pages", __name__)
OVER_DAYS = 7


@incident_pages.get("/incidents", permission=PUBLIC)
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


@incident_pages.get("/incidents/<int:number>", permission=PUBLIC)
def incident(number: int) -> Response:
    """Cause, who is hit, who was told."""
    return _incident_page(number)


@incident_pages.post("/incidents/<int:number>/acknowledge", permission=ACKNOWLEDGE)
def acknowledge(number: int) -> BaseResponse:
    """Say that it is in hand."""
    return _act(
        number,
        lambda session, by: incidents.acknowledge(session, number, by, request.form.get("comment", "")),
    )


@incident_pages.post("/incidents/<int:number>/comments", permission=ACKNOWLEDGE)
def comment(number: int) -> BaseResponse:
    """A line for the story."""
    return _act(
        number, lambda session, by: incidents.comment(session, number, by, request.form.get("text", ""))
    )


@incident_pages.post("/incidents/<int:number>/assign", permission=ACKNOWLEDGE)
def assign(number: int) -> BaseResponse:
    """Say whose it is."""
    return _act(number, lambda session, by: handling.assign(session, number, by, request.form.get("to", "")))


@incident_pages.post("/incidents/<int:number>/silence", permission=ACKNOWLEDGE)
def silence(number: int) -> BaseResponse:
    """No alerts of it for a while."""
    return _act(number, lambda session, by: handling.silence(session, number, by, _hours()))


@incident_pages.post("/incidents/<int:number>/escalate", permission=ACKNOWLEDGE)
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


@incident_pages.get("/notifications", permission=TRY_OUT)
def notifications() -> Response:
    """Where alerts go, and a test of it."""
    return _notifications_page([])


@incident_pages.post("/notifications", permission=TRY_OUT)
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


def _act(number: int, do: Callable[[Session, str], object]) -> BaseResponse:
    try:
        with ground().db.transaction() as session:
            authorise_incident(incidents.find(session, number))
            do(session, current_principal().name)
    except (Refused, Conflict) as fault:
        form = FormFaults.of(fault, request.form.to_dict())
        return _incident_page(number, form, 409 if isinstance(fault, Conflict) else 422)
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
