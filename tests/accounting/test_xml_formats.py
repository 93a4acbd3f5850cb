"""StAR and CAR: records of XML judged one by one, with lines, and without entities, bombs or the network."""

from __future__ import annotations

import pytest

from accounting.formats import recognise
from accounting.formats.keyvalue import BadValue
from accounting.formats.records import Judging, Reading, Unreadable
from accounting.formats.rows import JobRecord, StorageRecord
from accounting.formats.times import iso_duration, iso_moment
from tests.accounting.conftest import House
from tests.accounting.other_records import sample, storage, volume
from tests.accounting.records import NOW, epoch, months_ago

JUDGING = Judging(epoch(NOW))
BEGIN, END = months_ago(1, 10), months_ago(1, 11)
GOOD = volume(BEGIN, END, 5)


def judge(text: str) -> list[Reading]:
    """Every record of a message."""
    return list(recognise(text)[0].read(text, JUDGING))


def codes(readings: list[Reading]) -> list[str]:
    """ "" for a good record, else the code of its first fault."""
    return ["" if reading.row is not None else reading.faults[0].code for reading in readings]


def changed(name: str, old: str, new: str) -> list[Reading]:
    """The records of a sample with a change in it."""
    text = sample(name)
    assert old in text
    return judge(text.replace(old, new))


def test_the_sample_of_car_is_a_job_with_durations_in_seconds() -> None:
    (reading,) = judge(sample("car.xml"))
    row = reading.row
    assert isinstance(row, JobRecord)
    assert (row.local_job_id, row.wall_s, row.cpu_s, row.processors) == (
        "1006.ce1.alfa.example.org",
        3600,
        27000,
        8,
    )
    assert (row.vo, row.vo_role, row.service_level_type, row.infrastructure_type, row.infrastructure_description) == (
        "vo.harbour.example.org", "Role=pilot", "hepspec", "grid", "APEL-CREAM-HTCONDOR",
    )  # fmt: skip
    assert reading.remarks == []
    assert (reading.line, reading.site_line) == (3, 26)


def test_the_samples_of_star_are_good_with_and_without_a_zone() -> None:
    (grid,), (cloud,) = judge(sample("star.xml")), judge(sample("star-caso.xml"))
    assert isinstance(grid.row, StorageRecord)
    assert isinstance(cloud.row, StorageRecord)
    assert grid.row.ended_at == epoch("2026-10-02")
    assert cloud.row.ended_at == epoch("2026-10-01T13:00:00")
    assert (grid.remarks, cloud.remarks) == ([], [])


