"""What the jobs of a site and month add up to, whichever way the site tells of them.

A site tells by individual jobs, by summaries, or by summaries that it has normalised. Where it uses several for one
month, the first of these counts, since it can be checked best, and the others stand beside it as an overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.formats.records import Note
from accounting.stores.contract import Placed, Said
from accounting.stores.upsert import span_of

KIND = "job"
JOBS, SUMMARIES, NORMALISED = "jobs", "summaries", "normalised"
ORIGINS = {JOBS: "individual jobs", SUMMARIES: "summaries", NORMALISED: "normalised summaries"}
"""In the order in which they count, with their names for people."""
_GROUP = (
    "vo, vo_group, vo_role, user_name, submit_host, infrastructure_type, service_level_type, service_level, node_count,"
    " processors"
)
_LARGEST = 2**63 - 1
_FACTOR = "service_level / case service_level_type when 'si2k' then 250 else 1 end"
_SUMS = {
    JOBS: (
        f"min(ended_at), max(ended_at), sum(wall_s), sum(cpu_s), round(sum(wall_s) * {_FACTOR}),"
        f" round(sum(cpu_s) * {_FACTOR}), count(*)"
    ),
    SUMMARIES: (
        f"min(earliest_end), max(latest_end), sum(wall_s), sum(cpu_s), round(sum(wall_s) * {_FACTOR}),"
        f" round(sum(cpu_s) * {_FACTOR}), sum(jobs)"
    ),
    NORMALISED: (
        "min(earliest_end), max(latest_end), sum(wall_s), sum(cpu_s), sum(norm_wall_s), sum(norm_cpu_s), sum(jobs)"
    ),
}
_FROM = {
    JOBS: "job_record where site = :site and ended_at >= :begin and ended_at < :until",
    SUMMARIES: "received_job_summary where site = :site and month = :month and not normalised",
    NORMALISED: "received_job_summary where site = :site and month = :month and normalised",
}
_COUNTED = {JOBS: "count(*)", SUMMARIES: "sum(jobs)", NORMALISED: "sum(jobs)"}


def resum(session: Session, site: str, month: date) -> None:
    """Make the job summary of a site and month anew, and what it leaves out beside it."""
    given = {"site": site, "month": month, **span_of(month)}
    session.execute(text("delete from job_summary where site = :site and month = :month"), given)
    session.execute(text("delete from overlap where site = :site and month = :month and kind = 'job'"), given)
    there = present(session, site, month)
    if there:
        session.execute(text(_summed(there[0])), given | {"origin": there[0]})
    for origin in there[1:]:
        session.execute(text(_beside(origin)), given | {"origin": origin, "counted": there[0]})


def present(session: Session, site: str, month: date) -> list[str]:
    """The ways in which a site has told of the jobs of a month, the one that counts first."""
    given = {"site": site, "month": month, **span_of(month)}
    return [
        origin
        for origin in ORIGINS
        if session.scalar(text(f"select exists (select from {_FROM[origin]})"), given)  # noqa: S608
    ]


def _summed(origin: str) -> str:
    return (
        "insert into job_summary (site, month, part, origin, vo, vo_group, vo_role, user_name, submit_host,"  # noqa: S608
        " infrastructure_type, service_level_type, service_level, node_count, processors, earliest_end, latest_end,"
        " wall_s, cpu_s, wall_core_s, norm_wall_s, norm_cpu_s, jobs)"
        f" select cast(:site as varchar), cast(:month as date),"
        f" row_number() over (order by {_GROUP}), :origin, {_GROUP}, earliest, latest,"
        f" least(wall, {_LARGEST}), least(cpu, {_LARGEST}), wall * greatest(processors, 1), norm_wall, norm_cpu,"
        f" least(jobs, {_LARGEST})"
        f" from (select {_GROUP}, {_SUMS[origin]} from {_FROM[origin]} group by {_GROUP})"
        f" as summed ({_GROUP}, earliest, latest, wall, cpu, norm_wall, norm_cpu, jobs)"
    )


def _beside(origin: str) -> str:
    return (
        "insert into overlap (site, month, kind, origin, counted, records, wall_s, cpu_s)"  # noqa: S608
        f" select cast(:site as varchar), cast(:month as date),"
        f" 'job', :origin, :counted, least({_COUNTED[origin]}, {_LARGEST}),"
        f" least(sum(wall_s), {_LARGEST}), least(sum(cpu_s), {_LARGEST}) from {_FROM[origin]}"
    )


def said_twice(session: Session, placed: Placed[Any], months: Iterable[tuple[int, date]]) -> Sequence[Said]:
    """Remarks on records (number, month) whose month the site has told of in another way too; one a month."""
    made = []
    first = {month: number for number, month in sorted(months, reverse=True)}
    for month, number in sorted(first.items()):
        there = present(session, placed.site, month)
        if len(there) > 1:
            ways = " and ".join(ORIGINS[origin] for origin in there)
            words = f"{month:%Y-%m} has come as {ways}; only the {ORIGINS[there[0]]} count."
            note = Note("told_twice", "Month", None, words)
            made.append(Said(placed.message_id, placed.site, number, note))
    return made
