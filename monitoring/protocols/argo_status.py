"""ARGO's /status, versions 2 and 3: timelines of sites, services, endpoints and metrics, as JSON or XML."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, cast

from flask import Response, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, ground
from monitoring.algebra import State
from monitoring.clock import database_time
from monitoring.figures import inputs, reading
from monitoring.figures.lines import DAY_S
from monitoring.figures.reading import Asked
from monitoring.figures.reports import ReportOnDay
from monitoring.models import Check, StoredResult
from monitoring.nagios import perfdata
from monitoring.protocols import argo_paths
from monitoring.protocols.argo_paths import Names, Path
from monitoring.protocols.argo_words import (
    ArgoFault,
    Node,
    Period,
    demand_accept,
    period,
    speak,
    tree,
)

argo_status = Protocol("argo_status", __name__)
speak(argo_status)
Rows = list[dict[str, Any]]
Subject = tuple[str, str, str]  # site, service type, endpoint
MOST_DETAILED = 2000  # changes of metrics of which more is said in one answer, each looked up by itself


@argo_status.route("/api/v2/status/<report>/<path:rest>", ["GET"], permission=SIGNED_IN)
def status(report: str, rest: str) -> Response:
    """The timelines of what the path names; `view=details` says more of each change."""
    demand_accept()
    when = period()
    with ground().db.transaction() as session:
        now = database_time(session)
        found = argo_paths.report_named(session, report, when.last)
        path = argo_paths.read(rest, found.body)
        if path.level == "supergroup":
            raise ArgoFault(404, "Supergroups have results and no status; ask for their groups.")
        nodes = _nodes(session, found, path, when, now)
        if not nodes and when.first <= now.date():  # nothing yet: what was known the day before
            before = when.first - timedelta(days=1)
            nodes = _nodes(session, found, path, Period(before, before), now)
    return tree("groups", nodes, rows_key="statuses", row_tag="status")


@argo_status.route("/api/v3/status/<report>", ["GET"], permission=SIGNED_IN)
def status_v3(report: str) -> Response:
    """Sites with their endpoints in one answer."""
    demand_accept()
    when = period()
    with ground().db.transaction() as session:
        now = database_time(session)
        found = argo_paths.report_named(session, report, when.last)
        names = argo_paths.names_on(session, when.last)
        sites = timelines(session, found, "site", when, now)
        endpoints = timelines(session, found, "endpoint", when, now)
    below: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (site, service, endpoint_id), rows in endpoints.items():
        host = {"hostname": names.hosts.get(endpoint_id, endpoint_id), "service": service}
        below[site].append({**host, "info": _info(names, endpoint_id), "statuses": rows})
    lower = argo_paths.read("endpoints", found.body).site_type
    body = [
        {"name": site, "type": lower, "statuses": rows, "endpoints": below[site]}
        for (site, _, _), rows in sites.items()
    ]
    return Response(json.dumps({"groups": body}), content_type="application/json; charset=utf-8")


def timelines(
    session: Session, report: ReportOnDay, level: str, when: Period, now: datetime, path: Path | None = None
) -> dict[Subject, Rows]:
    """The kept lines of a level as rows of {timestamp, value}, closed at the end of the last day or now."""
    asked = Asked(report.id, cast(Literal["site", "service", "endpoint"], level), when.first, when.last)
    if path is not None:
        asked = replace(asked, ngi=path.ngi, site=path.site, service=path.service)
    found: dict[Subject, Rows] = defaultdict(list)
    last: dict[Subject, date] = {}
    for row in reading.rows(session, asked):
        subject = (row.site, row.service, row.endpoint_id)
        found[subject] += _rows_of_line(row.day, row.line)
        last[subject] = row.day
    for subject, rows in found.items():
        _close(rows, last[subject], now)
    return dict(sorted(found.items()))


def _rows_of_line(day: date, line: Iterable[Sequence[Any]]) -> Rows:
    midnight = inputs.midnight(day)
    return [
        {"timestamp": _stamp(midnight + timedelta(seconds=second)), "value": state_name(state)}
        for second, state in line
    ]


def state_name(state: str | None) -> str:
    """A state in ARGO's words; what a recomputation took out is EXCLUDED."""
    return State(state).name if state is not None else "EXCLUDED"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _close(rows: Rows, day: date, now: datetime) -> None:
    """The last entry repeats the last state at 23:59:59, today now."""
    end = min(inputs.midnight(day) + timedelta(seconds=DAY_S - 1), now)
    if rows and rows[-1]["timestamp"] < _stamp(end):
        rows.append({**rows[-1], "timestamp": _stamp(end)})


