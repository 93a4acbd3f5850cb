"""Whom to tell of an incident, and the queue of what is to be sent.

A message's key is incident, event, notifier and recipient: asked for twice, it is queued once. Recovery is
told to those who were told of the outage, and never overtakes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from monitoring import feed, reasons
from monitoring.clock import database_time
from monitoring.flapping import FlapRule
from monitoring.letters import Letter, Means, shown
from monitoring.models import Endpoint, Incident, IncidentEndpoint, IncidentNote, Notification
from monitoring.settings import MonitoringSettings

# The contact kinds that are asked for alerts, the first that the site has.
CONTACT_KINDS = ("alarm", "operations", "helpdesk", "admin")
OUTAGE, DEGRADED, DOUBT, RECOVERY = "outage", "degraded", "doubt", "recovery"
ESCALATION, REMINDER = "escalation", "reminder"
_EVENTS = {"down": OUTAGE, "degraded": DEGRADED, "doubt": DOUBT}
_WORDS = {"down": "down", "degraded": "degraded", "doubt": "in doubt"}


@dataclass(frozen=True, slots=True)
class Audience:
    """Where alerts go: the federation's webhooks and mail addresses, the sites' own contacts, and `others` as
    (notifier, address)."""

    webhooks: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    mail_sites: bool = True
    mail: bool = True
    url: str = ""
    federation: str = ""
    others: tuple[tuple[str, str], ...] = ()
    escalations: tuple[str, ...] = ()
    flaps: FlapRule = field(default_factory=FlapRule)


def audience_of(settings: MonitoringSettings) -> Audience:
    """The audience that the settings name; no mail without a relay."""
    return Audience(
        tuple(settings.webhook_urls),
        tuple(settings.alert_mail),
        settings.mail_sites,
        bool(settings.smtp_host),
        settings.monitoring_url or settings.url,
        settings.federation,
        (
            *(("alertmanager", url) for url in settings.alertmanager_urls),
            *(("chat", url) for url in settings.chat_urls),
            *((("ticket", settings.ticket_url),) if settings.ticket_url else ()),
        ),
        tuple(settings.escalation_mail),
        settings.flaps,
    )


def means_of(settings: MonitoringSettings) -> Means:
    """How messages go out."""
    return Means(
        settings.smtp_host,
        settings.smtp_port,
        settings.mail_from,
        settings.webhook_token,
        settings.ticket_token,
        settings.ticket_template,
    )


def contacts(session: Session, site: str) -> list[dict[str, str]]:
    """The people or lists to alert at a site, as {kind, name, email}: of the most fitting kind that it
    has."""
    return contacts_of(feed.sites(session).get(site, {}))


def contacts_of(site: Mapping[str, Any]) -> list[dict[str, str]]:
    """The same from the site's body in the feed."""
    known: Sequence[Mapping[str, Any]] = site.get("contacts") or []
    for kind in CONTACT_KINDS:
        found = [c for c in known if c.get("kind") == kind and c.get("email")]
        if found:
            return [{name: str(c.get(name) or "") for name in ("kind", "name", "email")} for c in found]
    return []


def tell(session: Session, incident: Incident, audience: Audience) -> None:
    """Queue the incident's alert to everybody concerned; while it is silenced nobody is told."""
    if incident.silenced_until is None or incident.silenced_until <= database_time(session):
        _tell_all(session, incident, _EVENTS[incident.severity], audience)


def tell_again(session: Session, incident: Incident, event: str, audience: Audience) -> None:
    """Queue a reminder or escalation; `event` names it, and the same is queued once."""
    _tell_all(session, incident, event, audience)


def _tell_all(session: Session, incident: Incident, event: str, audience: Audience) -> None:
    recipients = [("webhook", url) for url in audience.webhooks] + list(audience.others)
    if audience.mail:
        mails = list(audience.operators)
        if event == ESCALATION:
            mails += audience.escalations
        if incident.site and audience.mail_sites:
            mails += [contact["email"] for contact in contacts(session, incident.site)]
        recipients += [("smtp", address) for address in dict.fromkeys(mails)]
    _queue(session, incident, event, recipients, audience)
    incident.told = incident.told or bool(recipients)


def tell_recovery(session: Session, incident: Incident, audience: Audience) -> None:
    """Queue the recovery to those who were told."""
    told = select(Notification.notifier, Notification.recipient).where(
        Notification.number == incident.number, Notification.event != RECOVERY
    )
    recipients = [(notifier, recipient) for notifier, recipient in session.execute(told.distinct())]
    _queue(session, incident, RECOVERY, recipients, audience)


