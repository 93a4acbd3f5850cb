"""Summaries by site and month, made anew only where usage changed, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, delete, false, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.models import SitePublishing, SummaryDue, UsageSummary, VmMonth
from accounting.rollup import roll_up
from accounting.stores import stores
from hanse.database import Database

DIMENSIONS = {
    "month": UsageSummary.month,
    "site": UsageSummary.site,
    "service": UsageSummary.service,
    "vo": UsageSummary.vo,
    "user": UsageSummary.user_name,
}
SUMMED_AT_ONCE = 20


def mark_due(session: Session, touched: Iterable[tuple[str, str, date]]) -> None:
    """Note in this transaction that these (kind, site, month) must be summed again.

    An update, not only an insert: the row stays locked until the usage is committed, so no summariser can
    take the note and miss the usage.
    """
    rows = [{"kind": kind, "site": site, "month": month} for kind, site, month in sorted(touched)]
    if rows:
        statement = insert(SummaryDue).values(rows)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "site", "month"], set_={"since": SummaryDue.since}
            )
        )


def summarise(db: Database) -> int:
    """Sum again what is due and no other summariser holds; returns how many site-months were summed."""
    total = 0
    while True:
        with db.transaction() as session:
            due = _take_due(session)
            for kind, site, month in due:
                stores()[kind].resum(session, site, month)
                roll_up(session, kind, site, month)
        total += len(due)
        if not due:
            return total


def _take_due(session: Session) -> list[tuple[str, str, date]]:
    key = (SummaryDue.kind, SummaryDue.site, SummaryDue.month)
    chosen = (
        select(*key)
        .where(SummaryDue.kind.in_(list(stores())))  # what newer code notes is left to it
        .order_by(SummaryDue.since)
        .limit(SUMMED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    taken = [(kind, site, month) for kind, site, month in session.execute(chosen)]
    if taken:
        session.execute(delete(SummaryDue).where(tuple_(*key).in_(taken)))
    return taken


@dataclass(frozen=True)
class Sight:
    """Whose users a reader may see by name: all, or those of some sites, of some VOs, or the reader's own."""

    everything: bool = False
    sites: frozenset[str] = frozenset()
    vos: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def nothing(self) -> bool:
        """No user at all may be seen."""
        return not (self.everything or self.sites or self.vos or self.names)


@dataclass(frozen=True)
class Question:
    """What usage is asked for: months (first days, both included), dimensions of DIMENSIONS, and filters."""

    first: date
    last: date
    by: tuple[str, ...]
    sites: tuple[str, ...] = ()
    vos: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One group: its values in the order of the question's dimensions, seconds and machines."""

    values: tuple[str, ...]
    wall_s: int
    cpu_s: int
    vms: int


def answer(session: Session, question: Question, sight: Sight) -> list[Line]:
    """Usage grouped as asked, in the order of the groups. With users among the dimensions, only those in
    sight.
    """
    columns = [DIMENSIONS[name] for name in question.by]
    statement = select(
        *columns, func.sum(UsageSummary.wall_s), func.sum(UsageSummary.cpu_s), func.sum(UsageSummary.vms)
    ).where(*_filters(question, sight))
    if columns:
        statement = statement.group_by(*columns).order_by(*columns)
    lines = []
    for *values, wall, cpu, vms in session.execute(statement):
        if wall is not None:
            lines.append(Line(tuple(map(_shown, values)), int(wall), int(cpu), int(vms)))
    return lines


def distinct_vms(session: Session, question: Question) -> int:
    """Machines that ran at any time in the months asked for, each counted once."""
    wanted = [VmMonth.month.between(question.first, question.last)]
    if question.sites:
        wanted.append(VmMonth.site.in_(question.sites))
    if question.vos:
        wanted.append(VmMonth.vo.in_(question.vos))
    machines = select(VmMonth.site, VmMonth.vmuuid).where(*wanted).distinct().subquery()
    return session.scalar(select(func.count()).select_from(machines)) or 0


