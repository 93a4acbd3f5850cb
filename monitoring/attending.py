"""What becomes of incidents by the clock alone: escalated when nobody reacts, told again, over when calm."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from monitoring import alerts, handling, incidents, reasons, story
from monitoring.alerts import Audience, audience_of, means_of
from monitoring.clock import database_time
from monitoring.letters import Letter
from monitoring.models import Incident
from monitoring.notifiers import NOTIFIERS, NotSent
from monitoring.settings import MonitoringSettings


def attend(db: Database, settings: MonitoringSettings) -> str:
    """Go through the open incidents, each in a transaction of its own; a sentence for the run log."""
    audience = audience_of(settings)
    with db.transaction() as session:
        numbers = list(session.scalars(select(Incident.number).where(Incident.ended_at.is_(None))))
    counted = {"escalated": 0, "reminded": 0, "calm": 0}
    for number in numbers:
        with db.transaction() as session:
            done = _attend(session, incidents.find(session, number), settings, audience)
        if done:
            counted[done] += 1
    return (
        f"{len(numbers)} incidents are open: {counted['escalated']} were escalated, {counted['reminded']} told"
        f" again, {counted['calm']} ended since they are calm."
    )


def _attend(session: Session, incident: Incident, settings: MonitoringSettings, audience: Audience) -> str:
    now = database_time(session)
    if incident.ended_at is not None:
        return ""
    if incident.flapping and incidents.end_calm(session, incident, audience, now):
        return "calm"
    if incident.muted_by is not None:
        return ""
    if incident.silenced_until is not None:
        if incident.silenced_until > now:
            return ""
        incident.silenced_until = incident.silenced_by = None
        incidents.note(session, incident, now, "silenced", "The silence is over and it still fails")
        return _remind(session, incident, audience, now)
    if _needs_escalation(incident, settings, now):
        handling.escalate(session, incident.number, None, audience)
        return "escalated"
    last = incident.reminded_at or incident.escalated_at or incident.confirmed_at
    if settings.remind_after_h and now - last >= timedelta(hours=settings.remind_after_h):
        return _remind(session, incident, audience, now)
    return ""


def _needs_escalation(incident: Incident, settings: MonitoringSettings, now: datetime) -> bool:
    waited = now - incident.confirmed_at
    return (
        settings.escalate_after_min > 0
        and incident.severity == "down"
        and incident.acknowledged_at is None
        and incident.escalated_at is None
        and waited >= timedelta(minutes=settings.escalate_after_min)
    )


def _remind(session: Session, incident: Incident, audience: Audience, now: datetime) -> str:
    incident.reminded_at = now
    alerts.tell_again(session, incident, f"{alerts.REMINDER} {now:%Y-%m-%dT%H:%M:%SZ}", audience)
    incident.told = True
    return "reminded"


def digest(db: Database, settings: MonitoringSettings) -> str:
    """Mail the operators what is open and what was over in the last day. Raises NotSent when the relay takes it not."""
    if not (settings.digest and settings.smtp_host and settings.alert_mail):
        return "No digest is asked for."
    with db.transaction() as session:
        now = database_time(session)
        opened, over = story.open_incidents(session), story.over_lately(session, now - timedelta(days=1))
        lines = [f"{len(opened)} incidents are open, {len(over)} were over since yesterday.", ""]
        lines += [f"open  {_line(one)}, since {one.began_at:%d %b, %H:%M} UTC" for one in opened]
        lines += [f"over  {_line(one)}, to {one.ended_at:%d %b, %H:%M} UTC" for one in over]
    subject = f"[{settings.federation}] {len(opened)} incidents open" if settings.federation else lines[0]
    body = {"subject": subject, "text": "\n".join([*lines, "", f"{audience_of(settings).url}/incidents", ""])}
    for address in dict.fromkeys(settings.alert_mail):
        letter = Letter(f"digest {now.date()} {address}", 0, "digest", "smtp", address, body, 1)
        NOTIFIERS["smtp"](letter, means_of(settings))
    return f"The digest was mailed to {len(set(settings.alert_mail))} addresses."


def _line(incident: Incident) -> str:
    where = incident.site or "monitoring itself"
    flag = ", flapping" if incident.flapping else ""
    return f"{incident.number}: {where}, {reasons.title(incident.reason)}{flag}"


def try_out(settings: MonitoringSettings, name: str) -> list[tuple[str, str, str]]:
    """Send a message that says that it is a test to each of the federation's own addresses, now; (notifier, recipient,
    outcome) of each."""
    audience = audience_of(settings)
    recipients = [("webhook", url) for url in audience.webhooks] + list(audience.others)
    if audience.mail:
        recipients += [("smtp", address) for address in (*audience.operators, *audience.escalations)]
    found = []
    for notifier, recipient in dict.fromkeys(recipients):
        letter = Letter("test", 0, "test", notifier, recipient, _test_body(settings, name), 1)
        try:
            found.append((notifier, recipient, NOTIFIERS[notifier](letter, means_of(settings))))
        except NotSent as fault:
            found.append((notifier, recipient, f"not sent: {fault.detail}"))
    return found


def _test_body(settings: MonitoringSettings, name: str) -> dict[str, object]:
    audience = audience_of(settings)
    text = f"{name} tries out whether alerts arrive. Nothing is wrong."
    return {
        "event": "test",
        "incident": 0,
        "federation": audience.federation,
        "site": "",
        "state": "ok",
        "reason": "test",
        "cause": text,
        "probe": "",
        "endpoints": [],
        "since": "2000-01-01T00:00:00+00:00",
        "ended": "2000-01-01T00:01:00+00:00",
        "url": f"{audience.url}/incidents",
        "subject": "Test of alerts",
        "text": text,
    }
