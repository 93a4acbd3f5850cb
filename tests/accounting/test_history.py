"""Any history of machines, in any order, in any messages, ends in the same exact figures (through the
database).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from accounting import summaries
from hanse.database import Database
from tests.accounting.conftest import House
from tests.accounting.records import DAY, NOW, epoch, message, record
from tests.accounting.test_usage import by_month, histories, last_of_stretches

from accounting.usage import Reading  # isort: skip

LATEST = epoch(NOW) - DAY


@pytest.fixture(scope="module")
def db(module_database_for: Callable[[str], Database]) -> Database:
    return module_database_for("accounting")


@pytest.fixture
def emptied(db: Database, make_house: Callable[[Database], House]) -> House:
    return make_house(db)


def clear(house: House) -> None:
    tables = "vm_snapshot, vm_month, usage_day, usage_summary, summary_due, site_publishing, refused_record, message"
    with house.db.transaction() as session:
        session.execute(text(f"truncate {tables} cascade"))


def as_records(machine: str, readings: list[Reading]) -> list[dict[str, Any]]:
    """The history as records, moved so that it ends yesterday."""
    shift = LATEST - readings[-1].measured_at
    return [
        record(
            "BIFI", machine, RecordCreateTime=each.measured_at + shift, StartTime=each.started_at + shift,
            WallDuration=each.wall_s, CpuDuration=each.cpu_s, CpuCount=int(each.cores),
        )
        for each in readings
    ]  # fmt: skip


CHANGES: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"FQAN": "chipster"}, {"Status": "suspended"}, {"WallDuration": None}, {"CpuDuration": None},
    {"WallDuration": None, "CpuDuration": None}, {"NetworkInbound": 5, "NetworkOutbound": 7}, {"NetworkInbound": 90},
    {"Memory": 4096, "Disk": None}, {"CpuCount": 2}, {"ImageId": "debian-13", "GlobalUserName": "somebody else"},
)  # fmt: skip


def moved(readings: list[Reading]) -> list[Reading]:
    shift = LATEST - readings[-1].measured_at
    return [
        Reading(each.measured_at + shift, each.started_at + shift, each.wall_s, each.cpu_s, each.cores)
        for each in readings
    ]


DERIVED = (
    "select site, vmuuid, measured_at, from_at, used_wall_s, used_cpu_s, carried from vm_snapshot",
    "select * from vm_month",
    "select * from usage_summary",
    "select * from usage_day",
)


def figures(house: House) -> list[list[Any]]:
    """Everything that is made from snapshots."""
    with house.db.transaction() as session:
        return [sorted(map(repr, session.execute(text(query)).all())) for query in DERIVED]


def check_as_counted_anew(house: House) -> None:
    """What messages have added up to is what counting everything from the snapshots gives."""
    added_up = figures(house)
    with house.db.transaction() as session:
        session.execute(text("insert into uncounted (site) select distinct site from vm_snapshot"))
    summaries.summarise(house.db)
    assert figures(house) == added_up


def check_sums(house: House) -> None:
    """Days add up to months, and each machine counts once a month."""
    with house.db.transaction() as session:
        days = session.execute(
            text(
                "select site, date_trunc('month', day)::date, sum(wall_s), sum(cpu_s) from usage_day group by 1, 2"
            )
        ).all()
        months = session.execute(
            text("select site, month, sum(wall_s), sum(cpu_s) from usage_summary group by 1, 2")
        ).all()
        machines = session.execute(text("select distinct site, vmuuid, month from vm_month")).all()
        counted = session.scalar(text("select sum(vms) from usage_summary"))
    assert sorted(map(tuple, days)) == sorted(map(tuple, months))
    assert (counted or 0) == len(machines)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(histories(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_shuffled_repeated_and_split_over_messages_the_figures_are_exact(
    emptied: House, machines: list[list[Reading]], seed: int
) -> None:
    clear(emptied)
    order = random.Random(seed)
    records = [each for n, readings in enumerate(machines) for each in as_records(f"vm-{n}", readings)]
    records += order.choices(records, k=len(records) // 3)
    order.shuffle(records)
    while records:
        size = order.randint(1, 8)
        assert emptied.load(message(*records[:size])).refused == 0
        records = records[size:]
    wanted: dict[tuple[str, int], tuple[int, int]] = {}
    for n, readings in enumerate(machines):
        wanted |= {(f"vm-{n}", month): value for month, value in by_month(moved(readings)).items()}
    got = {
        (vm, int(month[:4]) * 12 + int(month[5:]) - 1): (wall, cpu)
        for _, vm, month, wall, cpu in emptied.vm_months()
    }
    assert got == wanted
    totals = [last_of_stretches(readings) for readings in machines]
    months = emptied.months().values()
    assert sum(wall for wall, _, _ in months) == sum(wall for wall, _ in totals)
    assert sum(cpu for _, cpu, _ in months) == sum(cpu for _, cpu in totals)
    check_sums(emptied)
    check_as_counted_anew(emptied)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.integers(0, 2**32))
def test_a_republished_history_replaces_the_first(emptied: House, readings: list[Reading], seed: int) -> None:
    """Sent with mistakes at first, then sent right: the later receipt counts at every measurement time."""
    clear(emptied)
    order = random.Random(seed)
    wrong = [
        each | {"WallDuration": order.randint(0, 10**6), "CpuDuration": order.randint(0, 10**6)}
        for each in as_records("vm", readings)
    ]
    emptied.load(message(*wrong))
    emptied.load(message(*as_records("vm", readings)))
    months = emptied.months().values()
    assert (sum(wall for wall, _, _ in months), sum(cpu for _, cpu, _ in months)) == last_of_stretches(
        readings
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(histories(), min_size=1, max_size=2),
    st.lists(st.sampled_from(CHANGES), min_size=5, max_size=60),
    st.integers(0, 2**32),
)
def test_whatever_changes_in_mid_life_adding_up_is_counting_anew(
    emptied: House, machines: list[list[Reading]], changes: list[dict[str, Any]], seed: int
) -> None:
    """Other VOs, users, states and sizes, counters left out, republished with other values, several in one batch."""
    clear(emptied)
    order = random.Random(seed)
    records = [each for n, readings in enumerate(machines) for each in as_records(f"vm-{n}", readings)]
    sent = [each | changes[n % len(changes)] for n, each in enumerate(records)]
    sent += [each | order.choice(changes) for each in order.choices(records, k=len(records) // 2)]
    if order.random() < 0.7:
        order.shuffle(sent)
    while sent:
        for _ in range(order.randint(1, 3)):
            size = order.randint(1, 6)
            if sent[:size]:
                emptied.receive(message(*sent[:size]), source="load")
            sent = sent[size:]
        while emptied.loader.load_batch():
            pass
        if order.random() < 0.5:
            summaries.summarise(emptied.db)
    summaries.summarise(emptied.db)
    assert emptied.refused() == []
    check_sums(emptied)
    check_as_counted_anew(emptied)
