"""What changes by the clock alone: downtimes that begin and end, checks that stay without a result, old
results."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hanse.database import Database
from monitoring import feed
from monitoring.alerts import audience_of
from monitoring.algebra import State
from monitoring.clock import database_time
from monitoring.downtimes import Downtime, current
from monitoring.judgement import Standing
from monitoring.models import Check, Endpoint, Site, StoredResult
from monitoring.recording import Bench, settle
from monitoring.settings import MonitoringSettings
from monitoring.standing import write_standing

# A check without a result for three periods has none that could be believed still.
PERIODS_TO_MISSING = 3
GRACE_S = 60.0


def watch_clock(db: Database, settings: MonitoringSettings) -> str:
    """Lay beginning downtimes over, take ended ones off, and say where results are missing; for the run
    log."""
    bench = Bench(settings.rules, audience_of(settings))
    with db.transaction() as session:
        known, now = feed.downtimes(session), database_time(session)
        overlaid = [one.id for one in _active(session) if _overlay_differs(one, known, now)]
        silent = [check.id for check in _silent(session)]
    for endpoint_id in overlaid:
        with db.transaction() as session:
            _settle(session, endpoint_id, bench)
    for check_id in silent:
        with db.transaction() as session:
            _miss(session, check_id, bench)
    return f"{len(overlaid)} endpoints entered or left a downtime; {len(silent)} checks have no result."


def prune(db: Database, settings: MonitoringSettings) -> str:
    """Delete single results past their keeping; timelines, incidents and the last raw answers stay."""
    with db.transaction() as session:
        oldest = database_time(session) - timedelta(days=settings.keep_results_days)
        gone = session.execute(
            delete(StoredResult).where(StoredResult.started_at < oldest).returning(StoredResult.id)
        ).all()
    return f"{len(gone)} results from before {oldest:%d %b %Y} were deleted."


def _active(session: Session) -> list[Endpoint]:
    return list(session.scalars(select(Endpoint).where(Endpoint.active).order_by(Endpoint.id)))


def _overlay_differs(endpoint: Endpoint, known: Sequence[Downtime], now: datetime) -> bool:
    running = current(known, endpoint.site, endpoint.service_id, endpoint.id, now)
    return (running is not None) != (endpoint.state == State.DOWNTIME)


def _settle(session: Session, endpoint_id: str, bench: Bench) -> None:
    endpoint = session.get_one(Endpoint, endpoint_id)
    site = session.get_one(Site, endpoint.site, with_for_update=True)
    session.refresh(endpoint)
    if endpoint.active:
        settle(session, endpoint, site, bench, database_time(session))


def _silent(session: Session) -> list[Check]:
    now = database_time(session)
    measured = select(Check).where(Check.active, Check.measured_at.is_not(None))
    judged = measured.where(Check.held_since.is_(None), Check.judged != State.MISSING)
    return [check for check in session.scalars(judged) if _is_silent(check, now)]


def _is_silent(check: Check, now: datetime) -> bool:
    assert check.measured_at is not None
    age_s = (now - check.measured_at).total_seconds()
    return age_s > PERIODS_TO_MISSING * check.period_s + check.deadline_s + GRACE_S


def _miss(session: Session, check_id: int, bench: Bench) -> None:
    check = session.get_one(Check, check_id)
    endpoint = session.get_one(Endpoint, check.endpoint_id)
    site = session.get_one(Site, endpoint.site, with_for_update=True)
    check = session.get_one(Check, check_id, with_for_update=True, populate_existing=True)
    now = database_time(session)
    if not _is_silent(check, now):
        return
    write_standing(session, check, Standing(State.MISSING, now), "no-results")
    settle(session, endpoint, site, bench, now)
