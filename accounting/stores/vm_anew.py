"""Counting all machines of a site anew from their snapshots, where those changed other than by messages."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from accounting.archive.kept import open_since
from accounting.models import Uncounted
from accounting.stores import vm_figures, vm_tables
from accounting.stores.vm_tables import Machine, Parts, Recounted, counted_anew
from accounting.stores.vm_tally import Counted, Tally
from accounting.usage import Before
from hanse.database import Database

AT_ONCE = 2000
_MACHINES = text(
    "select distinct vmuuid from vm_snapshot where site = :site and vmuuid > :beyond order by vmuuid limit :most"
)
_MONTHS = text(
    "select month from vm_month where site = :site union select month from usage_summary where site = :site"
)
_FORGET_MONTHS = text("delete from vm_month where site = :site")
_FORGET_DAYS = text("delete from usage_day where site = :site")


def count(db: Database, session: Session, sites: Collection[str]) -> frozenset[tuple[str, date]]:
    """Count those of the sites anew that have to be, in the caller's transaction, under the lock of the sites.

    Needs all snapshots of the site: while some lie in the archive its figures stay as they are, and it is counted anew
    once they are restored. Returns the months touched.
    """
    if "vm" in open_since(session):
        return frozenset()
    waiting = select(Uncounted.site).where(Uncounted.site.in_(sites)).order_by(Uncounted.site)
    months: set[tuple[str, date]] = set()
    for site in session.scalars(waiting).all():
        months |= _count_site(db, session, site)
        session.execute(delete(Uncounted).where(Uncounted.site == site))
    return frozenset(months)


def _count_site(db: Database, session: Session, site: str) -> set[tuple[str, date]]:
    months = {(site, month) for month in session.scalars(_MONTHS, {"site": site})}
    session.execute(_FORGET_MONTHS, {"site": site})
    session.execute(_FORGET_DAYS, {"site": site})
    beyond = ""
    while True:
        found = session.scalars(_MACHINES, {"site": site, "beyond": beyond, "most": AT_ONCE}).all()
        if not found:
            return months
        beyond = found[-1]
        months |= _count_machines(db, session, [(site, vmuuid) for vmuuid in found])


def _count_machines(db: Database, session: Session, machines: list[Machine]) -> set[tuple[str, date]]:
    tally, parts = Tally(), Parts()
    recounted: Recounted = []
    stored = vm_tables.around(session, dict.fromkeys(machines, 0), parts)
    for machine in machines:
        made: list[Counted] = []
        before: Before | None = None
        for each in stored[machine]:
            counted, before = counted_anew(machine, each, before, recounted)
            made.append(counted)
        tally.count(*machine, None, (), made)
    vm_tables.recount(session, recounted)
    vm_figures.write_tally(db, session, tally)
    return set(tally.months())
