"""Usage records of virtual machines: `APEL-cloud-message: v0.4`, as the exporters of the two kinds of cloud
write it.

oneacct-export (OpenNebula) writes a record's creation time and network figures; cASO (OpenStack) writes
keys in alphabetical order, no creation time, and `EndTime: 0` while a machine runs. Durations are
cumulative seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEADER = "APEL-cloud-message: v0.4"


@dataclass(frozen=True)
class UsageRecord:
    """One snapshot of a machine. Times are epoch seconds, memory MB, disk GB; `end` None while it exists."""

    uuid: str
    name: str
    account: str
    dn: str
    vo: str
    fqan: str
    image: str
    created: int
    end: int | None
    running: bool
    wall_s: int
    idle_s: int
    vcpu: int
    memory_mb: int
    disk_gb: int
    taken: int
    gpus: int = 0
    public_ips: int = 1

    @property
    def status(self) -> str:
        """In the words of the specification."""
        if self.end is not None:
            return "completed"
        return "started" if self.running else "suspended"


def message(site: str, cloud_type: str, records: Sequence[UsageRecord]) -> str:
    """A whole message, unsigned."""
    if cloud_type == "OpenStack":
        return HEADER + "\n" + "\n%%\n".join(_caso(site, record) for record in records) + "\n"
    return HEADER + "\n" + "".join(_oneacct(site, record) + "\n%%\n" for record in records)


def _oneacct(site: str, record: UsageRecord) -> str:
    fields = {
        "RecordCreateTime": record.taken,
        "VMUUID": record.uuid,
        "SiteName": site,
        "CloudComputeService": f"{site}-OpenNebula",
        "MachineName": record.name,
        "LocalUserId": record.account,
        "LocalGroupId": record.vo,
        "GlobalUserName": record.dn,
        "FQAN": f"{record.fqan}/Role=NULL/Capability=NULL" if "/Role=" not in record.fqan else record.fqan,
        "Status": record.status,
        "StartTime": record.created,
        "EndTime": "NULL" if record.end is None else record.end,
        "SuspendDuration": record.idle_s,
        "WallDuration": record.wall_s,
        "CpuDuration": record.wall_s * record.vcpu,
        "CpuCount": record.vcpu,
        "NetworkType": "NULL",
        "NetworkInbound": 0,
        "NetworkOutbound": 0,
        "PublicIPCount": record.public_ips,
        "Memory": record.memory_mb,
        "Disk": record.disk_gb,
        "StorageRecordId": "NULL",
        "ImageId": record.image,
        "CloudType": "OpenNebula",
    }
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def _caso(site: str, record: UsageRecord) -> str:
    fields = {
        "CloudComputeService": site,
        "CloudType": "caso/5.2.2 (OpenStack)",
        "CpuCount": record.vcpu,
        "CpuDuration": max(1, record.wall_s * record.vcpu),
        "Disk": record.disk_gb,
        "EndTime": record.end or 0,
        "FQAN": record.vo,
        "GlobalUserName": record.dn,
        "ImageId": record.image,
        "LocalGroupId": record.vo,
        "LocalUserId": record.account,
        "MachineName": record.name,
        "Memory": record.memory_mb,
        "PublicIPCount": record.public_ips,
        "SiteName": site,
        "StartTime": record.created,
        "Status": record.status,
        "VMUUID": record.uuid,
        "WallDuration": max(1, record.wall_s),
        **({"SuspendDuration": record.idle_s} if record.idle_s else {}),
    }
    return "\n".join(f"{name}: {value}" for name, value in sorted(fields.items()))
