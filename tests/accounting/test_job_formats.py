"""Jobs, job summaries, sync and cloud summaries: what is read, what is refused and where, record by record."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounting.formats import recognise
from accounting.formats.records import Judging, Reading
from accounting.formats.rows import CloudSummary, JobRecord, JobSummary, SyncCount
from tests.accounting.other_records import (
    ANNA,
    MONTH,
    cloud_summaries,
    cloud_summary,
    job,
    job_summaries,
    job_summary,
    jobs,
    normalised,
    sample,
    text_message,
)
from tests.accounting.records import DAY, NOW, epoch, months_ago

JUDGING = Judging(epoch(NOW))


def judge(text: str) -> list[Reading]:
    """Every record of a message."""
    return list(recognise(text)[0].read(text, JUDGING))


def one(text: str) -> Reading:
    """The one record of a message."""
    (reading,) = judge(text)
    return reading


def fault(reading: Reading) -> tuple[str, str, int | None]:
    """Code, field and line of the first fault; the line is that of the field where it is given."""
    assert reading.row is None
    first = reading.faults[0]
    if first.line is not None and first.field:
        assert reading.raw.split("\n")[first.line - reading.line].startswith(first.field)
    return first.code, first.field, first.line


def remarks(reading: Reading) -> set[str]:
    assert reading.row is not None, reading.faults
    return {note.code for note in reading.remarks}


def job_row(**changes: Any) -> JobRecord:
    row = one(jobs(job(**changes))).row
    assert isinstance(row, JobRecord)
    return row


def test_a_good_job_becomes_a_row_without_remarks() -> None:
    reading = one(jobs(job()))
    assert remarks(reading) == set()
    row = job_row()
    assert (row.wall_s, row.cpu_s, row.processors, row.service_level_type, row.service_level) == (
        3600, 27000, 8, "hepspec", Decimal(10),
    )  # fmt: skip
    assert (row.vo, row.vo_group, row.vo_role, row.ended_at) == (
        "training.egi.eu", "/training.egi.eu", "Role=NULL", epoch(MONTH),
    )  # fmt: skip
    assert (reading.site_name, reading.subject, reading.month) == (
        "BIFI", "1001.ce", MONTH.year * 12 + MONTH.month - 1,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["job-v0.3.msg", "job-v0.4.msg", "car.xml"])
def test_samples_of_jobs_are_good(name: str) -> None:
    readings = judge(sample(name))
    assert readings
    assert all(isinstance(reading.row, JobRecord) for reading in readings)


def test_v04_keeps_hepscore23_before_hepspec_before_si2k() -> None:
    levels = "{hepspec: 10.5, si2k: 2500, hepscore23: 12.5}"
    row = job_row(ServiceLevelType=None, ServiceLevel=levels)
    assert (row.service_level_type, row.service_level) == ("hepscore23", Decimal("12.5"))
    row = job_row(ServiceLevelType=None, ServiceLevel="{si2k: 2500, HEPSPEC: 10.5}")
    assert (row.service_level_type, row.service_level) == ("hepspec", Decimal("10.5"))


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"ServiceLevelType": "HEPSPEC06"}, "ServiceLevelType", "known are hepspec"),
        ({"ServiceLevelType": None, "ServiceLevel": "{hepspec: 10.5, hepspec: 12}"}, "ServiceLevel", "twice"),
        ({"ServiceLevelType": None, "ServiceLevel": "{hepspec: 10.5"}, "ServiceLevel", "braces"),
        ({"ServiceLevelType": None, "ServiceLevel": "{}"}, "ServiceLevel", "write {"),
        ({"ServiceLevelType": None, "ServiceLevel": "{hepspec: NaN}"}, "ServiceLevel", "a number such as"),
        ({"ServiceLevel": "NaN"}, "ServiceLevel", "a number such as"),
        ({"ServiceLevel": "-1"}, "ServiceLevel", "cannot be negative"),
        ({"WallDuration": "-500"}, "WallDuration", "cannot be negative"),
        ({"WallDuration": "12.7"}, "WallDuration", "whole number"),
        ({"CpuDuration": "1e3"}, "CpuDuration", "whole number"),
        ({"WallDuration": 2**40}, "WallDuration", "check the unit"),
        ({"MemoryReal": 2**70}, "MemoryReal", "largest number"),
        ({"Processors": "-8"}, "Processors", "cannot be negative"),
        ({"Processors": 2**40}, "Processors", "check the unit"),
        ({"StartTime": "yesterday"}, "StartTime", "seconds since 1970"),
        ({"EndTime": "2026-13-45T00:00:00Z"}, "EndTime", "seconds since 1970"),
    ],
)
def test_a_value_that_does_not_fit_refuses_its_job_alone(
    changes: dict[str, Any], field: str, words: str
) -> None:
    good, bad, other = judge(jobs(job(job_id="a"), job(job_id="b", **changes), job(job_id="c")))
    assert good.row is not None
    assert other.row is not None
    assert fault(bad)[:2] == ("bad_value", field)
    assert words in bad.faults[0].reason


@pytest.mark.parametrize(
    "field", ["Site", "LocalJobId", "WallDuration", "CpuDuration", "StartTime", "EndTime"]
)
@pytest.mark.parametrize("value", [None, "", "none", "NULL"])
def test_mandatory_fields_of_a_job(field: str, value: str | None) -> None:
    assert fault(one(jobs(job(**{field: value}))))[:2] == ("missing_field", field)


def test_a_time_of_zero_is_no_time() -> None:
    assert fault(one(jobs(job(EndTime=0))))[:2] == ("missing_field", "EndTime")


def test_a_job_that_ends_before_it_starts_is_refused_at_its_line() -> None:
    assert fault(one(jobs(job(EndTime=epoch(MONTH) - 9000))))[:2] == ("end_before_start", "EndTime")


def test_a_job_may_end_two_days_ahead_and_no_more() -> None:
    ahead = epoch(NOW) + 2 * DAY
    assert remarks(one(jobs(job(StartTime=ahead - 3600, EndTime=ahead)))) == set()
    assert fault(one(jobs(job(StartTime=ahead, EndTime=ahead + 1))))[:2] == ("time_in_future", "EndTime")


def test_a_wall_time_beyond_31_bits_is_accepted() -> None:
    start = epoch("2000-01-02")
    row = job_row(StartTime=start, WallDuration=2**31 + 1)
    assert row.wall_s == 2**31 + 1


def test_what_is_odd_in_a_job_is_counted_with_a_remark() -> None:
    assert remarks(one(jobs(job(CpuDuration=8 * 3600 + 1)))) == {"cpu_beyond_wall"}
    assert remarks(one(jobs(job(WallDuration=3700)))) == {"wall_beyond_life"}
    assert remarks(one(jobs(job(ServiceLevelType=None, ServiceLevel=None)))) == {"no_service_level"}
    assert remarks(one(jobs(job(ServiceLevel=0)))) == {"zero_service_level"}
    assert remarks(one(jobs(job(InfrastructureType="moon")))) == {"unknown_infrastructure"}
    assert remarks(one(jobs(job(Foo="bar")))) == {"unknown_field"}
    assert remarks(one(jobs(job(MachineName="x" * 300, Queue="q" * 101)))) == {"name_cut"}


def test_a_service_level_without_its_type_is_refused() -> None:
    assert fault(one(jobs(job(ServiceLevelType=None))))[:2] == ("missing_field", "ServiceLevelType")
    assert fault(one(jobs(job(ServiceLevel=None))))[:2] == ("missing_field", "ServiceLevel")


def test_a_job_id_of_300_characters_is_refused_since_cutting_could_merge_two() -> None:
    assert fault(one(jobs(job(job_id="x" * 300))))[:2] == ("name_too_long", "LocalJobId")


def test_fqan_overrides_vo_group_and_role_and_none_of_it_is_no_vo() -> None:
    named = {"VO": "chipster", "VOGroup": "/chipster/g", "VORole": "Role=x"}
    assert job_row(**named).vo == "training.egi.eu"
    row = job_row(FQAN="None", **named)
    assert (row.vo, row.vo_group, row.vo_role) == ("chipster", "/chipster/g", "Role=x")


def test_framing_faults_refuse_one_job() -> None:
    readings = judge(
        jobs(job(job_id="a"), "LocalJobId: b\nno colon here\n", job(job_id="c", Queue="50%%off"))
    )
    assert [reading.row is not None for reading in readings] == [True, False, False]
    assert readings[1].faults[0].code == "line_without_colon"
    assert readings[2].faults[0].code == "separator_in_value"


def test_any_script_crlf_and_duplicate_keys_are_read() -> None:
    text = jobs(job(GlobalUserName="Eliška 🚀", Processors=4)) + "Processors: 8\n"
    row = one(text.replace("\n", "\r\n")).row
    assert isinstance(row, JobRecord)
    assert (row.user_name, row.processors) == ("Eliška 🚀", 8)


def test_an_unknown_version_is_read_as_the_newest_with_a_remark() -> None:
    _, _, notes = recognise(jobs(job(), version="v9.9"))
    assert [note.code for note in notes] == ["unknown_version"]


def test_summaries_become_rows() -> None:
    row = one(job_summaries(job_summary())).row
    assert isinstance(row, JobSummary)
    assert (row.normalised, row.jobs, row.service_level, row.norm_wall_s) == (
        False,
        200,
        Decimal("10.5"),
        None,
    )
    assert row.month == MONTH.year * 12 + MONTH.month - 1
    row = one(job_summaries(normalised(), version="v0.3")).row
    assert isinstance(row, JobSummary)
    assert (row.normalised, row.norm_wall_s, row.norm_cpu_s, row.infrastructure_type) == (
        True, 7560000, 56700000, "grid",
    )  # fmt: skip


def test_v04_summaries_have_dictionaries() -> None:
    plain, ready = one(sample("job-summary-v0.4.msg")).row, one(sample("job-normalised-v0.4.msg")).row
    assert isinstance(plain, JobSummary)
    assert isinstance(ready, JobSummary)
    assert (plain.service_level_type, plain.service_level) == ("hepscore23", Decimal("12.5"))
    assert (ready.service_level_type, ready.norm_wall_s, ready.norm_cpu_s) == (
        "hepscore23",
        9000000,
        67500000,
    )


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"Month": 13}, "bad_value", "Month"),
        ({"Month": 0}, "bad_value", "Month"),
        ({"Year": 26}, "bad_value", "Year"),
        ({"Year": 99999}, "bad_value", "Year"),
        ({"Year": 2035}, "time_in_future", "Month"),
        ({"Year": 9999, "Month": 12}, "time_in_future", "Month"),
        ({"EarliestEndTime": 1780000000}, "outside_of_month", "EarliestEndTime"),
        ({"LatestEndTime": epoch(months_ago(0, 1))}, "outside_of_month", "LatestEndTime"),
        ({"LatestEndTime": epoch(MONTH) - 9}, "end_before_start", "LatestEndTime"),
        ({"WallDuration": -1}, "bad_value", "WallDuration"),
        ({"CpuDuration": 2**60}, "bad_value", "CpuDuration"),
        ({"NumberOfJobs": "many"}, "bad_value", "NumberOfJobs"),
        ({"NumberOfJobs": None}, "missing_field", "NumberOfJobs"),
        ({"Month": None}, "missing_field", "Month"),
    ],
)
def test_a_summary_that_cannot_be_is_refused_alone(changes: dict[str, Any], code: str, field: str) -> None:
    good, bad = judge(job_summaries(job_summary(), job_summary(**changes)))
    assert good.row is not None
    assert fault(bad)[:2] == (code, field)


def test_normalised_durations_of_different_benchmarks_are_refused() -> None:
    (bad,) = judge(sample("job-normalised-v0.4-malformed.msg"))
    assert fault(bad)[:2] == ("mixed_benchmarks", "NormalisedCpuDuration")
    assert fault(one(job_summaries(normalised(NormalisedCpuDuration=None), version="v0.3")))[:2] == (
        "missing_field", "NormalisedCpuDuration",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("job-v0.3-malformed.msg", [None, ("end_before_start", 36), ("bad_value", 62)]),
        ("job-v0.4-malformed.msg", [("bad_value", 20)]),
        ("job-summary-v0.2-malformed.msg", [("bad_value", 3), ("outside_of_month", 36)]),
        ("sync-v0.1-malformed.msg", [("bad_value", 4)]),
        ("cloud-summary-v0.4-malformed.msg", [("missing_field", None)]),
    ],
)
def test_malformed_samples_are_refused_record_by_record_at_their_line(
    name: str, verdicts: list[tuple[str, int | None] | None]
) -> None:
    readings = judge(sample(name))
    assert [
        None if reading.row is not None else (reading.faults[0].code, reading.faults[0].line)
        for reading in readings
    ] == verdicts


def test_sync_counts_are_read() -> None:
    row = one(sample("sync-v0.1.msg")).row
    assert row == SyncCount(2026 * 12 + 9, "ce1.alfa.example.org:9619/ce1.alfa.example.org-condor", 200)


def test_cloud_summaries_are_read() -> None:
    row = one(cloud_summaries(cloud_summary())).row
    assert isinstance(row, CloudSummary)
    assert (row.vms, row.wall_s, row.cpu_count, row.network_in, row.user_name) == (
        2,
        7200,
        Decimal(4),
        120,
        ANNA,
    )
    assert remarks(one(cloud_summaries(cloud_summary(WallDuration=None, CpuDuration="none")))) == {
        "no_wall",
        "no_cpu",
    }


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"Month": 13}, "bad_value", "Month"),
        ({"WallDuration": "-5.5"}, "bad_value", "WallDuration"),
        ({"NetworkInbound": -(2**70)}, "bad_value", "NetworkInbound"),
        ({"NumberOfVMs": -1}, "bad_value", "NumberOfVMs"),
        ({"CpuCount": "NaN"}, "bad_value", "CpuCount"),
        ({"Memory": 2**70}, "bad_value", "Memory"),
        ({"NumberOfVMs": None}, "missing_field", "NumberOfVMs"),
        ({"SiteName": None}, "missing_field", "SiteName"),
        ({"LatestStartTime": epoch(NOW) + 2 * DAY}, "time_in_future", "LatestStartTime"),
        ({"LatestStartTime": epoch(MONTH) - 5}, "end_before_start", "LatestStartTime"),
    ],
)
def test_a_cloud_summary_that_cannot_be_is_refused_alone(
    changes: dict[str, Any], code: str, field: str
) -> None:
    good, bad = judge(cloud_summaries(cloud_summary(), cloud_summary(**changes)))
    assert good.row is not None
    assert fault(bad)[:2] == (code, field)


def test_a_sum_below_zero_counts_as_nothing_with_a_remark_and_the_rest_of_the_record_counts() -> None:
    reading = one(cloud_summaries(cloud_summary(WallDuration=-5, NetworkOutbound=-1)))
    assert isinstance(reading.row, CloudSummary)
    assert (reading.row.wall_s, reading.row.cpu_s, reading.row.network_out) == (0, 28800, 0)
    assert [(each.code, each.field) for each in reading.remarks] == [
        ("negative_sum", "WallDuration"), ("negative_sum", "NetworkOutbound"),
    ]  # fmt: skip


@pytest.mark.parametrize("head", ["APEL-individual-job-message: v0.3", "APEL-sync-message: v0.1"])
def test_a_header_alone_has_no_records(head: str) -> None:
    assert judge(text_message(head)) == []
