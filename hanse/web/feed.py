"""The change feed of a service that keeps a revision log (registry, vomsdb), for the services that follow
it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from hanse.database import Database
from hanse.identity.permissions import Permission
from hanse.revisions import ChangePage, changes_since
from hanse.web.ground import ground
from hanse.web.rooms import Api
from hanse.web.wire import QueryModel

FOLLOW: Final = Permission(
    "follow the changes of this service", frozenset({"service", "federation_operator"}), "federation"
)
LONGEST_WAIT_S: Final = 25
LOOK_EVERY_S: Final = 0.5
WAITING_AT_ONCE: Final = 4


class FeedQuery(QueryModel):
    """Where the follower stands; 0 = at the beginning, which gives what is current and not what once was."""

    since: Annotated[
        int, Field(ge=0, le=2**62, description="Last revision that the follower has; 0 = none.")
    ] = 0
    limit: Annotated[int, Field(ge=1, le=5000, description="Changes of a page; a revision is never cut.")] = (
        500
    )
    wait: Annotated[
        int, Field(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a first change.")
    ] = 0
    kinds: Annotated[
        str,
        Field(
            max_length=1000,
            pattern=r"^[a-z_]*(,[a-z_]+)*$",
            description="Only these kinds of entities, as `site,service`; empty = all.",
        ),
    ] = ""


class FeedChangeOut(BaseModel):
    """One change; `body` is null for a delete. `actor` is a principal's key."""

    revision: int
    at: datetime
    actor: str
    actor_name: str
    reason: str
    kind: str
    id: str
    op: Literal["put", "delete"]
    body: dict[str, Any] | None


class FeedPage(BaseModel):
    """Ask again with `since=next`; up to date when `next` is `head`. A new `epoch` means:
    read everything again.
    """

    epoch: str
    head: int
    next: int
    bootstrap: bool
    changes: list[FeedChangeOut]


def feed_room() -> Api:
    """GET /api/v1/changes for `make_app`."""
    room = Api("hanse_feed", __name__, "Changes")
    waiting = threading.BoundedSemaphore(WAITING_AT_ONCE)

    @room.get("/changes", permission=FOLLOW, summary="Changes after a revision", responses={200: FeedPage})
    def changes(query: FeedQuery) -> dict[str, Any]:
        # a waiting follower holds a thread, so only some may; the others are answered at once and ask again
        wait = query.wait if waiting.acquire(blocking=False) else None
        try:
            kinds = tuple(filter(None, query.kinds.split(",")))
            page = wait_for_changes(ground().db, query.since, query.limit, wait or 0, kinds)
        finally:
            if wait is not None:
                waiting.release()
        return page_body(page)

    return room


def wait_for_changes(
    db: Database, since: int, limit: int, wait_s: float, kinds: Sequence[str] = ()
) -> ChangePage:
    """The changes after `since`, waiting up to `wait_s` seconds for a first one, of `kinds` or of all.

    No connection is held while waiting.
    """
    deadline = time.monotonic() + wait_s
    while True:
        with db.transaction() as session:
            page = changes_since(session, since, limit, kinds)
        if page.changes or page.head < since or time.monotonic() >= deadline:
            return page
        time.sleep(min(LOOK_EVERY_S, max(0.0, deadline - time.monotonic())))


def page_body(page: ChangePage) -> dict[str, Any]:
    """A page of the feed as JSON."""
    return {
        "epoch": page.epoch,
        "head": page.head,
        "next": page.next,
        "bootstrap": page.bootstrap,
        "changes": [change.as_json() for change in page.changes],
    }
