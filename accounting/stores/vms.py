"""Snapshots of machines: stored, and from them usage by machine and month, by day, and summaries.

Everything here is idempotent: the same report stored twice, or reports in any order, end in the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import attrgetter

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.formats.records import Note, VmSnapshot
from accounting.stores import received, vm_anew, vm_figures, vm_tables
from accounting.stores import vm_quick as quick
from accounting.stores.contract import Placed, Said, Store, Touched
from accounting.stores.vm_figures import MONTH_GROUP
from accounting.stores.vm_tables import (
    Machine,
    New,
    Parts,
    Recounted,
    Stored,
    StoredRow,
    counted_after,
    counted_anew,
    left_by,
    stored_of,
)
from accounting.stores.vm_tally import AMOUNTS, Counted, Tally, carries
from accounting.usage import Before, following
from hanse.database import Database

Coming = tuple[int, Placed[VmSnapshot], int, VmSnapshot]
"""A record: when it was measured, the message that it came in, its number there, and itself."""
WORDS = {
    "reset": "WallDuration is lower than in the report before: the machine began anew; counted from zero.",
    "cpu_reset": "CpuDuration is lower than in the report before: its counter began anew; counted from zero.",
    "resize": "CpuDuration is lower than before with fewer cores: a resize; counted as wall time x new cores.",
}


def store(db: Database, session: Session, placed: Sequence[Placed[VmSnapshot]]) -> Touched:
    """Write the snapshots and count the machines anew from the earliest of them on.

    Of two reports of one machine at one time the later receipt counts, within a message the later record.
    """
    months = vm_anew.count(db, session, {each.site for each in placed})
    machines: dict[Machine, list[Coming]] = {}
    for each in sorted(placed, key=attrgetter("receipt")):
        site = each.site
        for number, row in each.rows:
            machines.setdefault((site, row[0]), []).append((row[1], each, number, row))
    counting = _Counting()
    known = vm_tables.newest(session, list(machines))
    late: dict[Machine, int] = {}
    for machine, reports in machines.items():
        last = known.get(machine)
        ordered = _by_time(reports)
        if last is not None and last[2] >= ordered[0][0]:
            late[machine] = ordered[0][0]
        else:
            counting.append(machine, ordered, last)
    stood = vm_tables.around(session, late, counting.parts)
    for machine in late:
        counting.rearrange(machine, machines[machine], stood[machine])
    counting.write(db, session)
    return Touched(counting.tally.months() | months, tuple(counting.said))


def _measured(coming: Coming) -> int:
    return coming[0]


class _Counting:
    """What has to be written for the machines of some messages."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.tally = Tally()
        self.inserted: list[New] = []
        self.replaced: list[New] = []
        self.recounted: Recounted = []
        self.said: list[Said] = []

    def write(self, db: Database, session: Session) -> None:
        """Write it."""
        vm_tables.insert(db, session, self.inserted)
        vm_tables.upsert(db, session, self.replaced)
        vm_tables.recount(session, self.recounted)
        vm_figures.write_tally(db, session, self.tally)

    def append(self, machine: Machine, reports: Sequence[Coming], last: StoredRow | None) -> None:
        """Reports that were all measured after the `last` stored one: nothing else has to be read."""
        counted = quick.count(self.tally, self.parts, self.inserted, reports, last)
        if counted < len(reports):
            before = quick.as_stored(self.inserted[-1]) if counted else last
            self._append(
                machine, reports[counted:], None if before is None else stored_of(before, self.parts)
            )

    def _append(self, machine: Machine, reports: Sequence[Coming], last: Stored | None) -> None:
        before = None if last is None else left_by(last)
        made: list[Counted] = []
        for coming in reports:
            new, counted, before = self._new(machine, coming, before, "")
            self.inserted.append(new)
            made.append(counted)
        self.tally.count(*machine, last and last.counted, (), made)

    def rearrange(self, machine: Machine, reports: list[Coming], stored: Sequence[Stored]) -> None:
        """Reports among stored ones: the intervals from the earliest on are worked out as they were and as they are."""
        by_time = {coming[0]: coming for coming in _by_time(reports)}
        last = stored[0] if stored[0].counted.interval.end < min(by_time) else None
        later = {each.counted.interval.end: each for each in (stored if last is None else stored[1:])}
        before = None if last is None else left_by(last)
        old = dict(zip(later, counted_after(before, later.values()), strict=True))
        made: list[Counted] = []
        for measured_at in sorted({*later, *by_time}):
            there, coming = later.get(measured_at), by_time.get(measured_at)
            was = old[measured_at].interval if there else None
            if coming is not None and (there is None or there.receipt <= coming[1].receipt):
                new, counted, before = self._new(machine, coming, before, was.remark if was else "")
                self.replaced.append(new)
                made.append(counted)
                continue
            assert there is not None
            counted, before = counted_anew(machine, there, before, self.recounted)
            made.append(counted)
            remark = counted.interval.remark
            if was is not None and remark not in ("", was.remark):
                self._say(machine, reports[0], 0, remark)
        self.tally.count(*machine, last and last.counted, list(old.values()), made)

    def _new(
        self, machine: Machine, coming: Coming, before: Before | None, said: str
    ) -> tuple[New, Counted, Before]:
        """The report to write and its interval, and where it leaves the counters; a fall is told unless `said`."""
        _, each, number, row = coming
        report = vm_tables.report_of(row, self.parts)
        interval, left = following(report.reading, before)
        if interval.remark and interval.remark != said:
            self._say(machine, coming, number, interval.remark)
        carried = carries(report.reading, left)
        new = New(
            each.site,
            each.message_id,
            each.receipt,
            row,
            interval.begin,
            interval.wall_s,
            interval.cpu_s,
            carried,
        )
        return new, Counted(interval, report), left

    def _say(self, machine: Machine, coming: Coming, number: int, what: str) -> None:
        """A remark on a counter that fell; number 0 for a report that was stored before."""
        site, vmuuid = machine
        field = "WallDuration" if what == "reset" else "CpuDuration"
        note = Note(what, field, None, f"{WORDS[what]} Machine {vmuuid}.")
        self.said.append(Said(coming[1].message_id, site, number, note))


