"""Scheduled work: on a grid, once each, logged; missed ones at start; two processes do no harm."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from hanse.database import Database, GroundBase, JobRun
from hanse.jobs import INTERRUPTED, Job, last_runs, run_jobs, run_once
from hanse.postgres import PrivatePostgres

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@contextmanager
def running(db: Database, *jobs: Job) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=run_jobs, args=(db, jobs, stop), kwargs={"check_s": 0.1})
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def runs(db: Database) -> list[JobRun]:
    with db.transaction() as session:
        return list(session.query(JobRun).order_by(JobRun.id))


def ended(db: Database) -> list[JobRun]:
    return [run for run in runs(db) if run.finished_at is not None]


# --- when ---


@pytest.mark.parametrize(
    ("job", "now", "due"),
    [
        (Job("a", str, every_s=60), NOON + timedelta(seconds=59.9), NOON),
        (Job("a", str, every_s=60), NOON, NOON),
        (Job("a", str, every_s=0.5), NOON + timedelta(seconds=0.7), NOON + timedelta(seconds=0.5)),
        (Job("a", str, daily_at="11:59"), NOON, NOON - timedelta(minutes=1)),
        (Job("a", str, daily_at="12:00"), NOON, NOON),
        (Job("a", str, daily_at="12:01"), NOON, NOON - timedelta(days=1) + timedelta(minutes=1)),
    ],
)
def test_due_times_lie_on_a_grid(job: Job, now: datetime, due: datetime) -> None:
    assert job.latest_due(now) == due


@pytest.mark.parametrize(
    "wrong",
    [{}, {"every_s": 1, "daily_at": "12:00"}, {"every_s": 0}, {"daily_at": "noon"}, {"daily_at": "25:00"}],
)
def test_a_job_without_one_right_schedule_is_refused(wrong: dict[str, float | str]) -> None:
    with pytest.raises(ValueError):
        Job("replicate", str, **wrong)  # type: ignore[arg-type]


def test_two_jobs_of_one_name_are_refused(ground: Database) -> None:
    with pytest.raises(ValueError, match="replicate"):
        run_jobs(ground, [Job("replicate", str, every_s=1)] * 2, threading.Event())


# --- one run ---


def test_a_run_is_logged_with_its_sentence(ground: Database) -> None:
    assert run_once(ground, Job("replicate", lambda: "3 sites in step.", daily_at="03:00"), NOON)
    (run,) = runs(ground)
    assert (run.job, run.due_at, run.outcome, run.detail) == ("replicate", NOON, "ok", "3 sites in step.")
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at


def test_a_run_that_raises_is_logged_as_failed_with_the_error(ground: Database) -> None:
    def fail() -> str:
        raise RuntimeError("no route to UKIM")

    assert run_once(ground, Job("replicate", fail, daily_at="03:00"), NOON)
    (run,) = runs(ground)
    assert (run.outcome, run.detail) == ("failed", "RuntimeError: no route to UKIM")


def test_a_due_time_is_run_once(ground: Database) -> None:
    ran: list[int] = []
    job = Job("replicate", lambda: str(ran.append(1)), daily_at="03:00")
    barrier = threading.Barrier(4)
    answers: list[bool] = []

    def run() -> None:
        barrier.wait(10)
        answers.append(run_once(ground, job, NOON))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == [False, False, False, True]
    assert ran == [1]


def test_the_last_run_of_every_job_can_be_read(ground: Database) -> None:
    for hour in range(3):
        for name in ("replicate", "probe"):
            run_once(ground, Job(name, lambda: "done", daily_at="03:00"), NOON + timedelta(hours=hour))
    with ground.transaction() as session:
        assert [(run.job, run.due_at.hour) for run in last_runs(session)] == [
            ("probe", 14),
            ("replicate", 14),
        ]


def test_the_run_log_does_not_grow_for_ever(ground: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanse.jobs.KEPT_RUNS", 5)
    run_once(ground, Job("yearly", lambda: "kept", every_s=1), NOON - timedelta(days=300))
    for second in range(9):
        run_once(ground, Job("often", lambda: "done", every_s=1), NOON + timedelta(seconds=second))
    assert [run.due_at.second for run in runs(ground) if run.job == "often"] == [4, 5, 6, 7, 8]
    assert [run.job for run in runs(ground)].count("yearly") == 1


# --- the schedule ---


def test_jobs_run_as_scheduled_and_every_due_time_once(ground: Database) -> None:
    began = datetime.now(UTC)
    with running(ground, Job("probe", lambda: "done", every_s=0.5)):
        until(lambda: len(ended(ground)) >= 4)
    due = [run.due_at for run in runs(ground)]
    assert len(set(due)) == len(due)
    assert all(each.timestamp() % 0.5 == 0 for each in due)
    steps = {(later - earlier).total_seconds() for earlier, later in pairwise(due)}
    assert 0.5 in steps
    assert began - timedelta(seconds=0.5) <= due[0]


def test_a_missed_daily_run_is_made_up_for_at_start_and_only_once(ground: Database) -> None:
    job = Job(
        "replicate", lambda: "done", daily_at=(datetime.now(UTC) - timedelta(hours=2)).strftime("%H:%M")
    )
    for _ in range(2):
        with running(ground, job, Job("tick", lambda: "tick", every_s=0.2)):
            seen = len(ended(ground))
            until(lambda: len(ended(ground)) > seen + 2)  # noqa: B023
    assert [run.due_at for run in runs(ground) if run.job == "replicate"] == [
        job.latest_due(datetime.now(UTC))
    ]


def test_a_failing_job_does_not_keep_others_or_its_own_next_run_from_running(ground: Database) -> None:
    def fail() -> str:
        raise ValueError("bad")

    with running(ground, Job("bad", fail, every_s=0.3), Job("good", lambda: "done", every_s=0.3)):
        until(lambda: sum(run.job == "bad" for run in ended(ground)) >= 2)
    outcomes = {(run.job, run.outcome) for run in ended(ground)}
    assert outcomes == {("bad", "failed"), ("good", "ok")}


def test_a_slow_job_never_runs_beside_itself(ground: Database) -> None:
    inside = threading.Lock()
    overlaps: list[bool] = []

    def slow() -> str:
        free = inside.acquire(blocking=False)
        overlaps.append(not free)
        time.sleep(0.5)
        inside.release()
        return "done"

    with running(ground, Job("slow", slow, every_s=0.2)):
        until(lambda: len(overlaps) >= 3)
    assert not any(overlaps)


def test_jitter_delays_the_start_and_a_stop_cuts_it_short(ground: Database) -> None:
    with running(ground, Job("replicate", lambda: "done", every_s=3600, jitter_s=3600)) as stop:
        until(lambda: runs(ground))
        stop.set()
    assert runs(ground) == []  # still due: the next start runs it


def test_a_stop_waits_for_the_run_that_is_under_way(ground: Database) -> None:
    began = threading.Event()

    def slow() -> str:
        began.set()
        time.sleep(0.5)
        return "done"

    with running(ground, Job("slow", slow, every_s=3600)):
        assert began.wait(10)
    assert [run.outcome for run in runs(ground)] == ["ok"]


# --- more than one process, and dead ones ---


def test_a_second_scheduler_waits_and_takes_over(ground: Database) -> None:
    who: list[str] = []
    with running(ground, Job("probe", lambda: str(who.append("first")), every_s=0.2)) as stop_first:
        until(lambda: "first" in who)
        with running(ground, Job("probe", lambda: str(who.append("second")), every_s=0.2)):
            time.sleep(0.6)
            assert "second" not in who
            stop_first.set()
            until(lambda: "second" in who)
    due = [run.due_at for run in runs(ground)]
    assert len(set(due)) == len(due)


def _forever(url: str, started: str) -> None:
    def hang() -> str:
        Path(started).touch()
        time.sleep(600)
        return "never"

    run_jobs(Database(url), [Job("replicate", hang, every_s=86400)], threading.Event())


def _killed_in_the_middle(ground: Database, tmp_path: Path) -> None:
    started = tmp_path / "started"
    process = multiprocessing.get_context("spawn").Process(target=_forever, args=(ground.url, str(started)))
    process.start()
    until(started.exists)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    process.close()


def test_a_run_that_was_killed_in_the_middle_is_run_again(ground: Database, tmp_path: Path) -> None:
    _killed_in_the_middle(ground, tmp_path)
    assert [run.outcome for run in runs(ground)] == [None]
    with running(ground, Job("replicate", lambda: "done", every_s=86400)):
        until(lambda: ended(ground))
    assert [(run.outcome, run.detail) for run in runs(ground)] == [("ok", "done")]


def test_a_killed_run_whose_time_is_past_is_marked_interrupted(ground: Database, tmp_path: Path) -> None:
    _killed_in_the_middle(ground, tmp_path)
    with ground.transaction() as session:
        session.execute(text("update job_run set due_at = due_at - interval '3 days'"))
    with running(ground, Job("replicate", lambda: "done", every_s=86400)):
        until(lambda: len(ended(ground)) == 2)
    assert [(run.outcome, run.detail) for run in runs(ground)] == [("failed", INTERRUPTED), ("ok", "done")]


def test_the_scheduler_survives_a_lost_connection(ground: Database) -> None:
    with running(ground, Job("probe", lambda: "done", every_s=0.2)):
        until(lambda: len(ended(ground)) >= 2)
        with ground.transaction() as session:
            session.execute(
                text("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
            )
        seen = len(ended(ground))
        until(lambda: len(ended(ground)) >= seen + 3)


def test_the_scheduler_survives_a_restart_of_postgresql() -> None:
    directory = Path(tempfile.mkdtemp(prefix="hanse-test-pg-"))
    with PrivatePostgres(directory, durable=False) as server:
        db = Database(server.dsn("postgres"))
        GroundBase.metadata.create_all(db.engine)
        with running(db, Job("probe", lambda: "done", every_s=0.2)):
            until(lambda: len(ended(db)) >= 2)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            server.wait(10)
            time.sleep(0.3)
            server.start()
            seen = len(ended(db))
            until(lambda: len(ended(db)) >= seen + 3)
        db.close()
    shutil.rmtree(directory)
