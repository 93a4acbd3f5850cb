"""Prometheus' figures, from the same reading as the pages."""

from sqlalchemy import func, select

from hanse.database import Database
from hanse.web import Gauge
from monitoring import reading, story
from monitoring.clock import database_time
from monitoring.machines import count_orphans
from monitoring.models import Check, Endpoint, Notification, Worker
from monitoring.words import ORDER

METRICS: dict[str, str] = {
    "hanse_monitoring_endpoint_up": "1 = in order or degraded, 0 = down; absent while unknown or in downtime.",
    "hanse_monitoring_endpoint_state": "1 for the state that the endpoint is in (ok, degraded, down, ...).",
    "hanse_monitoring_sites": "Monitored sites by state.",
    "hanse_monitoring_check_up": "1 = the check's last measurement was good or a warning, 0 = not.",
    "hanse_monitoring_check_age_seconds": "Seconds since the check was last measured.",
    "hanse_monitoring_checks_missed_total": "Due times of a check that no worker could serve.",
    "hanse_monitoring_incidents_open": "Open incidents that no downtime mutes.",
    "hanse_monitoring_doubting": "1 while the monitor reaches nothing and accuses nobody.",
    "hanse_monitoring_alerts_waiting": "Messages that have not gone out yet.",
    "hanse_monitoring_probe_machines_left": "Machines of probes at clouds that could not be deleted yet.",
    "hanse_monitoring_workers": "Probe workers seen in the last 30 seconds.",
}


def gauges(db: Database) -> list[Gauge]:
    """All figures of /metrics."""
    with db.transaction() as session:
        now = database_time(session)
        lines = reading.site_lines(session)
        checks = session.execute(
            select(Check, Endpoint.site)
            .join(Endpoint)
            .where(Check.active, Endpoint.active)
            .order_by(Check.id)
        ).all()
        waiting = session.scalar(select(func.count()).where(Notification.outcome.is_(None)))
        workers = session.scalars(select(Worker.seen_at)).all()
        incidents, doubting = story.count_open(session), story.is_doubting(session)
        left = count_orphans(session)
    found = _site_gauges(lines)
    for check, site in checks:
        found += _check_gauges(
            check, site, (now - check.measured_at).total_seconds() if check.measured_at else None
        )
    alive = sum((now - seen).total_seconds() < 30 for seen in workers)
    return [
        *found,
        _gauge("hanse_monitoring_incidents_open", incidents),
        _gauge("hanse_monitoring_doubting", doubting),
        _gauge("hanse_monitoring_alerts_waiting", waiting or 0),
        _gauge("hanse_monitoring_probe_machines_left", left),
        _gauge("hanse_monitoring_workers", alive),
    ]


def _site_gauges(lines: list[reading.SiteLine]) -> list[Gauge]:
    found = []
    for state in ORDER:
        found.append(
            _gauge("hanse_monitoring_sites", sum(line.state == state for line in lines), state=state)
        )
    for line in lines:
        for endpoint in line.endpoints:
            labels = {"site": line.name, "endpoint": endpoint.id, "service_type": endpoint.service_type}
            if endpoint.state in ("ok", "degraded", "down"):
                found.append(_gauge("hanse_monitoring_endpoint_up", endpoint.state != "down", **labels))
            for state in ORDER:
                found.append(
                    _gauge("hanse_monitoring_endpoint_state", endpoint.state == state, **labels, state=state)
                )
    return found


def _check_gauges(check: Check, site: str, age_s: float | None) -> list[Gauge]:
    labels = {"site": site, "endpoint": check.endpoint_id, "probe": check.probe}
    found = [_gauge("hanse_monitoring_checks_missed_total", check.missed, **labels)]
    if age_s is not None:
        found.append(_gauge("hanse_monitoring_check_age_seconds", age_s, **labels))
    if check.held_since is None and check.measured in ("ok", "warning", "critical"):
        found.append(_gauge("hanse_monitoring_check_up", check.measured != "critical", **labels))
    return found


def _gauge(name: str, value: float, **labels: str) -> Gauge:
    return Gauge(name, METRICS[name], float(value), labels)
