"""Recomputations: somebody asks that a period be counted anew without what was not the sites' fault; another approves.

pending, approved or rejected, running, done. From approval on its exceptions hold for every computation of its days.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import and_, cast, func, select
from sqlalchemy.orm import Session
from sqlalchemy.types import Date

from hanse.errors import Conflict, NotFound, Refused
from monitoring import feed
from monitoring.algebra import State
from monitoring.clock import database_time
from monitoring.figures import noting
from monitoring.figures.judging import Exceptions, Interval, Where
from monitoring.models import Check, StoredResult
from monitoring.models.figures import NotedDay, Recomputation, TopologyRow
from monitoring.profiles import kept
from monitoring.profiles.bodies import STATES

Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
LONGEST = timedelta(days=400)
# Whose exceptions count.
IN_FORCE = ("approved", "running", "done")
Status = Literal["pending", "approved", "rejected", "running", "done"]


class Part(BaseModel):
    """A part of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Source(Part):
    """A monitoring host whose measurements do not count for a while."""

    host: Name
    start_time: datetime
    end_time: datetime


class MetricOut(Part):
    """A metric that does not count, everywhere or at one host, service or group."""

    metric: Name
    hostname: Text = ""
    service: Text = ""
    group: Text = ""


class Applied(Part):
    """A state that holds instead, at the most specific level that is named."""

    group: Text = ""
    service: Text = ""
    hostname: Text = ""
    metric: Text = ""
    state: str

    @model_validator(mode="after")
    def _meant(self) -> "Applied":
        if self.state not in STATES:
            raise ValueError(f"{self.state} is no state; there are {', '.join(STATES)}")
        if not (self.group or self.service or self.hostname or self.metric):
            raise ValueError("name a group, service, hostname or metric")
        return self


class Asked(Part):
    """What is asked for."""

    requester_name: Text = ""
    requester_email: Text = ""
    reason: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
    start_time: datetime
    end_time: datetime
    report: Name
    exclude: list[Name] = Field([], max_length=1000)
    exclude_monitoring_source: list[Source] = Field([], max_length=100)
    exclude_metrics: list[MetricOut] = Field([], max_length=1000)
    applied_status_changes: list[Applied] = Field([], max_length=1000)

    @model_validator(mode="after")
    def _in_order(self) -> "Asked":
        if aware(self.end_time) <= aware(self.start_time):
            raise ValueError("end_time must be after start_time")
        if aware(self.end_time) - aware(self.start_time) > LONGEST:
            raise ValueError(f"a recomputation covers {LONGEST.days} days at most")
        return self


def aware(moment: datetime) -> datetime:
    """A time without zone is UTC."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def ask(session: Session, asked: Asked, by: str) -> Recomputation:
    """Keep a request for somebody to decide. Raises NotFound when there is no such report."""
    now = database_time(session)
    kept.named(session, "report", asked.report, now.date())
    row = Recomputation(
        id=str(uuid.uuid4()),
        report=asked.report,
        starts=aware(asked.start_time),
        ends=aware(asked.end_time),
        body=asked.model_dump(mode="json"),
        status="pending",
        history=[_entry("pending", now)],
        asked_by=by,
    )
    session.add(row)
    session.flush()
    return row


def scopes_of(session: Session, asked: Asked) -> list[tuple[str, ...]]:
    """For each thing that is asked for the scopes of which its asker holds one: the site's or its NGI's; of what means
    no one site only the federation's."""
    meant = [
        *((name, "") for name in asked.exclude),
        *((one.group, one.hostname) for one in asked.exclude_metrics),
        *((one.group, one.hostname) for one in asked.applied_status_changes),
        *(("", "") for _ in asked.exclude_monitoring_source),
    ]
    ngis = {name: str(body.get("ngi") or "") for name, body in feed.sites(session).items()}
    return [_scopes(group or _site_of(session, hostname), ngis) for group, hostname in dict.fromkeys(meant)]


def _scopes(group: str, ngis: Mapping[str, str]) -> tuple[str, ...]:
    if not group:
        return ("federation",)
    return (f"site:{group}", f"ngi:{ngis[group]}") if group in ngis else (f"ngi:{group}",)


def _site_of(session: Session, hostname: str) -> str:
    """The site of a host, empty when there is none or more than one."""
    known = select(TopologyRow.site).where(TopologyRow.hostname == hostname).distinct()
    sites = list(session.scalars(known))
    return sites[0] if len(sites) == 1 else ""


