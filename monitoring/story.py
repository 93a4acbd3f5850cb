"""Incidents as they are told: lists, one with everything, what a stranger may see of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from monitoring import alerts, reasons
from monitoring.letters import public_recipient
from monitoring.models import Check, Endpoint, Incident, IncidentEndpoint, IncidentNote, Notification
from monitoring.reading import EndpointLine, checks_of, endpoint_lines

# What people wrote and who was told is not for strangers.
_PRIVATE_NOTES = ("told", "acknowledged", "comment", "assigned", "silenced", "escalated")
_SEVERITY_ORDER = {"down": 0, "doubt": 1, "degraded": 2}


def wanted(state: str, site: str | None) -> Select[Incident]:
    """Incidents that are open, over, or all; of one site where named."""
    statement = select(Incident)
    if state == "open":
        statement = statement.where(Incident.ended_at.is_(None))
    elif state == "over":
        statement = statement.where(Incident.ended_at.is_not(None))
    return statement.where(Incident.site == site) if site else statement


def open_incidents(session: Session, site: str | None = None) -> list[Incident]:
    """Not acknowledged first, then the worst, then the longest."""
    found = session.scalars(wanted("open", site)).all()
    return sorted(
        found,
        key=lambda i: (
            i.muted_by is not None,
            i.acknowledged_at is not None,
            _SEVERITY_ORDER[i.severity],
            i.began_at,
        ),
    )


def over_lately(
    session: Session, since: datetime, site: str | None = None, limit: int = 20
) -> list[Incident]:
    """Incidents that ended after `since`, latest first."""
    statement = wanted("over", site).where(Incident.ended_at >= since)
    return list(session.scalars(statement.order_by(Incident.ended_at.desc()).limit(limit)))


@dataclass(frozen=True, slots=True)
class Story:
    """One incident with all that belongs to it."""

    incident: Incident
    endpoints: tuple[EndpointLine, ...]
    notes: tuple[IncidentNote, ...]
    notifications: tuple[Notification, ...]
    contacts: tuple[dict[str, str], ...]
    checks: tuple[Check, ...]

    @property
    def title(self) -> str:
        """A few words for the heading."""
        return reasons.title(self.incident.reason)


def tell(session: Session, number: int, *, to_stranger: bool) -> Story:
    """The whole story of an incident. Raises NotFound."""
    incident = session.get(Incident, number)
    if incident is None:
        raise NotFound(f"There is no incident {number}.")
    members = select(IncidentEndpoint.endpoint_id).where(IncidentEndpoint.number == number)
    hit = set(session.scalars(members))
    lines = tuple(line for line in endpoint_lines(session) if line.id in hit)
    notes = (
        select(IncidentNote).where(IncidentNote.number == number).order_by(IncidentNote.at, IncidentNote.id)
    )
    sent = select(Notification).where(Notification.number == number).order_by(Notification.created_at)
    if to_stranger:
        notes = notes.where(IncidentNote.kind.not_in(_PRIVATE_NOTES))
    checks = checks_of(session, lines[0].id) if lines else []
    return Story(
        incident,
        lines,
        tuple(session.scalars(notes)),
        () if to_stranger else tuple(session.scalars(sent)),
        () if to_stranger else tuple(alerts.contacts(session, incident.site)),
        tuple(checks),
    )


def count_open(session: Session) -> int:
    """Open incidents that no downtime mutes: the badge on the bar."""
    statement = select(func.count()).select_from(Incident)
    return session.scalar(statement.where(Incident.ended_at.is_(None), Incident.muted_by.is_(None))) or 0


def is_doubting(session: Session) -> bool:
    """Whether the monitor reaches nothing now."""
    doubt = select(Incident.number).where(Incident.ended_at.is_(None), Incident.severity == "doubt")
    return session.scalars(doubt).first() is not None


def endpoint(session: Session, endpoint_id: str) -> Endpoint:
    """The endpoint, also one at rest; raises NotFound."""
    found = session.get(Endpoint, endpoint_id)
    if found is None:
        raise NotFound(
            f"No endpoint {endpoint_id[:100]} is monitored; the list of endpoints has those that are."
        )
    return found


def recipients(rows: Sequence[Notification]) -> list[str]:
    """Who was told, for a sentence: each once, webhooks by host."""
    return list(dict.fromkeys(public_recipient(row.notifier, row.recipient) for row in rows))
