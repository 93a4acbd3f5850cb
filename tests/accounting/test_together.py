"""Several loaders and summarisers on records of all kinds at once: nothing is counted twice, none waits for ever."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select
from structlog.testing import capture_logs

from accounting import summaries
from accounting.loading import make_loader
from accounting.models import AcceleratorSummary, JobSummary, SummaryDue, UsageSummary
from tests.accounting.conftest import House
from tests.accounting.other_records import (
    MONTH,
    accelerator,
    accelerators,
    cloud_summaries,
    cloud_summary,
    job,
    job_summaries,
    job_summary,
    jobs,
)
from tests.accounting.records import epoch, message, record

SITES = ("BIFI", "CESNET")


def texts(round_: int) -> list[str]:
    """Messages of both sites: what counts, and what must not count beside it."""
    at = epoch(MONTH)
    machine = {"RecordCreateTime": at, "StartTime": at - 60, "WallDuration": 60, "CpuDuration": 240}
    return [
        jobs(*[job(site, f"j{round_}-{n}") for site in SITES for n in range(5)]),
        job_summaries(*[job_summary(site, VO=f"vo{round_}") for site in SITES]),
        message(*[record(site, f"vm{round_}", **machine) for site in SITES]),
        cloud_summaries(*[cloud_summary(site, VO=f"vo{round_}") for site in SITES]),
        accelerators(*[accelerator(site, f"vm{round_}") for site in SITES]),
    ]


def test_loaders_and_summarisers_at_once_count_each_record_once(house: House) -> None:
    for round_ in range(6):
        waiting = texts(round_)
        random.Random(round_).shuffle(waiting)
        for text in waiting:
            house.receive(text, source="load")

    def load() -> int:
        loader, count = make_loader(house.settings, house.db), 0
        while outcomes := loader.load_batch():
            count += len(outcomes)
            summaries.summarise(house.db)
        return count

    with capture_logs() as logs, ThreadPoolExecutor(3) as pool:
        assert sum(each.result(timeout=120) for each in [pool.submit(load) for _ in range(3)]) == 30
    assert [line for line in logs if line.get("exc_info")] == []
    summaries.summarise(house.db)
    with house.db.transaction() as session:
        assert session.scalar(select(func.count()).select_from(SummaryDue)) == 0
        told = select(func.sum(JobSummary.jobs), func.count(JobSummary.origin.distinct())).group_by(
            JobSummary.site
        )
        assert session.execute(told).all() == [(30, 1), (30, 1)]
        used = select(func.sum(UsageSummary.wall_s), func.sum(UsageSummary.vms)).group_by(UsageSummary.site)
        assert session.execute(used).all() == [(360, 6), (360, 6)]
        gpus = select(func.sum(AcceleratorSummary.available_s)).group_by(AcceleratorSummary.site)
        assert session.scalars(gpus).all() == [6 * 10800, 6 * 10800]
