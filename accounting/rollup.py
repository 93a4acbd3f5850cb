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
_CLOUD = """
    insert into usage_month (kind, site, month, vo, wall_s, cpu_s, wall_core_s, normalised_wall_s, normalised_cpu_s,
                             network_in, network_out, vms, begun)
    select 'cloud', u.site, u.month, u.vo, sum(u.wall_s), sum(u.cpu_s), sum(u.wall_core_s),
           round(sum(u.wall_s * u.benchmark)), round(sum(u.cpu_s * u.benchmark)),
           sum(u.network_in), sum(u.network_out), sum(u.vms), coalesce(max(b.machines), 0)
      from usage_summary u
      left join (
        select m.vo, count(*) as machines from vm_month m
         where m.site = :site and m.month = :month and m.vms = 1
           and not exists (
             select from vm_month e
              where e.site = m.site and e.vmuuid = m.vmuuid and e.vo = m.vo and e.month = m.month - interval '1 month')
         group by m.vo
      ) b on b.vo = u.vo
     where u.site = :site and u.month = :month
     group by u.site, u.month, u.vo
"""
_JOBS = """
    insert into usage_month (kind, site, month, vo, wall_s, cpu_s, wall_core_s, normalised_wall_s, normalised_cpu_s,
                             jobs)
    select 'jobs', site, month, vo, sum(wall_s), sum(cpu_s), sum(wall_core_s), sum(norm_wall_s), sum(norm_cpu_s),
           sum(jobs)
      from job_summary where site = :site and month = :month group by site, month, vo
"""
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
