"""A report on a day: which endpoints it is about, and the rules by which they are judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from sqlalchemy.orm import Session

from hanse.errors import NotFound
from monitoring.figures.judging import Group, Member, Rules
from monitoring.findings import Fault
from monitoring.models.figures import TopologyRow
from monitoring.probes import PROBES
from monitoring.profiles import kept
from monitoring.profiles.bodies import (
    AggregationProfile,
    FilterTag,
    MetricProfile,
    OperationsProfile,
    Report,
)
from monitoring.running import target_of


@dataclass(frozen=True, slots=True)
class ReportOnDay:
    """The report with the profiles that are in force on the day."""

    id: str
    name: str
    body: Report
    metrics: Mapping[str, tuple[str, ...]]
    rules: Rules

    def members(self, rows: Sequence[TopologyRow]) -> list[Member]:
        """The endpoints that count, with the metrics that they must pass."""
        return [
            Member(
                row.endpoint_id,
                row.site,
                row.ngi,
                row.service_type,
                row.hostname,
                expected(self.metrics[row.service_type], row.url),
            )
            for row in rows
            if row.service_type in self.metrics and passes(row, self.body.filter_tags)
        ]


def all_in_force(session: Session, day: date) -> list[kept.Version]:
    """The reports that are computed."""
    return [one for one in kept.in_force(session, "report", day) if not one.body.get("disabled")]


def on_day(session: Session, version: kept.Version, day: date) -> ReportOnDay:
    """The report as it is judged on a day. Raises NotFound when it names no profile of a kind that it needs."""
    body = Report.model_validate(version.body)
    metric = MetricProfile.model_validate(_profile(session, body, "metric", day))
    aggregation = AggregationProfile.model_validate(_profile(session, body, "aggregation", day))
    operations = OperationsProfile.model_validate(_profile(session, body, "operations", day))
    rules = Rules(
        {name: operations.table(name) for name in ("AND", "OR")},
        aggregation.metric_operation,
        aggregation.profile_operation,
        tuple(
            Group(group.operation, tuple((one.name, one.operation) for one in group.services))
            for group in aggregation.groups
        ),
    )
    metrics = {one.service: tuple(one.metrics) for one in metric.services}
    return ReportOnDay(version.id, version.name, body, metrics, rules)


def _profile(session: Session, report: Report, kind: str, day: date) -> Mapping[str, object]:
    found = next((one for one in report.profiles if one.type == kind), None)
    if found is None:
        raise NotFound(f"The report {report.name} names no {kept.WORDS[kind]}; add one to its profiles.")
    return kept.find(session, kind, found.id, day).body


@lru_cache(maxsize=65_536)
def expected(metrics: tuple[str, ...], url: str) -> tuple[str, ...]:
    """The metrics that make sense for an address: a certificate is asked of no endpoint without TLS."""
    try:
        tls = target_of(url).tls
    except Fault:
        tls = True
    return tuple(name for name in metrics if tls or name not in PROBES or not PROBES[name].tls_only)


def passes(row: TopologyRow, tags: Iterable[FilterTag]) -> bool:
    """Whether the endpoint has all the tags that the report asks for."""
    found = {
        "production": ["1" if row.production else "0"],
        "monitored": ["1"],
        "scope": row.scopes,
        "certification": [row.certification],
        "service": [row.service_type],
        "hostname": [row.hostname],
        "site": [row.site],
        "ngi": [row.ngi],
    }
    return all(matches(tag.value, found.get(tag.name.lower(), [])) for tag in tags)


def matches(pattern: str, values: Iterable[str]) -> bool:
    """ARGO's filters: `*` stands for anything, a leading `~` for "none of them", a comma for "or"."""
    parts = [part.strip().lower().split("*") for part in pattern.removeprefix("~").split(",")]
    hit = any(_fits(part, value.lower()) for value in values for part in parts)
    return hit != pattern.startswith("~")


def _fits(literals: Sequence[str], value: str) -> bool:
    """Whether the value is the literals in their order with anything between them. Each is taken where it comes
    first, so that no pattern takes longer than its length times the value's."""
    first, last = literals[0], literals[-1]
    if len(literals) == 1:
        return value == first
    if not (value.startswith(first) and value.endswith(last)):
        return False
    at, end = len(first), len(value) - len(last)
    for literal in filter(None, literals[1:-1]):
        found = value.find(literal, at, max(at, end))
        if found < 0:
            return False
        at = found + len(literal)
    return at <= end
