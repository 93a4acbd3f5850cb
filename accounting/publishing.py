"""How each site publishes: its last message, how old that is, and what became of its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounting import inbox, places, quarantine, summaries
from accounting.models import Message, RefusedRecord, UsageSummary
from accounting.summaries import Freshness

Timeliness = Literal["in time", "late", "missing", "never"]
PERIOD = timedelta(days=30)


@dataclass(frozen=True)
class Limits:
    """Days of silence after which a site is late, and after which its usage is missing."""

    warning_days: int
    critical_days: int

    def judge(self, last: datetime | None, now: datetime) -> Timeliness:
        """The state of a site whose last message came at `last`."""
        if last is None:
            return "never"
        silent = now - last
        if silent >= timedelta(days=self.critical_days):
            return "missing"
        return "late" if silent >= timedelta(days=self.warning_days) else "in time"


@dataclass(frozen=True)
class SiteStatus:
    """One site: counts over the last 30 days; `refused_open` is what is refused still, of any age."""

    site: str
    state: Timeliness
    last_message_at: datetime | None
    measured_until: datetime | None
    messages: int = 0
    records: int = 0
    loaded: int = 0
    refused: int = 0
    remarked: int = 0
    refused_open: int = 0
    waiting: int = 0

    def age_s(self, now: datetime) -> float | None:
        """Seconds since the last message."""
        return None if self.last_message_at is None else (now - self.last_message_at).total_seconds()


def statuses(session: Session, limits: Limits, now: datetime, only: str | None = None) -> list[SiteStatus]:
    """Every site of the registry and every other that has sent something, or one of them; the longest silent first."""
    fresh = {each.site: each for each in summaries.freshness(session)}
    counts = _counts(session, now - PERIOD)
    still_refused = _open_refusals(session)
    known = {place.site for place in places.places(session)}
    sites = {*known, *fresh, *counts, *still_refused} - {""}
    if only is not None:
        sites &= {only}
    made = [_status(site, fresh.get(site), counts, still_refused, limits, now) for site in sites]
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(made, key=lambda status: (status.last_message_at or oldest, status.site))


def _status(
    site: str, fresh: Freshness | None, counts: dict[str, tuple[int, ...]], still_refused: dict[str, int],
    limits: Limits, now: datetime,
) -> SiteStatus:  # fmt: skip
    messages, waiting, records, loaded, refused, remarked = counts.get(site, (0, 0, 0, 0, 0, 0))
    last = fresh.last_message_at if fresh else None
    return SiteStatus(
        site=site,
        state=limits.judge(last, now),
        last_message_at=last,
        measured_until=fresh.measured_until if fresh else None,
        messages=messages,
        records=records,
        loaded=loaded,
        refused=refused,
        remarked=remarked,
        refused_open=still_refused.get(site, 0),
        waiting=waiting,
    )


def _counts(session: Session, since: datetime) -> dict[str, tuple[int, ...]]:
    statement = (
        select(
            Message.site,
            func.count(),
            func.count().filter(Message.state == "waiting"),
            func.sum(Message.records),
            func.sum(Message.loaded),
            func.sum(Message.refused),
            func.sum(Message.remarked),
        )
        .where(Message.received_at >= since)
        .group_by(Message.site)
    )
    return {site: tuple(map(int, figures)) for site, *figures in session.execute(statement)}


def _open_refusals(session: Session) -> dict[str, int]:
    statement = (
        select(RefusedRecord.site, func.count())
        .where(RefusedRecord.state == "refused")
        .group_by(RefusedRecord.site)
    )
    return {site: int(records) for site, records in session.execute(statement)}


@dataclass(frozen=True)
class RefusedBy:
    """Refused records of a site: how many, since when, and why most of them."""

    site: str
    records: int
    reason: str
    oldest: datetime


def refused_sites(session: Session, since: datetime) -> list[RefusedBy]:
    """Sites with records that are refused still, most records first; "" = nobody's."""
    statement = (
        select(RefusedRecord.site, RefusedRecord.code, func.count(), func.min(RefusedRecord.received_at))
        .where(RefusedRecord.state == "refused", RefusedRecord.received_at >= since)
        .group_by(RefusedRecord.site, RefusedRecord.code)
        .order_by(func.count().desc(), RefusedRecord.code)
    )
    found: dict[str, RefusedBy] = {}
    for site, code, count, oldest in session.execute(statement):
        held = found.get(site)
        if held is None:
            found[site] = RefusedBy(site, count, quarantine.cause(code).title, oldest)
        else:
            found[site] = RefusedBy(site, held.records + count, held.reason, min(held.oldest, oldest))
    return sorted(found.values(), key=lambda each: (-each.records, each.site))


@dataclass(frozen=True)
class Overview:
    """The figures of the operator's page."""

    refused: Sequence[RefusedBy]
    waiting: int
    cpu_s_month: int
    by_day: Sequence[tuple[date, float]]
    late: Sequence[SiteStatus]


def overview(session: Session, limits: Limits, now: datetime, days: int = 14) -> Overview:
    """What fails and what was used, as of now."""
    month = now.date().replace(day=1)
    used = session.scalar(select(func.sum(UsageSummary.cpu_s)).where(UsageSummary.month == month))
    late = [each for each in statuses(session, limits, now) if each.state in ("late", "missing")]
    return Overview(
        refused=refused_sites(session, now - timedelta(days=7)),
        waiting=inbox.waiting(session),
        cpu_s_month=int(used or 0),
        by_day=summaries.by_day(session, now - timedelta(days=days - 1), now),
        late=late,
    )
