"""The paths below a report in ARGO's web API: /NGI/NGI_X/SITES/SITE_A/services/svc/endpoints/host/metrics/m."""

from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy.orm import Session

from monitoring.figures import topology
from monitoring.figures.reports import ReportOnDay, on_day
from monitoring.models.figures import TopologyRow
from monitoring.profiles import kept
from monitoring.profiles.bodies import Report
from monitoring.protocols.argo_words import ArgoFault

_BELOW = ("services", "endpoints", "metrics")


@dataclass(frozen=True, slots=True)
class Path:
    """What is asked for. `level` is supergroup, site, service, endpoint or metric."""

    level: str
    ngi: str = ""
    site: str = ""
    service: str = ""
    host: str = ""
    metric: str = ""
    ngi_type: str = ""
    site_type: str = ""


def read(rest: str, report: Report) -> Path:
    """The path as a request. Raises 400 for a type of group that the report does not have, 404 for any other path."""
    upper = report.topology_schema.group.type
    lower = report.topology_schema.group.group.type if report.topology_schema.group.group else "SITES"
    parts = rest.strip("/").split("/")
    path = Path("supergroup", ngi_type=upper, site_type=lower)
    if parts[0] == upper:
        path = replace(path, ngi=parts[1] if len(parts) > 1 else "")
        parts = parts[2:]
        if not parts:
            return path
    if parts[0] == "endpoints":
        return replace(path, **_names(parts))
    if parts[0] != lower:
        raise ArgoFault(
            400,
            f"The report {report.name} has no groups of the type {parts[0][:60]}; it has {upper} and {lower}.",
        )
    path = replace(path, level="site", site=parts[1] if len(parts) > 1 else "")
    return replace(path, **_names(parts[2:]))


def _names(parts: list[str]) -> dict[str, str]:
    """services[/s][/endpoints[/host][/metrics[/m]]] by field name."""
    found: dict[str, str] = {}
    fields = dict(zip(_BELOW, ("service", "host", "metric"), strict=True))
    levels = dict(zip(_BELOW, ("service", "endpoint", "metric"), strict=True))
    after = -1
    while parts:
        if parts[0] not in _BELOW or _BELOW.index(parts[0]) <= after:
            raise ArgoFault(404, "There is nothing at this address.")
        after = _BELOW.index(parts[0])
        found["level"] = levels[parts[0]]
        if len(parts) > 1 and parts[1]:
            found[fields[parts[0]]] = parts[1]
        parts = parts[2:]
    return found


def report_named(session: Session, name: str, day: date) -> ReportOnDay:
    """The report as of a day. Raises NotFound."""
    return on_day(session, kept.named(session, "report", name, day), day)


@dataclass(frozen=True)
class Names:
    """Hosts as ARGO names endpoints, and back."""

    rows: dict[str, TopologyRow]
    hosts: dict[str, str]

    def endpoints(self, host: str, service: str = "", site: str = "") -> list[str]:
        """The endpoints that are called so."""
        return [
            endpoint_id
            for endpoint_id, name in self.hosts.items()
            if name == host
            and service in ("", self.rows[endpoint_id].service_type)
            and site in ("", self.rows[endpoint_id].site)
        ]


def names_on(session: Session, day: date) -> Names:
    """The endpoints of a day by their names."""
    rows = topology.of_day(session, day)
    return Names({row.endpoint_id: row for row in rows}, topology.host_names(rows))
