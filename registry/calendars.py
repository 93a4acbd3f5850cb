"""The calendar of downtimes that people subscribe to: what goes on and is planned, what was cancelled of late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from hanse.database import Database
from hanse.revisions import History, Revision
from registry import downtime_finding
from registry.models import Ngi, Service, Site, VoShare
from registry.renderings.ical import Entry, calendar
from registry.schemas.downtimes import CalendarQuery, DowntimeFilter
from registry.settings import RegistrySettings

PAST: Final = timedelta(days=90)
CANCELLED: Final = timedelta(days=30)
MOST: Final = 5_000
Body = Mapping[str, Any]


def feed(db: Database, settings: RegistrySettings, query: CalendarQuery) -> bytes:
    """The downtimes that fit and ended at most 90 days ago, and those deleted in the last 30 days as cancelled."""
    now = datetime.now(UTC)
    wanted = DowntimeFilter(**query.model_dump(), since=now - PAST)
    with db.transaction() as session:
        found = downtime_finding.find(session, wanted, limit=MOST)
        entries = [Entry(state.body, state.revision, state.at) for state in found]
        entries += [one for one in _deleted(session, now - CANCELLED) if _fits(session, one.body, query)]
        hosts = hosts_of(session, (entry.body for entry in entries))
    return calendar(
        sorted(entries, key=lambda entry: (entry.body["start"], int(entry.body["id"]))),
        name=_name(settings, query),
        portal=portal(settings),
        host=host(settings),
        hosts=hosts,
    )


def portal(settings: RegistrySettings) -> str:
    """The address before `/downtimes/ID`."""
    return (settings.portal_url or settings.url).rstrip("/")


def host(settings: RegistrySettings) -> str:
    """What UIDs end in: the registry's own name."""
    return urlsplit(settings.url).hostname or "registry.invalid"


def _name(settings: RegistrySettings, query: CalendarQuery) -> str:
    about = [str(value) for value in query.model_dump().values() if value is not None]
    return f"{settings.federation or 'Hanse'}: downtimes" + (f" of {', '.join(about)}" if about else "")


def hosts_of(session: Session, bodies: Iterable[Body]) -> dict[str, str]:
    """The host names of the services that end before their downtime, by id."""
    numbers = {int(service) for body in bodies for service in body.get("service_ends") or {}}
    rows = session.execute(select(Service.id, Service.hostname).where(Service.id.in_(numbers)))
    return {str(number): hostname for number, hostname in rows}


def _deleted(session: Session, since: datetime) -> list[Entry]:
    before = aliased(History)
    rows = session.execute(
        select(before.body, Revision.number, Revision.at)
        .select_from(History)
        .join(Revision, Revision.number == History.from_revision)
        .join(
            before,
            (before.kind == History.kind)
            & (before.entity_id == History.entity_id)
            & (before.to_revision == History.from_revision),
        )
        .where(
            History.kind == "downtime",
            History.op == "delete",
            History.to_revision.is_(None),
            Revision.at > since,
        )
        .order_by(History.id)
        .limit(MOST)
    )
    return [Entry(body or {}, number, at, gone=True) for body, number, at in rows]


def _fits(session: Session, body: Body, query: CalendarQuery) -> bool:
    """Whether a downtime that is no more was one of those asked for, by what its sites and services are now."""
    if not query.model_dump(exclude_none=True):
        return True
    sites = body.get("sites") or [body["site"]]
    if query.severity not in (None, body["severity"]) or (query.site is not None and query.site not in sites):
        return False
    asked = select(Site.id).where(Site.name.in_(sites))
    if query.ngi is not None:
        asked = asked.where(Site.ngi_id.in_(select(Ngi.id).where(Ngi.name == query.ngi)))
    if query.vo is not None:
        asked = asked.where(Site.id.in_(select(VoShare.site_id).where(VoShare.vo == query.vo)))
    if query.scope is not None:
        numbers = [int(one) for one in body["services"]]
        scoped = select(Service.site_id).where(
            Service.id.in_(numbers), Service.scopes.contains([query.scope])
        )
        asked = asked.where(Site.id.in_(scoped))
    return session.scalar(asked.limit(1)) is not None
