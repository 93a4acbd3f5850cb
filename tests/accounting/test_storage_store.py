"""Storage by month: byte-seconds exact in any order of arrival, and what is in use at the month's end."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from accounting.models import StorageRecord, StorageSummary
from hanse.database import Database
from tests.accounting.conftest import House
from tests.accounting.other_records import iso, sample, storage, volume
from tests.accounting.records import DAY, months_ago

GB = 10**9
BEGIN = months_ago(2, 1).replace(hour=0)
NEXT = months_ago(1, 1).replace(hour=0)


def at(days: float) -> datetime:
    """So many days after the beginning of the month before the last."""
    return BEGIN + timedelta(days=days)


def byte_days(house: House) -> dict[str, float]:
    """GB-days by month."""
    with house.db.transaction() as session:
        rows = session.scalars(select(StorageSummary)).all()
    sums: dict[str, int] = {}
    for row in rows:
        name = f"{row.month:%Y-%m}"
        sums[name] = sums.get(name, 0) + int(row.byte_s)
    return {name: total / GB / DAY for name, total in sums.items() if total}


def last(house: House) -> dict[tuple[str, str], int]:
    """What the last reports of each month say, in GB, by month and VO."""
    with house.db.transaction() as session:
        rows = session.scalars(select(StorageSummary)).all()
    sums: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (f"{row.month:%Y-%m}", row.vo)
        sums[key] = sums.get(key, 0) + int(row.last_bytes) // GB
    return sums


def name(moment: datetime) -> str:
    return f"{moment:%Y-%m}"


def test_reports_that_follow_one_another_add_up(house: House) -> None:
    house.load(storage([volume(at(0), at(1), 10 * GB), volume(at(1), at(3), 20 * GB)]))
    assert byte_days(house) == {name(BEGIN): 10 + 40}
    assert last(house) == {(name(BEGIN), "training.egi.eu"): 20}


def test_reports_that_begin_anew_each_time_count_what_is_new_in_each(house: House) -> None:
    """cASO's begin with the volume: the second adds only what lies after the end of the first."""
    house.load(storage([volume(at(0), at(1), 10 * GB)]))
    house.load(storage([volume(at(0), at(3), 20 * GB)]))
    assert byte_days(house) == {name(BEGIN): 10 + 40}


def test_a_report_that_spans_a_month_end_is_cut_there(house: House) -> None:
    house.load(storage([volume(NEXT - timedelta(days=1), NEXT + timedelta(days=2), 5 * GB)]))
    assert byte_days(house) == {name(BEGIN): 5, name(NEXT): 10}
    assert last(house)[name(NEXT), "training.egi.eu"] == 5


def test_a_report_that_ends_with_the_month_is_its_last_value(house: House) -> None:
    house.load(storage([volume(NEXT - timedelta(days=1), NEXT, 7 * GB)]))
    assert last(house) == {(name(BEGIN), "training.egi.eu"): 7}


def test_last_values_are_of_the_last_report_of_each_system_share_and_local_group(house: House) -> None:
    """Two volumes of a project, one of which is gone in the second report; another share reports on its own."""
    house.load(storage([
        volume(at(0), at(1), 10 * GB, record="a"), volume(at(0), at(1), 5 * GB, record="b", group="chipster"),
        volume(at(1), at(2), 11 * GB, record="a"),
        volume(at(0), at(1), 100 * GB, record="se-1", system="se.example.org", share="pool", local_group=""),
    ]))  # fmt: skip
    assert last(house) == {(name(BEGIN), "chipster"): 0, (name(BEGIN), "training.egi.eu"): 111}


def test_a_report_sent_again_is_replaced_and_history_stays(house: House) -> None:
    house.load(storage([volume(at(0), at(1), 10 * GB), volume(at(1), at(2), 10 * GB)]))
    house.load(storage([volume(at(1), at(2), 30 * GB)]))
    assert byte_days(house) == {name(BEGIN): 40}
    with house.db.transaction() as session:
        assert len(session.scalars(select(StorageRecord)).all()) == 2


