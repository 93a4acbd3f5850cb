"""Records that are not of machines: signed messages of 1,000 each from the inbox to queryable summaries, by one loader.

Beside each kind what reading it alone costs, without signature, inbox, tables and summaries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from accounting.formats import recognise
from accounting.formats.records import Judging
from accounting.worker import Worker
from hanse.database import Database
from tests.accounting.other_records import (
    MONTH,
    accelerator,
    accelerators,
    address,
    addresses,
    job,
    job_summaries,
    job_summary,
    jobs,
    storage,
    volume,
)
from tests.accounting.records import NOW, epoch
from tests.bench.accounting_house import House, open_house, send
from tests.bench.measure import line

RECORDS = 1000
LEAST_JOBS = 1247
"""APEL's loader, jobs, records/s on a machine of two cores."""
Writer = Callable[[str, int], str]


def _jobs(site: str, tick: int) -> str:
    ended = epoch(MONTH) + tick * 60
    times = {"StartTime": ended - 3600, "EndTime": ended}
    return jobs(
        *[job(site, f"{tick}-{n}", GlobalUserName=f"/CN=Person {n % 100}", **times) for n in range(RECORDS)]
    )


def _summaries(site: str, tick: int) -> str:
    return job_summaries(*[job_summary(site, SubmitHost=f"ce{tick}", VO=f"vo{n}") for n in range(RECORDS)])


def _storage(site: str, tick: int) -> str:
    begin = MONTH + timedelta(hours=tick)
    end = begin + timedelta(hours=1)
    return storage(
        [volume(begin, end, 5, site=site, record=f"v{n}", user=f"u{n % 100}") for n in range(RECORDS)]
    )


def _accelerators(site: str, tick: int) -> str:
    return accelerators(*[accelerator(site, f"vm{tick}-{n}") for n in range(RECORDS)])


def _addresses(site: str, tick: int) -> str:
    at = MONTH + timedelta(hours=tick)
    return addresses(*[address(site, at, LocalGroup=f"g{n % 10}", LocalUser=f"u{n}") for n in range(RECORDS)])


KINDS: dict[str, Writer] = {
    "jobs": _jobs, "job summaries": _summaries, "storage (XML)": _storage, "accelerators (JSON)": _accelerators,
    "public addresses (JSON)": _addresses,
}  # fmt: skip


def main(messages: int = int(os.environ.get("HANSE_BENCH_RECORDS", "40")), sites: int = 4) -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    house, db = open_house(sites)
    for kind, write in KINDS.items():
        names = list(house.hosts)
        made = [(names[n % sites], write(names[n % sites], n // sites)) for n in range(messages)]
        bare = messages * RECORDS / _reading([text for _, text in made])
        least = LEAST_JOBS if kind == "jobs" else None
        loaded = _loading(house, db, made, kind)
        line(
            f"{kind}, inbox to summaries", loaded, "rec/s", "reading alone", bare, limit=least, at_least=True
        )


def _reading(texts: list[str]) -> float:
    began = time.perf_counter()
    for text in texts:
        for reading in recognise(text)[0].read(text, Judging(epoch(NOW))):
            assert reading.row is not None, reading.faults
    return time.perf_counter() - began


def _loading(house: House, db: Database, made: list[tuple[str, str]], tag: str) -> float:
    send(house, db, made, tag)
    worker = Worker(house.loader(db))
    began = time.perf_counter()
    while worker.work():
        pass
    return len(made) * RECORDS / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
