"""Incidents: opened once with their cause, joined by endpoints that fail for the same one, ended at
recovery."""

from datetime import datetime

from sqlalchemy import any_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.errors import Conflict, NotFound, Refused
from monitoring import alerts, reasons
from monitoring.alerts import Audience
from monitoring.algebra import State
from monitoring.clock import database_time
from monitoring.downtimes import Downtime
from monitoring.flapping import is_calm, is_flapping
from monitoring.models import Check, Endpoint, Incident, IncidentEndpoint, IncidentNote

_SEVERITY = {State.CRITICAL: "down", State.WARNING: "degraded", State.UNKNOWN: "doubt"}
LONGEST_COMMENT = 2000


def follow(
    session: Session,
    endpoint: Endpoint,
    judged: State,
    culprit: Check | None,
    downtime: Downtime | None,
    audience: Audience,
    at: datetime,
) -> None:
    """Open, change or end incidents as an endpoint's judged state demands.

    UNKNOWN opens one only when the monitor doubts its own network; what is unknown for another reason of
    ours leaves things as they are."""
    mine = _open_of(session, endpoint.id)
    doubting = judged == State.UNKNOWN and culprit is not None and culprit.measured == "critical"
    if judged in (State.CRITICAL, State.WARNING) or doubting:
        assert culprit is not None
        _leave(
            session,
            [i for i in mine if (i.severity == "doubt") != doubting and not doubting],
            endpoint,
            audience,
            at,
        )
        fitting = next((i for i in mine if (i.severity == "doubt") == doubting), None)
        if fitting is None:
            fitting = _join_or_open(session, endpoint, judged, culprit, audience, at, downtime)
        else:
            _change(session, fitting, judged, culprit, audience, at)
        _mute_or_unmute(session, fitting, downtime, audience, at)
    elif judged == State.OK:
        _recover(session, mine, endpoint, audience, at)


def _recover(
    session: Session, mine: list[Incident], endpoint: Endpoint, audience: Audience, at: datetime
) -> None:
    """End the endpoint's incidents; those of an endpoint that flaps stay open, silent, until it is calm."""
    flapping = is_flapping(session, endpoint.id, at, audience.flaps)
    for incident in mine if flapping else []:
        if not incident.flapping and incident.severity != "doubt":
            incident.flapping = True
            calm = round(audience.flaps.calm.total_seconds() / 60)
            said = f"{endpoint.url} is flapping: the incident stays open until it is calm for {calm} min"
            note(session, incident, at, "flapping", said)
    _leave(session, [i for i in mine if not i.flapping], endpoint, audience, at)


def end_calm(session: Session, incident: Incident, audience: Audience, at: datetime) -> bool:
    """End a flapping incident whose endpoints are in order and calm; whether it ended."""
    if not is_calm(session, incident.number, at, audience.flaps):
        return False
    members = list(
        session.scalars(
            select(Endpoint)
            .join(IncidentEndpoint, IncidentEndpoint.endpoint_id == Endpoint.id)
            .where(IncidentEndpoint.number == incident.number, IncidentEndpoint.ended_at.is_(None))
        )
    )
    if any(one.judged not in (State.OK, State.MISSING) for one in members):
        return False
    for endpoint in members:
        _leave(session, [incident], endpoint, audience, at)
    return incident.ended_at is not None


def _open_of(session: Session, endpoint_id: str) -> list[Incident]:
    return list(
        session.scalars(
            select(Incident)
            .join(IncidentEndpoint)
            .where(
                IncidentEndpoint.endpoint_id == endpoint_id,
                IncidentEndpoint.ended_at.is_(None),
                Incident.ended_at.is_(None),
            )
            .order_by(Incident.number)
            .with_for_update(of=Incident)
        )
    )


def _join_or_open(
    session: Session,
    endpoint: Endpoint,
    judged: State,
    culprit: Check,
    audience: Audience,
    at: datetime,
    downtime: Downtime | None,
) -> Incident:
    doubting = judged == State.UNKNOWN
    site = "" if doubting else endpoint.site
    same = select(Incident).where(
        Incident.site == site, Incident.ended_at.is_(None), Incident.severity == _SEVERITY[judged]
    )
    if not doubting:
        same = same.where(Incident.host == culprit.host, Incident.reason == culprit.judged_reason)
    incident = session.scalars(same.order_by(Incident.number).with_for_update()).first()
    if incident is not None:
        joining = insert(IncidentEndpoint).values(number=incident.number, endpoint_id=endpoint.id)
        again = {"ended_at": None}  # it was in it, and well for a while
        session.execute(joining.on_conflict_do_update(index_elements=["number", "endpoint_id"], set_=again))
        note(session, incident, at, "joined", f"{endpoint.url} fails for the same cause")
        return incident
    return _open(session, endpoint, judged, culprit, audience, at, downtime)


def _open(
    session: Session,
    endpoint: Endpoint,
    judged: State,
    culprit: Check,
    audience: Audience,
    at: datetime,
    downtime: Downtime | None,
) -> Incident:
    doubting = judged == State.UNKNOWN
    cause = (
        "No site can be reached: monitoring's own network is in doubt" if doubting else culprit.judged_summary
    )
    incident = Incident(
        site="" if doubting else endpoint.site,
        host="" if doubting else culprit.host,
        severity=_SEVERITY[judged],
        probe=culprit.probe,
        reason="own-network" if doubting else culprit.judged_reason,
        cause=cause,
        began_at=culprit.judged_since or at,
        confirmed_at=at,
        muted_by=downtime.id if downtime is not None else None,
        told=False,
    )
    session.add(incident)
    session.flush()
    session.add(IncidentEndpoint(number=incident.number, endpoint_id=endpoint.id))
    _first_notes(session, incident, culprit, at)
    if downtime is None:
        alerts.tell(session, incident, audience)
    else:
        note(
            session,
            incident,
            at,
            "muted",
            f"Muted by downtime {downtime.id}, to {downtime.end:%d %b, %H:%M} UTC",
        )
    return incident


