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
    tables = (
        "vm_snapshot, vm_month, usage_summary, summary_due, site_publishing, refused_record, remark, message"
    )
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


def moved(readings: list[Reading]) -> list[Reading]:
    shift = LATEST - readings[-1].measured_at
    return [
        Reading(each.measured_at + shift, each.started_at + shift, each.wall_s, each.cpu_s, each.cores)
        for each in readings
    ]


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
