"""Replays of many: all refused records of a site with one cause, worked off in portions while people watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from accounting import events, quarantine, replay
from accounting.loading import Loader
from accounting.models import RefusedRecord, ReplayRun
from hanse.errors import Conflict, HanseError, NotFound

PORTION = 200
OPEN = ("waiting", "running")


@dataclass(frozen=True)
class Choice:
    """Which refused records of a site: of a cause, field and month, received since, as far as given; `as_site` as in
    `replay`.
    """

    code: str = ""
    field: str | None = None
    month: date | None = None
    as_site: str | None = None
    since: datetime | None = None


def ask(session: Session, site: str, choice: Choice, by: str) -> ReplayRun:
    """Ask for a replay; a process with jobs works it off. Raises NotFound when nothing is refused so, and Conflict when
    such a replay is under way.
    """
    own = replay.own(site)
    count, last = session.execute(
        select(func.count(), func.max(RefusedRecord.id)).where(*_chosen(own, choice))
    ).one()
    if not count:
        raise NotFound(f"No record of {site} is refused with this cause; there is nothing to replay.")
    under_way = select(ReplayRun.id).where(
        ReplayRun.site == own, ReplayRun.code == choice.code, ReplayRun.state.in_(OPEN)
    )
    if (number := session.scalar(under_way.limit(1))) is not None:
        raise Conflict(f"Replay {number} of these records is under way; wait until it is done.")
    run = ReplayRun(
        site=own, code=choice.code, field=choice.field, month=choice.month, as_site=choice.as_site, since=choice.since,
        records=count, up_to_id=last, asked_by=by,
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.refresh(run)
    return run


def _chosen(own: str, choice: Choice, state: str = "refused") -> list[ColumnElement[bool]]:
    wanted = [RefusedRecord.site == own, RefusedRecord.state == state]
    if choice.code:
        wanted.append(RefusedRecord.code == choice.code)
    if choice.field is not None:
        wanted.append(RefusedRecord.field == choice.field)
    if choice.month is not None:
        wanted.append(RefusedRecord.month == choice.month)
    if choice.since is not None:
        wanted.append(RefusedRecord.received_at >= choice.since)
    return wanted


def one(session: Session, site: str, number: int) -> ReplayRun:
    """Replay `number` of a site. Raises NotFound."""
    run = session.get(ReplayRun, number)
    if run is None or run.site != replay.own(site):
        raise NotFound(f"There is no replay {number} of {site}.")
    return run


def recent(session: Session, site: str, limit: int = 10) -> Sequence[ReplayRun]:
    """The latest replays of many of a site, newest first."""
    wanted = select(ReplayRun).where(ReplayRun.site == replay.own(site))
    return session.scalars(wanted.order_by(ReplayRun.id.desc()).limit(limit)).all()


def work_off(loader: Loader) -> str:
    """Work off every replay that was asked for; a sentence for the run log. Killed between portions, it goes on."""
    done = 0
    while (number := _next(loader)) is not None:
        while _portion(loader, number):
            pass
        done += 1
    return f"{done} replays of many worked off." if done else "No replay was asked for."


def _next(loader: Loader) -> int | None:
    with loader.db.transaction() as session:
        return session.scalar(
            select(ReplayRun.id).where(ReplayRun.state.in_(OPEN)).order_by(ReplayRun.id).limit(1)
        )


def _portion(loader: Loader, number: int) -> bool:
    """Replay the next records of a run; False when it is over."""
    with loader.db.transaction() as session:
        run = session.get_one(ReplayRun, number)
        wanted = (
            *_chosen(run.site, _choice(run)),
            RefusedRecord.id > run.last_id,
            RefusedRecord.id <= run.up_to_id,
        )
        ids = session.scalars(
            select(RefusedRecord.id).where(*wanted).order_by(RefusedRecord.id).limit(PORTION)
        ).all()
    if not ids:
        _finish(loader, number, "")
        return False
    site = run.site or replay.NOBODYS
    try:
        done = replay.replay(loader, site, ids, as_site=run.as_site, by=run.asked_by, told=False)
    except NotFound:
        return True  # somebody else has replayed or discarded some of them meanwhile: look again
    except HanseError as error:
        _finish(loader, number, error.detail)
        return False
    _note(loader, number, ids[-1], done)
    return True


def _choice(run: ReplayRun) -> Choice:
    return Choice(run.code, run.field, run.month, run.as_site, run.since)


def _note(loader: Loader, number: int, last_id: int, done: replay.Replayed) -> None:
    """How far the run came, from the records themselves: a portion that is done twice counts once."""
    with loader.db.transaction() as session:
        run = session.get_one(ReplayRun, number, with_for_update=True)
        run.last_id, run.state = last_id, "running"
        if done.unread and not run.unread:
            run.reason = done.reason
        run.unread += done.unread
        _count(session, run)


def _count(session: Session, run: ReplayRun) -> None:
    still = (*_chosen(run.site, _choice(run)), RefusedRecord.id <= run.up_to_id)
    left, tried = session.execute(
        select(func.count(), func.count().filter(RefusedRecord.id <= run.last_id)).where(*still)
    ).one()
    counted = (*_chosen(run.site, _choice(run), "replayed"), RefusedRecord.decided_at >= run.asked_at)
    run.refused, run.done = tried, run.records - left + tried
    run.counted = session.scalar(select(func.count()).select_from(RefusedRecord).where(*counted)) or 0
    if run.unread:
        return
    first = select(RefusedRecord).where(*still).order_by(RefusedRecord.id).limit(1)
    row = session.scalars(first).first()
    run.reason = row.reason if row is not None and tried else ""


def _finish(loader: Loader, number: int, failure: str) -> None:
    with loader.db.transaction() as session:
        run = session.get_one(ReplayRun, number, with_for_update=True)
        run.last_id = run.last_id if failure else run.up_to_id
        _count(session, run)
        nothing_read = run.unread >= run.records
        run.state, run.finished_at = "failed" if failure or nothing_read else "done", loader.now()
        unread = f" {run.unread:,} could not be read again: {run.reason}" if run.unread else ""
        run.reason = failure or run.reason
        site = run.site or "nobody"
        cause = f' with the cause "{quarantine.cause(run.code).title}"' if run.code else ""
        words = (
            f"{run.counted:,} of {run.records:,} refused records of {site}{cause} were counted by a replay."
        )
        if run.refused:
            words += f" {run.refused:,} are refused still.{unread}"
        if failure:
            words += f" It ended before its end: {failure}"
        events.tell(session, "replay", words, by=run.asked_by, site=run.site, month=run.month, replay=run.id)
