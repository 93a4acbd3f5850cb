"""Jobs and their summaries in the tables: one key one job, normalised after summing, nothing counted twice."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from accounting.models import JobRecord, JobSummary, Overlap, Remark, SyncCount
from tests.accounting.conftest import House
from tests.accounting.other_records import (
    MONTH,
    job,
    job_summaries,
    job_summary,
    jobs,
    normalised,
    sample,
)
from tests.accounting.records import epoch, months_ago


def summaries(house: House) -> list[JobSummary]:
    with house.db.transaction() as session:
        return list(
            session.scalars(select(JobSummary).order_by(JobSummary.site, JobSummary.month, JobSummary.part))
        )


def overlaps(house: House) -> list[tuple[str, str, str, int, int]]:
    with house.db.transaction() as session:
        rows = session.scalars(select(Overlap).order_by(Overlap.origin)).all()
        return [(row.kind, row.origin, row.counted, row.records, row.cpu_s) for row in rows]


def total(house: House) -> tuple[int, int, int]:
    """Jobs, wall and CPU seconds of all summaries."""
    rows = summaries(house)
    return sum(row.jobs for row in rows), sum(row.wall_s for row in rows), sum(row.cpu_s for row in rows)


def test_jobs_count_in_the_month_in_which_they_ended(house: House) -> None:
    ended = epoch(months_ago(2))
    outcome = house.load(
        jobs(job(job_id="a"), job(job_id="b", StartTime=ended - 60, EndTime=ended, WallDuration=60))
    )
    assert (outcome.loaded, outcome.refused) == (2, 0)
    found = {f"{row.month:%Y-%m}": (row.jobs, row.wall_s) for row in summaries(house)}
    assert found == {f"{MONTH:%Y-%m}": (1, 3600), f"{months_ago(2):%Y-%m}": (1, 60)}


def test_the_same_job_sent_again_replaces_the_first_and_another_end_is_another_job(house: House) -> None:
    house.load(jobs(job(), job(job_id="other")))
    house.load(jobs(job(CpuDuration=20000), job(EndTime=epoch(MONTH) + 1)))
    assert total(house) == (3, 3 * 3600, 20000 + 27000 + 27000)


def test_an_older_receipt_does_not_replace_a_newer_one(house: House) -> None:
    first = house.receive(jobs(job(CpuDuration=1)), source="load")
    house.load(jobs(job(CpuDuration=2)))
    house.loader.load(first)
    with house.db.transaction() as session:
        assert session.scalars(select(JobRecord.cpu_s)).all() == [2]


def test_of_two_records_of_one_job_in_a_message_the_last_counts(house: House) -> None:
    house.load(jobs(job(CpuDuration=1), job(CpuDuration=2)))
    assert total(house) == (1, 3600, 2)


def test_the_same_job_of_another_site_is_another_job(house: House) -> None:
    house.load(jobs(job("BIFI"), job("CESNET")))
    assert [row.site for row in summaries(house)] == ["BIFI", "CESNET"]


def test_benchmarks_normalise_after_summing(house: House) -> None:
    """3600 s x 10 = 36000; si2k 2500 gives the same; without a benchmark the factor is 1."""
    house.load(
        jobs(
            job(job_id="a", ServiceLevel=10),
            job(job_id="b", ServiceLevelType="si2k", ServiceLevel=2500),
            job(job_id="c", ServiceLevelType="HEPscore23", ServiceLevel=12.5),
            job(job_id="d", ServiceLevelType=None, ServiceLevel=None),
        )
    )
    found = {row.service_level_type: (int(row.norm_wall_s), int(row.norm_cpu_s)) for row in summaries(house)}
    assert found == {
        "hepspec": (36000, 270000), "si2k": (36000, 270000), "hepscore23": (45000, 337500), "": (3600, 27000),
    }  # fmt: skip
    assert house.remarks() == {"no_service_level": 1}


def test_rounding_comes_after_summing(house: House) -> None:
    """Three times 1 s x 0.4 is 1.2, so 1; rounded first it would be nothing."""
    parts = [job(job_id=f"j{n}", WallDuration=1, CpuDuration=1, ServiceLevel=0.4) for n in range(3)]
    house.load(jobs(*parts))
    (row,) = summaries(house)
    assert (int(row.norm_wall_s), row.wall_s, int(row.wall_core_s)) == (1, 3, 24)


def test_summaries_of_a_site_count_and_the_later_replaces_the_earlier(house: House) -> None:
    house.load(job_summaries(job_summary()))
    house.load(job_summaries(job_summary(NumberOfJobs=210, CpuDuration=6000000)))
    (row,) = summaries(house)
    assert (row.origin, row.jobs, row.cpu_s, int(row.norm_cpu_s)) == ("summaries", 210, 6000000, 63000000)
    house.load(job_summaries(job_summary(VO="chipster")))
    assert total(house)[0] == 410


def test_normalised_summaries_are_copied(house: House) -> None:
    house.load(job_summaries(normalised(), version="v0.3"))
    (row,) = summaries(house)
    assert (row.origin, int(row.norm_wall_s), int(row.norm_cpu_s)) == ("normalised", 7560000, 56700000)


def test_jobs_and_summaries_of_one_month_count_once_in_either_order(house: House) -> None:
    house.load(job_summaries(normalised(), version="v0.3"))
    house.load(job_summaries(job_summary()))
    assert [row.origin for row in summaries(house)] == ["summaries"]
    assert overlaps(house) == [("job", "normalised", "summaries", 200, 5400000)]
    house.load(jobs(job()))
    assert total(house) == (1, 3600, 27000)
    assert overlaps(house) == [
        ("job", "normalised", "jobs", 200, 5400000), ("job", "summaries", "jobs", 200, 5400000),
    ]  # fmt: skip
    house.load(job_summaries(job_summary(VO="chipster")))
    assert total(house) == (1, 3600, 27000)
    assert house.remark_reasons()["told_twice"] == (
        f"{MONTH:%Y-%m} has come as individual jobs and summaries and normalised summaries; only the individual jobs"
        " count."
    )


def test_summaries_of_another_month_or_site_are_not_touched_by_jobs(house: House) -> None:
    house.load(job_summaries(job_summary(month=months_ago(2)), job_summary("CESNET")))
    house.load(jobs(job()))
    assert sorted((row.site, row.origin) for row in summaries(house)) == [
        ("BIFI", "jobs"), ("BIFI", "summaries"), ("CESNET", "summaries"),
    ]  # fmt: skip
    assert overlaps(house) == []


def test_sync_counts_are_kept_by_submit_host(house: House) -> None:
    house.site("ALFA-GRID")
    house.load(sample("sync-v0.1.msg"))
    house.load(sample("sync-v0.1.msg").replace("200", "199"))
    with house.db.transaction() as session:
        rows = session.scalars(select(SyncCount)).all()
    assert [(row.site, f"{row.month:%Y-%m}", row.submit_host, row.jobs) for row in rows] == [
        ("ALFA-GRID", "2026-10", "ce1.alfa.example.org:9619/ce1.alfa.example.org-condor", 199)
    ]


def test_absurd_sums_do_not_stop_the_summariser(house: House) -> None:
    """Each record within its limits, all together beyond 64 bits."""
    most: dict[str, Any] = {"WallDuration": 10**14, "CpuDuration": 10**14, "ServiceLevel": 9999999}
    house.load(job_summaries(*[job_summary(SubmitHost="x", VO=f"vo{n}", **most) for n in range(20)]))
    assert total(house)[2] == 20 * 10**14


def test_samples_load_through_the_pipeline(house: House) -> None:
    house.site("ALFA-GRID")
    for name in (
        "job-v0.3.msg",
        "job-v0.4.msg",
        "car.xml",
        "job-summary-v0.2.msg",
        "job-normalised-v0.4.msg",
    ):
        outcome = house.load(sample(name))
        assert (outcome.state, outcome.refused) == ("loaded", 0), (name, outcome)
    assert total(house) == (4, 4 * 3600, 4 * 27000)


def test_a_thousand_invented_fields_make_two_hundred_remarks_and_the_record_counts(house: House) -> None:
    house.load(jobs(*[job(job_id=f"j{n}", **{f"Field{n}x{k}": 1 for k in range(100)}) for n in range(10)]))
    with house.db.transaction() as session:
        found = {row.field: row.records for row in session.scalars(select(Remark))}
    assert (len(found), found[""], sum(found.values())) == (201, 800, 1000)
    assert total(house)[0] == 10


def test_of_a_record_of_endless_faults_the_first_hundred_are_kept(house: House) -> None:
    house.load(jobs(job(), "no colon here\n" * 1000))
    (bad,) = house.refused()
    assert (bad.code, len(bad.faults)) == ("line_without_colon", 100)