def _by_time(reports: list[Coming]) -> list[Coming]:
    """In order of measuring; of several at one time the one that came last."""
    if len(reports) == 1:
        return reports
    return list({coming[0]: coming for coming in sorted(reports, key=_measured)}.values())


_LARGEST = 2**63 - 1
_GROUP = ", ".join(MONTH_GROUP)
_SUMS = ", ".join(AMOUNTS)
_NEW_SUMS = ", ".join(f"s.{name}" for name in AMOUNTS)
_WHERE = "site = :site and month = :month"
# Only what changed is written: of a month with many groups most stay as they are.
_RESUM = text(
    f"with s as materialized (select part, {', '.join(f'least(sum({name}), {_LARGEST}) as {name}' for name in AMOUNTS)}"  # noqa: S608
    f" from vm_month where {_WHERE} group by part),"
    f" renewed as (update usage_summary u set {', '.join(f'{name} = s.{name}' for name in AMOUNTS)},"
    f" wall_core_s = least(s.wall_s * u.cores, {_LARGEST}) from s where u.{_WHERE.replace('and ', 'and u.')}"
    f" and u.part = s.part and ({', '.join(f'u.{name}' for name in AMOUNTS)}) is distinct from ({_NEW_SUMS})),"
    f" gone as (delete from usage_summary u where u.{_WHERE.replace('and ', 'and u.')}"
    f" and not exists (select from vm_month m where m.{_WHERE.replace('and ', 'and m.')} and m.part = u.part))"
    f" insert into usage_summary (site, month, part, {_GROUP}, wall_core_s, {_SUMS})"
    f" select :site, :month, s.part, {_GROUP}, least(s.wall_s * g.cores, {_LARGEST}), {_NEW_SUMS} from s"
    f" cross join lateral (select {_GROUP} from vm_month where {_WHERE} and part = s.part limit 1) g"
    f" where not exists (select from usage_summary u where u.{_WHERE.replace('and ', 'and u.')} and u.part = s.part)"
)


def resum(session: Session, site: str, month: date) -> None:
    """Make the usage summary of a site and month anew from its machines, or from summaries where there are none."""
    session.execute(_RESUM, {"site": site, "month": month})
    received.add_to_usage(session, site, month)


STORE = Store("vm", VmSnapshot, store, resum, attrgetter("measured_at"))
