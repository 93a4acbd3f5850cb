"""Cloud usage that a site tells in summaries: it counts for a month in which no machine is reported, and stands
beside the machines as an overlap otherwise, so that nothing counts twice.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

RECORDS, SUMMARIES = "records of machines", "summaries"
_MACHINES = text("select exists (select from vm_month where site = :site and month = :month)")
_RECEIVED = text("select exists (select from received_cloud_summary where site = :site and month = :month)")
_FORGET = text("delete from overlap where site = :site and month = :month and kind = 'cloud'")
_LARGEST = 2**63 - 1
_GROUP = "service, vo, vo_group, vo_role, user_name, status, image, cpu_count, benchmark_type, benchmark"
_ADD = text(
    "insert into usage_summary (site, month, part, service, vo, vo_group, vo_role, user_name, status, image, cores,"  # noqa: S608
    " benchmark_type, benchmark, wall_s, cpu_s, wall_core_s, network_in, network_out, memory_mb, disk_gb, vms)"
    f" select cast(:site as varchar), cast(:month as date),"
    f" -row_number() over (order by {_GROUP}), {_GROUP}, least(wall, {_LARGEST}),"
    f" least(cpu, {_LARGEST}), least(wall * cpu_count, {_LARGEST}), least(inbound, {_LARGEST}),"
    f" least(outbound, {_LARGEST}), least(memory, {_LARGEST}), least(disk, {_LARGEST}), least(machines, {_LARGEST})"
    f" from (select {_GROUP}, sum(wall_s), sum(cpu_s), coalesce(sum(network_in), 0), coalesce(sum(network_out), 0),"
    " coalesce(sum(memory_mb), 0), coalesce(sum(disk_gb), 0), sum(vms) from received_cloud_summary"
    f" where site = :site and month = :month group by {_GROUP})"
    f" as summed ({_GROUP}, wall, cpu, inbound, outbound, memory, disk, machines)"
)
_BESIDE = text(
    "insert into overlap (site, month, kind, origin, counted, records, wall_s, cpu_s)"  # noqa: S608
    f" select site, month, 'cloud', 'summaries', 'records', least(sum(vms), {_LARGEST}),"
    f" least(sum(wall_s), {_LARGEST}), least(sum(cpu_s), {_LARGEST})"
    " from received_cloud_summary where site = :site and month = :month group by site, month"
)


def has_machines(session: Session, site: str, month: date) -> bool:
    """Whether machines of a site are reported for a month."""
    return bool(session.scalar(_MACHINES, {"site": site, "month": month}))


def add_to_usage(session: Session, site: str, month: date) -> None:
    """Add what was received to the usage summary of a month, which the caller has just made anew from machines."""
    given = {"site": site, "month": month}
    session.execute(_FORGET, given)
    if session.scalar(_RECEIVED, given):
        session.execute(_BESIDE if has_machines(session, site, month) else _ADD, given)
