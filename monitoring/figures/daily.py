"""The job that keeps the figures of the days: today's as far as it is, and those anew that something changed."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import structlog
from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import HanseError
from monitoring.clock import database_time
from monitoring.figures import inputs, noting, recomputations, reports, topology
from monitoring.figures.judging import judge_day
from monitoring.figures.ratios import Figures
from monitoring.models import StatusChange
from monitoring.models.figures import (
    ComputedDay,
    DayFigure,
    NotedDay,
    SeenDowntime,
    TopologyRow,
)
from monitoring.profiles import defaults, kept
from monitoring.settings import MonitoringSettings

MOST_DAYS = 40  # in one run; the rest follow in the next
_COLUMNS = (
    "report_id",
    "day",
    "level",
    "site",
    "service",
    "endpoint_id",
    "ngi",
    "availability",
    "reliability",
    "uptime",
    "unknown",
    "downtime",
    "line",
)
LATE = timedelta(minutes=10)  # as the index status_change_late
log = structlog.get_logger(__name__)


def make(db: Database, settings: MonitoringSettings) -> str:
    """Bring topology, defaults and figures up to date; a sentence for the run log."""
    with db.transaction() as session:
        today = noting.today(session)
        changed = topology.keep(session, today)
        defaults.keep(session, _probes(session, settings), settings.federation, today)
        _note_downtimes(session)
        _note_late(session, today)
        _note_missing(session, today)
    with db.transaction() as session:
        noted = list(session.scalars(select(NotedDay.day).order_by(NotedDay.day).limit(MOST_DAYS)))
    for day in [*noted, today]:
        make_day(db, day)
    with db.transaction() as session:
        recomputations.advance(session)
        left = session.scalar(select(func.count()).select_from(NotedDay)) or 0
    return (
        f"{len(noted)} days were counted anew beside today, {left} wait; {changed} changes in the topology."
    )


def make_day(db: Database, day: date) -> None:
    """Put a day's figures of all reports in the place of those there were, and take its note away.

    A report whose profiles were not in force on the day has none, and that stands as well: it is not tried again."""
    with db.transaction() as session:
        began = database_time(session)
        rows = topology.of_day(session, day)
        for version in reports.all_in_force(session, day):
            _clear(session, version.id, day, began)
            try:
                report = reports.on_day(session, version, day)
            except HanseError as fault:
                log.warning("a report is not computed", report=version.name, reason=fault.detail)
                continue
            _put(db, session, report, rows, day, began)
        session.execute(delete(NotedDay).where(NotedDay.day == day, NotedDay.noted_at <= began))


def _clear(session: Session, report_id: str, day: date, now: datetime) -> None:
    """Take the figures of a report's day away and note that it is counted now."""
    session.execute(delete(DayFigure).where(DayFigure.report_id == report_id, DayFigure.day == day))
    made = insert(ComputedDay).values(report_id=report_id, day=day, computed_at=now)
    session.execute(
        made.on_conflict_do_update(index_elements=["report_id", "day"], set_={"computed_at": now})
    )


def _told(figures: Figures) -> tuple[Decimal, ...]:
    """The figures as they are kept: a fraction of no time at all is 0."""
    shares = (figures.uptime, figures.unknown, figures.downtime)
    return (figures.availability, figures.reliability, *(max(share, Decimal(0)) for share in shares))


def _put(
    db: Database,
    session: Session,
    report: reports.ReportOnDay,
    rows: list[TopologyRow],
    day: date,
    now: datetime,
) -> None:
    given = inputs.of_day(session, report, rows, day, now)
    rows_of_day = (
        (
            report.id,
            day,
            one.level,
            one.site,
            one.service,
            one.endpoint_id,
            one.ngi,
            *_told(one.figures),
            json.dumps(one.line),
        )
        for one in judge_day(given, report.rules)
    )
    db.copy(session, "day_figure", _COLUMNS, rows_of_day)


def _probes(session: Session, settings: MonitoringSettings) -> dict[str, tuple[str, ...]]:
    """The probes of each service type that was ever in the topology."""
    types = session.scalars(select(TopologyRow.service_type).distinct())
    return {kind: settings.probes_for(kind) for kind in sorted(types) if kind}


def _note_downtimes(session: Session) -> None:
    """Downtimes that came, changed or went since the last look: the days that they cover or covered."""
    known = {one.id: one for one in inputs.all_downtimes(session)}
    seen = {row.id: row for row in session.scalars(select(SeenDowntime))}
    for downtime_id in sorted(known.keys() | seen.keys()):
        downtime, row = known.get(downtime_id), seen.get(downtime_id)
        mark = inputs.fingerprint(downtime) if downtime is not None else ""
        if row is not None and row.fingerprint == mark:
            continue
        why = f"downtime {downtime_id}"
        if row is not None:
            noting.note_between(session, row.starts, row.ends, why)
        if downtime is None:
            session.delete(row)
            continue
        noting.note_between(session, downtime.start, downtime.end, why)
        values = {"fingerprint": mark, "starts": downtime.start, "ends": downtime.end}
        made = insert(SeenDowntime).values(id=downtime_id, **values)
        session.execute(made.on_conflict_do_update(index_elements=["id"], set_=values))


def _note_late(session: Session, today: date) -> None:
    """Changes that were written after the day that they belong to had been counted."""
    late = (
        select(func.min(StatusChange.at))
        .select_from(StatusChange)
        .join(
            ComputedDay,
            ComputedDay.day == func.date(func.timezone("UTC", StatusChange.at)),
        )
        .where(
            StatusChange.written_at - StatusChange.at > LATE,
            StatusChange.written_at > ComputedDay.computed_at,
            ComputedDay.day < today,
        )
    )
    first = session.scalar(late)
    if first is not None:
        noting.note_between(session, first, database_time(session), "results that came late")


def _note_missing(session: Session, today: date) -> None:
    """Days since the first measurement that no report counts yet, or that were counted before they were over.

    They are counted at midnight, and again when no change of theirs can come that is not late."""
    first = session.scalar(select(func.min(StatusChange.at)).where(StatusChange.level == "check"))
    if first is None:
        return
    begin = max(first.astimezone(UTC).date(), today - noting.FURTHEST)
    wanted = {begin + timedelta(days=number) for number in range((today - begin).days)}
    over = func.timezone("UTC", ComputedDay.day + timedelta(days=1))
    settled = func.timezone("UTC", ComputedDay.day + (timedelta(days=1) + LATE))
    for version in kept.in_force(session, "report", today):
        if version.body.get("disabled"):
            continue
        whole = select(ComputedDay.day).where(
            ComputedDay.report_id == version.id,
            ComputedDay.computed_at >= over,
            or_(ComputedDay.computed_at >= settled, settled > database_time(session)),
        )
        noting.note(session, wanted - set(session.scalars(whole)), "not counted yet")