def test_a_corrected_begin_changes_the_months_of_the_old_one_too(house: House) -> None:
    house.load(storage([volume(at(0), NEXT + timedelta(days=1), GB)]))
    assert set(byte_days(house)) == {name(BEGIN), name(NEXT)}
    house.load(storage([volume(NEXT, NEXT + timedelta(days=1), GB)]))
    assert byte_days(house) == {name(NEXT): 1}


def test_a_late_report_inside_another_moves_only_its_own_time(house: House) -> None:
    house.load(storage([volume(at(0), at(10), 10 * GB)]))
    house.load(storage([volume(at(4), at(5), 100 * GB)]))
    assert byte_days(house) == {name(BEGIN): 9 * 10 + 100}


def test_an_instant_has_no_byte_seconds_but_a_last_value(house: House) -> None:
    house.load(storage([volume(at(1), at(1), 3 * GB)]))
    assert byte_days(house) == {}
    assert last(house) == {(name(BEGIN), "training.egi.eu"): 3}
    assert house.remarks() == {"no_duration": 1}


def test_petabytes_over_a_month_do_not_overflow(house: House) -> None:
    house.load(storage([volume(BEGIN, NEXT, 2**63 - 1)]))
    seconds = int((NEXT - BEGIN).total_seconds())
    with house.db.transaction() as session:
        assert [int(row.byte_s) for row in session.scalars(select(StorageSummary))] == [(2**63 - 1) * seconds]


def test_samples_load_with_their_attributes(house: House) -> None:
    for site in ("ALFA-GRID", "ALFA-CLOUD"):
        house.site(site)
    assert house.load(sample("star.xml")).loaded == 1
    assert house.load(sample("star-caso.xml")).loaded == 1
    with house.db.transaction() as session:
        grid, cloud = session.scalars(select(StorageRecord).order_by(StorageRecord.site.desc())).all()
    assert (grid.vo, grid.vo_group, grid.vo_role, grid.attributes) == (
        "vo.harbour.example.org", "pilots", "production", {"authority": "/O=Example/OU=voms"},
    )  # fmt: skip
    assert (grid.used_bytes, grid.logical_bytes, grid.allocated_bytes, grid.file_count) == (
        10995116277760, 5497558138880, 21990232555520, 42000,
    )  # fmt: skip
    assert (cloud.used_bytes, cloud.local_group, iso(cloud.ended_at)) == (
        107374182400, "aaaa0000000000000000000000000001", "2026-10-01T13:00:00Z",
    )  # fmt: skip


Report = tuple[int, int, int]


@st.composite
def reports(draw: st.DrawFn) -> list[Report]:
    """(begin, end, GB) of one volume in days, each end once, some of them overlapping."""
    ends = draw(st.lists(st.integers(1, 58), min_size=1, max_size=8, unique=True))
    return [(draw(st.integers(0, end - 1)), end, draw(st.integers(0, 5))) for end in ends]


def wanted(history: list[Report]) -> dict[str, float]:
    """By the definition, day by day: the covering report that ends first counts."""
    sums: dict[str, float] = {}
    for day in range(60):
        covering = [(end, used) for begin, end, used in history if begin <= day < end]
        if covering and min(covering)[1]:
            month = name(at(day))
            sums[month] = sums.get(month, 0) + min(covering)[1]
    return sums


@pytest.fixture(scope="module")
def db(module_database_for: Callable[[str], Database]) -> Database:
    return module_database_for("accounting")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports(), st.integers(0, 2**32))
def test_any_history_in_any_order_gives_the_same_byte_seconds(
    db: Database, make_house: Callable[[Database], House], history: list[Report], seed: int
) -> None:
    house = make_house(db)
    with db.transaction() as session:
        session.execute(
            text(
                "truncate storage_record, storage_summary, summary_due, site_publishing, remark, message cascade"
            )
        )
    order = random.Random(seed)
    shuffled = history + order.choices(history, k=2)
    order.shuffle(shuffled)
    cuts = [0, *sorted(order.choices(range(len(shuffled)), k=2)), len(shuffled)]
    for begin, end in pairwise(cuts):
        texts = [volume(at(first), at(until), used * GB) for first, until, used in shuffled[begin:end]]
        house.load(storage(texts))
    assert byte_days(house) == wanted(history)
