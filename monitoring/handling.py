"""What people do about an incident beside acknowledging it: assign, silence for a while, escalate."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, Refused
from monitoring import alerts
from monitoring.alerts import Audience
from monitoring.clock import database_time
from monitoring.incidents import find, note
from monitoring.models import Incident

LONGEST_SILENCE = timedelta(days=30)


def assign(session: Session, number: int, by: str, to: str) -> Incident:
    """Say whose it is; an empty name = nobody's. Raises Conflict when it is over, Refused for a long name."""
    incident = _open(session, number)
    name = " ".join(to.split()).replace("\x00", "")
    if len(name) > 200:
        raise Refused("The name is too long.", FieldFault("to", "has at most 200 characters"))
    incident.assigned_to = name or None
    said = f"assigned it to {name}" if name else "took the assignment away"
    note(session, incident, database_time(session), "assigned", said, by)
    return incident


def silence(session: Session, number: int, by: str, hours: float) -> Incident:
    """No alerts of it for a while, 30 days at most; 0 = from now on again. Its end is told all the same."""
    incident = _open(session, number)
    if not 0 <= hours <= LONGEST_SILENCE.total_seconds() / 3600:
        raise Refused("Nobody silences that long.", FieldFault("hours", "is between 0 and 720"))
    now = database_time(session)
    incident.silenced_until = now + timedelta(hours=hours) if hours else None
    incident.silenced_by = by if hours else None
    said = f"silenced it to {incident.silenced_until:%d %b, %H:%M} UTC" if hours else "ended the silence"
    note(session, incident, now, "silenced", said, by)
    return incident


def escalate(session: Session, number: int, by: str | None, audience: Audience) -> Incident:
    """Tell everybody once more, and those for escalations. Raises Conflict when it was escalated already."""
    incident = _open(session, number)
    if incident.escalated_at is not None:
        raise Conflict(f"Incident {number} was escalated at {incident.escalated_at:%H:%M} UTC already.")
    now = database_time(session)
    incident.escalated_at = now
    alerts.tell_again(session, incident, alerts.ESCALATION, audience)
    incident.told = True
    said = "escalated it" if by else f"Nobody acknowledged it for {_minutes(incident, now)} min: escalated"
    note(session, incident, now, "escalated", said, by)
    return incident


def _minutes(incident: Incident, now: datetime) -> int:
    return round((now - incident.confirmed_at).total_seconds() / 60)


def _open(session: Session, number: int) -> Incident:
    incident = find(session, number)
    if incident.ended_at is not None:
        raise Conflict(f"Incident {number} is over.")
    return incident
