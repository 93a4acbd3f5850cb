"""/api/v1/incidents: list, one with its story, acknowledge, comment."""

from collections.abc import Sequence
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.permissions import PUBLIC
from hanse.web import Api, Listing, after, authorise, csv_response, current_principal, cursor_page, ground
from monitoring import attending, handling, incidents, reasons, schemas, story
from monitoring.alerts import audience_of
from monitoring.api import asking
from monitoring.api.endpoints import endpoint_state
from monitoring.letters import public_recipient
from monitoring.models import Incident, Notification
from monitoring.permissions import ACKNOWLEDGE, TRY_OUT
from monitoring.settings import MonitoringSettings

incidents_api = Api("monitoring_incidents", __name__, "Incidents")
INCIDENT_COLUMNS = ("number", "site", "severity", "title", "cause", "began_at", "ended_at", "acknowledged_by")


@incidents_api.get(
    "/incidents", permission=PUBLIC, summary="Incidents", responses={200: Listing[schemas.IncidentOut]}
)
def list_incidents(query: asking.IncidentsQuery) -> dict[str, Any]:
    """Latest first."""
    key = after(query.cursor)
    rows = story.wanted(query.state, query.site)
    if key:
        rows = rows.where(Incident.number < _number(key))
    with ground().db.transaction() as session:
        found = list(session.scalars(rows.order_by(Incident.number.desc()).limit(query.limit + 1)))
    return cursor_page(found, query.limit, key=lambda row: (row.number,), show=incident_out)


@incidents_api.get("/incidents.csv", permission=PUBLIC, summary="Incidents, as CSV")
def incidents_csv(query: asking.IncidentsQuery) -> Response:
    """The first page of the list."""
    rows = story.wanted(query.state, query.site).order_by(Incident.number.desc()).limit(query.limit)
    with ground().db.transaction() as session:
        found = [incident_out(row).model_dump() for row in session.scalars(rows)]
    return csv_response(found, INCIDENT_COLUMNS, "incidents.csv")


@incidents_api.get(
    "/incidents/<int:number>",
    permission=PUBLIC,
    summary="One incident",
    responses={200: schemas.IncidentDetail},
)
def one_incident(path: asking.IncidentPath) -> schemas.IncidentDetail:
    """Cause, endpoints and story; comments and who was told only for those who are signed in."""
    with ground().db.transaction() as session:
        return incident_detail(session, path.number)


@incidents_api.post(
    "/incidents/<int:number>/acknowledge",
    permission=ACKNOWLEDGE,
    summary="Acknowledge an incident",
    responses={200: schemas.IncidentOut},
)
def acknowledge(path: asking.IncidentPath, body: asking.AcknowledgeIn) -> schemas.IncidentOut:
    """Say that it is in hand. 409 when somebody was quicker or it is over."""
    with ground().db.transaction() as session:
        authorise_incident(incidents.find(session, path.number))
        return incident_out(
            incidents.acknowledge(session, path.number, current_principal().name, body.comment)
        )


@incidents_api.post(
    "/incidents/<int:number>/comments",
    permission=ACKNOWLEDGE,
    summary="Comment an incident",
    responses={201: schemas.IncidentOut},
)
def comment(path: asking.IncidentPath, body: asking.CommentIn) -> tuple[schemas.IncidentOut, int]:
    """Add a line to the story."""
    with ground().db.transaction() as session:
        authorise_incident(incidents.find(session, path.number))
        return incident_out(incidents.comment(session, path.number, current_principal().name, body.text)), 201


@incidents_api.post(
    "/incidents/<int:number>/assign",
    permission=ACKNOWLEDGE,
    summary="Assign an incident",
    responses={200: schemas.IncidentOut},
)
def assign(path: asking.IncidentPath, body: asking.AssignIn) -> schemas.IncidentOut:
    """Say whose it is. 409 when it is over."""
    with ground().db.transaction() as session:
        authorise_incident(incidents.find(session, path.number))
        return incident_out(handling.assign(session, path.number, current_principal().name, body.to))


