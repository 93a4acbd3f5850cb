"""A local copy of another service's feed: bootstrap, then a cursor, and everything again when the feed began
anew.

A copy is never thrown away because its owner is silent: it gets old, and its age and the last error can be
read.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import Database, FollowCursor, Followed
from hanse.errors import Unavailable
from hanse.http import HttpError, fetch
from hanse.jobs import Job
from hanse.settings import ServiceSettings

PAGE = 500
LONGEST_WAIT_S = 25
log = structlog.get_logger(__name__)


class _Change(BaseModel):
    """What a follower needs of one change; newer services may tell more."""

    model_config = ConfigDict(extra="ignore")

    revision: int
    kind: str
    id: str
    op: str
    body: dict[str, Any] | None = None


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore")

    epoch: str
    head: int
    next: int
    bootstrap: bool = False
    changes: list[_Change]


@dataclass(frozen=True)
class Position:
    """Where a follower stands; `cursor` 0 = nothing read yet."""

    epoch: str | None
    cursor: int


@dataclass(frozen=True)
class Lag:
    """How old the copy of one source is: seconds since the last good look, revisions missing, and the last
    error.
    """

    source: str
    age_s: float | None
    behind: int
    error: str | None


@dataclass
class Follower:
    """Follows the feed of `source` at `url` (the service's plain address) into the tables of `db`.

    `token` is this service's own; `ca` a CA file when `url` is https.
    """

    db: Database
    source: str
    url: str
    token: str
    ca: Path | None = None
    page: int = PAGE
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def pull(self, wait_s: float = 0) -> int:
        """Fetch and apply what is new; how many changes. `wait_s` > 0 lets the feed hold the answer until
        there is one.

        Raises Unavailable with a sentence when the source cannot be read; the copy stays as it was.
        """
        with self._lock:
            try:
                return self._pull(min(wait_s, LONGEST_WAIT_S))
            except Unavailable as error:
                self._note_failure(error.detail)
                raise

    def job(self, every_s: float) -> Job:
        """The follower as a scheduled job."""
        return Job(f"follow {self.source}", self._run, every_s=every_s)

    def _run(self) -> str:
        count = self.pull()
        if not count:
            return f"Nothing new from {self.source}."
        return f"{count} change{'s' if count > 1 else ''} from {self.source}."

    def _pull(self, wait_s: float) -> int:
        position = self._position()
        page = self._fetch(position.cursor, wait_s if position.cursor else 0)
        if position.cursor and (page.epoch != position.epoch or position.cursor > page.head):
            log.warning("feed began anew; reading all of it", source=self.source, cursor=position.cursor)
            return self._bootstrap(position)
        if not position.cursor:
            return self._bootstrap(position, page)
        return self._catch_up(position, page)

    def _bootstrap(self, position: Position, first: _Page | None = None) -> int:
        """All pages first, then one transaction: readers see the old copy whole until they see the new one
        whole.
        """
        page = first or self._fetch(0, 0)
        changes, epoch = list(page.changes), page.epoch
        while page.next < page.head:
            page = self._fetch(page.next, 0)
            if page.epoch != epoch:
                raise Unavailable(
                    f"The feed of {self.source} began anew while it was read; the next look reads it."
                )
            changes += page.changes
        self._apply(position, page, changes, afresh=True)
        return len(changes)

    def _catch_up(self, position: Position, page: _Page) -> int:
        count = 0
        while True:
            if not self._apply(position, page, page.changes):
                return count  # another process applied these already
            count += len(page.changes)
            position = Position(page.epoch, page.next)
            if page.next >= page.head:
                return count
            page = self._fetch(page.next, 0)
            if page.epoch != position.epoch or position.cursor > page.head:
                return count + self._bootstrap(position)

    def _fetch(self, since: int, wait_s: float) -> _Page:
        query = urlencode({"since": since, "limit": self.page, "wait": int(wait_s)})
        address = f"{self.url.rstrip('/')}/api/v1/changes?{query}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = fetch(
                "GET", address, headers=headers, ca=self.ca, deadline_s=wait_s + 20, max_bytes=200_000_000
            )
        except HttpError as error:
            raise Unavailable(f"The feed of {self.source} cannot be read: {error}") from error
        if answer.status != 200:
            raise Unavailable(
                f"The feed of {self.source} answered {answer.status}; check its address and our token."
            )
        try:
            page = _Page.model_validate_json(answer.body)
        except ValidationError as error:
            raise Unavailable(
                f"{self.url} does not answer like a feed of {self.source}: {error.errors()[0]}"
            ) from None
        if page.next < page.head and page.next <= since:
            raise Unavailable(f"The feed of {self.source} does not move on from revision {since}.")
        return page

    def _position(self) -> Position:
        with self.db.transaction() as session:
            session.execute(insert(FollowCursor).values(source=self.source).on_conflict_do_nothing())
            row = session.get_one(FollowCursor, self.source)
            return Position(row.epoch, row.cursor)

    def _apply(
        self, position: Position, page: _Page, changes: list[_Change], *, afresh: bool = False
    ) -> bool:
        """Apply in one transaction unless another process moved the cursor meanwhile; whether it was done."""
        with self.db.transaction() as session:
            row = session.get_one(FollowCursor, self.source, with_for_update=True)
            if Position(row.epoch, row.cursor) != position:
                return False
            if afresh:
                session.execute(delete(Followed).where(Followed.source == self.source))
            _apply_changes(session, self.source, changes)
            row.epoch, row.cursor, row.head = page.epoch, page.next, page.head
            row.pulled_at = row.attempted_at = datetime.now(UTC)
            row.error = None
        return True

    def _note_failure(self, detail: str) -> None:
        with self.db.transaction() as session:
            session.execute(
                update(FollowCursor)
                .where(FollowCursor.source == self.source)
                .values(error=detail, attempted_at=datetime.now(UTC))
            )


def _apply_changes(session: Session, source: str, changes: list[_Change]) -> None:
    latest = {(change.kind, change.id): change for change in changes}
    puts = [
        {"source": source, "kind": kind, "id": id_, "body": change.body, "revision": change.revision}
        for (kind, id_), change in latest.items()
        if change.op == "put" and change.body is not None
    ]
    gone = [
        {"source": source, "kind": kind, "id": id_}
        for (kind, id_), change in latest.items()
        if change.op == "delete"
    ]
    if gone:
        session.execute(
            text("delete from followed where source = :source and kind = :kind and id = :id"), gone
        )
    for start in range(0, len(puts), 1000):
        rows = insert(Followed).values(puts[start : start + 1000])
        session.execute(
            rows.on_conflict_do_update(
                index_elements=["source", "kind", "id"],
                set_={"body": rows.excluded.body, "revision": rows.excluded.revision},
            )
        )


def followed(session: Session, source: str, kind: str) -> dict[str, dict[str, Any]]:
    """The last known entities of `kind` from `source`, by id."""
    statement = select(Followed.id, Followed.body).where(Followed.source == source, Followed.kind == kind)
    return {row.id: row.body for row in session.execute(statement)}


def lag(session: Session) -> dict[str, Lag]:
    """How old every copy is, by source. `age_s` None = never read."""
    now = datetime.now(UTC)
    return {
        row.source: Lag(
            row.source,
            (now - row.pulled_at).total_seconds() if row.pulled_at else None,
            max(0, row.head - row.cursor),
            row.error,
        )
        for row in session.scalars(select(FollowCursor).order_by(FollowCursor.source))
    }


def follow_jobs(settings: ServiceSettings, db: Database, *sources: str) -> list[Job]:
    """A job for each of `sources` ("registry", "vomsdb") that the settings have an address for."""
    jobs = []
    for source in sources:
        url = str(getattr(settings, f"{source}_url"))
        if url:
            follower = Follower(db, source, url, settings.service_token.get_secret_value())
            jobs.append(follower.job(settings.follow_interval_s))
    return jobs
