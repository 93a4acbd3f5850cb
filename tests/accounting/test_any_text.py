"""No text makes a parser fail in another way than its own, and what is written comes back as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.formats import cloud_summary, formats, job_summary, recognise
from accounting.formats.records import Judging, Reading, Unreadable
from accounting.formats.rows import CloudSummary, JobSummary
from tests.accounting.other_records import (
    SAMPLES,
    accelerator,
    accelerators,
    address,
    addresses,
    jobs,
    sample,
    storage,
    volume,
)
from tests.accounting.other_records import cloud_summary as cloud_fields
from tests.accounting.other_records import job as job_fields
from tests.accounting.other_records import job_summary as summary_fields
from tests.accounting.records import NOW, epoch, lines, months_ago

JUDGING = Judging(epoch(NOW))
HEADS = sorted(formats())
NAMES = sorted(path.name for path in SAMPLES.iterdir())


def judge(text: str) -> list[Reading]:
    """Every record, or none where the message is unreadable; whatever is raised else is a fault of ours."""
    try:
        readings = list(recognise(text)[0].read(text, JUDGING))
    except Unreadable:
        return []
    for number, reading in enumerate(readings, start=1):
        assert reading.number == number
        assert (reading.row is None) == bool(reading.faults)
        assert all(note.reason and note.code for note in reading.faults + reading.remarks)
        assert reading.month is None or 0 < reading.month < 10_000 * 12
    return readings


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=300),
    st.sampled_from(["", *[f"{head}: v0.4\n" for head in HEADS], "<", "{", '{"Type": "']),
)
def test_any_text_is_read_or_refused(text: str, begin: str) -> None:
    judge(begin + text)


@pytest.mark.parametrize("name", NAMES)
def test_samples_cut_or_changed_anywhere_are_read_or_refused(name: str) -> None:
    text = sample(name)

    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, len(text)), st.integers(0, 30), st.text(max_size=5))
    def change(at: int, width: int, other: str) -> None:
        judge(text[:at])
        judge(text[:at] + other + text[at + width :])

    change()


VALUES = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), st.booleans(), st.none(), st.just("9" * 5000),
    st.sampled_from(["{", "{hepspec: 1}", "{:}", "PT1H", "2026-10-01T00:00:00Z", "NaN", "1e400", "٣", "-0", "+1"]),
)  # fmt: skip
FIELDS = {
    "individual jobs": (job_fields(), lambda fields: jobs(lines(fields))),
    "job summaries": (summary_fields(), lambda fields: "APEL-summary-job-message: v0.4\n" + lines(fields)),
    "normalised": (
        summary_fields(),
        lambda fields: "APEL-normalised-summary-message: v0.4\n" + lines(fields),
    ),
    "cloud summaries": (cloud_fields(), lambda fields: "APEL-cloud-summary-message: v0.4\n" + lines(fields)),
    "sync": (summary_fields(), lambda fields: "APEL-sync-message: v0.1\n" + lines(fields)),
    "accelerators": (accelerator(), lambda fields: accelerators(fields)),
    "addresses": (address(), lambda fields: addresses(fields)),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_any_value_of_any_field_is_counted_or_refused(kind: str) -> None:
    fields, write = FIELDS[kind]

    @settings(max_examples=40, deadline=None)
    @given(st.dictionaries(st.sampled_from(sorted(fields)), VALUES, min_size=1, max_size=3))
    def change(values: dict[str, Any]) -> None:
        readings = judge(write(fields | values))
        assert len(readings) <= 2  # a "%%" in a text may make two of one

    change()


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    st.integers(-5, 2**70),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300),
)
def test_any_storage_record_is_counted_or_refused(user: str, used: int, record: str) -> None:
    text = storage([volume(months_ago(1, 10), months_ago(1, 11), used, user=user, record=record)])
    (reading,) = judge(text)
    nothing = ("", "none", "null")
    good = 0 <= used < 2**63 and len(record.strip()) <= 255 and record.strip().lower() not in nothing
    assert (reading.row is not None) == good


NAME = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs"]), max_size=12
).filter(lambda text: text.lower() not in ("none", "null") and "%%" not in text)
AMOUNT = st.integers(0, 10**13)
MONTH = st.integers(2001 * 12, months_ago(1).year * 12 + months_ago(1).month - 1)
LEVEL = st.decimals(0, 9_999_999, places=3, allow_nan=False, allow_infinity=False)
CLOUD = st.builds(
    CloudSummary, month=MONTH, service=NAME, user_name=NAME, vo=NAME, vo_group=NAME, vo_role=NAME,
    status=st.sampled_from(["started", "completed", ""]), cloud_type=NAME, image=NAME, earliest_start=st.none(),
    latest_start=st.none(), wall_s=AMOUNT, cpu_s=AMOUNT, cpu_count=LEVEL, network_in=st.none() | AMOUNT,
    network_out=st.none() | AMOUNT, memory_mb=st.none() | AMOUNT, disk_gb=AMOUNT, benchmark_type=NAME, benchmark=LEVEL,
    vms=st.integers(0, 10**6),
)  # fmt: skip
PLAIN = st.builds(
    JobSummary, month=MONTH, normalised=st.just(False), user_name=NAME, vo=NAME, vo_group=NAME, vo_role=NAME,
    submit_host=NAME, infrastructure_type=st.sampled_from(["grid", "local", ""]), infrastructure_description=NAME,
    service_level_type=st.sampled_from(["hepspec", "hepscore23", "si2k"]), service_level=LEVEL,
    node_count=st.integers(0, 99), processors=st.integers(0, 999), earliest_end=st.none(), latest_end=st.none(),
    wall_s=AMOUNT, cpu_s=AMOUNT, norm_wall_s=st.none(), norm_cpu_s=st.none(), jobs=AMOUNT,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(CLOUD, max_size=3))
def test_written_cloud_summaries_come_back_as_they_were(rows: list[CloudSummary]) -> None:
    assert [reading.row for reading in judge(cloud_summary.write("BIFI", rows))] == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(PLAIN, max_size=3))
def test_written_job_summaries_come_back_as_they_were(rows: list[JobSummary]) -> None:
    assert [reading.row for reading in judge(job_summary.write("BIFI", rows))] == rows
    ready = [
        row._replace(
            normalised=True,
            service_level_type="",
            service_level=Decimal(0),
            norm_wall_s=row.wall_s,
            norm_cpu_s=row.cpu_s,
        )
        for row in rows
    ]
    assert [reading.row for reading in judge(job_summary.write_normalised("BIFI", ready))] == ready


def test_names_that_could_end_a_record_cannot() -> None:
    fields = cloud_fields(VO="a\n%%\nSiteName: CESNET")
    row = judge("APEL-cloud-summary-message: v0.4\n" + lines(cloud_fields()))[0].row
    assert isinstance(row, CloudSummary)
    (reading,) = judge(cloud_summary.write("BIFI", [row._replace(vo=fields["VO"])]))
    assert isinstance(reading.row, CloudSummary)
    assert (reading.site_name, reading.row.vo) == ("BIFI", "a % SiteName: CESNET")


def test_every_format_is_found_by_its_names() -> None:
    assert set(HEADS) >= {
        "APEL-cloud-message", "APEL-cloud-summary-message", "APEL-individual-job-message", "APEL-summary-job-message",
        "APEL-normalised-summary-message", "APEL-sync-message", "APEL-accelerator-message", "APEL Public IP message",
        "http://eu-emi.eu/namespaces/2011/02/storagerecord", "http://eu-emi.eu/namespaces/2012/11/computerecord",
    }  # fmt: skip
