"""Taking a month of a site out of the figures, so that the site can publish it again; and putting it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from accounting import events, summaries
from accounting.archive.kept import LOADING, month_after, open_since
from accounting.loading import Loader, Selection, collided
from accounting.models import RefusedRecord, UsageEvent
from accounting.stores import vm_withdrawing
from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused

MOST_MONTHS = 240
MOST_IN_A_REQUEST = 200
"""Messages that are loaded again while somebody waits for the answer."""


@dataclass(frozen=True)
class _Table:
    """A table of records: the kind of its store, what makes a row of the month, and from when its usage may be."""

    name: str
    kind: str
    title: str
    within: str
    since: str


_BY_END = "ended_at >= :begin and ended_at < :until"
_BY_MONTH = "month = :month"
TABLES: Final = (
    _Table("job_record", "job", "jobs", _BY_END, "ended_at"),
    _Table("received_job_summary", "job", "summaries of jobs", _BY_MONTH, "month"),
    _Table("received_cloud_summary", "vm", "summaries of machines", _BY_MONTH, "month"),
    _Table("storage_record", "storage", "records of storage", _BY_END, "started_at"),
    _Table("accelerator_record", "accelerator", "records of accelerators", _BY_MONTH, "month"),
    _Table(
        "ip_snapshot", "ip", "records of public addresses", "measured_at >= :begin and measured_at < :until",
        "measured_at",
    ),
    _Table("sync_count", "sync", "sync counts", _BY_MONTH, "month"),
)  # fmt: skip


_WITHDRAWN = text("update message set withdrawn_at = clock_timestamp() where id = any(:messages)")
# unless another month of it is out still
_BACK = text(
    """
    update message m set withdrawn_at = null
     where m.id = any(:messages)
       and m.id not in (select out::bigint
                          from usage_event e, jsonb_array_elements_text(e.details -> 'messages') as t (out)
                         where e.kind = 'republish' and e.id <> :event
                           and not exists (select from usage_event b where b.kind = 'republish'
                                            and b.details ->> 'event' = e.id::text))
    """
)


@dataclass(frozen=True)
class Withdrawn:
    """What was taken out: how many records by kind, the messages they came in, and the event that tells of it."""

    records: dict[str, int]
    messages: Sequence[int]
    event: int


def republish(db: Database, site: str, month: date, by: str, reason: str, today: date) -> Withdrawn:
    """Take the records of a month out of the figures of a site; what it sends of the month from now on counts.

    Usage of the month that later reports of the same machines show stays counted, in proportion to time. Raises
    NotFound when nothing is there, Refused without a reason, for a month to come, or while records are archived.
    """
    if not reason.strip():
        raise Refused("Why is the month taken out?", FieldFault("reason", "say why: it stands in the log"))
    if month > today.replace(day=1):
        raise NotFound(f"{month:%B %Y} has not begun; choose a month with usage.")
    try:
        withdrawn = _take_out(db, site, month, by, reason.strip())
    except DBAPIError as error:
        if not collided(error):
            raise
        # a replay held one of the messages and waited for the site
        withdrawn = _take_out(db, site, month, by, reason.strip())
    summaries.summarise(db)
    return withdrawn


def _take_out(db: Database, site: str, month: date, by: str, reason: str) -> Withdrawn:
    with db.transaction() as session:
        session.execute(LOADING)
        summaries.lock_sites(session, {site})
        _demand_at_hand(session, month)
        return _withdraw(db, session, site, month, by, reason)


def _demand_at_hand(session: Session, month: date) -> None:
    """Raise Refused for a month before the first open day of a kind: what is left of it is counted against."""
    since = max(open_since(session).values(), default=None)
    if since is not None and month < since:
        raise Refused(
            f"Records of {month:%B %Y} or of months after it lie in the archive. Bring them back first: hanse"
            f" accounting restore {month:%Y-%m}."
        )


def _withdraw(db: Database, session: Session, site: str, month: date, by: str, reason: str) -> Withdrawn:
    begin, until = _moment(month), _moment(month_after(month))
    given = {"site": site, "month": month, "begin": begin, "until": until}
    messages = set(
        session.scalars(
            text(
                "select distinct message_id from vm_snapshot where site = :site and measured_at >= :begin"
                " and measured_at < :until"
            ),
            given,
        )
    )
    machines, months = vm_withdrawing.withdraw(db, session, site, begin, until)
    records = {"records of machines": machines} if machines else {}
    due = {("vm", site, changed) for _, changed in months}
    for table in TABLES:
        count, first = _forget(session, table, given, messages)
        if count:
            records[table.title] = count
            due.update((table.kind, site, one) for one in _months(first, month))
    if not records:
        raise NotFound(f"{site} has published nothing of {month:%B %Y}.")
    summaries.mark_due(session, sorted(due))
    session.execute(_WITHDRAWN, {"messages": sorted(messages)})
    event = _tell(session, site, month, by, reason, records, sorted(messages))
    return Withdrawn(records, sorted(messages), event)


def _forget(
    session: Session, table: _Table, given: dict[str, object], messages: set[int]
) -> tuple[int, date | None]:
    """Delete the rows of the month; how many, and the first month in which something of them was used."""
    rows = session.execute(
        text(
            f"delete from {table.name} where site = :site and {table.within}"  # noqa: S608 - of TABLES alone
            f" returning message_id, {table.since}"
        ),
        given,
    ).all()
    messages.update(number for number, _ in rows)
    first = min((since for _, since in rows), default=None)
    return len(rows), first.date() if isinstance(first, datetime) else first


def _months(first: date | None, last: date) -> list[date]:
    """The months from the first to the last, at most MOST_MONTHS."""
    found = [last]
    while first is not None and found[-1] > first.replace(day=1) and len(found) < MOST_MONTHS:
        index = found[-1].year * 12 + found[-1].month - 2
        found.append(date(index // 12, index % 12 + 1, 1))
    return found


def _tell(
    session: Session,
    site: str,
    month: date,
    by: str,
    reason: str,
    records: dict[str, int],
    messages: list[int],
) -> int:
    listed = ", ".join(f"{count:,} {title}" for title, count in records.items())
    words = f"{month:%B %Y} of {site} was taken out of the figures, to come again: {listed}. Reason: {reason}"
    return events.tell(
        session, "republish", words, by=by, site=site, month=month, records=records, messages=messages
    )


@dataclass(frozen=True)
class PutBack:
    """How many records count again, how many messages could not be read again, and why the first of them."""

    counted: int
    unread: int
    reason: str


def put_back(
    loader: Loader, event: int, by: str, *, site: str | None = None, most: int | None = None
) -> PutBack:
    """Load what a republish took out again, from the messages: the records of its site and month alone, those that a
    replay had counted for the site among them.

    What the site has sent of the month meanwhile stays: of two records about one thing the later receipt counts. Raises
    NotFound for an event that is none of these, or not of `site`; Refused when it names more than `most` messages.
    """
    with loader.db.transaction() as session:
        row = session.get(UsageEvent, event)
        if (
            row is None
            or row.kind != "republish"
            or "messages" not in row.details
            or site not in (None, row.site)
        ):
            raise NotFound(f"Event {event} did not take a month{f' of {site}' if site else ''} out.")
        messages, site, month = list(row.details["messages"]), row.site, row.month
        assert month is not None
        if most is not None and len(messages) > most:
            raise Refused(
                f"The month came in {len(messages):,} messages, more than the {most:,} that one request loads again."
                f" The operator puts it back: hanse accounting put-back {event}."
            )
        replayed = _replayed(session, site, messages)
    outcomes = []
    for number in messages:
        selection = Selection(None, site, frozenset(replayed.get(number, ())), (site, month))
        outcomes.append(loader.load_again(number, selection, by))
    summaries.summarise(loader.db)
    unread = [outcome.reason for outcome in outcomes if outcome is not None and outcome.failed]
    back = [outcome.message for outcome in outcomes if outcome is not None and not outcome.failed]
    count = sum(outcome.loaded for outcome in outcomes if outcome is not None)
    with loader.db.transaction() as session:
        again = len(messages) - len(unread)
        words = f"{month:%B %Y} of {site} was put back: {again:,} messages were loaded again."
        if unread:
            words += f" {len(unread):,} could not be read again: {unread[0]}"
        session.execute(_BACK, {"messages": back, "event": event})
        events.tell(session, "republish", words, by=by, site=site, month=month, event=event)
    return PutBack(count, len(unread), unread[0] if unread else "")


def _replayed(session: Session, site: str, messages: Sequence[int]) -> dict[int, list[int]]:
    """The records by message that replays counted for `site`, whatever their SiteName says."""
    wanted = select(RefusedRecord.message_id, RefusedRecord.record).where(
        RefusedRecord.message_id.in_(messages),
        RefusedRecord.counted_for == site,
        RefusedRecord.state != "discarded",
    )
    found: dict[int, list[int]] = {}
    for message, record in session.execute(wanted):
        found.setdefault(message, []).append(record)
    return found


def _moment(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)
