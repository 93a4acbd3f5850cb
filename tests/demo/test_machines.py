"""Machines survive kills, times are counted, and what is answered is on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from demo.cloud.dialects import SIZES
from demo.cloud.machines import Machines
from demo.cloud.things import Capacity, CapacityExceeded, InUse, Machine, Volume

ROOM = Capacity(vcpu=8, ram_gb=32, public_ips=2)
WANTED = Machine(
    id="1",
    title="mine",
    hostname="localhost",
    account="training001",
    dn="/CN=Anna",
    vo="training.egi.eu",
    fqan="/training.egi.eu",
    image="debian13",
    size=SIZES[0],
    address="",
    created=0,
    changed=0,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def machines(tmp_path: Path, clock: Clock, room: Capacity = ROOM) -> Machines:
    return Machines(tmp_path / "machines.jsonl", room, "192.0.2", clock)


def test_time_is_counted_running_and_stopped(tmp_path: Path, clock: Clock) -> None:
    held = machines(tmp_path, clock)
    held.create(WANTED)
    clock.now += 100
    held.switch("1", active=False)
    clock.now += 40
    held.switch("1", active=True)
    clock.now += 10
    machine = held.get("1")
    assert machine is not None
    assert (machine.wall_s, machine.idle_s, machine.created) == (110, 40, 1000)


def test_a_restart_forgets_nothing_and_counts_on(tmp_path: Path, clock: Clock) -> None:
    machines(tmp_path, clock).create(WANTED)
    clock.now += 60
    again = machines(tmp_path, clock)
    assert [one.wall_s for one in again.all()] == [60]
    again.delete("1")
    third = machines(tmp_path, clock)
    assert third.all() == []
    assert [one.wall_s for one in third.unreported()] == [60]
    third.forget(["1"])
    assert machines(tmp_path, clock).unreported() == []


def test_a_line_cut_short_by_a_kill_is_dropped_and_the_next_is_whole(tmp_path: Path, clock: Clock) -> None:
    machines(tmp_path, clock).create(WANTED)
    journal = tmp_path / "machines.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"machine": {"id": "2", "ti')
    again = machines(tmp_path, clock)
    assert [one.id for one in again.all()] == ["1"]
    again.create(replace(WANTED, id="3"))
    assert [one.id for one in machines(tmp_path, clock).all()] == ["1", "3"]


@pytest.mark.parametrize(
    ("room", "sentence"),
    [
        (Capacity(vcpu=1, ram_gb=99), "1 vCPU asked for, 1 of 1 are in use"),
        (Capacity(vcpu=99, ram_gb=3), "2048 MB of RAM asked for, 2048 of 3072"),
        (Capacity(vcpu=99, ram_gb=99, storage_tb=0.015), "10 GB of storage asked for, 10 of 15"),
        (Capacity(vcpu=99, ram_gb=99, volumes=1), "1 volumes asked for, 1 of 1"),
        (Capacity(vcpu=99, ram_gb=99, public_ips=1), "1 public IPs asked for, 1 of 1"),
    ],
)
def test_each_capacity_has_its_sentence(tmp_path: Path, clock: Clock, room: Capacity, sentence: str) -> None:
    held = machines(tmp_path, clock, room)
    held.create(WANTED, public_ips=1)
    with pytest.raises(CapacityExceeded, match=sentence):
        held.create(replace(WANTED, id="2"), public_ips=1)
    held.delete("1")
    held.create(replace(WANTED, id="3"), public_ips=1)


def test_addresses_are_unique_and_used_again(tmp_path: Path, clock: Clock) -> None:
    held = machines(tmp_path, clock)
    first, second = held.create(WANTED, public_ips=1), held.create(replace(WANTED, id="2"), public_ips=1)
    assert (first.address, second.address) == ("10.0.0.1", "10.0.0.2")
    assert [one.address for one in (*first.interfaces, *second.interfaces)] == ["192.0.2.1", "192.0.2.2"]
    held.delete("1")
    assert held.create(replace(WANTED, id="3")).address == "10.0.0.1"
    third = held.connect("3")
    assert third is not None
    assert third.address == "192.0.2.1"
    with pytest.raises(CapacityExceeded, match="1 public IPs asked for, 2 of 2 are in use"):
        held.connect("2")
    held.unlink("3", third.id)
    assert held.connect("2") is not None
    assert held.connect("1") is None


def test_volumes_outlive_machines_and_kills(tmp_path: Path, clock: Clock) -> None:
    held = machines(tmp_path, clock, Capacity(vcpu=8, ram_gb=32, storage_tb=0.04, volumes=4))
    held.create(WANTED)
    volume = held.create_volume(Volume("v", "data", "training001", "/CN=Anna", "training.egi.eu", 20))
    with pytest.raises(CapacityExceeded, match="20 GB of storage asked for, 30 of 40 are in use"):
        held.create_volume(replace(volume, id="w"))
    disk = held.attach("1", "v")
    assert disk is not None
    assert disk.device == "/dev/vdb"
    for refused in (lambda: held.attach("1", "v"), lambda: held.delete_volume("v")):
        with pytest.raises(InUse, match="is linked to the machine 1"):
            refused()
    held.delete("1")
    again = machines(tmp_path, clock)
    assert [(one.id, one.size_gb, one.created) for one in again.volumes()] == [("v", 20, 1000)]
    again.create(replace(WANTED, id="2"))
    assert again.attach("2", "v", "/dev/sdx") is not None
    third = machines(tmp_path, clock)
    machine = third.get("2")
    assert machine is not None
    assert [one.device for one in machine.disks] == ["/dev/sdx"]
    third.unlink("2", machine.disks[0].id)
    clock.now += 5
    third.delete_volume("v")
    assert third.volumes() == []
    assert [one.deleted for one in third.unreported_volumes()] == [1005]
    third.forget_volumes(["v"])
    assert machines(tmp_path, clock).unreported_volumes() == []
