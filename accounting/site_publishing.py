"""One site's publishing in detail: months without usage, the site's own counts beside ours, messages day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import Date, cast, func, select, text
from sqlalchemy.orm import Session

from accounting import publishing
from accounting.asking import months_between
from accounting.models import Finding, Message, UsageMonth
from accounting.publishing import Limits, SiteStatus
from hanse.errors import NotFound
from hanse.pages.words import age

Level = Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]
CODES: dict[Level, int] = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}
_LEVELS: dict[str, Level] = {"in time": "OK", "late": "WARNING", "missing": "CRITICAL", "never": "UNKNOWN"}


@dataclass(frozen=True)
class Freshness:
    """What a probe says of a site's publishing: the level as Nagios has it, with its number, and the sentence."""

    level: Level
    reason: str

    @property
    def code(self) -> int:
        """0 OK, 1 warning, 2 critical, 3 unknown."""
        return CODES[self.level]


def freshness(status: SiteStatus, limits: Limits, now: datetime) -> Freshness:
    """The level of a site by the age of its last message that brought records."""
    level = _LEVELS[status.state]
    if status.last_message_at is None:
        return Freshness(level, f"{status.site} has not published yet.")
    silent = f"{status.site} published {age(now - status.last_message_at)} ago"
    until = f", of usage up to {status.measured_until:%Y-%m-%d %H:%M} UTC" if status.measured_until else ""
    limit = {"WARNING": limits.warning_days, "CRITICAL": limits.critical_days}.get(level)
    return Freshness(
        level, f"{silent}{until}; a message was due within {limit} days." if limit else f"{silent}{until}."
    )


def status_of(session: Session, site: str, limits: Limits, now: datetime) -> SiteStatus:
    """How one site publishes. Raises NotFound for one that the registry does not know and that sent nothing."""
    found = publishing.statuses(session, limits, now, site)
    if not found:
        raise NotFound(f"There is no site {site} in the registry, and none of that name has published.")
    return found[0]


def gaps(session: Session, site: str | None = None) -> dict[str, list[date]]:
    """Months without usage between the first and the last month with some, by site; sites without gaps are left
    out.
    """
    statement = select(UsageMonth.site, UsageMonth.month).distinct()
    if site is not None:
        statement = statement.where(UsageMonth.site == site)
    months: dict[str, set[date]] = {}
    for name, month in session.execute(statement):
        months.setdefault(name, set()).add(month)
    found = {}
    for name, used in months.items():
        missing = [month for month in months_between(min(used), max(used)) if month not in used]
        if missing:
            found[name] = missing
    return found


@dataclass(frozen=True)
class Counted:
    """Jobs of a month at a submit host: how many the site says it ran, and how many are counted here."""

    site: str
    month: date
    submit_host: str
    said: int
    counted: int

    @property
    def difference(self) -> int:
        """What is counted here beyond what the site says; negative = missing here."""
        return self.counted - self.said


_SYNC = text(
    """
    select s.site, s.month, s.submit_host, s.jobs as said, coalesce(j.jobs, 0) as counted
      from sync_count s
      left join (select site, month, submit_host, sum(jobs) as jobs from job_summary
                  where cast(:site as text) is null or site = :site group by 1, 2, 3) j
        using (site, month, submit_host)
     where cast(:site as text) is null or s.site = :site
     order by s.month desc, s.submit_host
    """
)


def sync(session: Session, site: str | None = None) -> list[Counted]:
    """The sync check: every count that sites sent of their own jobs beside ours, newest month first."""
    return [
        Counted(row.site, row.month, row.submit_host, int(row.said), int(row.counted))
        for row in session.execute(_SYNC, {"site": site})
    ]


@dataclass(frozen=True)
class Day:
    """Messages of a site received on one day (UTC), and what became of their records."""

    day: date
    messages: int
    loaded: int
    refused: int
    remarked: int


def by_day(session: Session, site: str, now: datetime, days: int) -> list[Day]:
    """Every one of the last `days` days, also those without a message, oldest first."""
    first = now.date() - timedelta(days=days - 1)
    received = cast(func.timezone("UTC", Message.received_at), Date)
    sums = [func.sum(each) for each in (Message.loaded, Message.refused, Message.remarked)]
    statement = (
        select(received, func.count(), *sums)
        .where(
            Message.site == site,
            Message.received_at >= datetime(first.year, first.month, first.day, tzinfo=now.tzinfo),
        )
        .group_by(received)
    )
    found = {row[0]: Day(row[0], *map(int, row[1:])) for row in session.execute(statement)}
    every = [first + timedelta(days=step) for step in range(days)]
    return [found.get(day, Day(day, 0, 0, 0, 0)) for day in every]


def silent_machines(session: Session, site: str) -> int:
    """Machines of a site that were running in their last report, which is too old (a cross-check finds them)."""
    statement = select(func.count()).where(
        Finding.kind == "silent_machine",
        Finding.site == site,
        Finding.gone_at.is_(None),
        Finding.decision != "accepted",
    )
    return session.scalar(statement) or 0


def months_of(session: Session, site: str) -> list[tuple[date, int]]:
    """(month, CPU seconds) from the first to the last month of a site with usage; 0 where there is none."""
    used: dict[date, int] = {
        month: int(cpu)
        for month, cpu in session.execute(
            select(UsageMonth.month, func.sum(UsageMonth.cpu_s))
            .where(UsageMonth.site == site)
            .group_by(UsageMonth.month)
        )
    }
    return [(month, used.get(month, 0)) for month in months_between(min(used), max(used))] if used else []


def messages(session: Session, site: str, most: int) -> Sequence[Message]:
    """The newest messages of a site."""
    return session.scalars(
        select(Message)
        .where(Message.site == site)
        .order_by(Message.received_at.desc(), Message.id.desc())
        .limit(most)
    ).all()
