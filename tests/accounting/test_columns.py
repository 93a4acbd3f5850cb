"""Reading by column says of every record what reading by record says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting.formats import cloud
from accounting.formats.records import Judging, Reading
from tests.accounting.records import DAY, NOW, epoch, lines, message, record

JUDGING = Judging(received_at=epoch(NOW))
ODD_VALUES = (
    "", " ", "None", "null", "0", "-1", "+5", "007", "1_000", "12.7", "1e3", "٣", "²", "4.0", "4.", "9" * 31,
    str(2**70), str(2**63 - 1), "1" * 19, "0" * 25, "completed", "Completed", "STARTED", "suspended", "gone", "x" * 300,
    "a\x00b", "a\tb",
    "back\\slash", "a: b", "50%%off", "\u2028", "/vo.a/pilots/Role=x/Capability=NULL;/b", "plain.vo", "/",
    "2026-11-01T00:00:00Z", "2026-1-5T00:00:00Z", "2026-11-01T00:00:60Z", "946684799", "946684800", "253402300800",
    str(epoch(NOW) + 3600), str(epoch(NOW) + 3601), str(epoch(NOW) - DAY), "NaN", "🚀 Anna", "\x1f",
)  # fmt: skip
KEYS = (
    *record(),
    "Benchmark",
    "BenchmarkType",
    "PublicIPCount",
    "NetworkInbound",
    "UpdateTime",
    "Foo",
    "",
    " VMUUID",
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Messages in which most records are good, in a few orders of keys, and the others odd in one or more ways."""
    records: list[str] = []
    for number in range(draw(st.integers(0, 8))):
        fields: dict[str, Any] = record(vm=f"vm-{draw(st.integers(0, 3))}", MachineName=f"m {number}")
        if draw(st.booleans()):
            fields = record(
                vm=f"vm-{number}", RecordCreateTime=None, EndTime=0, StartTime=epoch(NOW) - 2 * DAY
            )
        for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
            fields[draw(st.sampled_from(KEYS))] = draw(st.sampled_from(ODD_VALUES) | st.text(max_size=5))
        if draw(st.integers(0, 3)) == 0:
            fields = dict(sorted(fields.items()))
        if draw(st.integers(0, 5)) == 0:
            fields.pop(draw(st.sampled_from(sorted(fields))))
        text = lines(fields)
        text += draw(
            st.sampled_from(("", "", "", "", "\n", "no colon\n", "Status: paused\n", "VMUUID\n", " \n"))
        )
        records.append(text)
    between = draw(st.sampled_from(("%%\n", "%%\n", "%%\n", " %%\n", "%%\n%%\n", "%%\n\n%%\n", "%%%\n")))
    text = (
        "APEL-cloud-message: v0.4\n" + draw(st.sampled_from(("", "", "%%\n", "\n"))) + between.join(records)
    )
    text = (
        draw(st.sampled_from(("", "", "\ufeff", "\n\n")))
        + text
        + draw(st.sampled_from(("", "%%", "%%\n", "\n\n")))
    )
    return text.replace("\n", "\r\n") if draw(st.integers(0, 4)) == 0 else text


def both(text: str) -> tuple[dict[int, Reading], dict[int, tuple[str, Any]], int]:
    """By record; by column (site name, row); and how many records the latter left to the former."""
    careful = {reading.number: reading for reading in cloud.read(text, JUDGING)}
    found = cloud.bulk(text, JUDGING)
    if found is None:
        return careful, {}, len(careful)
    plain = {number: (name, row) for name, rows in found.plain.items() for number, row in rows}
    assert plain.keys() | found.odd == careful.keys()
    assert not plain.keys() & found.odd
    assert found.records == len(careful)
    assert {each.number: each for each in found.careful(found.odd)} == {n: careful[n] for n in found.odd}
    return careful, plain, len(found.odd)


@settings(max_examples=150)
@given(texts())
def test_both_readings_agree_on_every_record(text: str) -> None:
    careful, plain, _ = both(text)
    for number, (site_name, row) in plain.items():
        reading = careful[number]
        assert (reading.faults, reading.remarks) == ([], [])
        assert (reading.site_name, reading.row) == (site_name, row)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_good_records_are_read_by_column(ends: str) -> None:
    """Else the fast path could be lost without anybody noticing."""
    orders = [record(vm=f"vm-{n}", SuspendDuration=None if n % 2 else 5) for n in range(50)]
    careful, plain, left = both(message(*orders).replace("\n", ends))
    assert (len(careful), len(plain), left) == (50, 50, 0)


def test_one_odd_record_does_not_take_the_others_off_the_fast_path() -> None:
    records = [record(vm=f"vm-{n}") for n in range(20)]
    records[3]["CpuDuration"] = 40 * DAY
    records[4]["WallDuration"] = "12.7"
    records[5]["Foo"] = "unknown"
    _, plain, left = both(message(*records, "no colon at all\n"))
    assert (len(plain), left) == (17, 4)


def test_what_only_the_reading_by_record_can_refuse_is_left_to_it() -> None:
    records = [record(vm=f"vm-{n}", NetworkInbound=n, Memory=n) for n in range(20)]
    records[3]["NetworkInbound"] = 10**15 + 1
    records[4]["Memory"] = 2**62
    records[5] |= {"Status": "completed", "RecordCreateTime": "0", "StartTime": "0", "EndTime": "0"}
    records[6]["NetworkInbound"] = 10**15
    careful, plain, _ = both(message(*records))
    assert sorted(careful.keys() - plain.keys()) == [4, 5, 6]
    assert all(careful[number].faults for number in (4, 5, 6))


def test_records_are_numbered_through_chunks() -> None:
    records = [record(vm=f"vm-{n}", WallDuration="x" if n % 1500 == 7 else DAY) for n in range(4500)]
    careful, plain, left = both(message(*records))
    assert left == 3
    assert [plain[n][1].vmuuid for n in (1, 2001, 4500)] == ["vm-0", "vm-2000", "vm-4499"]
    assert all(reading.row is None for number, reading in careful.items() if number not in plain)
