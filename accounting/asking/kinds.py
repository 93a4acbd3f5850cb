"""The kinds of usage, and the tables that answer for each, the smallest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnClause, FromClause, Numeric, Text, cast, column, func, true

from accounting.asking.contract import Column, Kind, Source
from accounting.models import (
    AcceleratorSummary,
    IpSummary,
    JobSummary,
    StorageSummary,
    UsageDay,
    UsageMonth,
    UsagePacked,
    UsageSummary,
)

_MONTHS: Final = UsageMonth.__table__
_PACKED: Final = UsagePacked.__table__
_DAYS: Final = UsageDay.__table__
_CLOUD: Final = UsageSummary.__table__
_JOBS: Final = JobSummary.__table__
_GPUS: Final = AcceleratorSummary.__table__
_STORAGE: Final = StorageSummary.__table__
_IPS: Final = IpSummary.__table__
_WHO: Final = {
    "month": "month", "site": "site", "vo": "vo", "group": "vo_group", "role": "vo_role", "user": "user_name",
}  # fmt: skip


def _named(table: FromClause, names: Mapping[str, str]) -> dict[str, Column]:
    """Columns of a table by the names that questions use."""
    return {name: table.c[column] for name, column in names.items()}


def _sums(table: FromClause, *names: str) -> dict[str, Column]:
    return {name: table.c[name] for name in names}


def _by_month(kind: str, *sums: str) -> Source:
    """The roll-up of a kind."""
    columns = _named(_MONTHS, {"month": "month", "site": "site", "vo": "vo"})
    return Source(_MONTHS, columns, _sums(_MONTHS, *sums), (_MONTHS.c.kind == kind,))


def _benchmark(table: FromClause, kind: str, value: str) -> dict[str, Column]:
    return {"benchmark": func.concat_ws(" ", table.c[kind], cast(table.c[value], Numeric(10, 2)))}


def _packed() -> Source:
    """The summaries of a VO, unpacked: for what its people used, of which images."""
    texts = {"user": "user_name", "image": "image", "status": "status", "service": "service"}
    sums = ("wall_s", "cpu_s", "wall_core_s", "vms")
    arrays = [_PACKED.c[name] for name in (*texts.values(), "cores", *sums)]
    named: list[ColumnClause[Any]] = [
        *(column(name, Text) for name in texts),
        column("cores", Numeric(10, 3)),
        *(column(name, BigInteger) for name in sums),
    ]
    one = func.unnest(*arrays).table_valued(*named, name="one").render_derived()
    dimensions = {name: one.c[name] for name in (*texts, "cores")}
    return Source(
        _PACKED.join(one, true()),
        _named(_PACKED, {"month": "month", "site": "site", "vo": "vo"}) | dimensions,
        {name: one.c[name] for name in sums},
        within=frozenset({"vo"}),
    )


CLOUD: Final = Kind(
    "cloud",
    "Cloud",
    (
        "cpu_hours", "wall_hours", "vms", "core_hours", "efficiency", "share", "normalised_cpu_hours",
        "normalised_wall_hours", "network",
    ),
    (
        _by_month(
            "cloud", "wall_s", "cpu_s", "wall_core_s", "normalised_wall_s", "normalised_cpu_s", "network_in",
            "network_out", "vms", "begun",
        ),
        Source(
            _DAYS, _named(_DAYS, {"day": "day", "site": "site", "vo": "vo"}), _sums(_DAYS, "wall_s", "cpu_s", "vms")
        ),
        _packed(),
        Source(
            _CLOUD,
            _named(_CLOUD, _WHO | {"service": "service", "status": "status", "image": "image", "cores": "cores"})
            | _benchmark(_CLOUD, "benchmark_type", "benchmark"),
            _sums(_CLOUD, "wall_s", "cpu_s", "wall_core_s", "network_in", "network_out", "vms")
            | {
                "normalised_wall_s": _CLOUD.c.wall_s * _CLOUD.c.benchmark,
                "normalised_cpu_s": _CLOUD.c.cpu_s * _CLOUD.c.benchmark,
            },
        ),
    ),
    beside=("cpu_hours", "wall_hours", "vms"),
)  # fmt: skip
JOBS: Final = Kind(
    "jobs",
    "Jobs",
    (
        "normalised_cpu_hours", "cpu_hours", "jobs", "wall_hours", "core_hours", "normalised_wall_hours", "efficiency",
        "share",
    ),
    (
        _by_month("jobs", "wall_s", "cpu_s", "wall_core_s", "normalised_wall_s", "normalised_cpu_s", "jobs"),
        Source(
            _JOBS,
            _named(
                _JOBS,
                _WHO | {"submit_host": "submit_host", "infrastructure": "infrastructure_type", "cores": "processors"},
            )
            | _benchmark(_JOBS, "service_level_type", "service_level"),
            _sums(_JOBS, "wall_s", "cpu_s", "wall_core_s", "jobs")
            | _named(_JOBS, {"normalised_wall_s": "norm_wall_s", "normalised_cpu_s": "norm_cpu_s"}),
        ),
    ),
    beside=("cpu_hours", "wall_hours", "jobs"),
)  # fmt: skip
GPUS: Final = Kind(
    "gpu",
    "Accelerators",
    ("gpu_hours", "gpu_active_hours", "gpu_use"),
    (
        Source(
            _GPUS,
            _named(_GPUS, _WHO | {"service": "service", "type": "type", "model": "model"})
            | _benchmark(_GPUS, "benchmark_type", "benchmark"),
            _sums(_GPUS, "available_s", "active_s", "vms"),
        ),
    ),
)
STORAGE: Final = Kind(
    "storage",
    "Storage",
    ("storage",),
    (
        Source(
            _STORAGE,
            _named(
                _STORAGE,
                _WHO
                | {"system": "storage_system", "storage_share": "storage_share", "media": "storage_media"},
            ),
            _sums(_STORAGE, "byte_s"),
        ),
    ),
)
IPS: Final = Kind(
    "ip",
    "Public IPs",
    ("public_ips",),
    (
        Source(
            _IPS,
            _named(_IPS, _WHO | {"service": "service", "ip_version": "ip_version"}),
            {"ips": cast(_IPS.c.sum_count, Numeric) / func.greatest(_IPS.c.snapshots, 1)},
        ),
    ),
)
KINDS: Final[Mapping[str, Kind]] = {each.name: each for each in (CLOUD, JOBS, GPUS, STORAGE, IPS)}