def test_a_storage_record_without_its_capacity_is_refused() -> None:
    (bad,) = judge(sample("star-malformed.xml"))
    assert (bad.faults[0].code, bad.faults[0].field) == ("missing_field", "ResourceCapacityUsed")


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("PT27000S", "twenty seconds", "bad_value", "<urf:CpuDuration"),
        ("PT1H", "P1Y", "bad_value", "<urf:WallDuration"),
        ("2026-10-01T12:00:00Z", "2026-10-01 12:00", "bad_value", "<urf:StartTime"),
        ("2026-10-01T12:00:00Z", "2026-10-01T14:00:00Z", "end_before_start", "<urf:EndTime"),
        ("<urf:Site>ALFA-GRID</urf:Site>", "", "missing_field", None),
        ('usageType="all"', 'usageType="user"', "missing_field", None),
        ("10.5", "NaN", "bad_value", "<urf:ServiceLevel"),
        ("<urf:Processors>8", "<urf:Processors>-8", "bad_value", "<urf:Processors"),
    ],
)
def test_a_car_value_that_does_not_fit_is_refused_at_its_line(
    old: str, new: str, code: str, where: str | None
) -> None:
    (bad,) = changed("car.xml", old, new)
    lines = sample("car.xml").split("\n")
    line = None if where is None else next(n for n, text in enumerate(lines, start=1) if where in text)
    assert (bad.faults[0].code, bad.faults[0].line) == (code, line)


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ("10995116277760", "-5", "bad_value", "ResourceCapacityUsed"),
        ("10995116277760", str(2**70), "bad_value", "ResourceCapacityUsed"),
        ("10995116277760", "1e12", "bad_value", "ResourceCapacityUsed"),
        (
            "2026-10-02T00:00:00Z</sr:EndTime>",
            "2035-10-02T00:00:00Z</sr:EndTime>",
            "time_in_future",
            "EndTime",
        ),
        (
            "2026-10-02T00:00:00Z</sr:EndTime>",
            "2026-09-02T00:00:00Z</sr:EndTime>",
            "end_before_start",
            "EndTime",
        ),
        ("2026-10-02T00:00:00Z</sr:EndTime>", "0001-01-01T00:00:00Z</sr:EndTime>", "bad_value", "EndTime"),
        ('sr:recordId="alfa-2026-10-01-harbour"', "", "missing_field", "recordId"),
        ("alfa-2026-10-01-harbour", "x" * 300, "name_too_long", "recordId"),
        ("<sr:StorageSystem>se.alfa.example.org</sr:StorageSystem>", "", "missing_field", "StorageSystem"),
    ],
)
def test_a_storage_value_that_does_not_fit_is_refused(old: str, new: str, code: str, field: str) -> None:
    (bad,) = changed("star.xml", old, new)
    assert (bad.faults[0].code, bad.faults[0].field) == (code, field)


def test_one_bad_record_of_three_does_not_take_the_others_along() -> None:
    text = storage([GOOD, volume(BEGIN, END, -1), volume(BEGIN, END, 6, record="c")])
    readings = judge(text)
    assert codes(readings) == ["", "bad_value", ""]
    assert [reading.line for reading in readings] == [1, 2, 3]
    assert "<sr:ResourceCapacityUsed>-1<" in readings[1].raw


def test_unknown_elements_are_ignored_with_a_remark_and_last_of_duplicates_counts() -> None:
    more = "<sr:Smell>old</sr:Smell><sr:ResourceCapacityUsed>9</sr:ResourceCapacityUsed>"
    (reading,) = judge(storage([volume(BEGIN, END, 5, more=more)]))
    assert isinstance(reading.row, StorageRecord)
    assert reading.row.used_bytes == 9
    assert [(note.code, note.field) for note in reading.remarks] == [("unknown_field", "Smell")]


def test_an_unknown_element_that_is_named_like_a_field_takes_no_value_away() -> None:
    (reading,) = changed("car.xml", "<urf:Queue>", "<urf:FQAN>/other</urf:FQAN><urf:Queue>")
    assert isinstance(reading.row, JobRecord)
    assert reading.row.fqan == "/vo.harbour.example.org/Role=pilot/Capability=NULL"


def test_what_follows_a_break_is_refused_and_what_came_before_is_not() -> None:
    text = storage([GOOD, volume(BEGIN, END, 6, record="b")])
    readings = judge(text[: text.rindex("<sr:ResourceCapacityUsed>")])
    assert codes(readings) == ["", "broken_xml"]
    assert (readings[1].number, readings[1].line, readings[1].faults[0].line) == (2, 2, 2)
    assert "volume-1" not in readings[1].raw


def test_the_malformed_sample_of_car_says_where() -> None:
    (bad,) = judge(sample("car-malformed.xml"))
    assert (bad.faults[0].code, bad.faults[0].line) == ("broken_xml", 27)


def test_aggregated_records_are_refused_each() -> None:
    text = sample("car.xml").replace("urf:UsageRecord>", "urf:SummaryRecord>")
    (bad,) = judge(text)
    assert (bad.faults[0].code, bad.faults[0].field) == ("not_a_record", "SummaryRecord")


