"""Which endpoints a downtime of the registry covers, and when."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Downtime:
    """A downtime as the registry's feed tells it. Without services and endpoints it covers its sites whole.

    Only severity OUTAGE counts as downtime and mutes; WARNING means "at risk", and alerts go on (as in
    ARGO). A service in `service_ends` is back before the downtime ends."""

    id: str
    sites: tuple[str, ...]
    start: datetime
    end: datetime
    severity: str = "OUTAGE"
    description: str = ""
    services: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()
    service_ends: Mapping[str, datetime] = field(default_factory=dict)
    classification: str = "UNSCHEDULED"

    def covers(self, site: str, service_id: str, endpoint_id: str) -> bool:
        """Whether the endpoint is meant; an endpoint list says more than a service list."""
        if site not in self.sites:
            return False
        if self.endpoints:
            return endpoint_id in self.endpoints
        return not self.services or service_id in self.services

    def of_service(self, service_id: str) -> "Downtime":
        """The downtime as the service sees it: with its own end, where it has one."""
        end = self.service_ends.get(service_id)
        return self if end is None or end >= self.end else replace(self, end=end)

    def runs_at(self, at: datetime) -> bool:
        """Whether it is an outage downtime under way at `at`; the end is not part of it."""
        return self.severity.upper() == "OUTAGE" and self.start <= at < self.end


def from_feed(bodies: Iterable[Mapping[str, Any]]) -> list[Downtime]:
    """Downtimes from feed bodies, soonest first."""
    found = [
        Downtime(
            str(body["id"]),
            tuple(map(str, body.get("sites") or [body["site"]])),
            moment(body["start"]),
            moment(body["end"]),
            str(body.get("severity") or "OUTAGE"),
            str(body.get("description") or ""),
            frozenset(map(str, body.get("services") or ())),
            frozenset(map(str, body.get("endpoints") or ())),
            {str(service): moment(end) for service, end in (body.get("service_ends") or {}).items()},
            str(body.get("classification") or "UNSCHEDULED"),
        )
        for body in bodies
    ]
    return sorted(found, key=lambda downtime: (downtime.start, downtime.id))


def current(
    downtimes: Iterable[Downtime], site: str, service_id: str, endpoint_id: str, at: datetime
) -> Downtime | None:
    """The downtime that covers the endpoint at `at`, with the end that its service has; of several the one
    that ends last."""
    seen = [d.of_service(service_id) for d in downtimes if d.covers(site, service_id, endpoint_id)]
    return max((d for d in seen if d.runs_at(at)), key=lambda downtime: downtime.end, default=None)


def at_site(downtimes: Iterable[Downtime], site: str, services: Collection[str]) -> list[Downtime]:
    """The downtimes of a site as it sees them: each ends with the last of the site's own `services`."""
    return [_last_of(d, [one for one in services if one in d.services]) for d in downtimes if site in d.sites]


def _last_of(downtime: Downtime, services: Collection[str]) -> Downtime:
    if not services:
        return downtime
    return max((downtime.of_service(one) for one in services), key=lambda seen: seen.end)


def moment(text: str) -> datetime:
    """An ISO 8601 time as an aware UTC datetime."""
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
