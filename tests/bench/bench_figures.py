"""Days of availability and reliability for 1,000 sites with 10,000 endpoints and 20,000 checks, and their reading."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import text

from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from monitoring.figures import daily, reading
from monitoring.figures.reading import Asked
from monitoring.profiles import defaults, kept
from tests.bench.measure import both, line, times

SITES, ENDPOINTS, DAYS = 1000, 10_000, 3
MONTH_LIMIT_S = 30.0
READ_LIMIT_MS = 100.0
KIND = "eu.egi.cloud.vm-management.occi"

# a tenth of the checks fails for an hour of each day
_FILL = """
insert into site (name) select 'SITE-' || n from generate_series(0, {sites} - 1) n;
insert into endpoint (id, site, service_id, service_type, hostname, url)
  select 'e' || n, 'SITE-' || n % {sites}, 's' || n, '{kind}', 'host' || n || '.example',
    'http://host' || n || '.example:80/'
  from generate_series(0, {endpoints} - 1) n;
insert into topology_row (endpoint_id, first_day, site, ngi, service_type, service_id, hostname, url, production,
    certification)
  select id, '{first}', site, 'NGI_' || (substr(site, 6)::int % 40), service_type, service_id, hostname, url, true,
    'Certified'
  from endpoint;
insert into probe_check (endpoint_id, probe, host, period_s, retry_s, deadline_s, next_at)
  select id, probe, hostname, 300, 60, 10, now() + interval '1 year'
  from endpoint, unnest(array['tcp', 'occi-categories']) probe;
insert into status_change (level, subject, at, state, written_at)
  select 'check', id::text, '{first}', 'ok', '{first}' from probe_check;
insert into status_change (level, subject, at, state, written_at)
  select 'check', id::text, at, state, at from probe_check, generate_series(0, {days} - 1) d,
    lateral (values ('{first}'::timestamptz + make_interval(days => d, hours => 5), 'critical'),
                    ('{first}'::timestamptz + make_interval(days => d, hours => 6), 'ok')) as changed (at, state)
  where id % 10 = 0;
analyze;
"""


@contextmanager
def _house() -> Iterator[Database]:
    server = PrivatePostgres(Path(mkdtemp(prefix="hanse-bench-pg-")), durable=False)
    server.start()
    try:
        server.create_database("monitoring")
        upgrade("monitoring", server.dsn("monitoring"))
        db = Database(server.dsn("monitoring"))
        yield db
        db.close()
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


def main() -> None:
    """Print the lines."""
    first = (datetime.now(UTC) - timedelta(days=DAYS + 1)).date()
    with _house() as db:
        with db.transaction() as session:
            given = {"sites": SITES, "endpoints": ENDPOINTS, "kind": KIND, "first": first, "days": DAYS}
            session.execute(text(_FILL.format(**given)))
            defaults.keep(session, {KIND: ("tcp", "occi-categories")}, "bench", date.today())
        _computing(db, first)
        _reading(db, first)


def _computing(db: Database, first: date) -> None:
    began, busy = time.perf_counter(), time.process_time()
    for number in range(DAYS):
        daily.make_day(db, first + timedelta(days=number))
    worked = (time.process_time() - busy) / DAYS
    took = (time.perf_counter() - began) / DAYS
    line("A day of 1,000 sites, CPU", worked, "s")
    line("A month of 1,000 sites (30 days), clock", took * 30, "s", limit=MONTH_LIMIT_S)


def _reading(db: Database, first: date) -> None:
    last = first + timedelta(days=DAYS - 1)
    with db.transaction() as session:
        (report,) = kept.in_force(session, "report", last)

    def month(_: int) -> None:
        with db.transaction() as session:
            reading.results(session, Asked(report.id, "site", first, last), "custom")
            reading.of_ngis(session, Asked(report.id, "site", first, last), "custom")

    both(f"Figures of all sites and NGIs, {DAYS} days", times(month, calls=20, warm=2), limit=READ_LIMIT_MS)
