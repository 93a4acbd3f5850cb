"""ARGO's smaller reads: one metric's result, the latest results, trends (how often states changed), issues."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, ground
from monitoring.algebra import State
from monitoring.clock import database_time
from monitoring.figures import inputs, reading
from monitoring.figures.reading import Asked
from monitoring.models import Check, Endpoint, StoredResult
from monitoring.nagios import perfdata
from monitoring.protocols import argo_paths
from monitoring.protocols.argo_words import (
    ArgoFault,
    Period,
    asked_day,
    day_of,
    demand_accept,
    speak,
    success,
    whole_number,
)

argo_metrics = Protocol("argo_metrics", __name__)
speak(argo_metrics)
MOST = 500
_KEYS = {"groups": 1, "services": 2, "endpoints": 3, "metrics": 4}
_NOT_OK = {"non-ok", "critical", "warning", "unknown", "missing", "ok"}


@argo_metrics.route("/api/v2/metric_result/<host>/<metric>", ["GET"], permission=SIGNED_IN)
def metric_result(host: str, metric: str) -> Response:
    """What a metric measured on a host at `?exec_time` (or last before it)."""
    demand_accept()
    at = _time("exec_time")
    with ground().db.transaction() as session:
        row = session.execute(
            select(StoredResult, Endpoint)
            .join(Check, Check.id == StoredResult.check_id)
            .join(Endpoint, Endpoint.id == Check.endpoint_id)
            .where(
                Endpoint.hostname == host,
                Check.probe == metric,
                StoredResult.started_at < at + timedelta(seconds=1),
            )
            .order_by(StoredResult.started_at.desc())
            .limit(1)
        ).first()
        if row is None:
            raise ArgoFault(
                404,
                f"No result of {metric[:100]} on {host[:100]} is kept from before {at:%Y-%m-%d %H:%M:%S} UTC.",
            )
        result, endpoint = row
        said = {
            "Timestamp": f"{result.started_at:%Y-%m-%dT%H:%M:%SZ}",
            "Value": result.status.upper(),
            "Summary": result.summary,
            "Message": result.reason,
            "ActualData": perfdata(result.figures),
            "RuleApplied": result.threshold_rule or "",
            "OriginalStatus": (result.original_status or "").upper(),
        }
        info = {"Url": endpoint.url} if endpoint.url else {}
    found = {
        "Name": host,
        "Info": info,
        "Metrics": [{"Name": metric, "Service": endpoint.service_type, "Details": [said]}],
    }
    return success({"root": [found]})


@argo_metrics.route("/api/v2/latest/<report>/<path:rest>", ["GET"], permission=SIGNED_IN)
def latest(report: str, rest: str) -> Response:
    """The latest results of a day, newest first; `?filter=non-ok`, `?limit=`."""
    demand_accept()
    day, limit = asked_day(), whole_number("limit", MOST, MOST)
    wanted = request.args.get("filter", "").lower()
    if wanted and wanted not in _NOT_OK:
        raise ArgoFault(400, f"filter is one of {', '.join(sorted(_NOT_OK))}.")
    with ground().db.transaction() as session:
        path = argo_paths.read(rest, argo_paths.report_named(session, report, day).body)
        names = argo_paths.names_on(session, day)
        start = inputs.midnight(day)
        rows = (
            select(StoredResult, Check, Endpoint)
            .join(Check, Check.id == StoredResult.check_id)
            .join(Endpoint, Endpoint.id == Check.endpoint_id)
            .where(StoredResult.started_at >= start, StoredResult.started_at < start + timedelta(days=1))
            .order_by(StoredResult.started_at.desc(), StoredResult.id.desc())
        )
        if path.site:
            rows = rows.where(Endpoint.site == path.site)
        if wanted:
            state = StoredResult.status
            rows = rows.where(state != "ok" if wanted == "non-ok" else state == wanted)
        found = [
            {
                "endpoint_group": endpoint.site,
                "service": endpoint.service_type,
                "endpoint": names.hosts.get(endpoint.id, endpoint.hostname),
                "metric": check.probe,
                "timestamp": f"{result.started_at:%Y-%m-%dT%H:%M:%SZ}",
                "status": result.status.upper(),
                "summary": result.summary,
                "message": result.reason,
            }
            for result, check, endpoint in session.execute(rows.limit(limit))
        ]
    return success({"metric_data": found})


@argo_metrics.route(
    "/api/v2/trends/<report>/flapping/<level>",
    ["GET"],
    permission=SIGNED_IN,
)
def flapping(report: str, level: str) -> Response:
    """How often states changed on a day (`?date`) or between two (`?start_date&end_date`), most first; `?top=`."""
    demand_accept()
    if level not in _KEYS:
        raise ArgoFault(404, f"States are kept of {', '.join(_KEYS)}, not of {level[:60]!r}.")
    when, top = _days(), whole_number("top", 0, 10_000)
    with ground().db.transaction() as session:
        if level == "metrics":
            counted = _metric_changes(session, report, when)
        else:
            counted = _changes(session, report, level, when)
    fields = ("endpoint_group", "service", "endpoint", "metric")[: _KEYS[level]]
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return success(
        [
            {**dict(zip(fields, subject, strict=True)), "flapping": count}
            for subject, count in (ordered[:top] if top else ordered)
            if count
        ]
    )


@argo_metrics.route("/api/v2/issues/<report>/endpoints", ["GET"], permission=SIGNED_IN)
def issues(report: str) -> Response:
    """Endpoints that were not in order on a day, with the worst that lasted; `?filter=CRITICAL`."""
    demand_accept()
    day, wanted = asked_day(), request.args.get("filter", "").upper()
    order = list(State)
    with ground().db.transaction() as session:
        found = argo_paths.report_named(session, report, day)
        names = argo_paths.names_on(session, day)
        rows = reading.rows(session, Asked(found.id, "endpoint", day, day))
        told: list[dict[str, Any]] = []
        for row in rows:
            worst = max(
                (State(state) for _, state in row.line if state), key=order.index, default=State.MISSING
            )
            if worst in (State.OK, State.WARNING) or wanted not in ("", worst.name):
                continue
            url = names.rows[row.endpoint_id].url if row.endpoint_id in names.rows else ""
            told.append(
                {
                    "timestamp": f"{inputs.midnight(day):%Y-%m-%dT%H:%M:%SZ}",
                    "endpoint_group": row.site,
                    "service": row.service,
                    "endpoint": names.hosts.get(row.endpoint_id, row.endpoint_id),
                    "status": worst.name,
                    "info": {"Url": url} if url else {},
                }
            )
    return success(told)


def _changes(session: Session, report: str, level: str, when: Period) -> Counter[tuple[str, ...]]:
    found = argo_paths.report_named(session, report, when.last)
    names = argo_paths.names_on(session, when.last)
    counted: Counter[tuple[str, ...]] = Counter()
    kind = {"groups": "site", "services": "service", "endpoints": "endpoint"}[level]
    for row in reading.rows(session, Asked(found.id, kind, when.first, when.last)):  # type: ignore[arg-type]
        subject = (row.site, row.service, names.hosts.get(row.endpoint_id, row.endpoint_id))
        counted[subject[: ("groups", "services", "endpoints").index(level) + 1]] += len(row.line) - 1
    return counted


def _metric_changes(session: Session, report: str, when: Period) -> Counter[tuple[str, ...]]:
    found, now = argo_paths.report_named(session, report, when.last), database_time(session)
    names = argo_paths.names_on(session, when.last)
    members = {one.endpoint_id: one for one in found.members(list(names.rows.values()))}
    counted: Counter[tuple[str, ...]] = Counter()
    for day in when.days:
        for (endpoint_id, metric), line in inputs.metric_lines(session, members.values(), day, now).items():
            member = members[endpoint_id]
            if metric in member.metrics:
                subject = (member.site, member.service_type, names.hosts[endpoint_id], metric)
                counted[subject] += len(line) - 1
    return counted


def _days() -> Period:
    if request.args.get("start_date") or request.args.get("end_date"):
        first = day_of(request.args.get("start_date", ""), "start_date")
        last = day_of(request.args.get("end_date", ""), "end_date")
        if not 0 <= (last - first).days <= 92:
            raise ArgoFault(400, "end_date must be up to 92 days after start_date.")
        return Period(first, last)
    return Period(asked_day(), asked_day())


def _time(name: str) -> datetime:
    given = request.args.get(name, "")
    try:
        return datetime.strptime(given, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ArgoFault(400, f"{name} must be a UTC time such as 2026-05-04T00:00:00Z.") from None