def _queue(
    session: Session,
    incident: Incident,
    event: str,
    recipients: Sequence[tuple[str, str]],
    audience: Audience,
) -> None:
    session.flush()
    body = message(session, incident, event, audience)
    for notifier, recipient in recipients:
        key = f"{incident.number}:{event}:{notifier}:{recipient}"
        row = insert(Notification).values(
            key=key, number=incident.number, event=event, notifier=notifier, recipient=recipient, body=body
        )
        session.execute(row.on_conflict_do_nothing())


def message(session: Session, incident: Incident, event: str, audience: Audience) -> dict[str, Any]:
    """What is sent, for people (`subject`, `text`) and machines (the rest); times ISO 8601 UTC."""
    urls = session.scalars(
        select(Endpoint.url)
        .join(IncidentEndpoint, IncidentEndpoint.endpoint_id == Endpoint.id)
        .where(IncidentEndpoint.number == incident.number)
        .order_by(Endpoint.url)
    ).all()
    where = incident.site or "Monitoring"
    heading = reasons.title(incident.reason)
    subject = f"{where}: {heading}" if event != RECOVERY else f"{where}: in order again ({heading})"
    if event not in (*_EVENTS.values(), RECOVERY):
        subject = f"{subject} ({event})"
    link = f"{audience.url}/incidents/{incident.number}"
    return {
        "event": event,
        "incident": incident.number,
        "federation": audience.federation,
        "site": incident.site,
        "state": "ok" if event == RECOVERY else incident.severity,
        "reason": incident.reason,
        "cause": incident.cause,
        "probe": incident.probe,
        "endpoints": list(urls),
        "since": incident.began_at.isoformat(),
        "ended": incident.ended_at.isoformat() if incident.ended_at else None,
        "url": link,
        "subject": f"[{audience.federation}] {subject}" if audience.federation else subject,
        "text": _text(incident, event, urls, link),
    }


def _text(incident: Incident, event: str, urls: Sequence[str], link: str) -> str:
    began = f"{incident.began_at:%a %d %b %Y, %H:%M:%S} UTC"
    where = incident.site or "Monitoring"
    if event == RECOVERY:
        assert incident.ended_at is not None
        minutes = max(round((incident.ended_at - incident.began_at).total_seconds() / 60), 1)
        lines = [
            f"{where} is in order again since {incident.ended_at:%H:%M:%S} UTC, after {minutes} min.",
            "",
        ]
        lines.append(f"It was: {incident.cause}")
    else:
        lines = [f"{where} is {_WORDS[incident.severity]} since {began}.", "", f"Cause: {incident.cause}"]
    lines += [f"Endpoint: {url}" for url in urls]
    return "\n".join([*lines, f"Incident {incident.number}: {link}", ""])


_CLAIM = text(
    """
    update notification n set lease_until = clock_timestamp() + interval '60 seconds', attempts = attempts + 1
    where key in (
        select key from notification q
        where outcome is null and next_at <= clock_timestamp()
          and (lease_until is null or lease_until < clock_timestamp())
          and not exists (select from notification earlier
                          where earlier.number = q.number and earlier.notifier = q.notifier
                            and earlier.recipient = q.recipient and earlier.outcome is null
                            and earlier.created_at < q.created_at)
        order by next_at limit :limit for update skip locked)
    returning n.key, n.number, n.event, n.notifier, n.recipient, n.body, n.attempts
    """
)


def claim(session: Session, limit: int) -> list[Letter]:
    """Up to `limit` messages that are due; nobody else gets them for 60 seconds."""
    return [Letter(*row) for row in session.execute(_CLAIM, {"limit": limit})]


def sent(session: Session, letter: Letter, detail: str) -> None:
    """The message has gone out; it is told in the incident's story."""
    _close(session, letter, "sent", detail)
    way = "Mail" if letter.notifier == "smtp" else letter.notifier.capitalize()
    said = f"{way} to {shown(letter)}: {letter.event}, {detail}"
    session.add(
        IncidentNote(number=letter.number, at=func.clock_timestamp(), kind="told", text=said, by=None)
    )


def not_sent(session: Session, letter: Letter, detail: str, wait_s: float | None) -> None:
    """The message could not be sent: again in `wait_s` seconds, or None = given up."""
    if wait_s is None:
        _close(session, letter, "given up", detail)
        return
    session.execute(
        text(
            "update notification set lease_until = null, detail = :detail,"
            " next_at = clock_timestamp() + make_interval(secs => :wait) where key = :key"
        ),
        {"key": letter.key, "detail": detail[:500], "wait": wait_s},
    )


def _close(session: Session, letter: Letter, outcome: str, detail: str) -> None:
    session.execute(
        text(
            "update notification set outcome = :outcome, done_at = clock_timestamp(), lease_until = null,"
            " detail = :detail where key = :key and outcome is null"
        ),
        {"key": letter.key, "outcome": outcome, "detail": detail[:500]},
    )
