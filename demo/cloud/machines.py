"""The virtual machines of a simulated cloud, kept in a journal.

The journal has a line for every change, the whole machine in JSON, made durable before the change is
answered. The last line of a machine counts. A line cut short by a kill was never answered, and is dropped.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from demo.cloud.journal import Journal
from demo.cloud.things import (
    Capacity,
    CapacityExceeded,
    Disk,
    Interface,
    InUse,
    Machine,
    Size,
    Taken,
    Volume,
    check,
)
from demo.cloud.volumes import Volumes


class Machines:
    """The machines of one cloud, and the volumes that can be linked to them. Safe for threads.

    `network` is the first three numbers of the public addresses.
    """

    def __init__(self, journal: Path, capacity: Capacity, network: str, clock: Callable[[], float]) -> None:
        self._journal = Journal(journal)
        self._capacity = capacity
        self._network = network
        self._clock = clock
        self._lock = threading.Lock()
        self._machines: dict[str, Machine] = {}
        self._volumes = Volumes(journal.with_name("volumes.jsonl"), clock)
        for record in self._journal.lines():
            self._replay(record)
        self._journal.rewrite(_record(machine) for machine in self._machines.values())

    def now(self) -> float:
        """The time that the cloud counts by, epoch seconds."""
        return self._clock()

    def all(self) -> list[Machine]:
        """Machines that exist, counted up to now, in order of creation."""
        now = self._clock()
        with self._lock:
            alive = [one.counted(now) for one in self._alive()]
        return sorted(alive, key=lambda machine: machine.created)

    def unreported(self) -> list[Machine]:
        """Machines that were deleted and whose last usage record is not in the outbox yet."""
        with self._lock:
            return [one for one in self._machines.values() if one.deleted is not None]

    def get(self, machine_id: str) -> Machine | None:
        """A machine that exists, counted up to now."""
        with self._lock:
            found = self._machines.get(machine_id)
        return None if found is None or found.deleted is not None else found.counted(self._clock())

    def create(self, wanted: Machine, public_ips: int = 0) -> Machine:
        """Start `wanted` (addresses and times are set here), with public addresses. Raises CapacityExceeded."""
        with self._lock:
            self._check(Taken.by(wanted.size) + Taken(public_ips=public_ips))
            now = self._clock()
            machine = replace(wanted, address=self._private_address(), created=now, changed=now)
            for _ in range(public_ips):
                machine = self._with_address(machine)
            self._store(machine)
        return machine

    def switch(self, machine_id: str, active: bool) -> None:
        """Start or stop a machine; nothing happens if it is so already or gone."""
        with self._lock:
            found = self._machines.get(machine_id)
            if found is not None and found.deleted is None and found.active != active:
                self._store(replace(found.counted(self._clock()), active=active))

    def delete(self, machine_id: str) -> None:
        """Delete a machine; it stays in the journal until its usage is reported, and its volumes stay anyway."""
        with self._lock:
            found = self._machines.get(machine_id)
            if found is not None and found.deleted is None:
                now = self._clock()
                self._store(replace(found.counted(now), deleted=now))

    def forget(self, machine_ids: Iterable[str]) -> None:
        """Drop deleted machines whose last record lies in the outbox."""
        with self._lock:
            for machine_id in machine_ids:
                self._journal.append({"reported": machine_id})
                self._machines.pop(machine_id, None)

    def connect(self, machine_id: str) -> Interface | None:
        """Give a machine a public address; None when it is gone. Raises CapacityExceeded."""
        with self._lock:
            found = self._machines.get(machine_id)
            if found is None or found.deleted is not None:
                return None
            self._check(Taken(public_ips=1))
            machine = self._with_address(found.counted(self._clock()))
            self._store(machine)
            return machine.interfaces[-1]

    def attach(self, machine_id: str, volume_id: str, device: str = "") -> Disk | None:
        """Link a volume to a machine; None when either is gone. Raises InUse for one that is linked already."""
        with self._lock:
            found, volume = self._machines.get(machine_id), self._volumes.get(volume_id)
            if found is None or found.deleted is not None or volume is None:
                return None
            self._check_free(volume)
            disk = Disk(
                str(uuid.uuid4()), volume.id, device or f"/dev/vd{'bcdefghijklm'[len(found.disks) % 12]}"
            )
            self._store(replace(found.counted(self._clock()), disks=(*found.disks, disk)))
            return disk

    def unlink(self, machine_id: str, link_id: str) -> None:
        """Take a public address or a volume from a machine."""
        with self._lock:
            found = self._machines.get(machine_id)
            if found is not None and found.deleted is None:
                kept = replace(
                    found.counted(self._clock()),
                    interfaces=tuple(one for one in found.interfaces if one.id != link_id),
                    disks=tuple(one for one in found.disks if one.id != link_id),
                )
                self._store(kept)

    def volumes(self) -> list[Volume]:
        """Volumes that exist, in order of creation."""
        with self._lock:
            return self._volumes.all()

    def create_volume(self, wanted: Volume) -> Volume:
        """Make a volume. Raises CapacityExceeded."""
        with self._lock:
            self._check(Taken(disk_gb=wanted.size_gb, volumes=1))
            return self._volumes.add(wanted)

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume and what is on it. Raises InUse while a machine holds it."""
        with self._lock:
            volume = self._volumes.get(volume_id)
            if volume is not None:
                self._check_free(volume)
                self._volumes.delete(volume_id)

    def unreported_volumes(self) -> list[Volume]:
        """Volumes that were deleted and whose last record is not in the outbox yet."""
        with self._lock:
            return self._volumes.unreported()

    def forget_volumes(self, volume_ids: Iterable[str]) -> None:
        """Drop deleted volumes whose last record lies in the outbox."""
        with self._lock:
            for volume_id in volume_ids:
                self._volumes.forget(volume_id)

    def _alive(self) -> list[Machine]:
        return [one for one in self._machines.values() if one.deleted is None]

    def _check(self, asked: Taken) -> None:
        taken = self._volumes.taken()
        for machine in self._alive():
            taken += Taken.by(machine.size) + Taken(public_ips=len(machine.interfaces))
        check(self._capacity, taken, asked)

    def _check_free(self, volume: Volume) -> None:
        for machine in self._alive():
            if any(disk.volume == volume.id for disk in machine.disks):
                raise InUse(f"The volume {volume.id} is linked to the machine {machine.id}; unlink it first.")

    def _store(self, machine: Machine) -> None:
        self._journal.append(_record(machine))
        self._machines[machine.id] = machine

    def _replay(self, record: dict[str, object]) -> None:
        if "reported" in record:
            self._machines.pop(str(record["reported"]), None)
            return
        body = record["machine"]
        assert isinstance(body, dict)
        machine = Machine(
            **{
                **body,
                "size": Size(**body["size"]),
                "interfaces": tuple(Interface(**one) for one in body.get("interfaces", ())),
                "disks": tuple(Disk(**one) for one in body.get("disks", ())),
            }
        )
        self._machines[machine.id] = machine

    def _private_address(self) -> str:
        taken = {machine.address for machine in self._alive()}
        return next(
            address for n in range(1, 65_025) if (address := f"10.0.{n // 255}.{n % 255}") not in taken
        )

    def _with_address(self, machine: Machine) -> Machine:
        held = {one.address for other in self._alive() for one in other.interfaces}
        held |= {one.address for one in machine.interfaces}
        free = (f"{self._network}.{n}" for n in range(1, 255) if f"{self._network}.{n}" not in held)
        address = next(free, None)
        if address is None:
            raise CapacityExceeded(f"Capacity exceeded: all addresses of {self._network}.0/24 are in use.")
        return replace(machine, interfaces=(*machine.interfaces, Interface(str(uuid.uuid4()), address)))


def _record(machine: Machine) -> dict[str, object]:
    return {"machine": asdict(machine)}
