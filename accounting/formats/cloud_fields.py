"""The fields of a cloud record and what is plausible in them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from accounting.formats.keyvalue import TEXT_LIMIT, BadValue, decimal, integer, moment

MOST_SIZE = 10**15
"""Bytes, MB or GB: beyond it the unit is wrong, and sums of such would not fit 64 bits."""


def size(value: str) -> int:
    """A whole number from 0 to MOST_SIZE. Raises BadValue."""
    number = integer(value)
    if number > MOST_SIZE:
        raise BadValue(f"is {number}, more than {MOST_SIZE}; check the unit.")
    return number


TEXTS: dict[str, int] = {
    "VMUUID": TEXT_LIMIT, "SiteName": TEXT_LIMIT, "CloudComputeService": TEXT_LIMIT, "MachineName": TEXT_LIMIT,
    "LocalUserId": TEXT_LIMIT, "LocalGroupId": TEXT_LIMIT, "GlobalUserName": TEXT_LIMIT, "FQAN": TEXT_LIMIT,
    "Status": TEXT_LIMIT, "NetworkType": TEXT_LIMIT, "BenchmarkType": 50, "StorageRecordId": TEXT_LIMIT,
    "ImageId": TEXT_LIMIT, "CloudType": TEXT_LIMIT,
}  # fmt: skip
NUMBERS: dict[str, Callable[[str], int | Decimal | None]] = {
    "RecordCreateTime": moment, "StartTime": moment, "EndTime": moment, "SuspendDuration": integer,
    "WallDuration": integer, "CpuDuration": integer, "CpuCount": decimal, "NetworkInbound": size,
    "NetworkOutbound": size, "PublicIPCount": integer, "Memory": size, "Disk": size, "Benchmark": decimal,
}  # fmt: skip
IGNORED = frozenset({"UpdateTime", "MeasurementTime", "MeasurementMonth", "MeasurementYear"})
KEYS = frozenset({"VMUUID", "SiteName"})  # cutting one of these could make two things one
STATUSES = frozenset({"started", "completed", "suspended", "error", "paused", "stopped", "unknown"})
LONGEST_S = 100 * 366 * 86_400
MOST_CORES = 10_000


def split_fqan(fqan: str) -> tuple[str, str, str]:
    """VO, group and role of an FQAN as APEL splits it; a plain word is the VO. "" where there is none.

    `/vo.a/pilots/Role=x/Capability=NULL` gives `vo.a`, `/vo.a/pilots`, `Role=x`; only what stands before the
    first `;` counts.
    """
    if not fqan.startswith("/"):
        return fqan, "", ""
    pieces = [piece for piece in fqan.partition(";")[0].split("/") if piece]
    groups: list[str] = []
    role = ""
    for piece in pieces:
        if piece.lower().startswith("role="):
            role = piece
            break
        groups.append(piece)
    if not groups:
        return "", "", role
    return groups[0], "/" + "/".join(groups), role
