"""All usage by month in the shape in which EGI's portal gives it: one row a month, site, VO and infrastructure.

Times are hours; wall clock times are multiplied by cores, so that the efficiency is a ratio from 0 to 1; work is time
multiplied by the benchmark. Read from our sums: the current month is as new as the last message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import text

from accounting.places import UNKNOWN
from hanse.database import Database

COLUMNS: Final = (
    "time", "benchmark", "ce", "country", "federation", "infrastructure", "site", "tier", "vo", "number_of_jobs",
    "raw_cpu_eff", "raw_cpu_time", "raw_cpu_work", "raw_wc_time", "raw_wc_work", "ngi",
)  # fmt: skip
READ_AT_ONCE: Final = 5000
_ROWS: Final = text(
    """
    with place as (
      select body ->> 'name' as site, max(nullif(body ->> 'country', '')) as country,
             max(nullif(body ->> 'ngi', '')) as ngi
        from followed where kind = 'site' group by 1),
    usage as (
      select month, null::numeric as benchmark, null::text as ce, 'Cloud' as infrastructure, site, vo,
             vms as things, cpu_s, nullif(normalised_cpu_s, 0) as cpu_work, wall_core_s,
             nullif(normalised_wall_s, 0) as wall_work
        from usage_month where kind = 'cloud'
      union all
      select month, case when lower(service_level_type) = 'si2k' then service_level / 250 else service_level end,
             nullif(submit_host, ''), case when infrastructure_type = 'local' then 'Grid-Local' else 'Grid' end,
             site, vo, sum(jobs), sum(cpu_s), sum(norm_cpu_s), sum(wall_core_s),
             sum(norm_wall_s * greatest(processors, 1))
        from job_summary group by 1, 2, 3, 4, 5, 6)
    select u.month, u.benchmark, u.ce, p.country, u.infrastructure, u.site, u.vo, u.things, u.cpu_s, u.cpu_work,
           u.wall_core_s, u.wall_work, p.ngi
      from usage u left join place p using (site)
     order by u.month, u.infrastructure, u.site, u.vo, u.ce, u.benchmark
    """
)


def rows(db: Database, federation: str) -> Iterator[tuple[Any, ...]]:
    """Every row in the order of COLUMNS, read a few thousand at a time."""
    reading = {"yield_per": READ_AT_ONCE}
    with db.transaction() as session, session.execute(_ROWS, execution_options=reading) as found:
        for row in found:
            yield _row(row, federation)


def _row(row: Any, federation: str) -> tuple[Any, ...]:
    return (
        f"{row.month:%Y-%m}-01T00:00:00Z", _float(row.benchmark), row.ce, row.country or UNKNOWN, federation,
        row.infrastructure, row.site, None, row.vo, int(row.things),
        float(row.cpu_s / row.wall_core_s) if row.wall_core_s else None,
        _hours(row.cpu_s), _hours(row.cpu_work), _hours(row.wall_core_s), _hours(row.wall_work), row.ngi or UNKNOWN,
    )  # fmt: skip


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _hours(seconds: Any) -> float | None:
    return None if seconds is None else float(seconds) / 3600
