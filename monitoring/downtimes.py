"""Which endpoints a downtime of the registry covers, and when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Downtime:
    """A downtime as the registry's feed tells it. Without services and endpoints it covers the whole site.

    Only severity OUTAGE counts as downtime and mutes; WARNING means "at risk", and alerts go on (as in
    ARGO)."""

    id: str
    site: str
    start: datetime
    end: datetime
    severity: str = "OUTAGE"
    description: str = ""
    services: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()

    def covers(self, site: str, service_id: str, endpoint_id: str) -> bool:
        """Whether the endpoint is meant; an endpoint list says more than a service list."""
        if site != self.site:
            return False
        if self.endpoints:
            return endpoint_id in self.endpoints
        return not self.services or service_id in self.services

    def runs_at(self, at: datetime) -> bool:
        """Whether it is an outage downtime under way at `at`; the end is not part of it."""
        return self.severity.upper() == "OUTAGE" and self.start <= at < self.end


def from_feed(bodies: Iterable[Mapping[str, Any]]) -> list[Downtime]:
    """Downtimes from feed bodies, soonest first."""
    found = [
        Downtime(
            str(body["id"]),
            str(body["site"]),
            moment(body["start"]),
            moment(body["end"]),
            str(body.get("severity") or "OUTAGE"),
            str(body.get("description") or ""),
            frozenset(map(str, body.get("services") or ())),
            frozenset(map(str, body.get("endpoints") or ())),
        )
        for body in bodies
    ]
    return sorted(found, key=lambda downtime: (downtime.start, downtime.id))


def current(
    downtimes: Iterable[Downtime], site: str, service_id: str, endpoint_id: str, at: datetime
) -> Downtime | None:
    """The downtime that covers the endpoint at `at`; of several the one that ends last."""
    running = [d for d in downtimes if d.runs_at(at) and d.covers(site, service_id, endpoint_id)]
    return max(running, key=lambda downtime: downtime.end, default=None)


def moment(text: str) -> datetime:
    """An ISO 8601 time as an aware UTC datetime."""
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
