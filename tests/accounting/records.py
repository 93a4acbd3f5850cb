"""Cloud records as sites write them, for the tests of accounting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = 86_400


def epoch(moment: datetime | str) -> int:
    """Epoch seconds of a time, or of an ISO text taken as UTC."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return int(moment.timestamp())


def months_ago(months: int, day: int = 10) -> datetime:
    """Noon of a day in the month that lies so many before the current one."""
    index = NOW.year * 12 + NOW.month - 1 - months
    return datetime(index // 12, index % 12 + 1, day, 12, tzinfo=UTC)


def record(site: str = "BIFI", vm: str = "one-41881", **changes: Any) -> dict[str, Any]:
    """One running machine of 4 cores, one day old, measured an hour ago. `changes` set or (None) leave out
    fields.
    """
    measured = NOW - timedelta(hours=1)
    fields: dict[str, Any] = {
        "RecordCreateTime": epoch(measured),
        "VMUUID": vm,
        "SiteName": site,
        "CloudComputeService": f"{site}-CLOUD",
        "MachineName": vm,
        "LocalUserId": "u0142",
        "LocalGroupId": "g7",
        "GlobalUserName": "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist",
        "FQAN": "/training.egi.eu/Role=NULL/Capability=NULL",
        "Status": "started",
        "StartTime": epoch(measured) - DAY,
        "EndTime": "None",
        "SuspendDuration": 0,
        "WallDuration": DAY,
        "CpuDuration": 4 * DAY,
        "CpuCount": 4,
        "NetworkType": "None",
        "Memory": 8192,
        "Disk": 80,
        "ImageId": "ubuntu-24.04",
        "CloudType": "caso/5.2.2 (OpenStack)",
    }
    fields |= changes
    return {key: value for key, value in fields.items() if value is not None}


def lines(fields: dict[str, Any]) -> str:
    """A record as `Key: value` lines."""
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def message(*records: dict[str, Any] | str, version: str = "v0.4") -> str:
    """A cloud message; a record given as text is taken as it is."""
    texts = [each if isinstance(each, str) else lines(each) for each in records]
    return f"APEL-cloud-message: {version}\n" + "%%\n".join(texts)
