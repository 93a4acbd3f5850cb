"""Reads of the past against reads of now, over HTTP, with five years of log: `as_of` within twice the time.

The log is of `years_of_log`: 22 states of each of 20,000 services, 60 of each of 1,000 sites. People, clouds, the
overview and the federation file are read from `big_registry` with `big_people`, as they stood before the last hundred
changes.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from werkzeug.test import TestResponse

from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from hanse.revisions import head
from registry.app import create_app
from registry.settings import RegistrySettings
from tests.bench import big_people, years_of_log
from tests.bench.big_registry import FULL, Size, big_registry
from tests.bench.measure import line
from tests.bench.stand_in import StandIn
from tests.registry.conftest import Registry, close

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


OF_PEOPLE = {
    "people, a page": "/api/v1/people?limit=100",
    "people of a name": "/api/v1/people?q=Person 19&limit=100",
    "one person": "/api/v1/people/PERSON",
    "roles, a page": "/api/v1/roles?limit=100",
    "requests for roles": "/api/v1/role-requests",
    "the search for a cloud": "/api/v1/clouds?vo=chipster&cores=4",
    "drift of all": "/api/v1/drift",
    "the overview": "/api/v1/overview",
    "page /people": "/people",
    "page /roles": "/roles",
    "page /clouds": "/clouds",
    "page /": "/",
    "page /mine": "/mine",
    "page /history": "/history",
}
SLOW = {"the federation file": "/api/v1/federation/export"}
CHANGES, SLOW_TURNS = 100, 3


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one read, now and then: the middle and the 95th of all turns."""

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
    """The reads of `READS`, now and 2.5 years ago."""
    settings = RegistrySettings(
        service="registry",
        database_url=db.url,
        secret_key="a secret of the bench alone",
        trust_dir=Path("/nowhere"),
    )
    app = create_app(settings)
    try:
        return [_both(app.test_client().get, name, path, MOMENT, TURNS) for name, path in READS.items()]
    finally:
        app.extensions["hanse"].db.close()


def measure_people(size: Size = FULL) -> list[Measured]:
    """The reads of `OF_PEOPLE` and `SLOW`, now and before the last changes."""
    made = big_registry(size)
    others = StandIn([f"SITE-{number:04}" for number in range(1, size.sites + 1)])
    urls = {f"{name}_url": others.url(name) for name in ("monitoring", "accounting", "vomsdb")}
    settings = made.settings.model_copy(update=urls)
    registry = Registry(create_app(settings), made.db, settings, made.tokens)
    try:
        big_people.add(registry)
        with made.db.transaction() as session:
            moment = head(session)
            person = session.execute(text("select max(id) from person")).scalar_one()
        for number in range(1, min(CHANGES, size.sites) + 1):
            registry.send("PATCH", f"/api/v1/sites/SITE-{number:04}", {"location": f"Town {number}"})
        every = [(name, path, TURNS) for name, path in OF_PEOPLE.items()]
        every += [(name, path, SLOW_TURNS) for name, path in SLOW.items()]
        return [
            _both(
                lambda address: registry.ask("GET", address),
                name,
                path.replace("PERSON", str(person)),
                moment,
                turns,
            )
            for name, path, turns in every
        ]
    finally:
        others.close()
        close(registry)


def _both(ask: Callable[[str], TestResponse], name: str, path: str, moment: int, turns: int) -> Measured:
    """A read in turn now and then, so that a busy moment hits both."""
    now, then = [], []
    past = f"{path}{'&' if '?' in path else '?'}as_of={moment}"
    warm_up = min(WARM_UP, turns)
    for turn in range(turns + warm_up):
        for times, address in ((now, path), (then, past)):
            begun = time.perf_counter()
            answer = ask(address)
            took = (time.perf_counter() - begun) * 1000
            assert answer.status_code == 200, answer.text[:300]
            if turn >= warm_up:
                times.append(took)
    return Measured(name, statistics.median(now), _p95(now), statistics.median(then), _p95(then))


def _p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def main() -> None:
    """Print the figures; raises when a read of the past takes more than twice the time."""
    with years() as db:
        found = measure(db)
    found += measure_people()
    for one in found:
        line(f"{one.name}, of the past, p50", one.then, "ms", "now", one.now)
        line(f"{one.name}, of the past, p95", one.then_p95, "ms", "now", one.now_p95)
        line(f"{one.name}, as_of / now", one.ratio, "times", limit=LIMIT)
    slow = [one.name for one in found if one.ratio > LIMIT]
    if slow:
        raise AssertionError(f"the past takes more than {LIMIT:g} times as long: {', '.join(slow)}")