def _first_notes(session: Session, incident: Incident, culprit: Check, at: datetime) -> None:
    if culprit.good_at is not None:
        note(session, incident, culprit.good_at, "good", f"Last good answer: {culprit.good_summary}")
    note(session, incident, incident.began_at, "failing", f"First failure: {culprit.judged_summary}")
    if incident.severity != "doubt":
        note(session, incident, at, "confirmed", "Confirmed by another failure. Incident opened")
    else:
        note(session, incident, at, "confirmed", "All sites fail at once: no site is accused")
    needing = session.scalars(
        select(Check.probe)
        .where(Check.endpoint_id == culprit.endpoint_id, Check.active, any_(Check.needs) == culprit.probe)
        .order_by(Check.probe)
    ).all()
    if needing and incident.severity == "down":
        note(session, incident, at, "held", f"Held back, no alerts from them: {', '.join(needing)}")


def _change(
    session: Session, incident: Incident, judged: State, culprit: Check, audience: Audience, at: datetime
) -> None:
    if incident.severity == "doubt":
        return
    severity = _SEVERITY[judged]
    if culprit.judged_reason != incident.reason:
        note(session, incident, at, "cause", f"Now: {culprit.judged_summary}")
    incident.probe, incident.reason, incident.cause = (
        culprit.probe,
        culprit.judged_reason,
        culprit.judged_summary,
    )
    incident.host = culprit.host
    worse = severity == "down" and incident.severity == "degraded"
    incident.severity = severity
    if worse:
        note(session, incident, at, "confirmed", f"Worse: {reasons.title(culprit.judged_reason)}")
        if incident.muted_by is None:
            alerts.tell(session, incident, audience)


def _mute_or_unmute(
    session: Session, incident: Incident, downtime: Downtime | None, audience: Audience, at: datetime
) -> None:
    if incident.severity == "doubt":
        return
    if downtime is not None and incident.muted_by is None:
        incident.muted_by = downtime.id
        note(session, incident, at, "muted", f"Downtime {downtime.id} began")
    elif downtime is None and incident.muted_by is not None:
        incident.muted_by = None
        note(session, incident, at, "muted", "The downtime is over and it still fails")
        if not incident.told:
            alerts.tell(session, incident, audience)


def _leave(
    session: Session, incidents: list[Incident], endpoint: Endpoint, audience: Audience, at: datetime
) -> None:
    for incident in incidents:
        session.execute(
            update(IncidentEndpoint)
            .where(IncidentEndpoint.number == incident.number, IncidentEndpoint.endpoint_id == endpoint.id)
            .values(ended_at=max(at, incident.began_at))
        )
        still = select(IncidentEndpoint).where(
            IncidentEndpoint.number == incident.number, IncidentEndpoint.ended_at.is_(None)
        )
        if session.scalars(still).first() is not None:
            continue
        incident.ended_at = max(at, incident.began_at)
        note(session, incident, incident.ended_at, "recovered", "In order again. Incident over")
        if incident.told:
            alerts.tell_recovery(session, incident, audience)


def withdraw(session: Session, endpoint: Endpoint, audience: Audience, at: datetime) -> None:
    """The endpoint is no longer monitored: its incidents end with it."""
    _leave(session, _open_of(session, endpoint.id), endpoint, audience, at)


def note(
    session: Session, incident: Incident, at: datetime, kind: str, text: str, by: str | None = None
) -> None:
    """One more line of the incident's story."""
    session.add(IncidentNote(number=incident.number, at=at, kind=kind, text=text, by=by))


def find(session: Session, number: int) -> Incident:
    """The incident; raises NotFound."""
    incident = session.get(Incident, number, with_for_update=True, populate_existing=True)
    if incident is None:
        raise NotFound(f"There is no incident {number}.")
    return incident


def acknowledge(session: Session, number: int, by: str, comment: str = "") -> Incident:
    """Somebody has it in hand. Raises Conflict when it is over or somebody was quicker, Refused for a long
    comment."""
    incident = find(session, number)
    if incident.ended_at is not None:
        raise Conflict(f"Incident {number} is over; there is nothing to acknowledge.")
    if incident.acknowledged_by is not None:
        raise Conflict(
            f"{incident.acknowledged_by} has already acknowledged incident {number}"
            f" ({incident.acknowledged_at:%H:%M} UTC)."
        )
    now = database_time(session)
    incident.acknowledged_by, incident.acknowledged_at = by, now
    said = _checked(comment) if comment.strip() else ""
    note(session, incident, now, "acknowledged", said, by)
    return incident


def comment(session: Session, number: int, by: str, text: str) -> Incident:
    """A person's line in the story. Raises Refused when it is empty or longer than 2,000 characters."""
    incident = find(session, number)
    if not text.strip():
        raise Refused("The comment is empty; write what you know or do about the incident.")
    note(session, incident, database_time(session), "comment", _checked(text), by)
    return incident


def _checked(text: str) -> str:
    said = text.strip()
    if len(said) > LONGEST_COMMENT:
        raise Refused(f"The comment has {len(said)} characters; {LONGEST_COMMENT} are the most.")
    return said.replace("\x00", "")
