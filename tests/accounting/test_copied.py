"""What is written a column at a time is read back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from accounting.stores import copied
from tests.accounting.conftest import House

TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=8)
PIECES = st.sampled_from(("\\N", "\\", "\t", "\n", "\r", "\\.", "None", "", "a\\tb", "\u2028", "{1}"))
WHOLE = st.integers(0, 2**63 - 1) | st.sampled_from((0, 1))
ROW = st.tuples(
    TEXT | PIECES,
    st.none() | WHOLE,
    st.sampled_from((Decimal("0"), Decimal("4.000"), Decimal("12.5"))) | st.decimals(0, 9_999_999, places=3),
    st.none() | st.integers(946684800, 253402300799),
    st.none() | st.lists(st.none() | WHOLE, min_size=1, max_size=4),
)
COLUMNS = "place int, a text, b bigint, c numeric, d timestamptz, e bigint[]"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, min_size=1, max_size=12))
def test_whatever_is_written_is_read_back(house: House, rows: list[tuple[object, ...]]) -> None:
    names, numbers, sizes, times, lists = map(list, zip(*rows, strict=True))
    lines = copied.lines(
        copied.integers(range(len(rows))), copied.texts(names), copied.integers(numbers), copied.decimals(sizes),
        copied.Clock().times(times), copied.arrays(lists),
    )  # fmt: skip
    with house.db.transaction() as session:
        session.execute(text(f"create temporary table probe ({COLUMNS}) on commit drop"))
        house.db.copy_text(session, "probe", [each.split()[0] for each in COLUMNS.split(", ")], [lines])
        found = session.execute(text("select a, b, c, d, e from probe order by place")).all()
    expected = [
        (a, b, c, None if d is None else datetime.fromtimestamp(d, UTC), e)  # type: ignore[arg-type]
        for a, b, c, d, e in rows
    ]
    assert [tuple(row) for row in found] == expected
