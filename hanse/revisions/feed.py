"""The change feed, as the other services follow it: pages of changes in order, never half a revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Row, delete, func, literal_column, select, text
from sqlalchemy.orm import Session

from hanse.revisions.reading import head
from hanse.revisions.tables import Body, FeedIdentity, History, Revision


@dataclass(frozen=True)
class FeedChange:
    """One change as the feed tells it; `actor` is the principal's key."""

    revision: int
    at: datetime
    actor: str
    actor_name: str
    reason: str
    kind: str
    id: str
    op: str
    body: Body | None

    def as_json(self) -> dict[str, Any]:
        """The same with the time as ISO 8601 UTC."""
        return {**vars(self), "at": self.at.astimezone(UTC).isoformat().replace("+00:00", "Z")}


@dataclass(frozen=True)
class ChangePage:
    """A page of the feed. `next` is the cursor to ask with next; it is `head` for who is up to date."""

    epoch: str
    head: int
    next: int
    bootstrap: bool
    changes: Sequence[FeedChange]


def feed_epoch(session: Session) -> str:
    """Which life of the log this is; made at the first question."""
    epoch: str | None = session.scalar(select(FeedIdentity.epoch))
    if epoch is None:
        session.execute(
            text(
                "insert into feed_identity (one, epoch) values (true, gen_random_uuid())"
                " on conflict do nothing"
            )
        )
        epoch = session.scalar(select(FeedIdentity.epoch))
    assert epoch is not None
    return epoch


def new_epoch(session: Session) -> str:
    """To be called after a restore from a backup: every follower reads everything again."""
    session.execute(delete(FeedIdentity))
    return feed_epoch(session)


def changes_since(session: Session, since: int, limit: int, kinds: Iterable[str] = ()) -> ChangePage:
    """The changes after revision `since`, in order, about `limit` of them: a revision is never cut in two.

    `since` 0 gives what is current only (and the deletions that happened after that page follow as changes).
    With `kinds` only entities of these.
    """
    epoch = feed_epoch(session)
    # read before the rows: a revision committed in between may be there, but `next` can never pass one by
    newest = head(session)
    rows = _feed_rows(session, since, limit, tuple(kinds))
    changes = [FeedChange(*row) for row in rows]
    full = len(changes) >= limit
    # a follower that knows more than there is (a restore took it away) must learn the true head
    last = changes[-1].revision if changes else 0
    reached = last if full else max(last, newest)
    return ChangePage(epoch, max(newest, last), reached, since == 0, changes)


_WHEN_AND_WHO = (Revision.number, Revision.at, Revision.actor, Revision.actor_name, Revision.reason)


_FeedRow = Row[int, datetime, str, str, str, str, str, str, Body | None]


def _feed_rows(session: Session, since: int, limit: int, kinds: tuple[str, ...]) -> Sequence[_FeedRow]:
    narrowed: list[ColumnElement[bool]] = [History.kind.in_(kinds)] if kinds else []
    if since == 0:
        # spelt out and no parameter, so that an index on what is current serves
        narrowed += [History.to_revision.is_(None), literal_column("history.op = 'put'", Boolean)]
    wanted = select(History.id, History.from_revision).where(History.from_revision > since, *narrowed)
    page = wanted.order_by(History.from_revision, History.id).limit(limit).subquery()
    last = select(func.max(page.c.from_revision)).scalar_subquery()
    columns = (*_WHEN_AND_WHO, History.kind, History.entity_id, History.op, History.body)
    statement = (
        select(*columns)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.from_revision > since, History.from_revision <= last, *narrowed)
        .order_by(History.from_revision, History.id)
    )
    return session.execute(statement).all()