def known_names(session: Session) -> tuple[list[str], list[str]]:
    """Every site and every VO with usage."""
    sites = session.scalars(select(UsageSummary.site).distinct().order_by(UsageSummary.site))
    vos = session.scalars(select(UsageSummary.vo).distinct().order_by(UsageSummary.vo))
    return list(sites), list(vos)


def _filters(question: Question, sight: Sight) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [UsageSummary.month.between(question.first, question.last)]
    if question.sites:
        wanted.append(UsageSummary.site.in_(question.sites))
    if question.vos:
        wanted.append(UsageSummary.vo.in_(question.vos))
    if question.users:
        wanted.append(UsageSummary.user_name.in_(question.users))
    if ("user" in question.by or question.users) and not sight.everything:
        wanted.append(_in_sight(sight))
    return wanted


def _in_sight(sight: Sight) -> ColumnElement[bool]:
    allowed: list[ColumnElement[bool]] = []
    for column, values in (
        (UsageSummary.site, sight.sites), (UsageSummary.vo, sight.vos), (UsageSummary.user_name, sight.names),
    ):  # fmt: skip
        if values:
            allowed.append(column.in_(values))
    return or_(*allowed) if allowed else false()


def _shown(value: Any) -> str:
    return f"{value:%Y-%m}" if isinstance(value, date) else str(value)


def months_between(first: date, last: date) -> list[date]:
    """First days of the months from `first` to `last`, both included."""
    count = (last.year - first.year) * 12 + last.month - first.month
    return [_later(first, step) for step in range(count + 1)]


def _later(month: date, months: int) -> date:
    index = month.year * 12 + month.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def months_back(month: date, months: int) -> date:
    """The first day of the month that lies `months` before `month`."""
    return _later(month, -months)


def by_day(session: Session, since: datetime, until: datetime) -> list[tuple[date, float]]:
    """(day, CPU hours) of every day from `since` to `until`, cut in proportion to time like the months."""
    statement = text(
        """
        select d.day::date as day,
               coalesce(sum(case when v.measured_at > v.from_at
                 then v.used_cpu_s * extract(epoch from least(v.measured_at, d.day + interval '1 day')
                                                      - greatest(v.from_at, d.day))
                      / extract(epoch from v.measured_at - v.from_at)
                 else v.used_cpu_s end), 0) / 3600 as hours
          from generate_series(cast(:since as timestamptz), cast(:until as timestamptz), interval '1 day') as
          d (day) left join vm_snapshot v on v.measured_at >= d.day and v.measured_at >= :since and v.from_at
          < d.day + interval '1 day' and (v.measured_at > d.day or v.from_at = v.measured_at) and v.used_cpu_s
          > 0 group by d.day order by d.day
        """
    )
    first = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        (row.day, float(row.hours)) for row in session.execute(statement, {"since": first, "until": until})
    ]


@dataclass(frozen=True)
class Freshness:
    """Until when a site's usage is known, and when it last sent something."""

    site: str
    last_message_at: datetime
    measured_until: datetime

    def age(self, now: datetime) -> timedelta:
        """Time since its last message."""
        return now - self.last_message_at


def freshness(session: Session) -> list[Freshness]:
    """Every site that ever brought records, by name."""
    rows = session.scalars(select(SitePublishing).order_by(SitePublishing.site))
    return [Freshness(row.site, row.last_message_at, row.measured_until) for row in rows]


def note_publishing(
    session: Session, message_id: int, received_at: datetime, until: Sequence[tuple[str, datetime]]
) -> None:
    """Remember for each site its last message and the latest time reported; an older message changes nothing."""
    for site, measured in sorted(until):
        statement = insert(SitePublishing).values(
            site=site, message_id=message_id, last_message_at=received_at, measured_until=measured
        )
        new = statement.excluded
        newer = new.last_message_at >= SitePublishing.last_message_at
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["site"],
                set_={
                    "message_id": case((newer, new.message_id), else_=SitePublishing.message_id),
                    "last_message_at": func.greatest(SitePublishing.last_message_at, new.last_message_at),
                    "measured_until": func.greatest(SitePublishing.measured_until, new.measured_until),
                },
            )
        )
