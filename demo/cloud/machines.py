"""The virtual machines of a simulated cloud, kept in a journal.

The journal has a line for every change, the whole machine in JSON, made durable before the change is
answered. The last line of a machine counts. A line cut short by a kill was never answered, and is dropped.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """A resource template: what a machine of it takes. Memory in MB, disk in GB."""

    term: str
    title: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    gpus: int = 0


@dataclass(frozen=True)
class Capacity:
    """What a site has; None where the site does not count it. RAM in GB, storage in TB (1000 GB)."""

    vcpu: int
    ram_gb: int
    storage_tb: float | None = None
    volumes: int | None = None
    public_ips: int | None = None


@dataclass(frozen=True)
class Machine:
    """A virtual machine. Times are epoch seconds; `wall_s` and `idle_s` were counted up to `changed`."""

    id: str
    title: str
    hostname: str
    account: str
    dn: str
    vo: str
    fqan: str
    image: str
    size: Size
    address: str
    created: float
    changed: float
    active: bool = True
    wall_s: float = 0.0
    idle_s: float = 0.0
    deleted: float | None = None

    def counted(self, now: float) -> Machine:
        """The same machine with its times counted up to `now`."""
        passed = 0.0 if self.deleted is not None else max(0.0, now - self.changed)
        wall, idle = (passed, 0.0) if self.active else (0.0, passed)
        return replace(self, changed=now, wall_s=self.wall_s + wall, idle_s=self.idle_s + idle)


class CapacityExceeded(Exception):
    """The cloud has no room; the sentence says what is short: asked, used, total."""


class Machines:
    """The machines of one cloud. Safe for threads."""

    def __init__(self, journal: Path, capacity: Capacity, network: str, clock: Callable[[], float]) -> None:
        self._journal = Journal(journal)
        self._capacity = capacity
        self._network = network
        self._clock = clock
        self._lock = threading.Lock()
        self._machines: dict[str, Machine] = {}
        for record in self._journal.lines():
            self._replay(record)
        self._journal.rewrite(_record(machine) for machine in self._machines.values())

    def all(self) -> list[Machine]:
        """Machines that exist, counted up to now, in order of creation."""
        now = self._clock()
        with self._lock:
            alive = [one.counted(now) for one in self._machines.values() if one.deleted is None]
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

    def create(self, wanted: Machine) -> Machine:
        """Start `wanted` (its address and times are set here). Raises CapacityExceeded."""
        with self._lock:
            alive = [one for one in self._machines.values() if one.deleted is None]
            _check(self._capacity, alive, wanted.size)
            now = self._clock()
            machine = replace(wanted, address=self._free_address(alive), created=now, changed=now)
            self._store(machine)
        return machine

    def switch(self, machine_id: str, active: bool) -> None:
        """Start or stop a machine; nothing happens if it is so already or gone."""
        with self._lock:
            found = self._machines.get(machine_id)
            if found is not None and found.deleted is None and found.active != active:
                self._store(replace(found.counted(self._clock()), active=active))

    def delete(self, machine_id: str) -> None:
        """Delete a machine; it stays in the journal until its usage is reported."""
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

    def _store(self, machine: Machine) -> None:
        self._journal.append(_record(machine))
        self._machines[machine.id] = machine

    def _replay(self, record: dict[str, object]) -> None:
        if "reported" in record:
            self._machines.pop(str(record["reported"]), None)
            return
        body = record["machine"]
        assert isinstance(body, dict)
        machine = Machine(**{**body, "size": Size(**body["size"])})
        self._machines[machine.id] = machine

    def _free_address(self, alive: list[Machine]) -> str:
        taken = {machine.address for machine in alive}
        host = next(n for n in range(1, 255) if f"{self._network}.{n}" not in taken)
        return f"{self._network}.{host}"


class Journal:
    """A file of JSON lines; an appended line is durable when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self) -> list[dict[str, object]]:
        """All whole lines. Only the last can be cut short, since each is durable before the next is begun."""
        if not self._path.exists():
            return []
        raw = self._path.read_bytes()
        return [json.loads(line) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]

    def append(self, record: dict[str, object]) -> None:
        """Add a line."""
        with self._path.open("ab") as stream:
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def rewrite(self, records: Iterable[dict[str, object]]) -> None:
        """Replace the whole file by these lines: drops what is over, and a last line that was cut short."""
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as stream:
            for record in records:
                stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, self._path)


def _record(machine: Machine) -> dict[str, object]:
    return {"machine": asdict(machine)}


def _check(capacity: Capacity, alive: list[Machine], size: Size) -> None:
    storage = None if capacity.storage_tb is None else int(capacity.storage_tb * 1000)
    for unit, asked, used, total in (
        ("vCPU", size.vcpu, sum(one.size.vcpu for one in alive), capacity.vcpu),
        ("MB of RAM", size.memory_mb, sum(one.size.memory_mb for one in alive), capacity.ram_gb * 1024),
        ("GB of storage", size.disk_gb, sum(one.size.disk_gb for one in alive), storage),
        ("volumes", 1, len(alive), capacity.volumes),
        ("public IPs", 1, len(alive), capacity.public_ips),
    ):
        if total is not None and used + asked > total:
            raise CapacityExceeded(
                f"Capacity exceeded: {asked} {unit} asked for, {used} of {total} are in use."
            )
