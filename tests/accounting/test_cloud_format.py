"""How one cloud record is judged: each row of the failure table that needs no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.formats import formats, recognise
from accounting.formats.cloud import split_fqan
from accounting.formats.records import Judging, Reading, Unreadable
from tests.accounting.records import DAY, NOW, epoch, message, record

JUDGING = Judging(received_at=epoch(NOW))


def judge(text: str) -> list[Reading]:
    found, _, _ = recognise(text)
    return list(found.read(text, JUDGING))


def one(**changes: object) -> Reading:
    (reading,) = judge(message(record(**changes)))
    return reading


def fault(reading: Reading) -> tuple[str, str, int | None]:
    assert reading.row is None
    return reading.faults[0].code, reading.faults[0].field, reading.faults[0].line


def remarks(reading: Reading) -> set[str]:
    assert reading.row is not None, reading.faults
    return {note.code for note in reading.remarks}


def test_a_good_record_becomes_a_row_without_remarks() -> None:
    reading = one()
    assert remarks(reading) == set()
    row = reading.row
    assert row is not None
    assert (row.vmuuid, row.wall_s, row.cpu_s, row.cpu_count, row.vo) == (
        "one-41881",
        DAY,
        4 * DAY,
        4,
        "training.egi.eu",
    )
    assert row.measured_at == epoch(NOW) - 3600
    assert row.network_type == ""  # the word None means nothing


def test_ten_records_with_one_bad_give_nine_good_ones() -> None:
    given_ = [record(vm=f"vm-{n}", WallDuration=-1 if n == 4 else DAY) for n in range(10)]
    readings = judge(message(*given_))
    assert [reading.number for reading in readings if reading.row is None] == [5]
    assert len([reading for reading in readings if reading.row]) == 9


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("WallDuration", "-500", "cannot be negative"),
        ("CpuDuration", "-1", "cannot be negative"),
        ("CpuCount", "-2", "cannot be negative"),
        ("SuspendDuration", "-5", "cannot be negative"),
        ("WallDuration", "12.7", "whole number"),
        ("CpuDuration", "1e3", "whole number"),
        ("WallDuration", "1_000", "whole number"),
        ("Memory", str(2**70), "largest number"),
        ("Memory", "9" * 400, "whole number"),
        ("Disk", "ten", "whole number"),
        ("WallDuration", str(2**40), "more than 100 years"),
        ("CpuDuration", str(2**60), "more than 10,000 cores"),
        ("CpuCount", "four", "a number such as"),
        ("CpuCount", "NaN", "a number such as"),
        ("CpuCount", "10000000", "below 10,000,000"),
        ("NetworkInbound", str(2**63 - 1), "check the unit"),
        ("NetworkOutbound", str(10**15 + 1), "check the unit"),
        ("Memory", str(10**15 + 1), "check the unit"),
        ("Disk", str(10**15 + 1), "check the unit"),
        ("StartTime", "yesterday", "seconds since 1970"),
        ("StartTime", "2026-13-45T00:00:00Z", "seconds since 1970"),
        ("StartTime", "86400", "before the year 2000"),
        ("RecordCreateTime", "1795521600000", "not milliseconds"),
        ("StartTime", "-1795521600", "before the year 2000"),
    ],
)
def test_a_value_that_does_not_fit_refuses_its_record(field: str, value: str, words: str) -> None:
    reading = one(**{field: value})
    code, where, line = fault(reading)
    assert (code, where) == ("bad_value", field)
    assert line is not None
    assert reading.raw.split("\n")[line - reading.line].startswith(f"{field}:")
    assert words in reading.faults[0].reason


@pytest.mark.parametrize("field", ["VMUUID", "SiteName"])
@pytest.mark.parametrize("value", [None, "", "none", "NULL"])
def test_a_record_without_its_key_is_refused(field: str, value: str | None) -> None:
    assert fault(one(**{field: value}))[:2] == ("missing_field", field)


def test_an_end_before_the_start_is_refused_at_its_line() -> None:
    reading = one(Status="completed", EndTime=epoch(NOW) - 5 * DAY)
    code, field, line = fault(reading)
    assert (code, field) == ("end_before_start", "EndTime")
    assert reading.raw.split("\n")[(line or 0) - reading.line].startswith("EndTime:")


@pytest.mark.parametrize("field", ["StartTime", "RecordCreateTime", "EndTime"])
def test_a_time_in_the_future_is_refused(field: str) -> None:
    assert fault(one(**{field: epoch("2035-01-01")}))[:2] == ("time_in_future", field)


def test_a_clock_that_is_some_minutes_fast_is_accepted() -> None:
    assert remarks(one(RecordCreateTime=epoch(NOW) + 600)) == set()


def test_a_sender_two_days_ahead_is_compared_with_the_receipt() -> None:
    reading = one(RecordCreateTime=epoch(NOW) + 2 * DAY)
    assert fault(reading)[0] == "time_in_future"
    assert "1 h after the message came" in reading.faults[0].reason


def test_a_wall_time_that_reaches_into_the_future_is_refused() -> None:
    """cASO sends no RecordCreateTime: start + wall is when it was measured."""
    reading = one(RecordCreateTime=None, StartTime=epoch(NOW) - DAY, WallDuration=30 * DAY)
    assert fault(reading)[:2] == ("time_in_future", "WallDuration")


def test_cpu_beyond_wall_times_cores_is_accepted_with_a_remark() -> None:
    assert remarks(one(CpuDuration=4 * DAY + 1)) == {"cpu_beyond_wall"}


def test_an_unknown_field_is_ignored_with_a_remark() -> None:
    assert remarks(one(Foo="bar")) == {"unknown_field"}


@pytest.mark.parametrize("field", ["UpdateTime", "MeasurementTime", "MeasurementMonth", "MeasurementYear"])
def test_fields_that_apel_ignores_are_ignored(field: str) -> None:
    assert remarks(one(**{field: 7})) == set()


def test_the_separator_inside_a_value_refuses_that_record_alone() -> None:
    readings = judge(message(record(vm="a", MachineName="50%%off"), record(vm="b")))
    assert fault(readings[0])[:2] == ("separator_in_value", "MachineName")
    assert readings[1].row is not None


def test_a_line_without_colon_refuses_its_record_alone() -> None:
    readings = judge(message(record(vm="a"), "VMUUID: b\nthis line has no colon\n", record(vm="c")))
    assert [reading.row is not None for reading in readings] == [True, False, True]
    assert readings[1].faults[0].code == "line_without_colon"
    assert "this line has no colon" in readings[1].faults[0].reason


def test_a_name_of_300_characters_is_cut_with_a_remark() -> None:
    reading = one(MachineName="x" * 300)
    assert remarks(reading) == {"name_cut"}
    assert reading.row is not None
    assert reading.row.machine_name == "x" * 255


def test_a_machine_id_of_300_characters_is_refused_since_cutting_could_merge_two() -> None:
    assert fault(one(VMUUID="x" * 300))[:2] == ("name_too_long", "VMUUID")


def test_any_script_and_emoji_are_kept() -> None:
    reading = one(MachineName="машина 🚀 Eliška", GlobalUserName="/CN=Tomás Vidal")
    assert reading.row is not None
    assert (reading.row.machine_name, reading.row.user_name) == ("машина 🚀 Eliška", "/CN=Tomás Vidal")


def test_a_line_separator_character_in_a_name_ends_no_line() -> None:
    reading = one(MachineName="two\u2028parts\x85more")
    assert reading.row is not None
    assert reading.row.machine_name == "two\u2028parts\x85more"


def test_a_nul_character_is_refused_because_no_text_can_hold_it() -> None:
    assert fault(one(MachineName="a\x00b"))[:2] == ("nul_in_text", "MachineName")


def test_of_duplicate_keys_the_last_counts() -> None:
    (reading,) = judge(message(record() | {"CpuCount": 2}) + "CpuCount: 8\n")
    assert reading.row is not None
    assert reading.row.cpu_count == 8


def test_crlf_reads_as_lf() -> None:
    text = message(record(vm="a"), record(vm="b"))
    assert [r.row for r in judge(text.replace("\n", "\r\n"))] == [r.row for r in judge(text)]


def test_blank_records_and_a_last_separator_are_no_records() -> None:
    text = message(record(vm="a"), "\n\n", record(vm="b")) + "%%\n\n%%\n"
    assert [(r.number, r.row is not None) for r in judge(text)] == [(1, True), (2, True)]


@pytest.mark.parametrize("word", ["None", "none", "NULL", "null", ""])
def test_words_for_nothing_are_nothing(word: str) -> None:
    row = one(GlobalUserName=word, ImageId=word, SuspendDuration=word).row
    assert row is not None
    assert (row.user_name, row.image, row.suspend_s) == ("", "", None)


@pytest.mark.parametrize(
    ("given_", "kept", "remarked"),
    [
        ("Started", "started", set()),
        ("COMPLETED", "completed", {"completed_without_end"}),
        ("paused", "paused", set()),
        ("dancing", "unknown", {"unknown_status"}),
        (None, "unknown", set()),
    ],
)
def test_status_is_normalised(given_: str | None, kept: str, remarked: set[str]) -> None:
    reading = one(Status=given_)
    assert remarks(reading) == remarked
    assert reading.row is not None
    assert reading.row.status == kept


@pytest.mark.parametrize("end", ["0", "None", None])
def test_completed_without_end_is_measured_at_start_plus_wall(end: str | None) -> None:
    started = epoch(NOW) - 3 * DAY
    reading = one(Status="completed", EndTime=end, StartTime=started, SuspendDuration=60)
    assert reading.row is not None
    assert reading.row.measured_at == started + 60 + DAY
    assert reading.row.ended_at is None
    assert "completed_without_end" in remarks(reading)


def test_completed_is_measured_at_its_end() -> None:
    ended = epoch(NOW) - 2 * 3600
    reading = one(Status="Completed", EndTime=ended)
    assert reading.row is not None
    assert reading.row.measured_at == ended


def test_a_record_without_any_time_is_refused() -> None:
    assert fault(one(RecordCreateTime=None, StartTime=None, EndTime=None))[0] == "no_time"


def test_a_completed_machine_without_any_time_is_refused_and_its_neighbour_counts() -> None:
    timeless = record(Status="completed", RecordCreateTime=None, StartTime=None, EndTime=None)
    bad, good = judge(message(timeless, record(vm="good")))
    assert (fault(bad)[0], bad.remarks) == ("no_time", [])
    assert good.row is not None


def test_without_a_start_the_machine_began_its_wall_time_ago() -> None:
    row = one(StartTime=None).row
    assert row is not None
    assert row.started_at == row.measured_at - DAY


def test_counters_that_are_not_given_stay_unknown_with_a_remark() -> None:
    reading = one(WallDuration=None, CpuDuration="None")
    assert remarks(reading) == {"no_wall", "no_cpu"}
    assert reading.row is not None
    assert (reading.row.wall_s, reading.row.cpu_s) == (None, None)


def test_wall_time_beyond_the_machines_life_is_accepted_with_a_remark() -> None:
    assert remarks(one(WallDuration=2 * DAY)) == {"wall_beyond_life"}


def test_every_fault_of_a_record_is_told_by_line_and_what_is_missing_last() -> None:
    reading = one(VMUUID=None, WallDuration="12.7", StartTime="x", Memory=2**70)
    assert [note.field for note in reading.faults] == ["StartTime", "WallDuration", "Memory", "VMUUID"]


def test_lines_count_in_the_whole_message() -> None:
    text = message(record(vm="a"), record(vm="b", CpuCount="many"))
    _, second = judge(text)
    line = second.faults[0].line
    assert text.split("\n")[(line or 0) - 1] == "CpuCount: many"


@pytest.mark.parametrize(
    ("fqan", "split"),
    [
        ("/vo.a/pilots/Role=x/Capability=NULL", ("vo.a", "/vo.a/pilots", "Role=x")),
        ("/vo.a/Role=NULL/Capability=NULL", ("vo.a", "/vo.a", "Role=NULL")),
        ("/vo.a/ROLE=x", ("vo.a", "/vo.a", "ROLE=x")),
        ("/vo.a/g;/vo.b/h", ("vo.a", "/vo.a/g", "")),
        ("vo.harbour.example.org", ("vo.harbour.example.org", "", "")),
        ("", ("", "", "")),
        ("/", ("", "", "")),
    ],
)
def test_an_fqan_is_split_as_apel_splits_it(fqan: str, split: tuple[str, str, str]) -> None:
    assert split_fqan(fqan) == split


def test_version_02_is_read_by_the_same_rules() -> None:
    text = message(record(CloudComputeService=None), version="v0.2")
    assert judge(text)[0].row is not None


def test_an_unknown_version_is_read_as_the_newest_with_a_remark() -> None:
    _, _, notes = recognise(message(record(), version="v9.9"))
    assert [note.code for note in notes] == ["unknown_version"]


@pytest.mark.parametrize("text", ["", "  \n \r\n"])
def test_an_empty_message_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="empty"):
        recognise(text)


@pytest.mark.parametrize(
    "text", ["APEL-cabbage-message: v1\nA: b\n", "<xml/>", '{"Type": "x"}', "VMUUID: a\n"]
)
def test_a_message_of_another_kind_is_unreadable_and_says_what_is_known(text: str) -> None:
    with pytest.raises(Unreadable, match="APEL-cloud-message") as caught:
        recognise(text)
    assert caught.value.code == "unknown_format"


def test_a_header_alone_has_no_records() -> None:
    assert judge("APEL-cloud-message: v0.4\n") == []


def test_every_format_file_is_found_by_being_there() -> None:
    assert formats()["APEL-cloud-message"].title == "cloud record"


@given(st.text(max_size=400))
def test_no_text_whatever_breaks_the_reader(text: str) -> None:
    for reading in judge("APEL-cloud-message: v0.4\n" + text):
        assert (reading.row is None) == bool(reading.faults)


@given(st.dictionaries(st.sampled_from(sorted(record())), st.text(max_size=30), max_size=8))
def test_no_value_whatever_breaks_the_reader(changes: dict[str, str]) -> None:
    for reading in judge(message(record(**changes))):
        assert (reading.row is None) == bool(reading.faults)
