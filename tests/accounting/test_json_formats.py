"""Accelerators and public addresses: records of JSON judged one by one, with lines, whatever the JSON holds."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from accounting.formats import jsonframe, recognise
from accounting.formats.records import Judging, Reading, Unreadable
from accounting.formats.rows import AcceleratorRecord, IpSnapshot
from tests.accounting.conftest import House
from tests.accounting.other_records import MONTH, accelerator, accelerators, address, addresses, sample
from tests.accounting.records import DAY, NOW, epoch

JUDGING = Judging(epoch(NOW))


def judge(text: str) -> list[Reading]:
    """Every record of a message."""
    return list(recognise(text)[0].read(text, JUDGING))


def gpu(**changes: Any) -> Reading:
    """The verdict on one accelerator record."""
    (reading,) = judge(accelerators(accelerator(**changes)))
    return reading


def ip(**changes: Any) -> Reading:
    """The verdict on one address record."""
    (reading,) = judge(addresses(address(**changes)))
    return reading


def codes(readings: list[Reading]) -> list[str]:
    """ "" for a good record, else the code of its first fault."""
    return ["" if reading.row is not None else reading.faults[0].code for reading in readings]


def remarks(reading: Reading) -> set[str]:
    assert reading.row is not None, reading.faults
    return {note.code for note in reading.remarks}


def test_an_accelerator_becomes_a_row() -> None:
    reading = gpu(Count=0.5)
    assert remarks(reading) == set()
    row = reading.row
    assert isinstance(row, AcceleratorRecord)
    assert (row.vmuuid, row.type, row.model, row.accelerators, row.available_s, row.active_s, row.vo) == (
        "one-1", "GPU", "NVIDIA A100", Decimal("0.5"), 10800, 7200, "training.egi.eu",
    )  # fmt: skip
    assert reading.month == MONTH.year * 12 + MONTH.month - 1


def test_an_address_record_becomes_a_row_without_local_user_as_caso_sends_it() -> None:
    reading = ip()
    assert remarks(reading) == set()
    row = reading.row
    assert isinstance(row, IpSnapshot)
    assert (row.ip_version, row.ip_count, row.local_user, row.local_group, row.measured_at) == (
        4, 7, "", "g7", epoch(MONTH),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"MeasurementMonth": 13}, "bad_value", "MeasurementMonth"),
        ({"MeasurementYear": 2035}, "time_in_future", "MeasurementMonth"),
        ({"MeasurementMonth": None}, "missing_field", "MeasurementMonth"),
        ({"AssociatedRecord": None}, "missing_field", "AssociatedRecord"),
        ({"AssociatedRecord": "x" * 300}, "name_too_long", "AssociatedRecord"),
        ({"AssociatedRecordType": None}, "missing_field", "AssociatedRecordType"),
        ({"AssociatedRecordType": "job"}, "bad_value", "AssociatedRecordType"),
        ({"FQAN": None}, "missing_field", "FQAN"),
        ({"SiteName": "none"}, "missing_field", "SiteName"),
        ({"Count": None}, "missing_field", "Count"),
        ({"Count": -1}, "bad_value", "Count"),
        ({"Count": float("nan")}, "bad_value", "Count"),
        ({"Count": float("inf")}, "bad_value", "Count"),
        ({"Count": 1001}, "bad_value", "Count"),
        ({"AvailableDuration": 99999999}, "bad_value", "AvailableDuration"),
        ({"AvailableDuration": -5}, "bad_value", "AvailableDuration"),
        ({"AvailableDuration": 12.7}, "bad_value", "AvailableDuration"),
        ({"AvailableDuration": 2**70}, "bad_value", "AvailableDuration"),
        ({"AvailableDuration": [1]}, "bad_value", "AvailableDuration"),
        ({"AvailableDuration": True}, "bad_value", "AvailableDuration"),
        ({"Type": None}, "missing_field", "Type"),
        ({"Model": {"name": "A100"}}, "bad_value", "Model"),
        ({"GlobalUserName": "a\x00b"}, "nul_in_text", "GlobalUserName"),
    ],
)
def test_an_accelerator_record_that_cannot_be_is_refused_alone(
    changes: dict[str, Any], code: str, field: str
) -> None:
    good, bad = judge(accelerators(accelerator(), accelerator(**changes)))
    assert good.row is not None
    assert bad.row is None
    assert (code, field) in [(fault.code, fault.field) for fault in bad.faults]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"IPVersion": 5}, "bad_value", "IPVersion"),
        ({"IPVersion": None}, "missing_field", "IPVersion"),
        ({"IPCount": None}, "missing_field", "IPCount"),
        ({"IPCount": -7}, "bad_value", "IPCount"),
        ({"IPCount": 2**33}, "bad_value", "IPCount"),
        ({"MeasurementTime": None}, "missing_field", "MeasurementTime"),
        ({"MeasurementTime": 0}, "missing_field", "MeasurementTime"),
        ({"MeasurementTime": epoch(NOW) + 2 * DAY}, "time_in_future", "MeasurementTime"),
        ({"MeasurementTime": 1795521600000}, "bad_value", "MeasurementTime"),
        ({"FQAN": ""}, "missing_field", "FQAN"),
    ],
)
def test_an_address_record_that_cannot_be_is_refused_alone(
    changes: dict[str, Any], code: str, field: str
) -> None:
    good, bad = judge(addresses(address(), address(**changes)))
    assert good.row is not None
    assert (bad.row, bad.faults[0].code, bad.faults[0].field) == (None, code, field)


def test_what_is_odd_is_counted_with_a_remark() -> None:
    month = 31 * DAY
    assert remarks(gpu(Count=2, AvailableDuration=month + 1)) == {"beyond_month"}
    assert remarks(gpu(ActiveDuration=20000)) == {"active_beyond_available"}
    assert remarks(gpu(Type="TPU")) == {"unknown_accelerator"}
    assert remarks(gpu(Foo="bar")) == {"unknown_field"}
    assert remarks(gpu(Model="x" * 300)) == {"name_cut"}
    assert remarks(gpu(Type="gpu", ActiveDuration=None)) == set()
    row = gpu(ActiveDuration=20000).row
    assert isinstance(row, AcceleratorRecord)
    assert row.active_s == 10800


def test_numbers_as_texts_and_whole_decimals_are_numbers() -> None:
    row = ip(IPCount="7", IPVersion=4.0).row
    assert isinstance(row, IpSnapshot)
    assert (row.ip_count, row.ip_version) == (7, 4)


def test_of_duplicate_keys_the_last_counts() -> None:
    text = addresses(address()).replace('"IPCount": 7', '"IPCount": 1, "IPCount": 9')
    (reading,) = judge(text)
    assert isinstance(reading.row, IpSnapshot)
    assert reading.row.ip_count == 9


def test_lines_are_told_where_the_json_is_spread_over_lines() -> None:
    text = json.dumps(json.loads(addresses(address(), address(IPCount=-1))), indent=1)
    good, bad = judge(text)
    where = bad.faults[0].line
    assert where is not None
    assert (good.row is not None, '"IPCount": -1' in text.split("\n")[where - 1]) == (True, True)
    assert text.split("\n")[bad.line - 1].strip() == "{"
    assert bad.raw.startswith("{")
    assert json.loads(bad.raw)["IPCount"] == -1


def test_the_type_may_stand_behind_the_records() -> None:
    text = json.dumps({"UsageRecords": [address()], "Version": "0.2", "Type": "APEL Public IP message"})
    assert codes(judge("\ufeff \n" + text)) == [""]


def test_what_follows_a_break_is_refused_and_what_came_before_is_not() -> None:
    readings = judge(sample("ip-v0.2-malformed.json"))
    assert codes(readings) == ["bad_value", "missing_field", "broken_json"]
    text = addresses(address(), address(IPCount=2), address(IPCount=3))
    assert codes(judge(text.replace('"IPCount": 2', '"IPCount": two'))) == ["", "broken_json"]
    assert codes(judge(text + "}")) == ["", "", "", "broken_json"]


def test_elements_that_are_no_objects_are_refused_each() -> None:
    assert codes(judge(addresses(7, address(), [address()], None))) == [
        "not_a_record",
        "",
        "not_a_record",
        "not_a_record",
    ]


@pytest.mark.parametrize("bomb", ["[" * 100_000, '{"a":' * 100_000])
def test_nested_bombs_spoil_their_record_only(bomb: str) -> None:
    text = addresses(address(), address(FQAN="BOMB"))
    readings = judge(text.replace('"BOMB"', bomb))
    assert codes(readings) == ["", "broken_json"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "broken_json"),
        ("{}", "unknown_format"),
        ('{"Type": 7}', "unknown_format"),
        ('{"Type": "APEL Public IP message"}', "no_record_list"),
        ('{"Type": "APEL Public IP message", "UsageRecords": {}}', "no_record_list"),
        ('{"Type": "APEL-energy-message", "UsageRecords": []}', "unknown_format"),
        ("{'Type': 'x'}", "broken_json"),
        ("[" * 9, "unknown_format"),
    ],
)
def test_what_has_no_records_is_unreadable(text: str, code: str) -> None:
    with pytest.raises(Unreadable) as caught:
        judge(text)
    assert caught.value.code == code


def test_an_empty_list_has_no_records() -> None:
    assert judge(addresses()) == []


def test_halves_of_surrogate_pairs_do_not_stop_the_loader(house: House) -> None:
    text = accelerators(accelerator(Model="REPLACED")).replace("REPLACED", "a\\ud800b\\udc00")
    assert house.load(text).loaded == 1


def test_lines_are_numbered_once_a_message_however_often_it_names_its_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbered: list[int] = []

    class Counting(jsonframe._Lines):
        def __init__(self, text: str) -> None:
            numbered.append(len(text))
            super().__init__(text)

    monkeypatch.setattr(jsonframe, "_Lines", Counting)
    named = '"Type":"APEL-accelerator-message",'
    text = "{" + named * 15_000 + "\n" * 500_000 + named + '"UsageRecords":[]}'
    assert len(text) > 1_000_000
    assert jsonframe.json_head(text).line == 500_001
    assert len(numbered) == 1


def test_any_script_is_kept() -> None:
    row = gpu(GlobalUserName="Eliška 🚀", Model="машина").row
    assert isinstance(row, AcceleratorRecord)
    assert (row.user_name, row.model) == ("Eliška 🚀", "машина")


def test_a_signed_message_with_a_bad_record_counts_the_rest(house: House, cast: Any) -> None:
    outcome = house.signed(accelerators(accelerator(), accelerator(vm="b", Count=-1)), cast.host("BIFI"))
    assert (outcome.loaded, outcome.refused) == (1, 1)
    (bad,) = house.refused()
    assert (bad.record, bad.site, bad.field, bad.subject) == (2, "BIFI", "Count", "b")


def test_records_of_a_site_that_is_not_the_signers_are_refused(house: House, cast: Any) -> None:
    outcome = house.signed(addresses(address("CESNET"), address()), cast.host("BIFI"))
    assert (outcome.loaded, outcome.refused) == (1, 1)
    assert house.refused()[0].code == "not_signers_site"
