"""APEL-summary-job-message v0.2 and v0.4 (plain), v0.3 (normalised), and APEL-normalised-summary-message v0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from accounting.formats.benchmarks import normalised, service_level
from accounting.formats.fields import MOST_MONTH_S, Fields, text_parts
from accounting.formats.individual_job import MOST_CORES, infrastructure
from accounting.formats.keyvalue import head_of, moment
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import JobSummary
from accounting.formats.times import month_start
from accounting.formats.writing import message, month_fields

PLAIN, NORMALISED = "APEL-summary-job-message", "APEL-normalised-summary-message"
_BOTH = {
    "Site", "Month", "Year", "GlobalUserName", "VO", "VOGroup", "VORole", "SubmitHost", "NodeCount", "Processors",
    "EarliestEndTime", "LatestEndTime", "WallDuration", "CpuDuration", "NumberOfJobs", "InfrastructureDescription",
    "UpdateTime",
}  # fmt: skip
KNOWN = {
    False: frozenset(_BOTH | {"InfrastructureType", "ServiceLevelType", "ServiceLevel"}),
    True: frozenset(_BOTH | {"Infrastructure", "NormalisedWallDuration", "NormalisedCpuDuration"}),
}


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a summary message by itself."""
    head = head_of(text)
    is_normalised = head.name == NORMALISED or head.version == "v0.3"
    for part in text_parts(text):
        fields = Fields(part, judging)
        fields.strange(KNOWN[is_normalised], "these job summaries")
        yield _judge(fields, is_normalised)


def _judge(fields: Fields, is_normalised: bool) -> Reading:
    site, month = fields.key_text("Site"), fields.month()
    wall, cpu = fields.needed("WallDuration", MOST_MONTH_S), fields.needed("CpuDuration", MOST_MONTH_S)
    jobs = fields.needed("NumberOfJobs", MOST_MONTH_S)
    earliest, latest = _ends(fields, month)
    norm_wall = norm_cpu = None
    if is_normalised:
        level = Decimal(0)
        kind, norm_wall, norm_cpu = normalised(fields)
    else:
        kind, level = service_level(fields)
    vo, host = fields.text("VO"), fields.text("SubmitHost")
    row = JobSummary(
        month=month,
        normalised=is_normalised,
        user_name=fields.text("GlobalUserName"),
        vo=vo,
        vo_group=fields.text("VOGroup"),
        vo_role=fields.text("VORole"),
        submit_host=host,
        infrastructure_type=infrastructure(
            fields, "Infrastructure" if is_normalised else "InfrastructureType"
        ),
        infrastructure_description=fields.text("InfrastructureDescription", 100),
        service_level_type=kind,
        service_level=level,
        node_count=fields.number("NodeCount", MOST_CORES) or 0,
        processors=fields.number("Processors", MOST_CORES) or 0,
        earliest_end=earliest,
        latest_end=latest,
        wall_s=wall,
        cpu_s=cpu,
        norm_wall_s=norm_wall,
        norm_cpu_s=norm_cpu,
        jobs=jobs,
    )
    return fields.reading(row, site_key="Site", site=site, subject=host, vo=vo, cpu_s=cpu, month=month)


def _ends(fields: Fields, month: int) -> tuple[int | None, int | None]:
    """EarliestEndTime and LatestEndTime, ordered and inside the month."""
    earliest, latest = fields.take("EarliestEndTime", moment), fields.take("LatestEndTime", moment)
    fields.ordered("EarliestEndTime", earliest, "LatestEndTime", latest)
    for key, time in (("EarliestEndTime", earliest), ("LatestEndTime", latest)):
        if month and time and not month_start(month) <= time < month_start(month + 1):
            words = f"{key} lies outside of the month {month // 12}-{month % 12 + 1:02}; correct one of them."
            fields.fault("outside_of_month", key, words)
    return earliest, latest


def write(site: str, rows: Iterable[JobSummary]) -> str:
    """A plain v0.2 message of these summaries; a benchmark that is not known is left out with its factor 1."""
    return message(f"{PLAIN}: v0.2", (_written(site, row) for row in rows))


def _written(site: str, row: JobSummary) -> dict[str, object]:
    known = bool(row.service_level_type)
    return {
        "Site": site,
        **month_fields(row.month),
        "GlobalUserName": row.user_name,
        "VO": row.vo,
        "VOGroup": row.vo_group,
        "VORole": row.vo_role,
        "SubmitHost": row.submit_host,
        "InfrastructureType": row.infrastructure_type,
        "InfrastructureDescription": row.infrastructure_description,
        "ServiceLevelType": row.service_level_type,
        "ServiceLevel": row.service_level if known else None,
        "NodeCount": row.node_count,
        "Processors": row.processors,
        "EarliestEndTime": row.earliest_end,
        "LatestEndTime": row.latest_end,
        "WallDuration": row.wall_s,
        "CpuDuration": row.cpu_s,
        "NumberOfJobs": row.jobs,
    }


def write_normalised(site: str, rows: Iterable[JobSummary]) -> str:
    """A v0.3 message of summaries that are normalised; it cannot say by which benchmark."""
    return message(f"{PLAIN}: v0.3", (_written_normalised(site, row) for row in rows))


def _written_normalised(site: str, row: JobSummary) -> dict[str, object]:
    plain = _written(site, row)
    left = ("InfrastructureType", "ServiceLevelType", "ServiceLevel")
    return {key: value for key, value in plain.items() if key not in left} | {
        "Infrastructure": row.infrastructure_type,
        "NormalisedWallDuration": row.norm_wall_s,
        "NormalisedCpuDuration": row.norm_cpu_s,
    }


FORMAT = Format(title="job summary", heads=(PLAIN, NORMALISED), versions=("v0.2", "v0.3", "v0.4"), read=read)
