"""What sites say they hold, read back from their own files: replicated means that its hash is the expected one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hanse.errors import Refused
from vomsdb.models import Acknowledgement, Agent, Attempt, Replica, Snapshot, VoChange

LONGEST = 1000


@dataclass(frozen=True)
class Report:
    """What a site says it holds of a VO now."""

    vo: str
    seq: int
    sha256: str
    applied_at: datetime
    counts: Mapping[str, int]
    errors: Sequence[str]
    agent_version: str


class _Known(NamedTuple):
    """A snapshot that we made, without its payload."""

    vo: str
    revision: int


def acknowledge(session: Session, site: str, report: Report) -> Replica:
    """One report. Raises Refused when the site does not support the VO."""
    replicas = acknowledge_all(session, site, [report])
    if not replicas:
        raise Refused(f"{site} does not support {report.vo}.")
    return replicas[report.vo]


def acknowledge_all(
    session: Session, site: str, reports: Sequence[Report], sent_at: datetime | None = None
) -> dict[str, Replica]:
    """Writes down what the site holds; by VO, those left out that the site does not support.

    `sent_at` is the site's clock. Pairs about which there is nothing new stand in one line of the attempts together.
    """
    by_vo = {report.vo: report for report in reports}
    query = select(Replica).where(Replica.site == site, Replica.vo.in_(by_vo)).order_by(Replica.vo)
    locked = query.with_for_update().execution_options(populate_existing=True)
    replicas = {replica.vo: replica for replica in session.scalars(locked)}
    known = _known(session, {report.sha256 for report in reports})
    now = datetime.now(UTC)
    same = [vo for vo, replica in replicas.items() if _same(replica, by_vo[vo])]
    for vo, replica in replicas.items():
        _take(session, replica, by_vo[vo], known.get(by_vo[vo].sha256), now)
        if vo not in same:
            session.add(_noted(replica, by_vo[vo]))
    if same:
        session.add(_unchanged(site, same))
    if replicas:
        _settle(session, site, reports[-1].agent_version, None if sent_at is None else sent_at - now)
    return replicas


def _known(session: Session, hashes: set[str]) -> dict[str, _Known]:
    query = select(Snapshot.sha256, Snapshot.vo, Snapshot.revision).where(Snapshot.sha256.in_(hashes))
    return {sha256: _Known(vo, revision) for sha256, vo, revision in session.execute(query)}


def _same(replica: Replica, report: Report) -> bool:
    """Whether a site that was in step says so again."""
    return report.sha256 == replica.sha256 == replica.held_sha256 and not (report.errors or replica.errors)


def _take(session: Session, replica: Replica, report: Report, held: _Known | None, now: datetime) -> None:
    if held is not None and held.vo == report.vo and held.revision >= replica.held_revision:
        _confirm(session, replica, report.sha256, held, now)
    elif replica.differs_since is None:
        replica.differs_since = now
    replica.held_seq, replica.held_sha256 = report.seq, report.sha256
    replica.acked_at, replica.applied_at = now, report.applied_at
    replica.counts, replica.errors = dict(report.counts), list(report.errors)


def _confirm(session: Session, replica: Replica, sha256: str, held: _Known, now: datetime) -> None:
    if held.revision > replica.held_revision:
        news = select(func.count(), func.min(VoChange.at)).where(
            VoChange.vo == replica.vo,
            VoChange.revision > replica.held_revision,
            VoChange.revision <= held.revision,
        )
        changes, oldest = session.execute(news).one()
        if changes:
            session.add(_confirmation(replica, sha256, changes, max(oldest, replica.since), now))
    replica.held_revision, replica.differs_since = held.revision, None


def _confirmation(
    replica: Replica, sha256: str, changes: int, oldest: datetime, now: datetime
) -> Acknowledgement:
    return Acknowledgement(
        site=replica.site, vo=replica.vo, at=now, sha256=sha256, changes=changes, oldest_change_at=oldest
    )


def _noted(replica: Replica, report: Report) -> Attempt:
    in_step = report.sha256 == replica.sha256
    if report.errors:
        answer = "; ".join(report.errors)
    elif in_step:
        answer = f"holds change {report.seq}, {report.counts.get('members', 0)} members"
    else:
        answer = f"holds {report.sha256[:12]}, not the expected {(replica.sha256 or '')[:12]}"
    good = in_step and not report.errors
    return Attempt(site=replica.site, vo=replica.vo, way="ack", good=good, answer=answer[:1000])


def _unchanged(site: str, names: Sequence[str]) -> Attempt:
    if len(names) == 1:
        return Attempt(site=site, vo=names[0], way="ack", good=True, answer="holds what it held, as expected")
    answer = f"holds {len(names)} VOs as it held them, all as expected"
    return Attempt(site=site, vo=None, way="ack", good=True, answer=answer)


def _settle(session: Session, site: str, version: str, ahead: timedelta | None) -> None:
    """Nothing more is pushed to a site that holds everything."""
    session.flush()
    values: dict[str, Any] = {"version": version[:100], "heard_at": func.now(), "failures": 0}
    if ahead is not None:
        values["clock_off_s"] = max(-(2**31), min(2**31 - 1, round(ahead.total_seconds())))
    if in_step(session, site):
        values["push_at"] = None
    session.execute(update(Agent).where(Agent.site == site).values(**values))


def in_step(session: Session, site: str) -> bool:
    """Whether the site holds what it should of every VO."""
    behind = Replica.held_sha256.is_distinct_from(Replica.sha256)
    return session.scalar(select(Replica.site).where(Replica.site == site, behind).limit(1)) is None