def _nodes(session: Session, report: ReportOnDay, path: Path, when: Period, now: datetime) -> list[Node]:
    names = argo_paths.names_on(session, when.last)
    details = request.args.get("view") == "details"
    if path.level == "metric":
        return _metric_nodes(session, report, path, when, now, names, details=details)
    found = timelines(session, report, path.level, when, now, path)
    if path.host:
        wanted = set(names.endpoints(path.host, path.service, path.site))
        found = {subject: rows for subject, rows in found.items() if subject[2] in wanted}
    if details and path.level == "endpoint":
        _mark_thresholds(session, report, when, found)
    sites: dict[str, list[Node]] = defaultdict(list)
    if path.level == "site":
        return [Node(site, path.site_type, rows) for (site, _, _), rows in found.items()]
    if path.level == "service":
        for (site, service, _), rows in found.items():
            sites[site].append(Node(service, "service", rows))
        return _groups(path, sites)
    return _endpoint_nodes(path, found, names)


def _groups(path: Path, sites: Mapping[str, list[Node]]) -> list[Node]:
    return [Node(site, path.site_type, children=below, below="services") for site, below in sites.items()]


def _endpoint_nodes(path: Path, found: Mapping[Subject, Rows], names: Names) -> list[Node]:
    services: dict[str, dict[str, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for (site, service, endpoint_id), rows in found.items():
        host = names.hosts.get(endpoint_id, endpoint_id)
        services[site][service].append(Node(host, rows=rows, info=_info(names, endpoint_id)))
    sites = {
        site: [
            Node(service, "service", children=hosts, below="endpoints") for service, hosts in below.items()
        ]
        for site, below in services.items()
    }
    return _groups(path, sites)


def _info(names: Names, endpoint_id: str) -> dict[str, str]:
    row = names.rows.get(endpoint_id)
    return {"Url": row.url} if row is not None and row.url else {}


def _metric_nodes(
    session: Session,
    report: ReportOnDay,
    path: Path,
    when: Period,
    now: datetime,
    names: Names,
    *,
    details: bool,
) -> list[Node]:
    members = [
        member
        for member in report.members(list(names.rows.values()))
        if path.site in ("", member.site)
        and path.service in ("", member.service_type)
        and path.host in ("", names.hosts[member.endpoint_id])
    ]
    rows: dict[tuple[str, str], Rows] = defaultdict(list)
    for day in when.days:
        if inputs.midnight(day) <= now:
            for key, line in inputs.metric_lines(session, members, day, now).items():
                rows[key] += _rows_of_line(day, line)
    told = sum(len(found) for (_, metric), found in rows.items() if path.metric in ("", metric))
    if details and told > MOST_DETAILED:
        said = f"These are {told} changes, and details are told of {MOST_DETAILED} at most"
        raise ArgoFault(
            422, f"{said}: ask for fewer days, one endpoint or one metric, or without view=details."
        )
    services: dict[str, dict[str, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for member in members:
        metrics = []
        for metric in member.metrics:
            found = rows.get((member.endpoint_id, metric), [])
            if path.metric in ("", metric) and found:
                _close(found, when.last, now)
                if details:
                    _say_more(session, member.endpoint_id, metric, found)
                metrics.append(Node(metric, rows=found))
        host = names.hosts[member.endpoint_id]
        info = _info(names, member.endpoint_id)
        services[member.site][member.service_type].append(
            Node(host, children=metrics, below="metrics", info=info)
        )
    sites = {
        site: [
            Node(service, "service", children=hosts, below="endpoints") for service, hosts in below.items()
        ]
        for site, below in services.items()
    }
    return _groups(path, sites)


def _say_more(session: Session, endpoint_id: str, metric: str, rows: Rows) -> None:
    """What was measured where a state began, and whether a threshold rule replaced the probe's own status."""
    for row in rows:
        row |= {"actual_data": "", "threshold_rule_applied": "", "original_status": ""}
        began = datetime.strptime(row["timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        result = session.scalars(
            select(StoredResult)
            .join(Check)
            .where(
                Check.endpoint_id == endpoint_id,
                Check.probe == metric,
                StoredResult.started_at >= began,
                StoredResult.started_at < began + timedelta(days=1),
            )
            .order_by(StoredResult.started_at)
            .limit(1)
        ).first()
        if result is not None:
            row["actual_data"] = perfdata(result.figures)
            row["threshold_rule_applied"] = result.threshold_rule or ""
            row["original_status"] = (result.original_status or "").upper()


def _mark_thresholds(
    session: Session, report: ReportOnDay, when: Period, found: Mapping[Subject, Rows]
) -> None:
    """Whether a threshold rule replaced a status of the endpoint on that day."""
    start, end = inputs.midnight(when.first), inputs.midnight(when.last) + timedelta(days=1)
    ruled = session.execute(
        select(Check.endpoint_id, func.date(func.timezone("UTC", StoredResult.started_at)))
        .join(StoredResult)
        .where(
            Check.endpoint_id.in_({endpoint_id for _, _, endpoint_id in found}),
            StoredResult.threshold_rule.is_not(None),
            StoredResult.started_at >= start,
            StoredResult.started_at < end,
        )
        .distinct()
    )
    days = {(endpoint_id, day.isoformat()) for endpoint_id, day in ruled}
    for (_, _, endpoint_id), rows in found.items():
        for row in rows:
            row["affected_by_threshold_rule"] = (endpoint_id, row["timestamp"][:10]) in days
