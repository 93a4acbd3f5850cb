"""What is to be monitored, from the registry's feed: endpoints become rows, and rows get their checks.

An endpoint that leaves the registry is put to rest, not deleted: its timeline stays.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import Database
from monitoring import feed, incidents, timeline
from monitoring.alerts import audience_of
from monitoring.algebra import State
from monitoring.clock import database_time
from monitoring.findings import Fault
from monitoring.models import Check, Endpoint, Site
from monitoring.probes import PROBES, Probe, in_order_of_need
from monitoring.running import target_of
from monitoring.settings import MonitoringSettings
from monitoring.standing import fold_site

# However quick a demo is told to be: a worker looks for due checks twice a second.
LEAST_PERIOD_S = 1.0


def adopt(db: Database, settings: MonitoringSettings) -> str:
    """Bring endpoints and checks in line with what the registry says; a sentence for the run log."""
    with db.transaction() as session:
        now = database_time(session)
        bodies = feed.endpoints(session)
        wanted = [body for body in bodies if _is_monitored(body)]
        for body in wanted:
            _adopt_endpoint(session, body)
            _adopt_checks(session, settings, body, now)
        rested = _rest(session, settings, [str(body["id"]) for body in wanted], now)
    return (
        f"{len(wanted)} endpoints are monitored, {len(bodies) - len(wanted)} are not; {rested} put to rest."
    )


def _is_monitored(body: Mapping[str, Any]) -> bool:
    return bool(body.get("monitored", True)) and bool(body.get("url"))


def _adopt_endpoint(session: Session, body: Mapping[str, Any]) -> None:
    session.execute(insert(Site).values(name=str(body["site"])).on_conflict_do_nothing())
    values = {
        "site": str(body["site"]),
        "service_id": str(body.get("service_id") or ""),
        "service_type": str(body.get("service_type") or ""),
        "hostname": str(body.get("hostname") or ""),
        "url": str(body["url"]),
        "active": True,
    }
    row = insert(Endpoint).values(id=str(body["id"]), **values)
    changed = Endpoint.__table__.c
    session.execute(
        row.on_conflict_do_update(
            index_elements=["id"],
            set_=values,
            where=(changed.url != values["url"])
            | (changed.site != values["site"])
            | ~changed.active
            | (changed.service_type != values["service_type"])
            | (changed.service_id != values["service_id"])
            | (changed.hostname != values["hostname"]),
        )
    )


def _adopt_checks(
    session: Session, settings: MonitoringSettings, body: Mapping[str, Any], now: datetime
) -> None:
    endpoint_id, url = str(body["id"]), str(body["url"])
    probes = applicable(settings, str(body.get("service_type") or ""), url)
    names = {probe.name for probe in probes}
    known = {
        check.probe: check for check in session.scalars(select(Check).where(Check.endpoint_id == endpoint_id))
    }
    for probe in probes:
        values = _check_values(settings, probe, url, names)
        check = known.get(probe.name)
        if check is None:
            due = first_due(now, endpoint_id, probe.name, values["period_s"])
            session.add(Check(endpoint_id=endpoint_id, probe=probe.name, next_at=due, **values))
            continue
        if not check.active:
            values |= {"active": True, "next_at": now}
        for name, value in values.items():
            if getattr(check, name) != value:
                setattr(check, name, value)
    for name in known.keys() - names:
        known[name].active = False


def applicable(settings: MonitoringSettings, service_type: str, url: str) -> list[Probe]:
    """The probes that make sense for this address, what others need first; none where it has no port."""
    try:
        target = target_of(url)
    except Fault:
        return []
    names = set(settings.probes_for(service_type))
    return [PROBES[name] for name in in_order_of_need(names) if target.tls or not PROBES[name].tls_only]


def _check_values(settings: MonitoringSettings, probe: Probe, url: str, present: set[str]) -> dict[str, Any]:
    return {
        "host": target_of(url).host,
        "options": dict(settings.probe_options.get(probe.name, {})),
        "needs": [name for name in probe.needs if name in present],
        "period_s": max(probe.period_s * settings.time_scale, LEAST_PERIOD_S),
        "retry_s": max(probe.retry_s * settings.time_scale, LEAST_PERIOD_S),
        "deadline_s": probe.deadline_s,
    }


def first_due(now: datetime, endpoint_id: str, probe: str, period_s: float) -> datetime:
    """A new check's first due time: spread by its name over the first minute (or period), what others need
    first."""
    digest = hashlib.sha256(f"{endpoint_id} {probe}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return now + timedelta(seconds=share * min(period_s, 60) / (4 if probe == "tcp" else 1))


def _rest(session: Session, settings: MonitoringSettings, kept: list[str], now: datetime) -> int:
    """Endpoints that are monitored no longer: their checks stop, their incidents end, their timeline says
    so."""
    gone = list(session.scalars(select(Endpoint).where(Endpoint.active, Endpoint.id.not_in(kept))))
    for endpoint in gone:
        site = session.get_one(Site, endpoint.site, with_for_update=True)
        session.execute(update(Check).where(Check.endpoint_id == endpoint.id).values(active=False))
        incidents.withdraw(session, endpoint, audience_of(settings), now)
        timeline.append(session, "endpoint", endpoint.id, State.MISSING, now, "withdrawn")
        endpoint.active, endpoint.state, endpoint.judged, endpoint.since = False, "missing", "missing", now
        fold_site(session, site, now)
    return len(gone)