@incidents_api.post(
    "/incidents/<int:number>/silence",
    permission=ACKNOWLEDGE,
    summary="Silence an incident",
    responses={200: schemas.IncidentOut},
)
def silence(path: asking.IncidentPath, body: asking.SilenceIn) -> schemas.IncidentOut:
    """No alerts of it for some hours; its end is told all the same. 409 when it is over."""
    with ground().db.transaction() as session:
        authorise_incident(incidents.find(session, path.number))
        return incident_out(handling.silence(session, path.number, current_principal().name, body.hours))


@incidents_api.post(
    "/incidents/<int:number>/escalate",
    permission=ACKNOWLEDGE,
    summary="Escalate an incident",
    responses={200: schemas.IncidentOut},
)
def escalate(path: asking.IncidentPath) -> schemas.IncidentOut:
    """Tell everybody once more, and those for escalations. 409 when it was escalated or is over."""
    audience = audience_of(monitoring_settings())
    with ground().db.transaction() as session:
        authorise_incident(incidents.find(session, path.number))
        return incident_out(handling.escalate(session, path.number, current_principal().name, audience))


@incidents_api.post(
    "/notifications/test",
    permission=TRY_OUT,
    summary="Try out the alerts",
    responses={200: schemas.TriedOutAll},
)
def try_out() -> schemas.TriedOutAll:
    """Send a test message to each of the federation's own addresses, and say what became of it."""
    found = attending.try_out(monitoring_settings(), current_principal().name)
    return schemas.TriedOutAll(
        items=[
            schemas.TriedOut(
                notifier=notifier, recipient=public_recipient(notifier, recipient), outcome=outcome
            )
            for notifier, recipient, outcome in found
        ]
    )


def monitoring_settings() -> MonitoringSettings:
    """The settings of this service."""
    settings = ground().settings
    assert isinstance(settings, MonitoringSettings)
    return settings


def authorise_incident(incident: Incident) -> None:
    """The incident's site decides who may; the monitor's own are the federation's."""
    authorise(ACKNOWLEDGE, f"site:{incident.site}" if incident.site else "federation")


def incident_out(row: Incident) -> schemas.IncidentOut:
    """An incident on the wire; who acknowledged it is no secret of the federation."""
    return schemas.IncidentOut(
        number=row.number,
        site=row.site,
        severity=row.severity,
        title=reasons.title(row.reason),
        probe=row.probe,
        reason=row.reason,
        cause=row.cause,
        began_at=row.began_at,
        confirmed_at=row.confirmed_at,
        ended_at=row.ended_at,
        muted_by=row.muted_by,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by if current_principal().signed_in else None,
        assigned_to=row.assigned_to if current_principal().signed_in else None,
        silenced_until=row.silenced_until,
        escalated_at=row.escalated_at,
        flapping=row.flapping,
    )


def incident_detail(session: Session, number: int) -> schemas.IncidentDetail:
    """An incident with everything that the caller may see."""
    told = story.tell(session, number, to_stranger=not current_principal().signed_in)
    return schemas.IncidentDetail(
        **incident_out(told.incident).model_dump(),
        endpoints=[endpoint_state(line) for line in told.endpoints],
        notes=[
            schemas.NoteOut(at=note.at, kind=note.kind, text=note.text, by=note.by) for note in told.notes
        ],
        notifications=[_notification_out(row) for row in told.notifications],
        contacts=[schemas.Contact(**contact) for contact in told.contacts],
    )


def _notification_out(row: Notification) -> schemas.NotificationOut:
    return schemas.NotificationOut(
        event=row.event,
        notifier=row.notifier,
        recipient=public_recipient(row.notifier, row.recipient),
        created_at=row.created_at,
        outcome=row.outcome or "waiting",
        done_at=row.done_at,
        attempts=row.attempts,
        detail=row.detail,
    )


def _number(key: Sequence[str | int]) -> int:
    """The cursor's number; Refused when it is another list's."""
    if len(key) == 1 and isinstance(key[0], int) and 0 <= key[0] <= schemas.BIGGEST:
        return key[0]
    raise Refused(
        "The cursor is of another list.", FieldFault("cursor", "take it from `next` of the page before")
    )
