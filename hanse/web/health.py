"""/healthz: the process lives. /readyz: it can do its work. /metrics:
figures for Prometheus, from the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from flask import Flask, Response, current_app, request
from prometheus_client import CollectorRegistry
from prometheus_client import Gauge as PrometheusGauge
from prometheus_client.exposition import choose_encoder
from pydantic_core import to_json
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from hanse.database import Database, FollowCursor, JobRun
from hanse.errors import HanseError, Unavailable
from hanse.follow import lag
from hanse.migrations import is_current
from hanse.web.ground import ground
from hanse.web.rooms import public

log = structlog.get_logger("hanse.web")


@dataclass(frozen=True)
class Gauge:
    """One figure. Every worker must tell the same, so take it from the database.

    Names begin with `hanse_`.
    """

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


METRICS: Mapping[str, str] = {
    "hanse_follow_pulled_timestamp_seconds": "When the feed of another service was last read, unix time.",
    "hanse_follow_lag_revisions": "Revisions of another service's feed that are not yet here.",
    "hanse_job_last_success_timestamp_seconds": "When a scheduled job last ended well, unix time.",
    "hanse_job_failed_runs": "Runs of a scheduled job that failed, over the kept run log.",
}


def install_health(app: Flask, gauges: Callable[[], Iterable[Gauge]] | None) -> None:
    """Add the three addresses to `app`; `gauges` gives the service's own figures."""

    def metrics() -> Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        registry = _registry([*ground_gauges(ground().db), *(gauges() if gauges else ())])
        return Response(encoder(registry), content_type=content_type)

    app.add_url_rule("/healthz", "healthz", public(healthz, "protocol"))
    app.add_url_rule("/readyz", "readyz", public(readyz, "protocol"))
    app.add_url_rule("/metrics", "metrics", public(metrics, "protocol"))


def healthz() -> Response:
    """200 as long as the process answers; asks nobody else."""
    return Response(to_json({"status": "ok", "service": ground().service}), content_type="application/json")


def readyz() -> Response:
    """200 when all checks pass, else 503; each check with "ok" or the sentence that says what is wrong."""
    here = ground()
    checks: dict[str, str] = {}
    own = {"database": _database, "migrations": _migrations, "feeds": _feeds}
    for name, check in {**own, **here.ready}.items():
        checks[name] = _verdict(check)
    good = all(verdict == "ok" for verdict in checks.values())
    body = {"status": "ready" if good else "not ready", "service": here.service, "checks": checks}
    return Response(to_json(body), 200 if good else 503, content_type="application/json")


def _verdict(check: Callable[[], None]) -> str:
    try:
        check()
    except HanseError as error:
        return error.detail
    except (SQLAlchemyError, OSError) as error:
        log.warning("not_ready", reason=str(error))
        return "The database does not answer." if isinstance(error, SQLAlchemyError) else str(error)
    return "ok"


def _database() -> None:
    with ground().db.transaction() as session:
        session.execute(text("select 1"))


def _migrations() -> None:
    here = ground()
    if not (Path(current_app.root_path) / "migrations").is_dir():
        return
    with here.db.engine.connect() as connection:
        if not is_current(here.package, connection):
            raise Unavailable(f"The tables are not of this version; run `hanse {here.service} migrate`.")


def _feeds() -> None:
    """A copy that is old still serves; one that was never made lets nobody in."""
    with ground().db.transaction() as session:
        unread = [name for name, copy in lag(session).items() if copy.age_s is None]
    if unread:
        raise Unavailable(f"The feed of {' and '.join(unread)} has not been read yet.")


def ground_gauges(db: Database) -> list[Gauge]:
    """Figures that every service has: its feeds and its jobs."""
    with db.transaction() as session:
        feeds = session.execute(
            select(FollowCursor.source, FollowCursor.pulled_at, FollowCursor.head - FollowCursor.cursor)
        ).all()
        failed = func.count().filter(JobRun.outcome == "failed")
        good = func.max(JobRun.finished_at).filter(JobRun.outcome == "ok")
        jobs = session.execute(select(JobRun.job, good, failed).group_by(JobRun.job)).all()
    found: list[Gauge] = []
    for source, pulled_at, behind in feeds:
        labels = {"source": source}
        found.append(_gauge("hanse_follow_lag_revisions", float(behind), labels))
        if pulled_at is not None:
            found.append(_gauge("hanse_follow_pulled_timestamp_seconds", pulled_at.timestamp(), labels))
    for job, last, failures in jobs:
        found.append(_gauge("hanse_job_failed_runs", float(failures), {"job": job}))
        if last is not None:
            found.append(_gauge("hanse_job_last_success_timestamp_seconds", last.timestamp(), {"job": job}))
    return found


def _gauge(name: str, value: float, labels: Mapping[str, str]) -> Gauge:
    return Gauge(name, METRICS[name], value, labels)


def _registry(gauges: Iterable[Gauge]) -> CollectorRegistry:
    registry = CollectorRegistry()
    made: dict[str, PrometheusGauge] = {}
    for gauge in gauges:
        if gauge.name not in made:
            made[gauge.name] = PrometheusGauge(
                gauge.name, gauge.help, sorted(gauge.labels), registry=registry
            )
        target = made[gauge.name]
        (target.labels(**gauge.labels) if gauge.labels else target).set(gauge.value)
    return registry
