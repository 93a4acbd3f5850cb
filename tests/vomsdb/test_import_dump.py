"""The text of a dump: every value that mysqldump can write comes back, and nothing else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.errors import HanseError, Refused, TooLarge
from vomsdb.importing import judged, sqldump, voms_admin, voms_admin_json

SAMPLE = Path(__file__).with_name("samples") / "voms-admin.sql"
VO = "training.egi.eu"
HEAD = (
    b"CREATE TABLE `t` (\n `a` bit(1) DEFAULT NULL,\n `b` varchar(9) DEFAULT 'x,)',\n PRIMARY KEY (`a`)\n);\n"
)
_WRITTEN = {0: b"\\0", 10: b"\\n", 13: b"\\r", 26: b"\\Z", 34: b'\\"', 39: b"\\'", 92: b"\\\\"}


def quoted(value: bytes) -> bytes:
    """A text as mysqldump writes it."""
    return b"'" + b"".join(_WRITTEN.get(byte, bytes([byte])) for byte in value) + b"'"


def written(value: bytes | int | None) -> bytes:
    if value is None:
        return b"NULL"
    return str(value).encode() if isinstance(value, int) else quoted(value)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**62), 2**62),
    st.binary(max_size=40),
    st.text(alphabet="'\"\\`;,()-#/*\n\0 aë", max_size=20).map(str.encode),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6), st.booleans())
def test_whatever_is_written_is_read_back(rows: list[tuple[object, object]], named: bool) -> None:
    inserts = b",".join(b"(" + b",".join(written(one) for one in row) + b")" for row in rows)  # type: ignore[arg-type]
    columns = b" (`a`, `b`)" if named else b""
    dump = HEAD + b"INSERT INTO `other` VALUES " + inserts + b";\n-- it's\nINSERT INTO `t`" + columns
    found = sqldump.read(dump + b" VALUES " + inserts + b";\n", ["t"])
    assert [(row["a"], row["b"]) for row in found.of("t")] == rows
    assert found.of("other") == []


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_noise_is_refused_with_a_sentence_or_read_and_never_more(noise: bytes, at: int) -> None:
    dump = HEAD + b"INSERT INTO `t` VALUES ('\\0',NULL),(b'1','it''s'),(0x01,_binary 'x');"
    try:
        found = sqldump.read(dump[:at] + noise + dump[at:], ["t"])
    except HanseError:
        return
    assert all(len(row) <= sqldump.MAX_COLUMNS for row in found.of("t"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "surname", "emailAddress", "endTime", "creationTime", "suspended", "suspensionReasonCode")
LISTS = ("certificates", "fqans", "attributes", "aupAcceptanceRecords")
USERS = st.fixed_dictionaries({"id": st.integers(1, 9)}, optional=dict.fromkeys((*FIELDS, *LISTS), JSON))


@settings(max_examples=60, deadline=None)
@given(st.lists(USERS, max_size=3))
def test_no_answer_of_another_service_breaks_reading_or_judging(users: list[dict[str, object]]) -> None:
    contents = voms_admin_json.read([json.dumps({"result": users, "count": 0}).encode()])
    for record in contents.people:
        one = judged.judged(record)
        assert one.name
        assert one.name.isprintable()
        assert all(fqan.isprintable() for fqan in one.record.fqans)
        json.dumps(one.values()).encode()


def test_bits_are_read_however_they_were_written() -> None:
    bits = b"('\x01',1),('\\1',2),(b'1',3),(0x01,4),(1,5),(TRUE,6),(_binary '\x01',7),('',8)"
    none = b"('\\0',1),('\0',2),(b'0',3),(0x00,4),(0,5),(FALSE,6),(NULL,7),(_binary '\\0',8)"
    for text, wanted in ((bits, True), (none, False)):
        found = sqldump.read(HEAD + b"INSERT IGNORE INTO `x`.`t` VALUES " + text + b";", ["t"])
        assert [sqldump.truth_of(row, "a") for row in found.of("t")] == [wanted] * 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"INSERT INTO `t` VALUES (1,'open", "value is neither"),
        (b"INSERT INTO `t` VALUES (1,2,3);", "3 values for 2 columns"),
        (b"INSERT INTO `t` VALUES (1,load_file('/etc/passwd'));", "value is neither"),
        (b"INSERT INTO `t` SELECT * FROM x;", "VALUES is missing"),
        (b"INSERT INTO `t` VALUES (1,2) ON DUPLICATE KEY UPDATE a=1;", "stands behind a row"),
        (b"\nINSERT INTO `t` VALUES (1,1e999);", "too large"),
        (b"SELECT 'never ends", "does not end"),
        (b"INSERT INTO `t` VALUES (1,'" + b"x" * 1_000_001 + b"');", "more than 1,000,000"),
    ],
)
def test_what_cannot_be_read_is_named_by_table_and_line(text: bytes, words: str) -> None:
    with pytest.raises(Refused) as refused:
        sqldump.read(HEAD + text, ["t"])
    (fault,) = refused.value.fields
    assert words in fault.reason
    assert "line" in fault.field


def test_an_insert_before_its_table_and_a_dump_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused) as refused:
        sqldump.read(b"INSERT INTO t VALUES (1);", ["t"])
    assert "CREATE TABLE" in refused.value.fields[0].reason
    monkeypatch.setattr(sqldump, "MAX_BYTES", 10)
    with pytest.raises(TooLarge):
        sqldump.read(b"x" * 11, ["t"])
    monkeypatch.undo()
    monkeypatch.setattr(sqldump, "MAX_ROWS", 1)
    with pytest.raises(Refused):
        sqldump.read(HEAD + b"INSERT INTO t VALUES (1,1),(2,2);", ["t"])


def test_a_long_line_is_read_in_one_go() -> None:
    rows = b",".join(b"(%d,'%s')" % (number, b"x" * 200) for number in range(20_000))
    found = sqldump.read(HEAD + b"INSERT INTO `t` VALUES " + rows + b";", ["t"])
    assert len(found.of("t")) == 20_000


def test_the_sample_is_read_with_what_is_wrong_in_it() -> None:
    contents = voms_admin.read(SAMPLE.read_bytes(), VO)
    people = {one.key: one for one in contents.people}
    anna, tomas, conor, nobody, robot, goran = (people[str(number)] for number in range(1, 7))
    assert (anna.name, anna.email, anna.institution) == (
        "Anna Lindqvist",
        "anna@example.org",
        "Example Institute",
    )
    assert [one.suspended for one in anna.certificates] == ["", "key lost, 'sorry'"]
    assert anna.fqans == (f"/{VO}", f"/{VO}/schools", f"/{VO}/schools/Role=operator")
    assert anna.attributes == {"nickname": "anna"}
    assert (anna.signed, anna.code) == (True, "")
    assert str(anna.until) == "2096-01-31 23:00:00+00:00"
    assert (tomas.code, tomas.signed) == ("MEMBERSHIP_EXPIRATION", False)
    assert conor.reason == "It's a stolen key; see \\\\ticket"
    assert conor.signed is False  # the record of the version in force is not valid
    assert (nobody.name, nobody.code, nobody.until) == ("", "", None)
    assert goran.code == "SOMETHING_NEW"
    assert contents.groups[f"/{VO}/schools"] == "Schools; summer"
    assert contents.attributes["nickname"] == ("the name at the desk", True)
    assert contents.shared == [(f"/{VO}/schools", "room", "Hall 4")]
    noted = {(one.record, one.field) for one in contents.unread}
    assert noted == {("usr 5", "end_time"), ("usr 5", "m"), ("usr 5", "usr_attrs")}
    assert "1 requests wait there" in contents.remarks[0]
    assert robot.until is None


def test_a_dump_of_another_vo_or_of_something_else_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        voms_admin.read(SAMPLE.read_bytes(), "chipster")
    assert "not /chipster" in refused.value.fields[0].reason
    for text in (b"", b"-- nothing\n", b"hello", HEAD):
        with pytest.raises(Refused, match="no dump of VOMS-Admin"):
            voms_admin.read(text, VO)