def find(session: Session, recomputation_id: str) -> Recomputation:
    """The recomputation, locked. Raises NotFound."""
    row = session.get(Recomputation, recomputation_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no recomputation {recomputation_id[:100]}.")
    return row


def listed(
    session: Session, report: str = "", day: date | None = None, status: str = ""
) -> list[Recomputation]:
    """Recomputations, latest first; of a report, touching a day, in a status."""
    rows = select(Recomputation).order_by(Recomputation.number.desc())
    if report:
        rows = rows.where(Recomputation.report == report)
    if status:
        rows = rows.where(Recomputation.status == status)
    if day is not None:
        start = datetime.combine(day, time(), UTC)
        rows = rows.where(Recomputation.starts < start + timedelta(days=1), Recomputation.ends > start)
    return list(session.scalars(rows))


def change(session: Session, recomputation_id: str, asked: Asked, by: str) -> Recomputation:
    """Replace a request that nobody decided yet; who did so is who asks now. Raises Conflict otherwise."""
    row = find(session, recomputation_id)
    if row.status != "pending":
        raise Conflict(f"The recomputation is {row.status}; ask for another one.")
    kept.named(session, "report", asked.report, noting.today(session))
    row.report, row.starts, row.ends = asked.report, aware(asked.start_time), aware(asked.end_time)
    row.body, row.asked_by = asked.model_dump(mode="json"), by
    session.flush()
    return row


def decide(session: Session, recomputation_id: str, status: str, by: str) -> Recomputation:
    """Approve or reject it, or note how far it is; its days are noted where figures change by it. Raises Refused for a
    status that there is not, or when who asked puts it in force themselves; Conflict when it is there already."""
    row = find(session, recomputation_id)
    if status not in ("pending", "approved", "rejected", "running", "done"):
        raise Refused(f"{status[:40]!r} is no status; there are pending, approved, rejected, running, done.")
    if row.status == status:
        raise Conflict(f"The recomputation is {status} already.")
    begins = status in IN_FORCE and row.status not in IN_FORCE
    if (begins or status == "approved") and row.asked_by == by:
        raise Refused("You asked for this recomputation yourself; another operator must approve it.")
    if (row.status in IN_FORCE) != (status in IN_FORCE):
        noting.note_between(session, row.starts, row.ends, f"recomputation {row.number} {status}")
    _turn(row, status, database_time(session))
    if begins or status in ("approved", "rejected"):
        row.decided_by = by
    session.flush()
    return row


def reset(session: Session, recomputation_id: str) -> Recomputation:
    """Back to pending, with no decisions behind it; days that it changed are counted anew without it."""
    row = find(session, recomputation_id)
    if row.status in IN_FORCE:
        noting.note_between(session, row.starts, row.ends, f"recomputation {row.number} reset")
    row.status, row.decided_by = "pending", None
    row.history = [_entry("pending", database_time(session))]
    session.flush()
    return row


def remove(session: Session, recomputation_id: str) -> None:
    """Delete it; days that it changed are counted anew without it."""
    row = find(session, recomputation_id)
    if row.status in IN_FORCE:
        noting.note_between(session, row.starts, row.ends, f"recomputation {row.number} deleted")
    session.delete(row)
    session.flush()


def advance(session: Session) -> int:
    """Approved ones whose days are being made are running, those whose days are all made are done; how many moved."""
    now, moved = database_time(session), 0
    for row in session.scalars(
        select(Recomputation).where(Recomputation.status.in_(("approved", "running"))).with_for_update()
    ):
        open_days = (
            select(func.count())
            .select_from(NotedDay)
            .where(
                and_(
                    NotedDay.day >= cast(func.timezone("UTC", row.starts), Date),
                    NotedDay.day <= cast(func.timezone("UTC", row.ends), Date),
                )
            )
        )
        status = "running" if session.scalar(open_days) or row.ends > now else "done"
        if status != row.status:
            _turn(row, status, now)
            moved += 1
    return moved


def _turn(row: Recomputation, status: str, now: datetime) -> None:
    row.status = status
    row.history = [*row.history, _entry(status, now)]


def _entry(status: str, now: datetime) -> dict[str, str]:
    return {"status": status, "timestamp": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}


def exceptions(session: Session, report: str, day: date) -> Exceptions:
    """What the recomputations in force say about a day of a report."""
    start = datetime.combine(day, time(), UTC)
    groups: list[tuple[str, Interval]] = []
    metrics: list[tuple[Where, Interval]] = []
    states: list[tuple[Where, Interval, State]] = []
    sources: list[tuple[str, str, Interval]] = []
    rows = [row for row in listed(session, report, day) if row.status in IN_FORCE]
    for row in sorted(rows, key=lambda row: row.number):
        asked = Asked.model_validate(row.body)
        span = seconds_of_day(start, row.starts, row.ends)
        groups += [(name, span) for name in asked.exclude]
        metrics += [
            (Where(one.group, one.service, one.hostname, one.metric), span) for one in asked.exclude_metrics
        ]
        states += [
            (Where(one.group, one.service, one.hostname, one.metric), span, STATES[one.state])
            for one in asked.applied_status_changes
        ]
        for source in asked.exclude_monitoring_source:
            sources += _measured_by(session, source, start)
    return Exceptions(tuple(groups), tuple(metrics), tuple(states), tuple(sources))


def _measured_by(session: Session, source: Source, day: datetime) -> list[tuple[str, str, Interval]]:
    """The checks that a worker on that host measured then, as long as single results are kept."""
    first, last = aware(source.start_time), aware(source.end_time)
    found: Sequence[Any] = session.execute(
        select(Check.endpoint_id, Check.probe)
        .join(StoredResult)
        .where(
            StoredResult.started_at >= first,
            StoredResult.started_at < last,
            func.regexp_replace(StoredResult.worker, "-[0-9]+$", "")
            == source.host,  # the rest is its process
        )
        .distinct()
    ).all()
    span = seconds_of_day(day, first, last)
    return [(endpoint_id, probe, span) for endpoint_id, probe in found]


def seconds_of_day(day: datetime, first: datetime, last: datetime) -> Interval:
    """A stretch of time in whole seconds from the day's midnight; outside the day below 0 or past 86,400."""
    return int((first - day).total_seconds() // 1), int((last - day).total_seconds() // 1)
