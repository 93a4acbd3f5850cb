"""Reads of the past against reads of now, over HTTP, with five years of log: `as_of` within twice the time.

The log is of `years_of_log`: 22 states of each of 20,000 services, 60 of each of 1,000 sites.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from registry.app import create_app
from registry.settings import RegistrySettings
from tests.bench import years_of_log
from tests.bench.measure import line

MOMENT = years_of_log.REVISIONS // 2
TURNS, WARM_UP = 40, 5
LIMIT = 2.0
READS = {
    "one site": "/api/v1/sites/SITE-0500",
    "one service": "/api/v1/services/777",
    "sites, a page": "/api/v1/sites?limit=100",
    "sites of a VO": "/api/v1/sites?vo=chipster&limit=100",
    "sites of an NGI": "/api/v1/sites?ngi=NGI_7",
    "services, a page": "/api/v1/services?limit=100",
    "services of a site": "/api/v1/services?site=SITE-0500",
    "services on a host": "/api/v1/services?hostname=occi777.site.example",
    "endpoints of a site": "/api/v1/endpoints?site=SITE-0500",
    "all sites": "/api/v1/sites?limit=1000",
}


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one read, now and as of 2.5 years ago: the middle and the 95th of a hundred."""

    name: str
    now: float
    now_p95: float
    then: float
    then_p95: float

    @property
    def ratio(self) -> float:
        """How much longer the past takes."""
        return self.then / self.now


@contextmanager
def years() -> Iterator[Database]:
    """A registry with five years of log in a private PostgreSQL."""
    directory = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    server = PrivatePostgres(directory, durable=False)
    try:
        server.start()
        server.create_database("registry")
        upgrade("registry", server.dsn("registry"))
        db = Database(server.dsn("registry"))
        years_of_log.write(db)
        yield db
        db.close()
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def measure(db: Database) -> list[Measured]:
    """Each read in turn, now and then, so that a busy moment hits both."""
    settings = RegistrySettings(
        service="registry",
        database_url=db.url,
        secret_key="a secret of the bench alone",
        trust_dir=Path("/nowhere"),
    )
    app = create_app(settings)
    found = []
    try:
        for name, path in READS.items():
            now, then = [], []
            past = f"{path}{'&' if '?' in path else '?'}as_of={MOMENT}"
            for turn in range(TURNS + WARM_UP):
                for times, address in ((now, path), (then, past)):
                    took = _ask(app, address)
                    if turn >= WARM_UP:
                        times.append(took)
            found.append(
                Measured(name, statistics.median(now), _p95(now), statistics.median(then), _p95(then))
            )
    finally:
        app.extensions["hanse"].db.close()
    return found


def _ask(app: Flask, path: str) -> float:
    begun = time.perf_counter()
    answer = app.test_client().get(path)
    took = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 200, answer.text[:300]
    return took


def _p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def main() -> None:
    """Print the figures; raises when a read of the past takes more than twice the time."""
    with years() as db:
        found = measure(db)
    for one in found:
        line(f"{one.name}, as of 2.5 years ago, p50", one.then, "ms", "now", one.now)
        line(f"{one.name}, as of 2.5 years ago, p95", one.then_p95, "ms", "now", one.now_p95)
        line(f"{one.name}, as_of / now", one.ratio, "times", limit=LIMIT)
    slow = [one.name for one in found if one.ratio > LIMIT]
    if slow:
        raise AssertionError(f"the past takes more than {LIMIT:g} times as long: {', '.join(slow)}")
