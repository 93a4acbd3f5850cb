"""Public addresses at moments; a snapshot sent again replaces the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.formats.rows import IpSnapshot
from accounting.formats.times import month_of
from accounting.stores.contract import Placed, Store, Touched
from accounting.stores.upsert import digest, first_day, span_of, upsert
from hanse.database import Database

_GROUP = "service, vo, vo_group, vo_role, user_name, ip_version"
# Projects are asked one after the other, so each (service, local group) has moments of its own: figures are made for
# each of them first. Who is not named in a project's last snapshot holds nothing any more.
_RESUM = text(
    f"""
    with moment as (
      select local_group, {_GROUP}, measured_at, sum(ip_count) as held
        from ip_snapshot
       where site = :site and measured_at >= :begin and measured_at < :until
       group by local_group, {_GROUP}, measured_at
    ), latest as (
      select service, local_group, ip_version, max(measured_at) as at from moment
       group by service, local_group, ip_version
    ), project as (
      select m.local_group, {", ".join(f"m.{name}" for name in _GROUP.split(", "))},
             coalesce(sum(held) filter (where m.measured_at = l.at), 0) as last_count, max(held) as most,
             avg(held) as mean, count(*) as snapshots, max(m.measured_at) as last_at
        from moment m join latest l using (service, local_group, ip_version)
       group by m.local_group, {", ".join(f"m.{name}" for name in _GROUP.split(", "))}
    )
    insert into ip_summary (site, month, part, {_GROUP}, last_count, most, sum_count, snapshots, last_at)
    select cast(:site as varchar), cast(:month as date),
           row_number() over (order by {_GROUP}), {_GROUP}, sum(last_count), sum(most),
           round(sum(mean) * max(snapshots)), max(snapshots), max(last_at)
      from project group by {_GROUP}
    """  # noqa: S608
)


def store(db: Database, session: Session, placed: Sequence[Placed[IpSnapshot]]) -> Touched:
    """Upsert snapshots by who held which kind of address when."""
    months: set[tuple[str, date]] = set()
    for each in sorted(placed, key=attrgetter("receipt")):
        upsert(db, session, "ip_snapshot", each, key_of)
        months.update((each.site, first_day(month_of(row.measured_at))) for _, row in each.rows)
    return Touched(frozenset(months))


def key_of(row: IpSnapshot) -> bytes:
    return digest(row.service, row.local_group, row.local_user, row.user_name, row.fqan, row.ip_version)


def resum(session: Session, site: str, month: date) -> None:
    """Make the address summary of a site and month anew."""
    given = {"site": site, "month": month, **span_of(month)}
    session.execute(text("delete from ip_summary where site = :site and month = :month"), given)
    session.execute(_RESUM, given)


STORE = Store("ip", IpSnapshot, store, resum, attrgetter("measured_at"))
