"""One UTC day of the whole federation, from the timelines of metrics up to the sites. Nothing here knows the database.

Order as ARGO's: metrics of an endpoint, downtimes laid over, endpoints of a service, services of a function group,
groups of a site. A recomputation's exceptions act at the level that they name; an excluded site is UNKNOWN just before
its figures.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from monitoring.algebra import State
from monitoring.figures.lines import (
    DAY_S,
    Line,
    Table,
    merge,
    overlay,
    replace,
    steady,
    union,
    without_samples,
)
from monitoring.figures.ratios import Figures, of_day

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """An endpoint that counts on the day, and the metrics that it must pass."""

    endpoint_id: str
    site: str
    ngi: str
    service_type: str
    hostname: str
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A function group: how its services combine, and how the endpoints of each."""

    operation: str
    services: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Truth tables and the aggregation profile."""

    tables: Mapping[str, Table]
    metric_operation: str
    profile_operation: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Where:
    """What an exception is about; empty = any."""

    group: str = ""
    service: str = ""
    hostname: str = ""
    metric: str = ""

    @property
    def level(self) -> str:
        """The most specific that is named."""
        named = (("metric", self.metric), ("endpoint", self.hostname), ("service", self.service))
        return next((level for level, name in named if name), "site")

    def means(self, member: Member, metric: str = "") -> bool:
        """Whether this endpoint (and metric) is meant; a group is a site or an NGI."""
        return (
            self.group in ("", member.site, member.ngi)
            and self.service in ("", member.service_type)
            and self.hostname in ("", member.hostname)
            and self.metric in ("", metric)
        )


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What approved recomputations say about the day, each with its interval in seconds of the day."""

    excluded_groups: tuple[tuple[str, Interval], ...] = ()
    excluded_metrics: tuple[tuple[Where, Interval], ...] = ()
    status_changes: tuple[tuple[Where, Interval, State], ...] = ()
    # (endpoint, metric) measured by an excluded source
    without_source: tuple[tuple[str, str, Interval], ...] = ()


@dataclass(frozen=True, slots=True)
class DayInput:
    """All that a day is judged by. `until` = the second up to which there is anything to judge (today: now)."""

    members: Sequence[Member]
    lines: Mapping[tuple[str, str], Line]
    downtimes: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    exceptions: Exceptions = Exceptions()
    until: int = DAY_S


@dataclass(frozen=True, slots=True)
class Judged:
    """A site, a service of it, or an endpoint on the day."""

    level: str
    site: str
    ngi: str
    service: str
    endpoint_id: str
    line: Line
    figures: Figures


def judge_day(given: DayInput, rules: Rules) -> Iterator[Judged]:
    """Endpoints, services and sites of the day, site by site in order of their names."""
    by_site: dict[str, list[Member]] = defaultdict(list)
    counted = {service for group in rules.groups for service, _ in group.services}
    for member in given.members:
        if member.service_type in counted:
            by_site[member.site].append(member)
    for site in sorted(by_site):
        yield from _judge_site(site, by_site[site], given, rules)


def _judge_site(site: str, members: Sequence[Member], given: DayInput, rules: Rules) -> Iterator[Judged]:
    ngi = members[0].ngi
    endpoints: dict[str, list[Line]] = defaultdict(list)
    for member in members:
        line = endpoint_line(member, given, rules)
        endpoints[member.service_type].append(line)
        yield _judged("endpoint", member, line, given.until)
    folded = []
    told: set[str] = set()
    for group in rules.groups:
        services = []
        for service, operation in group.services:
            if service in endpoints:
                line = merge(rules.tables[operation], endpoints[service])
                line = _changed(line, "service", members, given, service)
                services.append(line)
                if service not in told:  # in a second group it counts, and has no second row
                    told.add(service)
                    yield Judged("service", site, ngi, service, "", line, of_day(line, given.until))
        if services:
            folded.append(merge(rules.tables[group.operation], services))
    whole = _changed(merge(rules.tables[rules.profile_operation], folded), "site", members, given)
    for name, (start, end) in given.exceptions.excluded_groups:
        if name in (site, ngi):
            whole = overlay(whole, start, end, State.UNKNOWN, given.until)
    yield Judged("site", site, ngi, "", "", whole, of_day(whole, given.until))


def _judged(level: str, member: Member, line: Line, until: int) -> Judged:
    figures = of_day(line, until)
    return Judged(level, member.site, member.ngi, member.service_type, member.endpoint_id, line, figures)


def endpoint_line(member: Member, given: DayInput, rules: Rules) -> Line:
    """Metrics folded, downtimes laid over."""
    metrics = [metric_line(member, metric, given) for metric in member.metrics]
    line = merge(rules.tables[rules.metric_operation], metrics)
    for start, end in union(given.downtimes.get(member.endpoint_id, ())):
        line = overlay(line, start, end, State.DOWNTIME, given.until)
    return _changed(line, "endpoint", [member], given)


def metric_line(member: Member, metric: str, given: DayInput) -> Line:
    """The line of a metric with what recomputations say of it; without data MISSING all day."""
    line = given.lines.get((member.endpoint_id, metric), steady(State.MISSING))
    said = given.exceptions
    for endpoint_id, of_metric, (start, end) in said.without_source:
        if (endpoint_id, of_metric) == (member.endpoint_id, metric):
            line = without_samples(line, start, end)
    for where, (start, end) in said.excluded_metrics:
        if where.means(member, metric):
            line = replace(line, start, end, None)
    return _changed(line, "metric", [member], given, metric=metric)


def _changed(
    line: Line,
    level: str,
    members: Iterable[Member],
    given: DayInput,
    service: str = "",
    metric: str = "",
) -> Line:
    known = [member for member in members if service in ("", member.service_type)]
    for where, (start, end), state in given.exceptions.status_changes:
        if where.level == level and any(where.means(member, metric) for member in known):
            line = replace(line, start, min(end, given.until), state)
    return line
