"""Loading: signed messages of 1,000 records from the inbox to queryable summaries, by two loaders.

Beside it the bare limit: two processes that only parse the same text to typed rows, COPY them to a staging table and
upsert, a commit a message; without checks, signatures, inbox, months and summaries.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psycopg
import structlog
from sqlalchemy import text

from accounting.worker import Worker
from hanse.database import Database
from tests.bench.accounting_house import House, open_house, send, texts
from tests.bench.measure import line

LOADERS = 2
LEAST_RATIO, LEAST_RATE = 0.6, 15_000
CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Run:
    """How long a run took by the clock, and the processor time of all its processes and their database's."""

    seconds: float
    cpu_s: float
    database_s: float
    records: int

    @property
    def rate(self) -> float:
        """Records a second by the clock."""
        return self.records / self.seconds

    @property
    def cost(self) -> float:
        """Processor time a record, in microseconds: what others on the machine change least."""
        return (self.cpu_s + self.database_s) / self.records * 1e6

    @property
    def database_cost(self) -> float:
        """The part of the database in it."""
        return self.database_s / self.records * 1e6


def main(messages: int = 200, sites: int = 20) -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    house, db = open_house(sites)
    made = texts(list(house.hosts), messages)
    bare_limit(house, db, made[: max(4, messages // 10)])  # once to warm up
    bare = bare_limit(house, db, made)
    whole = pipeline(house, db, made)
    line("two loaders, from the inbox to summaries", whole.rate, "rec/s", "bare limit", bare.rate)
    line("the same, processor time a record", whole.cost, "us", "bare limit", bare.cost)
    line("of it the database", whole.database_cost, "us", "bare limit", bare.database_cost)
    line("of the bare limit, by the clock", whole.rate / bare.rate, "", limit=LEAST_RATIO, at_least=True)
    line("of the bare limit, by processor time", bare.cost / whole.cost, "")
    line("records a second on a quiet machine", whole.rate, "rec/s", limit=LEAST_RATE, at_least=True)


def pipeline(house: House, db: Database, made: Sequence[tuple[str, str]]) -> Run:
    """All of it: claim, verify, judge, store, cut by month and day, sum."""
    house.empty(db)
    send(house, db, made)
    run = timed(house, [_load] * LOADERS, [house] * LOADERS, sum(body.count("VMUUID:") for _, body in made))
    with db.transaction() as session:
        waiting, due = session.execute(
            text(
                "select (select count(*) from message where state = 'waiting'), (select count(*) from summary_due)"
            )
        ).one()
        wall = session.scalar(text("select sum(wall_s) from usage_summary"))
        counted = session.scalar(text("select sum(used_wall_s) from vm_snapshot"))
    assert (waiting, due, wall) == (0, 0, counted), (waiting, due, wall, counted)
    return run


def _load(house: House) -> None:
    db = Database(house.url)
    worker = Worker(house.loader(db))
    while worker.work():
        pass


def timed(house: House, calls: Sequence[Callable[[Any], None]], given: Sequence[Any], records: int) -> Run:
    """Run the calls in processes of their own that begin together."""
    begin = CONTEXT.Event()
    processes = [
        CONTEXT.Process(target=_when, args=(begin, call, one)) for call, one in zip(calls, given, strict=True)
    ]
    for process in processes:
        process.start()
    time.sleep(0.5)  # until they wait
    database = _database_s(house)
    children = os.times()
    began = time.perf_counter()
    begin.set()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    seconds = time.perf_counter() - began
    after = os.times()
    worked = after.children_user + after.children_system - children.children_user - children.children_system
    return Run(seconds, worked, _database_s(house) - database, records)


def _when(begin: Event, call: Callable[[Any], None], given: Any) -> None:
    begin.wait()
    call(given)
    os._exit(0)  # the parent's server and folders are the parent's


def _database_s(house: House) -> float:
    """Processor seconds of the server and of all that it ever started."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if house.server.pid in (int(path.parent.name), int(fields[1])):
            # of the server also the waited-for children, else what ended with its connection is lost
            ended = slice(11, 15) if int(path.parent.name) == house.server.pid else slice(11, 13)
            ticks += sum(map(int, fields[ended]))
    return ticks / os.sysconf("SC_CLK_TCK")


# --- the bare limit ---

TIMES = {"RecordCreateTime": "measured_at", "StartTime": "started_at", "EndTime": "ended_at"}
INTEGERS = {
    "WallDuration": "wall_s", "CpuDuration": "cpu_s", "SuspendDuration": "suspend_s", "NetworkInbound": "network_in",
    "NetworkOutbound": "network_out", "Memory": "memory_mb", "Disk": "disk_gb", "PublicIPCount": "public_ips",
}  # fmt: skip
TEXTS = {
    "SiteName": "site", "VMUUID": "vmuuid", "CloudComputeService": "service", "MachineName": "machine_name",
    "LocalUserId": "local_user", "LocalGroupId": "local_group", "GlobalUserName": "user_name", "FQAN": "fqan",
    "Status": "status", "NetworkType": "network_type", "BenchmarkType": "benchmark_type",
    "StorageRecordId": "storage_record", "ImageId": "image", "CloudType": "cloud_type",
}  # fmt: skip
COLUMNS = (
    "message_id", "receipt", *TEXTS.values(), *TIMES.values(), *INTEGERS.values(), "cpu_count", "benchmark",
    "vo", "vo_group", "vo_role",
)  # fmt: skip
KEY = "site, vmuuid, measured_at"


def bare_limit(house: House, db: Database, made: Sequence[tuple[str, str]]) -> Run:
    """Two processes, each with every other message."""
    house.empty(db)
    bodies = [(number, body) for number, (_, body) in enumerate(made)]
    halves = [(house.url, bodies[n::LOADERS]) for n in range(LOADERS)]
    run = timed(house, [_bare] * LOADERS, halves, sum(body.count("VMUUID:") for _, body in made))
    with db.transaction() as session:
        assert session.scalar(text("select count(*) from vm_snapshot")) == run.records
    return run


def _bare(given: tuple[str, list[tuple[int, str]]]) -> None:
    url, bodies = given
    listed = ", ".join(COLUMNS)
    renewed = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in KEY)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table staging (like vm_snapshot) on commit delete rows")
        connection.commit()
        for number, body in bodies:
            with cursor.copy(f"copy staging ({listed}) from stdin") as copy:
                for row in _rows(number, body):
                    copy.write_row(row)
            cursor.execute(
                f"insert into vm_snapshot ({listed}) select {listed} from staging on conflict ({KEY}) do update set"
                f" {renewed} where vm_snapshot.receipt <= excluded.receipt"
            )
            connection.commit()


def _rows(number: int, body: str) -> list[tuple[object, ...]]:
    rows = []
    for block in body.partition("\n")[2].split("%%\n"):
        fields = {}
        for one in block.splitlines():
            key, _, value = one.partition(":")
            value = value.strip()
            fields[key] = None if value in ("None", "") else value
        vo, group, role = _fqan(fields["FQAN"] or "")
        rows.append((
            number, number, *[fields.get(key) or "" for key in TEXTS],
            *[_time(fields.get(key)) for key in TIMES], *[_integer(fields.get(key)) for key in INTEGERS],
            Decimal(fields["CpuCount"] or 0), Decimal(fields.get("Benchmark") or 0), vo, group, role,
        ))  # fmt: skip
    return rows


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(int(value), UTC)


def _integer(value: str | None) -> int | None:
    return None if value is None else int(value)


def _fqan(fqan: str) -> tuple[str, str, str]:
    pieces = fqan.split("/")[1:]
    groups = [piece for piece in pieces if "=" not in piece]
    roles = [piece for piece in pieces if piece.startswith("Role=")]
    return groups[0], "/" + "/".join(groups), roles[0] if roles else ""


if __name__ == "__main__":
    main()
