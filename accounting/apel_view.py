"""The figures of a site as an APEL server would give them, from what is stored here.

Of each machine and month APEL keeps one report and subtracts the one of the month before in which the machine was
reported; nothing is divided in proportion to time. So what a machine uses after its last report of October counts in
November, and all of a silent September and October counts in the next month that is reported. A counter that began
anew makes a negative month: it is given here as APEL gives it, so that a federation finds its old figures again and
sums over months agree; the portal's own figures have no negative months. Of several reports in a month the one that
was measured last is taken (APEL: the one that came last, which is the same unless messages overtook one another).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounting.archive.kept import open_since
from accounting.asking import months_between
from accounting.formats.rows import CloudSummary, JobSummary
from accounting.models import JobSummary as StoredJobSummary
from accounting.stores.upsert import span_of
from hanse.errors import Refused

_GROUP = (
    "month, service, user_name, vo, vo_group, vo_role, status, image, cpu_count, benchmark_type, benchmark"
)
# A counter that is not stated adds nothing; one that was not stated before counts from zero (APEL).
_ROWS = text(
    f"""
    with final as (
      select distinct on (vmuuid, date_trunc('month', measured_at, 'UTC'))
             vmuuid, date_trunc('month', measured_at, 'UTC') as begin, service, user_name, vo, vo_group, vo_role,
             status, image, cpu_count, benchmark_type, benchmark, cloud_type, started_at, wall_s, cpu_s, network_in,
             network_out, memory_mb, disk_gb
        from vm_snapshot where site = :site and measured_at >= :begin and measured_at < :until
       order by vmuuid, date_trunc('month', measured_at, 'UTC'), measured_at desc
    ), used as (
      select f.*, (f.begin at time zone 'UTC')::date as month,
             coalesce(f.wall_s - p.wall_s, f.wall_s, 0) as wall, coalesce(f.cpu_s - p.cpu_s, f.cpu_s, 0) as cpu,
             coalesce(f.network_in - p.network_in, f.network_in) as inbound,
             coalesce(f.network_out - p.network_out, f.network_out) as outbound
        from final f left join lateral (
          select wall_s, cpu_s, network_in, network_out from vm_snapshot v
           where v.site = :site and v.vmuuid = f.vmuuid and v.measured_at < f.begin
           order by v.measured_at desc limit 1
        ) p on true
    )
    select {_GROUP}, max(cloud_type) as cloud_type, extract(epoch from min(started_at))::bigint as earliest,
           extract(epoch from max(started_at))::bigint as latest, sum(wall)::bigint as wall, sum(cpu)::bigint as cpu,
           sum(inbound)::bigint as inbound, sum(outbound)::bigint as outbound, sum(memory_mb)::bigint as memory,
           sum(disk_gb)::bigint as disk, count(*) as vms
      from used group by {_GROUP} order by {_GROUP}
    """  # noqa: S608
)

# A machine whose first stored report lies in these months and was counted against one that is stored no longer.
_CUT_OFF = text(
    """
    select exists (
      select from (
        select distinct vmuuid from vm_snapshot
         where site = :site and measured_at >= :begin and measured_at < :until
      ) m cross join lateral (
        select from_at, started_at, measured_at from vm_snapshot v
         where v.site = :site and v.vmuuid = m.vmuuid order by v.measured_at limit 1
      ) earliest
       where earliest.measured_at >= :begin
         and earliest.from_at > least(earliest.started_at, earliest.measured_at))
    """
)


def apel_rows(session: Session, site: str, first: date, last: date) -> Iterator[CloudSummary]:
    """Cloud usage of a site in the months from `first` to `last` (first days, both included), grouped as APEL does.

    `wall_s`, `cpu_s` and network may be negative where a counter began anew. Months that a site has told in
    summaries alone are not among them: they are somebody else's sums already. Raises Refused where
    records lie in the archive only (`is_whole`).
    """
    _demand_whole(session, site, first, last)
    return _rows(session, site, first, last)


Place = tuple[int, int]
"""A month (years * 12 + months - 1), and how many of its rows."""


def apel_page(
    session: Session, site: str, first: date, last: date, after: Place | None, most: int
) -> list[tuple[Place, CloudSummary]]:
    """At most `most` of these rows, those after a place; each with its own. Months are summed one by one, as far as the
    page needs them. Raises Refused as `apel_rows` does.
    """
    _demand_whole(session, site, first, last)
    known, held = after or (0, 0)
    page: list[tuple[Place, CloudSummary]] = []
    for month in months_between(first, last):
        if _index(month) < known or len(page) >= most:
            continue
        rows = enumerate(_rows(session, site, month, month), 1)
        seen = held if _index(month) == known else 0
        page += [((row.month, at), row) for at, row in rows if at > seen]
    return page[:most]


def _demand_whole(session: Session, site: str, first: date, last: date) -> None:
    if not is_whole(session, site, first, last):
        raise Refused(
            f"Records of machines that these months are counted against lie in the archive: ask for later months, or"
            f" bring them back with hanse accounting restore {first:%Y-%m}."
        )


def is_whole(session: Session, site: str, first: date, last: date) -> bool:
    """Whether all records are here that the view of these months needs: their own, and the report before each
    machine's first in them. What is archived leaves of each machine only what its next report counts against.
    """
    since = open_since(session).get("vm")
    if since is None:
        return True
    return first >= since and not session.scalar(_CUT_OFF, _within(site, first, last))


def _within(site: str, first: date, last: date) -> dict[str, object]:
    return {"site": site, "begin": span_of(first)["begin"], "until": span_of(last)["until"]}


def _rows(session: Session, site: str, first: date, last: date) -> Iterator[CloudSummary]:
    for row in session.execute(_ROWS, _within(site, first, last)):
        yield CloudSummary(
            month=_index(row.month),
            service=row.service,
            user_name=row.user_name,
            vo=row.vo,
            vo_group=row.vo_group,
            vo_role=row.vo_role,
            status=row.status,
            cloud_type=row.cloud_type,
            image=row.image,
            earliest_start=row.earliest,
            latest_start=row.latest,
            wall_s=row.wall,
            cpu_s=row.cpu,
            cpu_count=row.cpu_count,
            network_in=row.inbound,
            network_out=row.outbound,
            memory_mb=row.memory,
            disk_gb=row.disk,
            benchmark_type=row.benchmark_type,
            benchmark=row.benchmark,
            vms=row.vms,
        )


def began_anew(row: CloudSummary) -> bool:
    """Whether a figure is negative, because a counter began anew."""
    return min(row.wall_s, row.cpu_s, row.network_in or 0, row.network_out or 0) < 0


def apel_jobs(session: Session, site: str, first: date, last: date) -> Iterator[JobSummary]:
    """The job summaries of a site in the months from `first` to `last`, as they count here; those that the site has
    normalised itself stay so.
    """
    table = StoredJobSummary
    wanted = select(table).where(table.site == site, table.month.between(first, last))
    for row in session.scalars(wanted.order_by(table.month, table.part)):
        normalised = row.origin == "normalised"
        yield JobSummary(
            month=_index(row.month),
            normalised=normalised,
            user_name=row.user_name,
            vo=row.vo,
            vo_group=row.vo_group,
            vo_role=row.vo_role,
            submit_host=row.submit_host,
            infrastructure_type=row.infrastructure_type,
            infrastructure_description="",
            service_level_type=row.service_level_type,
            service_level=row.service_level,
            node_count=row.node_count,
            processors=row.processors,
            earliest_end=_epoch(row.earliest_end),
            latest_end=_epoch(row.latest_end),
            wall_s=row.wall_s,
            cpu_s=row.cpu_s,
            norm_wall_s=int(row.norm_wall_s) if normalised else None,
            norm_cpu_s=int(row.norm_cpu_s) if normalised else None,
            jobs=row.jobs,
        )


def _index(month: date) -> int:
    return month.year * 12 + month.month - 1


def _epoch(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
