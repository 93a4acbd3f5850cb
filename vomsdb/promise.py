"""The promise that every change is at every site within a day, as measured: each pair of site and VO, and in sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, select, text
from sqlalchemy.orm import Session

from vomsdb.models import Attempt

IN_STEP, BEHIND, LATE, BREACH = "in_step", "behind", "late", "breach"
CLOCK_S = 300
"""A clock that is off by more than these seconds is worth a word: sites refuse manifests from their future."""


@dataclass(frozen=True)
class Promise:
    """From which age a change that is not acknowledged warns, and from which the promise is broken."""

    late_after: timedelta
    breach_after: timedelta

    def state(self, age: timedelta | None) -> str:
        """in_step, behind, late or breach for the age of the oldest change that is not acknowledged."""
        if age is None:
            return IN_STEP
        if age >= self.breach_after:
            return BREACH
        return LATE if age >= self.late_after else BEHIND


@dataclass(frozen=True)
class Pair:
    """A VO at a site. `age_s` is that of the oldest change the site has not confirmed, None when there is none."""

    site: str
    vo: str
    state: str
    age_s: int | None
    since: datetime
    expected_seq: int | None
    expected_sha256: str | None
    held_seq: int | None
    held_sha256: str | None
    acked_at: datetime | None
    applied_at: datetime | None
    valid_until: datetime | None
    missing: int
    """Changes made and not confirmed."""
    differs: bool
    """The site holds something we never made, or older than it held before."""
    counts: Mapping[str, Any]
    errors: tuple[str, ...]
    agent_version: str | None
    agent_url: str | None
    heard_at: datetime | None
    failures: int
    push_at: datetime | None
    clock_off_s: int | None
    """Seconds by which the site's clock is ahead of ours; None = not known."""

    @property
    def clock(self) -> str:
        """What is wrong with the site's clock, in a few words; empty when nothing is."""
        off = self.clock_off_s or 0
        if abs(off) <= CLOCK_S:
            return ""
        return f"its clock is {abs(off) / 3600:.1f} h {'ahead' if off > 0 else 'behind'}"

    @property
    def joined(self) -> bool:
        """Whether an agent of the site ever joined."""
        return self.agent_version is not None

    @property
    def why(self) -> str:
        """In a few words, what keeps the site from being in step; empty when nothing does."""
        if self.state == IN_STEP:
            return ""
        if self.errors:
            return self.errors[0]
        if self.differs:
            return "holds something else than it was given"
        if not self.joined:
            return "no agent has joined"
        if self.clock:
            return self.clock
        if self.failures:
            return f"told {self.failures} times, not confirmed yet"
        return "on its way"


_PAIRS = text(
    """
    select r.site, r.vo, r.since, r.seq as expected_seq, r.sha256 as expected_sha256, r.held_seq, r.held_sha256,
           r.acked_at, r.applied_at, r.valid_until, r.differs_since, r.counts, r.errors,
           a.version as agent_version, a.url as agent_url, a.heard_at, coalesce(a.failures, 0) as failures, a.push_at,
           a.clock_off_s,
           news.missing, greatest(news.oldest, r.since) as oldest
    from replica r left join agent a on a.site = r.site
    cross join lateral (
        select count(*) as missing, min(c.at) as oldest from vo_change c
        where c.vo = r.vo and c.revision > r.held_revision
    ) news
    where (cast(:sites as text[]) is null or r.site = any(:sites)) and (cast(:vo as text) is null or r.vo = :vo)
    order by r.site, r.vo
    """
)


def pairs(
    session: Session,
    promise: Promise,
    *,
    site: str | None = None,
    sites: Sequence[str] | None = None,
    vo: str | None = None,
) -> list[Pair]:
    """All pairs of site and VO, or those of one site, of some sites or of one VO, by site and VO."""
    now = datetime.now(UTC)
    chosen = list(sites) if sites is not None else None if site is None else [site]
    rows = session.execute(_PAIRS, {"sites": chosen, "vo": vo}).mappings()
    return [_pair(row, now, promise) for row in rows]


def _pair(row: RowMapping, now: datetime, promise: Promise) -> Pair:
    oldest = row["oldest"] if row["missing"] else None
    began = min((moment for moment in (oldest, row["differs_since"]) if moment is not None), default=None)
    age = None if began is None else max(now - began, timedelta(0))
    return Pair(
        site=row["site"],
        vo=row["vo"],
        state=promise.state(age),
        age_s=None if age is None else int(age.total_seconds()),
        since=row["since"],
        expected_seq=row["expected_seq"],
        expected_sha256=row["expected_sha256"],
        held_seq=row["held_seq"],
        held_sha256=row["held_sha256"],
        acked_at=row["acked_at"],
        applied_at=row["applied_at"],
        valid_until=row["valid_until"],
        missing=row["missing"],
        differs=row["differs_since"] is not None,
        counts=row["counts"],
        errors=tuple(row["errors"]),
        agent_version=row["agent_version"],
        agent_url=row["agent_url"],
        heard_at=row["heard_at"],
        failures=row["failures"],
        push_at=row["push_at"],
        clock_off_s=row["clock_off_s"],
    )


@dataclass(frozen=True)
class Speed:
    """Seconds from a change to its confirmation at a site, over seven days; None without any."""

    median_s: int | None
    p99_s: int | None
    confirmed: int


def speed(session: Session) -> Speed:
    """How quickly sites confirmed changes in the last seven days."""
    row = session.execute(
        text(
            "select percentile_cont(0.5) within group (order by took), percentile_cont(0.99)"
            " within group (order by took), coalesce(sum(changes), 0) from (select changes,"
            " extract(epoch from at - oldest_change_at) as took from acknowledgement"
            " where at > now() - interval '7 days') recent"
        )
    ).one()
    median, p99, confirmed = row
    return Speed(
        None if median is None else round(median), None if p99 is None else round(p99), int(confirmed)
    )


@dataclass(frozen=True)
class Day:
    """A day (UTC) with the age in seconds of the oldest change that was confirmed on it."""

    day: datetime
    oldest_s: int

    @property
    def hours(self) -> float:
        """The same in hours, one decimal."""
        return round(self.oldest_s / 3600, 1)


def days(session: Session, count: int = 30) -> list[Day]:
    """The last `count` days, oldest first; days without any confirmation have 0."""
    rows = session.execute(
        text(
            "select day, coalesce(max(extract(epoch from a.at - a.oldest_change_at)), 0)"
            " from generate_series(date_trunc('day', now()) - make_interval(days => :count - 1),"
            " date_trunc('day', now()), interval '1 day') day"
            " left join acknowledgement a on a.at >= day and a.at < day + interval '1 day'"
            " group by day order by day"
        ),
        {"count": count},
    )
    return [Day(day, int(oldest)) for day, oldest in rows]


def attempts(session: Session, site: str, vo: str | None = None, limit: int = 20) -> list[Attempt]:
    """What was tried with a site, newest first; with a VO also what concerned the whole site."""
    query = select(Attempt).where(Attempt.site == site).order_by(Attempt.at.desc()).limit(limit)
    if vo is not None:
        query = query.where((Attempt.vo == vo) | Attempt.vo.is_(None))
    return list(session.scalars(query))
