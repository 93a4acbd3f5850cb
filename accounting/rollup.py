"""Usage by site, month and VO, rolled up from the summaries of its kind whenever they are made anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

CLOUD: Final = "cloud"
JOBS: Final = "jobs"
_FORGET = text("delete from usage_month where kind = :kind and site = :site and month = :month")
_MOST = 2**63 - 1  # absurd figures of a site must not stop the summariser
_CLOUD = f"""
    insert into usage_month (kind, site, month, vo, wall_s, cpu_s, wall_core_s, normalised_wall_s, normalised_cpu_s,
                             network_in, network_out, vms, begun)
    select 'cloud', u.site, u.month, u.vo, least(sum(u.wall_s), {_MOST}),
           least(sum(u.cpu_s), {_MOST}), least(sum(u.wall_core_s), {_MOST}),
           least(round(sum(u.wall_s * u.benchmark)), {_MOST}), least(round(sum(u.cpu_s * u.benchmark)), {_MOST}),
           least(sum(u.network_in), {_MOST}), least(sum(u.network_out), {_MOST}), least(sum(u.vms), {_MOST}),
           coalesce(max(b.machines), 0)
      from usage_summary u
      left join (
        select m.vo, count(*) as machines from vm_month m
         where m.site = :site and m.month = :month and m.vms = 1
           and not exists (
             select from vm_month e
              where e.site = m.site and e.vmuuid = m.vmuuid and e.vo = m.vo
                and e.month = cast(cast(:month as date) - interval '1 month' as date))
         group by m.vo
      ) b on b.vo = u.vo
     where u.site = :site and u.month = :month
     group by u.site, u.month, u.vo
"""  # noqa: S608
_JOBS = f"""
    insert into usage_month (kind, site, month, vo, wall_s, cpu_s, wall_core_s, normalised_wall_s, normalised_cpu_s,
                             jobs)
    select 'jobs', site, month, vo, least(sum(wall_s), {_MOST}), least(sum(cpu_s), {_MOST}),
           least(sum(wall_core_s), {_MOST}), least(sum(norm_wall_s), {_MOST}), least(sum(norm_cpu_s), {_MOST}),
           least(sum(jobs), {_MOST})
      from job_summary where site = :site and month = :month group by site, month, vo
"""  # noqa: S608
_PACKED = ("user_name", "image", "status", "service", "cores", "wall_s", "cpu_s", "wall_core_s", "vms")
_UNPACK = text("delete from usage_packed where site = :site and month = :month")
_PACK = text(
    f"insert into usage_packed (vo, month, site, {', '.join(_PACKED)})"  # noqa: S608
    f" select vo, month, site, {', '.join(f'array_agg({name})' for name in _PACKED)}"
    " from usage_summary where site = :site and month = :month group by vo, month, site"
)
_OF_STORES: Final[Mapping[str, tuple[str, str]]] = {"vm": (CLOUD, _CLOUD), "job": (JOBS, _JOBS)}
"""By the kind of a store: the kind of usage, and how it is rolled up."""


def roll_up(session: Session, store: str, site: str, month: date) -> None:
    """Make the rows of a site and month anew, in the transaction that made the summaries of `store` anew.

    A store whose summaries are read as they are has nothing to roll up.
    """
    if store not in _OF_STORES:
        return
    kind, made = _OF_STORES[store]
    session.execute(_FORGET, {"kind": kind, "site": site, "month": month})
    session.execute(text(made), {"site": site, "month": month})
    if kind == CLOUD:
        session.execute(_UNPACK, {"site": site, "month": month})
        session.execute(_PACK, {"site": site, "month": month})
