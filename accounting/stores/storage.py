"""Storage in use. Reports under one record id may follow or overlap one another (cASO's begin anew each time).

At each instant the report counts that covers it and ended first after it, so that bytes x seconds are exact in any
order of arrival and nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from operator import attrgetter

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.archive.kept import open_since
from accounting.formats.records import Note
from accounting.formats.rows import StorageRecord
from accounting.formats.times import month_of
from accounting.stores.contract import Placed, Said, Store, Touched
from accounting.stores.upsert import first_day, span_of, upsert
from hanse.database import Database

_GROUP = "vo, vo_group, vo_role, user_name, storage_system, storage_share, storage_media, storage_class"
# Neighbours are found by comparing whole keys: only the primary key can serve that, however young the statistics are.
# What a report can change: its own time, less what the report before it covers already.
_REACH = text(
    """
    select extract(epoch from case when p.started_at <= r.started_at then greatest(r.started_at, p.ended_at)
                                   else r.started_at end)::bigint as begin,
           extract(epoch from r.ended_at)::bigint as until
      from unnest(cast(:ids as text[]), cast(:ends as timestamptz[])) as t (record_id, ended_at)
      join storage_record r on r.site = :site and r.record_id = t.record_id and r.ended_at = t.ended_at
      left join lateral (
        select site, record_id, started_at, ended_at from storage_record e
         where (e.site, e.record_id, e.ended_at) < (r.site, r.record_id, r.ended_at)
         order by e.site desc, e.record_id desc, e.ended_at desc limit 1
      ) p on p.site = r.site and p.record_id = r.record_id
    """
)
_RESUM = text(
    f"""
    with covering as (
      select record_id, greatest(started_at, :begin) as started_at, least(ended_at, :until) as ended_at
        from storage_record where site = :site and ended_at > :begin and started_at < :until
    ), bound as (
      select record_id, started_at as at from covering union select record_id, ended_at from covering
    ), piece as (
      select record_id, at as begin, lead(at) over (partition by record_id order by at) as until from bound
    ), used as (
      select {_GROUP}, used_bytes * extract(epoch from p.until - p.begin) as byte_s,
             0 as bytes, 0 as logical, 0 as allocated, 0 as files, null::timestamptz as told_at
        from piece p join lateral (
          select * from storage_record r
           where (r.site, r.record_id, r.ended_at) >= (cast(:site as varchar), p.record_id, p.until)
             and (r.site, r.record_id) <= (cast(:site as varchar), p.record_id) and r.started_at <= p.begin
           order by r.site, r.record_id, r.ended_at limit 1
        ) r on true
       where p.until is not null
    ), latest as (
      select storage_system, storage_share, local_group, max(ended_at) as ended_at
        from storage_record where site = :site and ended_at > :begin and ended_at <= :until
       group by storage_system, storage_share, local_group
    ), told as (
      select {_GROUP}, 0 as byte_s, used_bytes, coalesce(logical_bytes, 0), coalesce(allocated_bytes, 0),
             coalesce(file_count, 0), ended_at
        from storage_record join latest using (storage_system, storage_share, local_group, ended_at)
       where site = :site
    )
    insert into storage_summary (site, month, part, {_GROUP}, byte_s, last_bytes, last_logical_bytes,
                                 last_allocated_bytes, last_files, last_at)
    select cast(:site as varchar), cast(:month as date),
           row_number() over (order by {_GROUP}), {_GROUP}, sum(byte_s), sum(bytes), sum(logical),
           sum(allocated), sum(files), max(told_at)
      from (select * from used union all select * from told) as both_ways group by {_GROUP}
    """  # noqa: S608
)


def store(db: Database, session: Session, placed: Sequence[Placed[StorageRecord]]) -> Touched:
    """Upsert reports; the months that they reach into must be summed again, archived ones once they are restored."""
    since = open_since(session).get("storage")
    months: set[tuple[str, date]] = set()
    said: list[Said] = []
    for each in sorted(placed, key=attrgetter("receipt")):
        replaced = _reached(session, each)
        upsert(db, session, "storage_record", each)
        reached = replaced | _reached(session, each)
        months.update((each.site, month) for month in reached)
        if since is not None and reached and min(reached) < since:
            said.append(Said(each.message_id, each.site, 0, _archived(min(reached))))
    return Touched(frozenset(months), tuple(said))


def _archived(month: date) -> Note:
    words = (
        f"Reports of this message reach into {month:%B %Y}, whose records lie in the archive: what they add there is"
        f" summed when the operator has brought it back (hanse accounting restore {month:%Y-%m})."
    )
    return Note("reaches_into_archive", "", None, words)


def _reached(session: Session, placed: Placed[StorageRecord]) -> set[date]:
    given = {
        "site": placed.site,
        "ids": [row.record_id for _, row in placed.rows],
        "ends": [datetime.fromtimestamp(row.ended_at, UTC) for _, row in placed.rows],
    }
    found: set[date] = set()
    for begin, until in session.execute(_REACH, given):
        last = month_of(until - 1)  # a report that ends with a month belongs to it
        found.update(first_day(month) for month in range(min(month_of(begin), last), last + 1))
    return found


def resum(session: Session, site: str, month: date) -> None:
    """Make the storage summary of a site and month anew."""
    given = {"site": site, "month": month, **span_of(month)}
    session.execute(text("delete from storage_summary where site = :site and month = :month"), given)
    session.execute(_RESUM, given)


STORE = Store("storage", StorageRecord, store, resum, attrgetter("ended_at"))