def test_a_record_that_stands_alone_is_read() -> None:
    text = storage([GOOD])
    begin, end = text.index("<sr:StorageUsageRecord>"), text.rindex("</sr:StorageUsageRecords>")
    space = 'xmlns:sr="http://eu-emi.eu/namespaces/2011/02/storagerecord"'
    alone = text[begin:end].replace("<sr:StorageUsageRecord>", f"<sr:StorageUsageRecord {space}>", 1)
    assert codes(judge(alone)) == [""]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "prolog",
    [
        f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
    ],
)
def test_document_types_and_their_entities_are_refused(prolog: str) -> None:
    text = f"<?xml version='1.0'?>\n{prolog}\n{storage([GOOD])}"
    with pytest.raises(Unreadable) as caught:
        judge(text)
    assert (caught.value.code, caught.value.line) == ("doctype", 2)


def test_an_undeclared_entity_breaks_its_record_only() -> None:
    bad = GOOD.replace("volume-1", "&file;")
    assert codes(judge(storage([GOOD, bad]))) == ["", "broken_xml"]


def test_a_record_of_endless_elements_is_refused_before_it_fills_the_memory() -> None:
    bomb = volume(BEGIN, END, 5, more="<sr:x/>" * 100_000)
    readings = judge(storage([GOOD, bomb]))
    assert codes(readings) == ["", "broken_xml"]
    assert "more than 1000 elements" in readings[1].faults[0].reason


def test_a_deep_tree_is_refused() -> None:
    bomb = volume(BEGIN, END, 5, more="<sr:x>" * 100_000)
    assert codes(judge(storage([GOOD, bomb]))) == ["", "broken_xml"]


@pytest.mark.parametrize(
    "text", ["<", "<a", "<>", "<?xml version='1.0'?>", "<!-- only a comment -->", "<a>&b;</a>"]
)
def test_what_only_begins_like_xml_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        judge(text)
    assert caught.value.code in ("broken_xml", "unknown_format")


def test_a_declared_encoding_does_not_matter_once_the_text_is_utf_8() -> None:
    text = '\ufeff\n<?xml version="1.0" encoding="ISO-8859-1"?>\n' + storage(
        [volume(BEGIN, END, 5, user="Eliška 🚀")]
    )
    (reading,) = judge(text)
    assert isinstance(reading.row, StorageRecord)
    assert (reading.row.local_user, reading.line) == ("Eliška 🚀", 3)


def test_bytes_that_are_not_utf_8_refuse_the_message_and_the_next_is_read(house: House) -> None:
    bad = house.load(storage([volume(BEGIN, END, 5, user="Müller")]).encode("latin-1"))
    assert (bad.state, house.refused()[0].code) == ("refused", "not_utf8")
    assert house.load(storage([GOOD])).loaded == 1


def test_lines_count_beyond_65535() -> None:
    (reading,) = judge("\n" * 70_000 + storage([GOOD]))
    assert reading.line == 70_001


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT1H", 3600), ("PT3000S", 3000), ("P1DT1H1M1S", 90_061), ("PT0.5S", 0), ("PT90M", 5400)],
)
def test_durations(text: str, seconds: int) -> None:
    assert iso_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "P1Y", "P1M", "-PT1H", "PT1H ", "1H", "PT" + "9" * 30 + "S"]
)
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(BadValue):
        iso_duration(text)


@pytest.mark.parametrize(
    "text",
    ["2026-10-01T12:00:00Z", "2026-10-01T12:00:00", "2026-10-01T14:00:00+02:00", "2026-10-01T12:00:00.99Z"],
)
def test_moments(text: str) -> None:
    assert iso_moment(text) == epoch("2026-10-01T12:00:00")


@pytest.mark.parametrize(
    "text", ["", "2026-10-01", "20261001T120000Z", "2026-W40-4T00:00:00", "1999-10-01T12:00:00Z",
             "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-10-01T12:00:00+99:99"],
)  # fmt: skip
def test_moments_that_are_none(text: str) -> None:
    with pytest.raises(BadValue):
        iso_moment(text)
