"""Loading: signed messages of 1,000 records from the inbox to queryable summaries, by two loaders.

Beside it the bare limit: two processes that only parse the same text to typed rows, COPY them to a staging table and
upsert, a commit a message; without checks, signatures, inbox, months and summaries.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psycopg
import structlog
from sqlalchemy import text

from accounting import inbox, summaries
from accounting.cli import BEHIND_THE_INBOX
from accounting.inbox import Arrival, Inbox, Sender
from accounting.worker import Worker
from hanse.database import Database
from tests.accounting.records import message, record
from tests.bench.accounting_house import House, open_house, send, signed_texts, texts
from tests.bench.big_usage import bytes_a_vm_month, fill, months
from tests.bench.measure import line

LOADERS = 2
LEAST_RATIO, LEAST_RATE = 0.6, 15_000
P99_MS, MEMORY_MB, RESEND_S = 50, 300, 1.0
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


def main(
    messages: int = int(os.environ.get("HANSE_BENCH_MESSAGES", "200")),
    sites: int = 20,
    vm_months: tuple[int, ...] = tuple(
        map(int, os.environ.get("HANSE_BENCH_VM_MONTHS", "100000").split(","))
    ),
) -> None:
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
    less_favourable(house, db, made, sites)
    memory(house, db, made)
    accepting(house, db, made)
    for size in vm_months:
        sent_again(house, db, size)


def less_favourable(house: House, db: Database, made: Sequence[tuple[str, str]], sites: int) -> None:
    """What gains less from what was learnt before: each site has one message waiting at a time, so that every report
    of a machine is counted alone; and machines that were never heard of.
    """
    together = inbox.LOOKED_AT
    inbox.LOOKED_AT = sites  # the loaders are copies of this process
    alone = pipeline(house, db, made)
    inbox.LOOKED_AT = together
    unknown = [
        (site, body.replace("VMUUID: ", f"VMUUID: {number}-")) for number, (site, body) in enumerate(made)
    ]
    bare, fresh = bare_limit(house, db, unknown), pipeline(house, db, unknown)
    line("one message a site at a time, processor time a record", alone.cost, "us", "bare limit", bare.cost)
    line("machines never heard of, processor time a record", fresh.cost, "us", "bare limit", bare.cost)


def memory(house: House, db: Database, made: Sequence[tuple[str, str]]) -> None:
    """The largest that the worker of the command line gets, with all messages waiting."""
    house.empty(db)
    send(house, db, made)
    config = house.folder / "hanse.toml"
    config.write_text(
        f'[accounting]\ndatabase_url = "{house.url}"\nsecret_key = "a secret of the bench alone"\n'
        f'trust_dir = "{house.envelope.trust.directory}"\n'
        f'tls_cert = "{house.envelope.certificate}"\ntls_key = "{house.envelope.key}"\n'
    )
    hanse = str(Path(sys.executable).with_name("hanse"))
    process = subprocess.Popen(
        [hanse, "--config", str(config), "accounting", "worker", "--once"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    largest = 0.0
    while process.poll() is None:
        largest = max(largest, _largest_mb(process.pid))
        time.sleep(0.1)
    assert process.returncode == 0
    line(f"memory of a loader, {len(made)} messages waiting", largest, "MB", limit=MEMORY_MB)


def _largest_mb(pid: int) -> float:
    """The largest that a process ever was since its program began (what it was before, as a copy of this one, is in
    what `wait4` tells); 0 when it is gone.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    said = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(said[0].split()[1]) * 1024 / 1e6 if said else 0.0


def accepting(house: House, db: Database, made: Sequence[tuple[str, str]], seconds: float = 10) -> None:
    """A message of 100 records each 20 ms into the inbox, while two loaders work off what waits."""
    house.empty(db)
    send(house, db, made)
    small = [signed for _, signed in signed_texts(house, texts(list(house.hosts), int(seconds * 50), 100))]
    box, sender = Inbox(db, 10_000_000), Sender("token:bench", "bench", "")
    begin = CONTEXT.Event()
    loaders = [CONTEXT.Process(target=_when, args=(begin, _load, house)) for _ in range(LOADERS)]
    for process in loaders:
        process.start()
    begin.set()
    time.sleep(0.5)
    taken, first = [], time.perf_counter()
    with ThreadPoolExecutor(8) as threads:

        def accept(number: int) -> None:
            due = first + number * 0.02
            time.sleep(max(0.0, due - time.perf_counter()))
            box.accept([Arrival(small[number], f"small/{number}")], sender, source="ams")
            taken.append(
                (time.perf_counter() - due) * 1000
            )  # of the moment when it was due, else a jam hides itself

        list(threads.map(accept, range(len(small))))
    loading = any(process.is_alive() for process in loaders)
    for process in loaders:
        process.join()
    line("accepting at 50/s while loading, p50", statistics.median(taken), "ms")
    line("accepting at 50/s while loading, p99", statistics.quantiles(taken, n=100)[98], "ms", limit=P99_MS)
    if not loading:
        print("  (the loaders were done before: more messages are needed)")


def sent_again(house: House, db: Database, vm_months: int) -> None:
    """One message of 1,000 records whose machines are stored already, again with other figures: counted and summed."""
    fill(house, db, vm_months)
    site, latest = next(iter(house.hosts)), months()[-1]
    at = int(datetime(latest.year, latest.month, 1, tzinfo=UTC).timestamp())
    loader = house.loader(db)
    reports = [
        record(
            site, f"vm-{n}", RecordCreateTime=at, StartTime=at - 365 * 86_400, WallDuration=364 * 86_400 - n
        )
        for n in range(min(1000, vm_months // len(house.hosts) // 12))
    ]
    numbers = send(
        house, db, [(site, message(*reports)), (site, message(*reports, version="v0.2"))], f"{vm_months}"
    )
    took = []
    for number in numbers:
        began = time.perf_counter()
        outcome = loader.load(number)
        summaries.summarise(db)
        took.append(time.perf_counter() - began)
        assert outcome is not None
        assert outcome.loaded == len(reports), outcome
    name = f"at {vm_months:,} VM-months"
    line(f"a message sent anew, {name}", took[0], "s", "again the same", took[1], limit=RESEND_S)
    line(f"size of tables and indexes, {name}", bytes_a_vm_month(db), "bytes each")


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
    os.nice(BEHIND_THE_INBOX)
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
