"""What a day is judged by, read from the tables: the timelines of its checks and the downtimes of the registry."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.follow import followed
from monitoring import feed, timeline
from monitoring.algebra import DAY, Change, State
from monitoring.downtimes import Downtime, from_feed
from monitoring.figures import lines, recomputations
from monitoring.figures.judging import DayInput, Interval, Member
from monitoring.figures.reports import ReportOnDay
from monitoring.models import Check
from monitoring.models.figures import TopologyRow


def midnight(day: date) -> datetime:
    """When the UTC day begins."""
    return datetime.combine(day, time(), UTC)


def of_day(
    session: Session, report: ReportOnDay, rows: list[TopologyRow], day: date, now: datetime
) -> DayInput:
    """All that the report's day is judged by; nothing after `now`."""
    members = report.members(rows)
    until = max(0, min(lines.DAY_S, int((now - midnight(day)).total_seconds())))
    return DayInput(
        members,
        metric_lines(session, members, day, now),
        _downtimes(session, {row.endpoint_id: row for row in rows}, members, day),
        recomputations.exceptions(session, report.name, day),
        until,
    )


def metric_lines(
    session: Session, members: Iterable[Member], day: date, now: datetime
) -> dict[tuple[str, str], lines.Line]:
    """The line of each check of the members on the day."""
    wanted = {member.endpoint_id for member in members}
    start = midnight(day)
    checks = [
        (str(check_id), endpoint_id, probe)
        for check_id, endpoint_id, probe in session.execute(
            select(Check.id, Check.endpoint_id, Check.probe).where(Check.endpoint_id.in_(wanted))
        )
    ]
    found = timeline.changes(session, "check", [one for one, _, _ in checks], start, min(start + DAY, now))
    return {(endpoint_id, probe): line_of(found[check_id], start) for check_id, endpoint_id, probe in checks}


def line_of(changes: Iterable[Change], start: datetime) -> lines.Line:
    """Changes as the line of the day that begins at `start`, in whole seconds."""
    before, points = State.MISSING, []
    for change in changes:
        second = int((change.at - start).total_seconds() // 1)
        if second <= 0:
            before = change.state
        else:
            points.append((second, change.state))
    return lines.line(points, before) if points else lines.steady(before)


def _downtimes(
    session: Session, rows: Mapping[str, TopologyRow], members: Collection[Member], day: date
) -> dict[str, list[Interval]]:
    """The outage downtimes of each endpoint that touch the day, as seconds of the day."""
    start = midnight(day)
    known = [
        one
        for one in all_downtimes(session)
        if one.severity.upper() == "OUTAGE" and one.start < start + DAY and one.end > start
    ]
    by_site: dict[str, list[Downtime]] = defaultdict(list)
    for downtime in known:
        for site in downtime.sites:
            by_site[site].append(downtime)
    found: dict[str, list[Interval]] = {}
    for member in members:
        row = rows[member.endpoint_id]
        for downtime in by_site.get(row.site, ()):
            if downtime.covers(row.site, row.service_id, row.endpoint_id):
                seen = downtime.of_service(row.service_id)
                if seen.end > start:
                    span = recomputations.seconds_of_day(start, seen.start, seen.end)
                    found.setdefault(member.endpoint_id, []).append(span)
    return found


def all_downtimes(session: Session) -> list[Downtime]:
    """Every downtime that the registry tells of, also those long over."""
    return from_feed(followed(session, feed.REGISTRY, "downtime").values())


def fingerprint(downtime: Downtime) -> str:
    """Changes when what the downtime means for figures does."""
    said = [
        sorted(downtime.sites),
        downtime.start.isoformat(),
        downtime.end.isoformat(),
        downtime.severity.upper(),
        sorted(downtime.services),
        sorted(downtime.endpoints),
        sorted((service, end.isoformat()) for service, end in downtime.service_ends.items()),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
