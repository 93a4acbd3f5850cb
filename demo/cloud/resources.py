"""What a cloud reports beside machines, in the shapes that cASO writes: GPUs, public addresses, and storage.

Every machine of the simulated clouds has a volume, its disk; other volumes are made and linked to machines.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from xml.sax.saxutils import escape, quoteattr

from demo.cloud import things
from demo.cloud.usage import UsageRecord

MODEL = "NVIDIA A100"
GIB = 2**30
_STAR = "http://eu-emi.eu/namespaces/2011/02/storagerecord"
_NAMESPACE = uuid.UUID("0c2f6d6e-91f5-4f6a-9a3e-4a1c9d3b7e55")


@dataclass(frozen=True)
class Addresses:
    """Public addresses of one person in one VO at a moment."""

    account: str
    dn: str
    vo: str
    count: int

    @classmethod
    def of(cls, records: Sequence[UsageRecord]) -> list[Self]:
        """The addresses of machines, by who holds them."""
        held: Counter[tuple[str, str, str]] = Counter()
        for record in records:
            held[record.account, record.dn, record.vo] += record.public_ips
        return [cls(*who, count) for who, count in sorted(held.items()) if count]


@dataclass(frozen=True)
class Volume:
    """A volume: whose it is, its size in bytes, from when until when it is reported (epoch seconds)."""

    uuid: str
    account: str
    dn: str
    vo: str
    size: int
    created: int
    taken: int

    @classmethod
    def of(cls, record: UsageRecord) -> Self:
        """The volume of a machine, which lives as long."""
        number = str(uuid.uuid5(_NAMESPACE, record.uuid))
        size = record.disk_gb * GIB
        return cls(number, record.account, record.dn, record.vo, size, record.created, record.taken)

    @classmethod
    def made(cls, volume: things.Volume, now: int) -> Self:
        """A volume that somebody made, as it is now or was when it was deleted."""
        taken = now if volume.deleted is None else max(int(volume.created) + 1, int(volume.deleted))
        size = volume.size_gb * GIB
        return cls(volume.id, volume.account, volume.dn, volume.vo, size, int(volume.created), taken)


def month_start(moment: int) -> int:
    """The epoch second at which the month of `moment` begins."""
    at = datetime.fromtimestamp(moment, UTC)
    return int(at.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())


def accelerators(site: str, cloud_type: str, records: Sequence[UsageRecord], month: int) -> str:
    """The GPUs of machines in the month that begins at `month`, in seconds of that month."""
    begins = datetime.fromtimestamp(month, UTC)
    return _wrapped(
        "APEL-accelerator-message",
        "0.1",
        [
            {
                **_cloud(site, cloud_type),
                "AssociatedRecordType": "cloud",
                "AssociatedRecord": record.uuid,
                "GlobalUserName": record.dn,
                "FQAN": record.vo,
                "MeasurementMonth": begins.month,
                "MeasurementYear": begins.year,
                "Type": "GPU",
                "Model": MODEL,
                "Count": record.gpus,
                "AvailableDuration": max(1, record.taken - max(record.created, month)),
                "ActiveDuration": max(1, record.taken - max(record.created, month)),
            }
            for record in records
        ],
    )


def addresses(site: str, cloud_type: str, held: Sequence[Addresses], taken: int) -> str:
    """How many public addresses each person holds at a moment."""
    number = str(uuid.uuid5(_NAMESPACE, f"{site} {taken}"))
    return _wrapped(
        "APEL Public IP message",
        "0.2",
        [
            {
                **_cloud(site, cloud_type),
                "uuid": number,
                "LocalUser": one.account,
                "LocalGroup": one.vo,
                "GlobalUserName": one.dn,
                "FQAN": one.vo,
                "IPVersion": 4,
                "IPCount": one.count,
                "MeasurementTime": taken,
            }
            for one in held
        ],
    )


def storage(site: str, volumes: Sequence[Volume]) -> str:
    """Volumes as StAR, on one line and without a declaration; times are UTC."""
    records = "".join(_volume(site, one) for one in volumes)
    return f'<sr:StorageUsageRecords xmlns:sr="{_STAR}">{records}</sr:StorageUsageRecords>'


def _volume(site: str, one: Volume) -> str:
    identity = f"sr:createTime={quoteattr(_time(one.taken))} sr:recordId={quoteattr(one.uuid)}"
    subject = {
        "LocalUser": one.account, "LocalGroup": one.vo, "UserIdentity": one.dn, "Group": one.vo,
    }  # fmt: skip
    within = "".join(_element(name, value) for name, value in subject.items())
    return (
        f"<sr:StorageUsageRecord><sr:RecordIdentity {identity} />"
        f"{_element('StorageSystem', site)}{_element('Site', site)}"
        f"<sr:SubjectIdentity>{within}</sr:SubjectIdentity>"
        f"{_element('StartTime', _time(one.created))}{_element('EndTime', _time(one.taken))}"
        f"{_element('ResourceCapacityUsed', str(one.size))}</sr:StorageUsageRecord>"
    )


def _element(name: str, value: str) -> str:
    return f"<sr:{name}>{escape(value)}</sr:{name}>"


def _time(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S}"


def _cloud(site: str, cloud_type: str) -> dict[str, str]:
    written_as = "caso/5.2.2 (OpenStack)" if cloud_type == "OpenStack" else cloud_type
    return {"SiteName": site, "CloudType": written_as, "CloudComputeService": site}


def _wrapped(kind: str, version: str, records: Sequence[dict[str, object]]) -> str:
    return json.dumps({"Type": kind, "Version": version, "UsageRecords": records})
