"""Scheduled work under one advisory lock, with a run log that people can read.

Due times lie on a fixed grid (multiples of `every_s` since 1970, or a time of day in UTC), so that every
process that computes one gets the same, and (job, due_at) can be unique. What was missed while no jobs
process lived runs once, at start.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hanse.database import AdvisoryLock, Database, JobRun

LOCK = "jobs"
KEPT_RUNS = 500
INTERRUPTED = "Interrupted: the jobs process stopped before the run was finished."
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Job:
    """Something to do every `every_s` seconds or daily at "HH:MM" UTC; `run` returns a sentence for the run
    log.

    `jitter_s` delays each start by a random time up to it, so that a federation does not act in one instant.
    """

    name: str
    run: Callable[[], str]
    every_s: float | None = None
    daily_at: str | None = None
    jitter_s: float = 0

    def __post_init__(self) -> None:
        if (self.every_s is None) == (self.daily_at is None):
            raise ValueError(f"job {self.name}: give either every_s or daily_at")
        if self.every_s is not None and self.every_s <= 0:
            raise ValueError(f"job {self.name}: every_s must be above 0")
        if self.daily_at is not None:
            datetime.strptime(self.daily_at, "%H:%M")  # noqa: DTZ007 - only the form is checked

    def latest_due(self, now: datetime) -> datetime:
        """The last due time at or before `now`."""
        if self.every_s is not None:
            return datetime.fromtimestamp(now.timestamp() // self.every_s * self.every_s, UTC)
        hour, minute = self._time_of_day()
        due = now.astimezone(UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
        return due if due <= now else due - timedelta(days=1)

    def trigger(self, now: datetime) -> CronTrigger | IntervalTrigger:
        """The same grid as APScheduler knows it."""
        if self.every_s is not None:
            return IntervalTrigger(
                seconds=self.every_s,
                start_date=self.latest_due(now) + timedelta(seconds=self.every_s),
                timezone=UTC,
            )
        hour, minute = self._time_of_day()
        return CronTrigger(hour=hour, minute=minute, timezone=UTC)

    def _time_of_day(self) -> tuple[int, int]:
        assert self.daily_at is not None
        hour, minute = self.daily_at.split(":")
        return int(hour), int(minute)


def run_jobs(db: Database, jobs: Sequence[Job], stop: Event, *, check_s: float = 2.0) -> None:
    """Run `jobs` until `stop` is set. Waits while another process holds the lock; survives a restart of
    PostgreSQL.
    """
    names = [job.name for job in jobs]
    if len(set(names)) != len(names):
        raise ValueError(f"two jobs have one name: {sorted(names)}")
    while not stop.is_set():
        try:
            with AdvisoryLock(db, LOCK) as lock:
                if lock.acquire():
                    _run_while_held(db, jobs, stop, lock, check_s)
        except SQLAlchemyError as error:
            log.warning("jobs wait for the database", error=str(error.__cause__ or error))
        stop.wait(check_s)


def _run_while_held(
    db: Database, jobs: Sequence[Job], stop: Event, lock: AdvisoryLock, check_s: float
) -> None:
    taken_over_at = _close_interrupted(db, jobs)
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(max_workers=max(4, len(jobs)))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    now = datetime.now(UTC)
    for job in jobs:
        start = _Start(db, job, stop, taken_over_at)
        scheduler.add_job(start, job.trigger(now), id=job.name, next_run_time=now)
    scheduler.start()
    log.info("jobs started", jobs=[job.name for job in jobs])
    try:
        while not stop.wait(check_s):
            if not lock.held():
                log.warning("jobs lost their lock with the database connection; starting over")
                return
    finally:
        scheduler.shutdown(wait=stop.is_set())


@dataclass
class _Start:
    """What APScheduler calls. A due time that is in the log already is left alone, also the one at start."""

    db: Database
    job: Job
    stop: Event
    taken_over_at: datetime

    def __call__(self) -> None:
        try:
            run_once(self.db, self.job, self.job.latest_due(datetime.now(UTC)), self.stop, self.taken_over_at)
        except SQLAlchemyError as error:
            log.error(
                "job could not write its run log", job=self.job.name, error=str(error.__cause__ or error)
            )


def run_once(
    db: Database,
    job: Job,
    due_at: datetime,
    stop: Event | None = None,
    taken_over_at: datetime | None = None,
) -> bool:
    """Run `job` for `due_at` unless the log has that run already; whether it ran. A failure is logged, not
    raised.
    """
    if not _claim(db, job.name, due_at, taken_over_at or due_at):
        return False
    if job.jitter_s and stop is not None and stop.wait(random.uniform(0, job.jitter_s)):  # noqa: S311
        _forget(db, job.name, due_at)  # stopped before it began: it is still due
        return False
    try:
        outcome, detail = "ok", job.run()
    except Exception as error:  # whatever a job raises belongs in the run log, and the next run comes
        log.exception("job failed", job=job.name)
        outcome, detail = "failed", f"{type(error).__name__}: {error}"
    _finish(db, job.name, due_at, outcome, detail)
    return True


def last_runs(session: Session) -> list[JobRun]:
    """The latest run of every job, by name."""
    latest = select(JobRun).order_by(JobRun.job, JobRun.due_at.desc()).ext(distinct_on(JobRun.job))
    return list(session.scalars(latest))


def _claim(db: Database, job: str, due_at: datetime, taken_over_at: datetime) -> bool:
    """Write the run's line; one that a dead process left unfinished before `taken_over_at` is taken over."""
    statement = text(
        "insert into job_run (job, due_at, started_at) values (:job, :due_at, clock_timestamp())"
        " on conflict (job, due_at) do update set started_at = clock_timestamp()"
        " where job_run.finished_at is null and job_run.started_at < :taken_over_at returning id"
    )
    with db.transaction() as session:
        row = {"job": job, "due_at": due_at, "taken_over_at": taken_over_at}
        return session.scalar(statement, row) is not None


def _forget(db: Database, job: str, due_at: datetime) -> None:
    with db.transaction() as session:
        session.execute(
            text("delete from job_run where job = :job and due_at = :due_at"), {"job": job, "due_at": due_at}
        )


def _finish(db: Database, job: str, due_at: datetime, outcome: str, detail: str) -> None:
    finish = text(
        "update job_run set finished_at = clock_timestamp(), outcome = :outcome, detail = :detail"
        " where job = :job and due_at = :due_at"
    )
    prune = text(
        "delete from job_run where job = :job and due_at <"
        " (select due_at from job_run where job = :job order by due_at desc offset :kept limit 1)"
    )
    with db.transaction() as session:
        session.execute(finish, {"job": job, "due_at": due_at, "outcome": outcome, "detail": detail[:2000]})
        session.execute(prune, {"job": job, "kept": KEPT_RUNS - 1})


def _close_interrupted(db: Database, jobs: Sequence[Job]) -> datetime:
    """Mark what a dead process left behind, except the runs that are due still; the database's time now."""
    close = text(
        "update job_run set finished_at = clock_timestamp(), outcome = 'failed', detail = :detail"
        " where job = :job and due_at = :due_at"
    )
    now = datetime.now(UTC)
    still_due = {job.name: job.latest_due(now) for job in jobs}
    with db.transaction() as session:
        unfinished = session.execute(text("select job, due_at from job_run where finished_at is null")).all()
        for job, due_at in unfinished:
            if still_due.get(job) != due_at:
                session.execute(close, {"job": job, "due_at": due_at, "detail": INTERRUPTED})
        taken_over_at = session.scalar(text("select clock_timestamp()"))
    assert isinstance(taken_over_at, datetime)
    return taken_over_at
