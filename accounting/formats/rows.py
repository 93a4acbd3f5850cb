"""The rows that records become, one type a kind of record.

Times are epoch seconds UTC, months count as years * 12 + months - 1, durations are seconds and sizes bytes
unless the name says otherwise. Texts are "" where the record says nothing. The site is not in the row: it is
the one that the registry gives the signer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class JobRecord(NamedTuple):
    """One batch job that has ended. Key (site, local_job_id, ended_at).

    `service_level` is the speed of a core in units of `service_level_type` (hepspec, hepscore23 or si2k); a
    job that states none has 1 and type "".
    """

    local_job_id: str
    started_at: int
    ended_at: int
    submit_host: str
    machine_name: str
    queue: str
    local_user: str
    user_name: str
    fqan: str
    vo: str
    vo_group: str
    vo_role: str
    wall_s: int
    cpu_s: int
    processors: int
    node_count: int
    infrastructure_type: str
    infrastructure_description: str
    memory_real_kb: int | None
    memory_virtual_kb: int | None
    service_level_type: str
    service_level: Decimal


class JobSummary(NamedTuple):
    """Jobs of a month that a site has summed itself: plain, or `normalised` already.

    Plain: `service_level` as in JobRecord, no `norm_*_s`. Normalised: `norm_*_s` are duration x service level,
    `service_level_type` is the benchmark ("" = not told), `service_level` is 0.
    """

    month: int
    normalised: bool
    user_name: str
    vo: str
    vo_group: str
    vo_role: str
    submit_host: str
    infrastructure_type: str
    infrastructure_description: str
    service_level_type: str
    service_level: Decimal
    node_count: int
    processors: int
    earliest_end: int | None
    latest_end: int | None
    wall_s: int
    cpu_s: int
    norm_wall_s: int | None
    norm_cpu_s: int | None
    jobs: int


class CloudSummary(NamedTuple):
    """Machines of a month that somebody has summed. Network in GB as sent, memory in MB, disk in GB, each the
    sum over the machines; None = not stated.
    """

    month: int
    service: str
    user_name: str
    vo: str
    vo_group: str
    vo_role: str
    status: str
    cloud_type: str
    image: str
    earliest_start: int | None
    latest_start: int | None
    wall_s: int
    cpu_s: int
    cpu_count: Decimal
    network_in: int | None
    network_out: int | None
    memory_mb: int | None
    disk_gb: int | None
    benchmark_type: str
    benchmark: Decimal
    vms: int


class SyncCount(NamedTuple):
    """How many jobs a site itself has counted at a submit host in a month, to compare with what is here."""

    month: int
    submit_host: str
    jobs: int


class StorageRecord(NamedTuple):
    """Storage in use from `started_at` to `ended_at`, in bytes. Key (site, record_id, ended_at)."""

    record_id: str
    created_at: int
    started_at: int
    ended_at: int
    storage_system: str
    storage_share: str
    storage_media: str
    storage_class: str
    directory_path: str
    local_user: str
    local_group: str
    user_name: str
    vo: str
    vo_group: str
    vo_role: str
    attributes: dict[str, str]
    file_count: int | None
    used_bytes: int
    logical_bytes: int | None
    allocated_bytes: int | None


class AcceleratorRecord(NamedTuple):
    """What one machine had of one kind of accelerator in one month (not cumulative: the month so far).

    Key (site, vmuuid, month, type, model). `available_s` and `active_s` are seconds of each of the
    `accelerators`; a share of one is a number below 1.
    """

    vmuuid: str
    month: int
    type: str
    model: str
    accelerators: Decimal
    cores: Decimal
    available_s: int
    active_s: int
    benchmark_type: str
    benchmark: Decimal
    service: str
    cloud_type: str
    user_name: str
    fqan: str
    vo: str
    vo_group: str
    vo_role: str


class IpSnapshot(NamedTuple):
    """How many public addresses a project (local group) or a user of it held at one moment."""

    measured_at: int
    service: str
    cloud_type: str
    local_user: str
    local_group: str
    user_name: str
    fqan: str
    vo: str
    vo_group: str
    vo_role: str
    ip_version: int
    ip_count: int


Row = JobRecord | JobSummary | CloudSummary | SyncCount | StorageRecord | AcceleratorRecord | IpSnapshot
