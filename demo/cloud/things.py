"""What a simulated cloud has and gives away: its capacity, machines, their links, and volumes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self


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
class Interface:
    """A public address that a machine holds, by the id of the link that gave it."""

    id: str
    address: str


@dataclass(frozen=True)
class Disk:
    """A volume linked to a machine: the link's id, the volume's, and where the machine finds it."""

    id: str
    volume: str
    device: str


@dataclass(frozen=True)
class Machine:
    """A virtual machine. Times are epoch seconds; `wall_s` and `idle_s` were counted up to `changed`.

    `address` is its private one. `user_data` (base64) and `public_key` are what it is contextualised with.
    """

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
    user_data: str = ""
    public_key: str = ""
    interfaces: tuple[Interface, ...] = ()
    disks: tuple[Disk, ...] = ()

    def counted(self, now: float) -> Machine:
        """The same machine with its times counted up to `now`."""
        passed = 0.0 if self.deleted is not None else max(0.0, now - self.changed)
        wall, idle = (passed, 0.0) if self.active else (0.0, passed)
        return replace(self, changed=now, wall_s=self.wall_s + wall, idle_s=self.idle_s + idle)


class CapacityExceeded(Exception):
    """The cloud has no room; the sentence says what is short: asked, used, total."""


class InUse(Exception):
    """It cannot be done while something holds it; the sentence says what."""


@dataclass(frozen=True)
class Volume:
    """A volume: its size in GB, whose it is; times are epoch seconds."""

    id: str
    title: str
    account: str
    dn: str
    vo: str
    size_gb: int
    created: float = 0.0
    deleted: float | None = None


@dataclass(frozen=True)
class Taken:
    """How much of a cloud's capacity something takes. Memory in MB, disk in GB."""

    vcpu: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    volumes: int = 0
    public_ips: int = 0

    @classmethod
    def by(cls, size: Size) -> Self:
        """What a machine of this size takes; its disk is a volume too."""
        return cls(size.vcpu, size.memory_mb, size.disk_gb, 1)

    def __add__(self, other: Taken) -> Taken:
        return Taken(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def check(capacity: Capacity, taken: Taken, asked: Taken) -> None:
    """Raise CapacityExceeded for the first thing of which there is not as much left as is asked."""
    storage = None if capacity.storage_tb is None else int(capacity.storage_tb * 1000)
    for unit, wanted, used, total in (
        ("vCPU", asked.vcpu, taken.vcpu, capacity.vcpu),
        ("MB of RAM", asked.memory_mb, taken.memory_mb, capacity.ram_gb * 1024),
        ("GB of storage", asked.disk_gb, taken.disk_gb, storage),
        ("volumes", asked.volumes, taken.volumes, capacity.volumes),
        ("public IPs", asked.public_ips, taken.public_ips, capacity.public_ips),
    ):
        if total is not None and wanted and used + wanted > total:
            raise CapacityExceeded(
                f"Capacity exceeded: {wanted} {unit} asked for, {used} of {total} are in use."
            )
