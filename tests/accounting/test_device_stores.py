"""Accelerators and public addresses by month."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from accounting.models import AcceleratorRecord, AcceleratorSummary, IpSnapshot, IpSummary
from tests.accounting.conftest import House
from tests.accounting.other_records import (
    ANNA,
    MONTH,
    accelerator,
    accelerators,
    address,
    addresses,
    sample,
)
from tests.accounting.records import months_ago


def gpus(house: House) -> list[AcceleratorSummary]:
    with house.db.transaction() as session:
        table = AcceleratorSummary
        return list(session.scalars(select(table).order_by(table.site, table.month, table.part)))


def ips(house: House) -> list[tuple[str, str, int, int, int, int, int]]:
    with house.db.transaction() as session:
        rows = session.scalars(select(IpSummary).order_by(IpSummary.month, IpSummary.part)).all()
    return [
        (f"{row.month:%Y-%m}", row.vo, row.ip_version, row.last_count, row.most, row.sum_count, row.snapshots)
        for row in rows
    ]


def test_gpu_seconds_are_seconds_times_number(house: House) -> None:
    house.load(
        accelerators(accelerator(), accelerator(vm="one-2", Count=2), accelerator(vm="one-3", Count=0.5))
    )
    (row,) = gpus(house)
    assert (row.available_s, row.active_s, float(row.accelerators), row.vms) == (
        10800 * 3.5,
        7200 * 3.5,
        3.5,
        3,
    )


def test_of_one_machine_month_type_and_model_the_last_receipt_counts(house: House) -> None:
    house.load(accelerators(accelerator()))
    house.load(accelerators(accelerator(AvailableDuration=20000, ActiveDuration=None)))
    house.load(accelerators(accelerator(Model="NVIDIA T4"), accelerator("CESNET")))
    found = {(row.site, row.model): (row.available_s, row.active_s) for row in gpus(house)}
    assert found == {
        ("BIFI", "NVIDIA A100"): (20000, 20000), ("BIFI", "NVIDIA T4"): (10800, 7200),
        ("CESNET", "NVIDIA A100"): (10800, 7200),
    }  # fmt: skip


def test_each_month_is_its_own_and_nothing_is_subtracted(house: House) -> None:
    house.load(accelerators(accelerator(month=months_ago(2)), accelerator(month=months_ago(1))))
    assert [row.available_s for row in gpus(house)] == [10800, 10800]


def test_gpu_sample_loads(house: House) -> None:
    house.site("ALFA-CLOUD")
    assert house.load(sample("gpu-v0.1.json")).loaded == 1
    with house.db.transaction() as session:
        row = session.scalars(select(AcceleratorRecord)).one()
    assert (row.vmuuid, row.type, row.model, row.available_s, row.user_name) == (
        "11111111-1111-4111-8111-111111110001", "GPU", "NVIDIA A100", 10800, "",
    )  # fmt: skip


def test_addresses_of_a_month_last_most_and_mean(house: House) -> None:
    later = MONTH + timedelta(hours=1)
    house.load(addresses(address(IPCount=7), address(at=later, IPCount=3)))
    assert ips(house) == [(f"{MONTH:%Y-%m}", "training.egi.eu", 4, 3, 7, 10, 2)]


def test_projects_are_told_at_moments_of_their_own(house: House) -> None:
    """Each project's last snapshot counts, though they are seconds apart."""
    other = {"at": MONTH + timedelta(seconds=9), "LocalGroup": "g8"}
    house.load(addresses(address(IPCount=7), address(IPCount=2, **other), address(IPVersion=6, IPCount=1)))
    month = f"{MONTH:%Y-%m}"
    assert ips(house) == [
        (month, "training.egi.eu", 4, 9, 9, 9, 1),
        (month, "training.egi.eu", 6, 1, 1, 1, 1),
    ]


def test_who_is_not_in_a_projects_last_snapshot_holds_nothing(house: House) -> None:
    later = MONTH + timedelta(hours=1)
    house.load(
        addresses(address(GlobalUserName=ANNA, IPCount=2), address(IPCount=5), address(at=later, IPCount=5))
    )
    with house.db.transaction() as session:
        found = {row.user_name: row.last_count for row in session.scalars(select(IpSummary))}
    assert found == {ANNA: 0, "": 5}


def test_a_snapshot_sent_again_replaces_the_first(house: House) -> None:
    house.load(addresses(address(IPCount=7)))
    house.load(addresses(address(IPCount=8)))
    assert [row[3] for row in ips(house)] == [8]
    with house.db.transaction() as session:
        assert len(session.scalars(select(IpSnapshot)).all()) == 1


def test_ip_sample_loads_with_and_without_a_user(house: House) -> None:
    house.site("ALFA-CLOUD")
    assert house.load(sample("ip-v0.2.json")).loaded == 2
    with house.db.transaction() as session:
        rows = session.scalars(select(IpSnapshot).order_by(IpSnapshot.ip_version)).all()
    assert [(row.local_user, row.ip_version, row.ip_count) for row in rows] == [
        ("", 4, 7),
        ("user-0001", 6, 2),
    ]
