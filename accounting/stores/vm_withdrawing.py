"""Taking reports of machines out of the figures: what later reports still show of the time stays counted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.stores import vm_figures, vm_tables
from accounting.stores.vm_tables import Machine, Parts, Recounted, Stored, counted_anew, left_by
from accounting.stores.vm_tally import Counted, Tally
from hanse.database import Database

AT_ONCE = 2000
_MACHINES = text(
    """
    select vmuuid, min(extract(epoch from measured_at))::bigint as since, count(*) from vm_snapshot
     where site = :site and measured_at >= :begin and measured_at < :until and vmuuid > :beyond
     group by vmuuid order by vmuuid limit :most
    """
)
_FORGET = text(
    "delete from vm_snapshot where site = :site and measured_at >= :begin and measured_at < :until"
)


def withdraw(
    db: Database, session: Session, site: str, begin: datetime, until: datetime
) -> tuple[int, frozenset[tuple[str, date]]]:
    """Take out every report measured from `begin` up to `until`, under the lock of the site.

    The next report of a machine is counted against the last one that stays, in proportion to time. Returns how many
    reports went, and the months that changed.
    """
    given = {"site": site, "begin": begin, "until": until, "beyond": "", "most": AT_ONCE}
    count, months = 0, set[tuple[str, date]]()
    while found := session.execute(_MACHINES, given).all():
        given["beyond"] = found[-1].vmuuid
        count += sum(many for _, _, many in found)
        since = {(site, vmuuid): first for vmuuid, first, _ in found}
        months |= _withdraw(db, session, since, int(until.timestamp()))
    session.execute(_FORGET, given)
    return count, frozenset(months)


def _withdraw(
    db: Database, session: Session, since: Mapping[Machine, int], until: int
) -> frozenset[tuple[str, date]]:
    tally, recounted = Tally(), Recounted()
    stood = vm_tables.around(session, since, Parts())
    for machine, stored in stood.items():
        last = stored[0] if stored[0].counted.interval.end < since[machine] else None
        later = stored if last is None else stored[1:]
        made = _made(machine, last, [each for each in later if each.counted.interval.end >= until], recounted)
        before = None if last is None else vm_tables.left_by(last)
        tally.count(*machine, last and last.counted, vm_tables.counted_after(before, later), made)
    vm_tables.recount(session, recounted)
    vm_figures.write_tally(db, session, tally)
    return tally.months()


def _made(machine: Machine, last: Stored | None, left: list[Stored], recounted: Recounted) -> list[Counted]:
    before = None if last is None else left_by(last)
    made: list[Counted] = []
    for each in left:
        counted, before = counted_anew(machine, each, before, recounted)
        made.append(counted)
    return made
