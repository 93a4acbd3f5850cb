"""What stands now and stood lately, read for pages, API and metrics alike, so that all tell the same."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitoring import alerts, feed, timeline
from monitoring.algebra import DAY, State, Tally, days, spans, tally, worst_of_day
from monitoring.clock import database_time
from monitoring.models import Check, Endpoint, Incident, IncidentEndpoint, Site
from monitoring.words import KIND, kind, worst_first

SHOWN_DAYS = 90
COUNTED_DAYS = 30


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """An endpoint's state now; `incident` is the number of its open incident."""

    id: str
    site: str
    service_type: str
    url: str
    state: str
    since: datetime
    cause: str
    incident: int | None


@dataclass(frozen=True, slots=True)
class SiteLine:
    """A site's state now, its endpoints worst first, and whether the registry counts it as suspended."""

    name: str
    place: str
    country: str
    state: str
    since: datetime
    endpoints: tuple[EndpointLine, ...]
    certification: str = ""

    @property
    def cause(self) -> str:
        """The worst endpoint's cause; empty when there is none."""
        return next((line.cause for line in self.endpoints if line.cause), "")

    @property
    def incident(self) -> int | None:
        """The first open incident."""
        return next((line.incident for line in self.endpoints if line.incident), None)


def site_lines(session: Session) -> list[SiteLine]:
    """All monitored sites, worst first, then by name."""
    bodies = feed.sites(session)
    by_site: dict[str, list[EndpointLine]] = defaultdict(list)
    for line in endpoint_lines(session):
        by_site[line.site].append(line)
    rows = session.scalars(select(Site).where(Site.name.in_(by_site)))
    lines = [_site_line(row, bodies.get(row.name, {}), by_site[row.name]) for row in rows]
    return sorted(lines, key=lambda line: (worst_first(line.state), line.name))


def _site_line(row: Site, body: Mapping[str, Any], endpoints: list[EndpointLine]) -> SiteLine:
    place = ", ".join(str(body[key]) for key in ("location", "country") if body.get(key))
    return SiteLine(
        row.name,
        place or str(body.get("official_name") or ""),
        str(body.get("country") or ""),
        kind(row.state),
        row.since,
        tuple(endpoints),
        str(body.get("certification") or ""),
    )


def endpoint_lines(session: Session) -> list[EndpointLine]:
    """All monitored endpoints, worst first."""
    open_numbers: dict[str, int] = {}
    open_ones = (
        select(IncidentEndpoint.endpoint_id, Incident.number)
        .join(Incident)
        .where(Incident.ended_at.is_(None), IncidentEndpoint.ended_at.is_(None))
        .order_by(Incident.number)
    )
    for endpoint_id, number in session.execute(open_ones):
        open_numbers.setdefault(endpoint_id, number)
    lines = [
        EndpointLine(
            row.id,
            row.site,
            row.service_type,
            row.url,
            kind(row.state),
            row.since,
            row.cause if row.judged not in (State.OK, State.MISSING) else "",
            open_numbers.get(row.id),
        )
        for row in session.scalars(select(Endpoint).where(Endpoint.active))
    ]
    return sorted(lines, key=lambda line: (worst_first(line.state), line.site, line.url, line.id))


def counts(lines: Sequence[SiteLine]) -> dict[str, int]:
    """Sites by state in the words of the overview: in_order, degraded, down, downtime, unknown, total."""
    found = Counter(line.state for line in lines)
    words = {
        "in_order": "ok",
        "degraded": "degraded",
        "down": "down",
        "downtime": "downtime",
        "unknown": "unknown",
    }
    return {**{word: found[state] for word, state in words.items()}, "total": len(lines)}


@dataclass(frozen=True, slots=True)
class History:
    """The last days of a subject: one entry a UTC day, oldest first, and what the last thirty amount to."""

    days: tuple[dict[str, Any], ...]
    availability: float | None
    reliability: float | None


def histories(session: Session, level: str, subjects: Sequence[str]) -> dict[str, History]:
    """The 90 days of bars, and availability and reliability (percent) of the last 30 days, by subject."""
    now = database_time(session)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight - (SHOWN_DAYS - 1) * DAY
    lines = timeline.changes(session, level, subjects, first, now)
    return {subject: _history(changes, first, now) for subject, changes in lines.items()}


def _history(changes: Sequence[Any], first: datetime, now: datetime) -> History:
    whole = tally(spans(changes, now - timedelta(days=COUNTED_DAYS), now))
    bars = [
        _bar((first + number * DAY).date(), stretches)
        for number, stretches in enumerate(days(changes, first, SHOWN_DAYS, now))
    ]
    return History(tuple(bars), whole.availability, whole.reliability)


def _bar(day: date, stretches: Sequence[Any]) -> dict[str, Any]:
    worst = worst_of_day(stretches)
    state = "none" if worst in (State.MISSING, State.UNKNOWN) else KIND[worst]
    sums: dict[str, float] = defaultdict(float)
    for span in stretches:
        sums[KIND[span.state]] += span.seconds
    return {"day": day, "state": state, "seconds": {name: round(value) for name, value in sums.items()}}


def tally_of(session: Session, level: str, subject: str, start: datetime, end: datetime) -> Tally:
    """What one subject's timeline amounts to."""
    return timeline.tallies(session, level, [subject], start, end)[subject]


def failing(session: Session) -> list[dict[str, Any]]:
    """Endpoints that are down or degraded now, worst and longest first, with whose they are; for the
    overview."""
    lines = [line for line in endpoint_lines(session) if line.state in ("down", "degraded")]
    lines.sort(key=lambda line: (worst_first(line.state), line.since))
    acknowledged = {
        row.number: row.acknowledged_by
        for row in session.scalars(select(Incident).where(Incident.ended_at.is_(None)))
    }
    return [
        {
            "site": line.site,
            "endpoint_id": line.id,
            "url": line.url,
            "state": line.state,
            "cause": line.cause,
            "since": line.since,
            "incident": line.incident,
            "acknowledged_by": acknowledged.get(line.incident or 0),
            "contacts": alerts.contacts(session, line.site),
        }
        for line in lines
    ]


def checks_of(session: Session, endpoint_id: str) -> list[Check]:
    """The active checks of an endpoint, what others need first."""
    rows = session.scalars(select(Check).where(Check.endpoint_id == endpoint_id, Check.active))
    return sorted(rows, key=lambda check: (len(check.needs), check.probe))


def check_kind(check: Check) -> str:
    """A check's state in words; what is held back or not measured yet is unknown."""
    return "unknown" if check.held_since is not None else kind(check.judged)
