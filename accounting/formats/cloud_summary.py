"""APEL-cloud-summary-message v0.4: machines of a month that somebody has summed, as a regional server sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from accounting.formats.cloud_fields import MOST_SIZE
from accounting.formats.fields import MOST_MONTH_S, Fields, text_parts
from accounting.formats.keyvalue import moment, signed_integer
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import CloudSummary
from accounting.formats.writing import message, month_fields

HEAD = "APEL-cloud-summary-message"
KNOWN = frozenset({
    "SiteName", "CloudComputeService", "Month", "Year", "GlobalUserName", "VO", "VOGroup", "VORole", "Status",
    "CloudType", "ImageId", "EarliestStartTime", "LatestStartTime", "WallDuration", "CpuDuration", "CpuCount",
    "NetworkInbound", "NetworkOutbound", "Memory", "Disk", "BenchmarkType", "Benchmark", "NumberOfVMs", "UpdateTime",
})  # fmt: skip


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a cloud summary message by itself."""
    for part in text_parts(text):
        fields = Fields(part, judging)
        fields.strange(KNOWN, "cloud summaries")
        yield _judge(fields)


def _judge(fields: Fields) -> Reading:
    site, vo = fields.key_text("SiteName"), fields.text("VO")
    earliest, latest = fields.take("EarliestStartTime", moment), fields.take("LatestStartTime", moment)
    fields.ordered("EarliestStartTime", earliest, "LatestStartTime", latest)
    fields.not_in_future("LatestStartTime", latest)
    row = CloudSummary(
        month=fields.month(),
        service=fields.text("CloudComputeService"),
        user_name=fields.text("GlobalUserName"),
        vo=vo,
        vo_group=fields.text("VOGroup"),
        vo_role=fields.text("VORole"),
        status=fields.text("Status").lower(),
        cloud_type=fields.text("CloudType"),
        image=fields.text("ImageId"),
        earliest_start=earliest,
        latest_start=latest,
        wall_s=_counted(fields, "WallDuration", "no_wall", "wall time"),
        cpu_s=_counted(fields, "CpuDuration", "no_cpu", "CPU time"),
        cpu_count=fields.decimal("CpuCount"),
        network_in=_summed(fields, "NetworkInbound", MOST_SIZE),
        network_out=_summed(fields, "NetworkOutbound", MOST_SIZE),
        memory_mb=fields.number("Memory", MOST_SIZE),
        disk_gb=fields.number("Disk", MOST_SIZE),
        benchmark_type=fields.text("BenchmarkType", 50),
        benchmark=fields.decimal("Benchmark"),
        vms=fields.needed("NumberOfVMs", MOST_MONTH_S),
    )
    subject = f"{row.service} {row.image}".strip()
    return fields.reading(
        row, site_key="SiteName", site=site, subject=subject, vo=vo, cpu_s=row.cpu_s, month=row.month
    )


def _counted(fields: Fields, key: str, code: str, what: str) -> int:
    if fields.stated(key) is None:
        fields.remark(code, key, f"{key} is not given; the record adds no {what}.")
    return _summed(fields, key, MOST_MONTH_S) or 0


def _summed(fields: Fields, key: str, most: int) -> int | None:
    """A sum that is negative where a counter began anew and somebody subtracted, as APEL does: nothing is known of what
    was used since, so it counts as 0 with a remark, and the record's other figures count.
    """
    value = fields.take(key, signed_integer)
    if value is None or value >= 0:
        return None if value is None else fields.number(key, most)
    words = f"{key} is {value}: a counter began anew where this was summed; counted as 0."
    fields.remark("negative_sum", key, words)
    return 0


def write(site: str, rows: Iterable[CloudSummary]) -> str:
    """A message of these summaries."""
    return message(f"{HEAD}: v0.4", (_written(site, row) for row in rows))


def _written(site: str, row: CloudSummary) -> dict[str, object]:
    return {
        "SiteName": site,
        "CloudComputeService": row.service,
        **month_fields(row.month),
        "GlobalUserName": row.user_name,
        "VO": row.vo,
        "VOGroup": row.vo_group,
        "VORole": row.vo_role,
        "Status": row.status,
        "CloudType": row.cloud_type,
        "ImageId": row.image,
        "EarliestStartTime": row.earliest_start,
        "LatestStartTime": row.latest_start,
        "WallDuration": row.wall_s,
        "CpuDuration": row.cpu_s,
        "CpuCount": row.cpu_count,
        "NetworkInbound": row.network_in,
        "NetworkOutbound": row.network_out,
        "Memory": row.memory_mb,
        "Disk": row.disk_gb,
        "BenchmarkType": row.benchmark_type,
        "Benchmark": row.benchmark,
        "NumberOfVMs": row.vms,
    }


FORMAT = Format(title="cloud summary", heads=(HEAD,), versions=("v0.4",), read=read)
