"""Probing 2,000 HTTP targets on a local server with one worker, from schedule to judgement, by CPU time of a check.

Beside it the worker's own storing, one transaction a result and many at once.
"""

from __future__ import annotations

import http.server
import multiprocessing
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from monitoring.alerts import audience_of
from monitoring.bulk import record_quiet
from monitoring.findings import Result, Status
from monitoring.models import Check, StoredResult
from monitoring.recording import Bench, Outcome, record
from monitoring.schedule import Lease
from monitoring.settings import MonitoringSettings
from monitoring.worker import ProbeWorker
from tests.bench.measure import line
from tests.monitoring.federation import Federation

TARGETS = 2000
LIMIT_MS = 0.75  # half of Prometheus with blackbox_exporter, measured on a machine of two cores


class _Quiet(http.server.BaseHTTPRequestHandler):
    """Answers 200 with a short page."""

    def do_GET(self) -> None:
        body = b"<html><body>" + b"x" * 60 + b"</body></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def _house() -> Iterator[tuple[Database, MonitoringSettings]]:
    with TemporaryDirectory(prefix="hanse-bench-") as folder:
        server = PrivatePostgres(Path(mkdtemp(prefix="hanse-bench-pg-")), durable=False)
        server.start()
        try:
            server.create_database("monitoring")
            upgrade("monitoring", server.dsn("monitoring"))
            db = Database(server.dsn("monitoring"))
            settings = MonitoringSettings.model_validate(
                {
                    "service": "monitoring",
                    "database_url": db.url,
                    "secret_key": "a secret of the bench alone",
                    "data_dir": Path(folder),
                    "trust_dir": Path(folder),
                    "per_host": 100,
                    "probes_by_service_type": {"*": ["http"]},
                }
            )
            yield db, settings
            db.close()
        finally:
            server.stop()
            shutil.rmtree(server.directory, ignore_errors=True)


def _targets(federation: Federation, port: int) -> None:
    for number in range(TARGETS):
        url = f"http://127.0.0.1:{port}/{number}"
        federation.endpoint("BIFI", url, service_type="bench", number=f"target-{number}")
    federation.adopt()


def _due_again(session: Session) -> None:
    session.execute(update(Check).values(next_at=func.clock_timestamp(), lease_until=None, lease_owner=None))


def _outcomes(session: Session, round_: int) -> list[Outcome]:
    now = datetime.now(UTC)
    result = Result(Status.OK, "200, 86 bytes", "", 0.002)
    return [
        Outcome(
            Lease(
                check.id,
                f"bench {round_}",
                "http",
                "",
                check.host,
                {},
                20,
                now,
                None,
                now + timedelta(seconds=30),
            ),
            result,
            now,
            "bench",
        )
        for check in session.scalars(select(Check).order_by(Check.id))
    ]


def _storing(db: Database, bench: Bench) -> None:
    with db.transaction() as session:
        first, second, third = (_outcomes(session, number) for number in range(3))
    for outcome in first:  # the first of each is judged
        with db.transaction() as session:
            record(session, outcome, bench)
    busy = time.process_time()
    for outcome in second:
        with db.transaction() as session:
            record(session, outcome, bench)
    alone = (time.process_time() - busy) * 1000 / len(second)
    busy = time.process_time()
    for start in range(0, len(third), 200):
        with db.transaction() as session:
            record_quiet(session, third[start : start + 200], bench)
    together = (time.process_time() - busy) * 1000 / len(third)
    line("Storing a result that changes nothing, CPU", together, "ms", "one transaction each", alone)


def _probing(db: Database, settings: MonitoringSettings) -> None:
    with db.transaction() as session:
        _due_again(session)
        before = session.scalar(select(func.count()).select_from(StoredResult)) or 0
    stop = threading.Event()
    worker = ProbeWorker(db, settings, name="bench")
    thread = threading.Thread(target=worker.run, args=(stop,))
    began, busy = time.perf_counter(), time.process_time()
    thread.start()
    stored = 0
    while stored < TARGETS and time.perf_counter() - began < 240:
        time.sleep(0.2)
        with db.transaction() as session:
            stored = (session.scalar(text("select count(*) from result")) or 0) - before
    took, worked = time.perf_counter() - began, time.process_time() - busy
    stop.set()
    thread.join()
    line("HTTP checks, schedule to store, CPU a check", worked * 1000 / max(stored, 1), "ms", limit=LIMIT_MS)
    line("HTTP checks of one worker", stored / took, "/s")


def _serve(told: Connection) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    told.send(server.server_address[1])
    server.serve_forever()


def main() -> None:
    """Print the lines."""
    heard, told = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(told,), daemon=True)
    server.start()  # a process of its own: its work is not ours
    try:
        port = heard.recv()
        with _house() as (db, settings):
            _targets(Federation(db, settings), port)
            _storing(db, Bench(settings.rules, audience_of(settings)))
            _probing(db, settings)
    finally:
        server.terminate()
        server.join()
