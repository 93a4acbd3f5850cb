"""APEL-individual-job-message v0.3 and v0.4: one batch job a record.

v0.4 differs in ServiceLevel, a dictionary of benchmarks; either form is read in either version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from accounting.formats.benchmarks import service_level
from accounting.formats.cloud_fields import split_fqan
from accounting.formats.fields import LONGEST_S, Fields, text_parts
from accounting.formats.keyvalue import integer, moment
from accounting.formats.records import Format, Judging, Reading
from accounting.formats.rows import JobRecord
from accounting.formats.times import month_of

KNOWN = frozenset({
    "Site", "SubmitHost", "MachineName", "Queue", "LocalJobId", "LocalUserId", "GlobalUserName", "FQAN", "VO",
    "VOGroup", "VORole", "WallDuration", "CpuDuration", "Processors", "NodeCount", "StartTime", "EndTime",
    "InfrastructureDescription", "InfrastructureType", "MemoryReal", "MemoryVirtual", "ServiceLevelType",
    "ServiceLevel", "SubmitHostType", "UpdateTime",
})  # fmt: skip
AHEAD_S = 2 * 86_400
"""How far a job's end may lie ahead of the receipt (APEL: two days)."""
MOST_CORES = 10_000_000
INFRASTRUCTURES = ("grid", "local")


def read(text: str, judging: Judging) -> Iterator[Reading]:
    """Judge every record of a job message by itself."""
    for part in text_parts(text):
        fields = Fields(part, judging)
        fields.strange(KNOWN, "job records")
        yield judge(fields)


def judge(
    fields: Fields, duration: Callable[[str], int] = integer, time: Callable[[str], int | None] = moment
) -> Reading:
    """The verdict on one job, whatever its framing; `duration` and `time` read the framing's values."""
    site, job = fields.key_text("Site"), fields.key_text("LocalJobId")
    wall = fields.needed("WallDuration", LONGEST_S, duration)
    cpu = fields.needed("CpuDuration", LONGEST_S * MOST_CORES, duration)
    started, ended = fields.needed_time("StartTime", time), fields.needed_time("EndTime", time)
    processors = fields.number("Processors", MOST_CORES) or 0
    fields.ordered("StartTime", started, "EndTime", ended)
    fields.not_in_future("EndTime", ended, AHEAD_S)
    vo, group, role = who(fields)
    kind, level = service_level(fields)
    if not fields.faults:
        _plausible(fields, wall, cpu, processors, ended - started)
    row = JobRecord(
        local_job_id=job,
        started_at=started,
        ended_at=ended,
        submit_host=fields.text("SubmitHost"),
        machine_name=fields.text("MachineName"),
        queue=fields.text("Queue", 100),
        local_user=fields.text("LocalUserId"),
        user_name=fields.text("GlobalUserName"),
        fqan=fields.text("FQAN"),
        vo=vo,
        vo_group=group,
        vo_role=role,
        wall_s=wall,
        cpu_s=cpu,
        processors=processors,
        node_count=fields.number("NodeCount", MOST_CORES) or 0,
        infrastructure_type=infrastructure(fields, "InfrastructureType"),
        infrastructure_description=fields.text("InfrastructureDescription", 100),
        memory_real_kb=fields.number("MemoryReal"),
        memory_virtual_kb=fields.number("MemoryVirtual"),
        service_level_type=kind,
        service_level=level,
    )
    return fields.reading(
        row, site_key="Site", site=site, subject=job, vo=vo, cpu_s=cpu, month=month_of(ended) if ended else 0
    )


def who(fields: Fields) -> tuple[str, str, str]:
    """VO, group and role: of the FQAN when there is one, else as the record names them."""
    if fields.stated("FQAN") is not None:
        return split_fqan(fields.text("FQAN"))
    return fields.text("VO"), fields.text("VOGroup"), fields.text("VORole")


def infrastructure(fields: Fields, key: str) -> str:
    """grid or local; another word is kept with a remark."""
    value = fields.text(key, 20).lower()
    if value and value not in INFRASTRUCTURES:
        fields.remark(
            "unknown_infrastructure", key, f'{key} "{value}" is neither grid nor local; kept as it is.'
        )
    return value


def _plausible(fields: Fields, wall: int, cpu: int, processors: int, life: int) -> None:
    if processors and cpu > wall * processors:
        most = f"WallDuration {wall} s times {processors} processors"
        fields.remark(
            "cpu_beyond_wall", "CpuDuration", f"CpuDuration {cpu} s is more than {most}; counted as sent."
        )
    if wall > life + 1:
        words = (
            f"WallDuration {wall} s is longer than the {life} s from StartTime to EndTime; counted as sent."
        )
        fields.remark("wall_beyond_life", "WallDuration", words)


FORMAT = Format(
    title="job record", heads=("APEL-individual-job-message",), versions=("v0.3", "v0.4"), read=read
)
