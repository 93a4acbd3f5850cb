"""Planned downtimes from a calendar: each event is declared, changes what an earlier import declared, or is refused.

An event is known again by its UID, so the same file can be sent as often as it changes. Each event is a revision of its
own: what one of them gets wrong keeps no other back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, HanseError, NotFound, Refused
from hanse.identity.principals import Principal
from registry import calendars, downtime_parts, downtimes
from registry.bodies import downtime_body
from registry.downtime_wishes import Places, Wish, wishes
from registry.models import Downtime, Service, Site
from registry.renderings import ical, ical_reading
from registry.rules import GRACE, state_at
from registry.schemas.downtimes import DowntimeEdit, DowntimeIn, EndIn
from registry.settings import RegistrySettings

MOST: Final = 500


@dataclass(frozen=True)
class Outcome:
    """What became of a wish, or would: `action` is declare, change, cancel, nothing or refuse."""

    wish: Wish
    action: str
    words: str
    id: int | None = None
    faults: tuple[FieldFault, ...] = ()


@dataclass(frozen=True)
class Importer:
    """Who imports into what, and whether anything is kept."""

    db: Database
    settings: RegistrySettings
    principal: Principal
    dry_run: bool


def take(importer: Importer, raw: bytes, site: str | None = None) -> list[Outcome]:
    """Every event of the calendar `raw` with what became of it. `site` is meant where an event names none.

    Raises Refused for what is no calendar or has too many events, NotFound for a site that is not there.
    """
    events = ical_reading.read(raw)
    now = datetime.now(UTC)
    with importer.db.transaction() as session:
        places = _places(session)
    if site is not None and site not in places.sites.values():
        raise NotFound(f"There is no site {site}.")
    wanted = list(wishes(events, places, site, now))
    if len(wanted) > MOST:
        raise Refused(
            "The calendar holds too much.",
            FieldFault(
                "calendar", f"it asks for {len(wanted):,} downtimes, at most {MOST} are taken at once"
            ),
        )
    return [_follow(importer, wish, now) for wish in wanted]


def _places(session: Session) -> Places:
    names = session.scalars(select(Site.name))
    hosts: dict[str, list[int]] = {}
    site_of: dict[int, str] = {}
    for number, hostname, name in session.execute(
        select(Service.id, Service.hostname, Site.name).join(Site).order_by(Service.id)
    ):
        hosts.setdefault(hostname.lower(), []).append(number)
        site_of[number] = name
    return Places({name.lower(): name for name in names}, hosts, site_of)


def _follow(importer: Importer, wish: Wish, now: datetime) -> Outcome:
    if wish.faults:
        return Outcome(wish, "refuse", "it cannot be read", faults=wish.faults)
    try:
        with importer.db.transaction() as session:
            known = _known(session, importer, wish)
            edit = None if known is None else _differences(session, importer, known, wish)
            standing = None if known is None else (known.id, state_at(known.start_at, known.end_at, now))
        if standing is None:
            return _new(importer, wish, now)
        number, state = standing
        if wish.status == "CANCELLED":
            return _cancel(importer, wish, number, state)
        if edit is None:
            return Outcome(wish, "nothing", "it is declared so already", number)
        downtimes.edit(importer.db, importer.principal, number, edit, dry_run=importer.dry_run)
        return Outcome(wish, "change", _changed_words(edit), number)
    except HanseError as error:
        return Outcome(wish, "refuse", error.detail, faults=error.fields)


def _known(session: Session, importer: Importer, wish: Wish) -> Downtime | None:
    """What an earlier import of the event declared, or our own downtime when the file came from our own calendar."""
    own, _, host = wish.key.partition(".downtime@")
    if host == calendars.host(importer.settings) and own.isdigit() and len(own) < 16:
        return session.get(Downtime, int(own))
    found = session.scalars(
        select(Downtime).where(Downtime.import_uid == wish.key).order_by(Downtime.id.desc())
    ).all()
    return next((one for one in found if set(one.site_names) & set(wish.sites)), None)


def _new(importer: Importer, wish: Wish, now: datetime) -> Outcome:
    assert wish.start is not None
    assert wish.end is not None
    if wish.status == "CANCELLED":
        return Outcome(wish, "nothing", "it is cancelled, and was never declared here")
    if wish.status == "TENTATIVE":
        return Outcome(wish, "nothing", "it is tentative; it is taken once it is confirmed")
    if wish.end <= now:
        return Outcome(wish, "nothing", "it lies in the past")
    form = DowntimeIn(
        sites=list(wish.sites),
        services=list(wish.services) or None,
        severity=wish.severity,  # type: ignore[arg-type]
        description=wish.description,
        start=wish.start,
        end=wish.end,
        reason=f"From a calendar: {wish.summary or wish.uid}"[:300].replace("\n", " "),
    )
    words = wish.note or "it is new"
    if importer.dry_run:
        downtimes.try_out(importer.db, importer.principal, form)
        return Outcome(wish, "declare", words)
    number = downtimes.declare(importer.db, importer.principal, form, import_uid=wish.key)
    return Outcome(wish, "declare", words, number)


def _cancel(importer: Importer, wish: Wish, number: int, state: str) -> Outcome:
    if state == "ended":
        return Outcome(wish, "nothing", "it has ended already", number)
    if state == "planned":
        reason = f"Cancelled in a calendar: {wish.summary or wish.uid}"[:300].replace("\n", " ")
        downtimes.remove(importer.db, importer.principal, number, reason, dry_run=importer.dry_run)
        return Outcome(wish, "cancel", "it is cancelled, so it is deleted", number)
    downtimes.end_early(importer.db, importer.principal, number, EndIn(), dry_run=importer.dry_run)
    return Outcome(wish, "cancel", f"it is cancelled, so it ends in {GRACE.seconds} s", number)


def _differences(session: Session, importer: Importer, known: Downtime, wish: Wish) -> DowntimeEdit | None:
    """What the event says otherwise than the downtime; None when nothing."""
    changes: dict[str, Any] = {}
    if known.start_at.replace(microsecond=0) != wish.start:
        changes["start"] = wish.start
    if known.end_at.replace(microsecond=0) != wish.end:
        changes["end"] = wish.end
    if known.severity != wish.severity:
        changes["severity"] = wish.severity
    if wish.description not in _told(session, known):
        changes["description"] = wish.description
    if _elsewhere(session, known, wish):
        changes["sites"] = list(wish.sites)
        changes["services"] = list(wish.services) or None
    if not changes:
        return None
    reason = f"Changed in a calendar: {wish.summary or wish.uid}"[:300].replace("\n", " ")
    return DowntimeEdit(**changes, reason=reason)


def _told(session: Session, known: Downtime) -> set[str]:
    """The description as it is, and as our own calendar tells it with the services that are back early."""
    body = downtime_body(known)
    return {known.description, ical.description(body, calendars.hosts_of(session, [body]))}


def _elsewhere(session: Session, known: Downtime, wish: Wish) -> bool:
    by_name = {site.name: site for site in session.scalars(select(Site).where(Site.name.in_(wish.sites)))}
    sites = [by_name[name] for name in wish.sites if name in by_name]
    parts, _ = downtime_parts.resolve(session, sites, list(wish.services) or None, None)
    meant = {number for part in parts for number in part.services}
    return set(wish.sites) != set(known.site_names) or meant != {link.service_id for link in known.services}


_FIELDS: Final[Mapping[str, str]] = {
    "start": "its start",
    "end": "its end",
    "severity": "its severity",
    "description": "its description",
    "sites": "what it affects",
}


def _changed_words(edit: DowntimeEdit) -> str:
    return "it changes " + ", ".join(
        words for name, words in _FIELDS.items() if name in edit.model_fields_set
    )


def body_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome on the wire."""
    wish = outcome.wish
    return {
        "line": wish.line,
        "uid": wish.uid,
        "summary": wish.summary,
        "sites": list(wish.sites),
        "start": wish.start,
        "end": wish.end,
        "action": outcome.action,
        "words": outcome.words,
        "id": None if outcome.id is None else str(outcome.id),
        "faults": [{"field": fault.field, "reason": fault.reason} for fault in outcome.faults],
    }
