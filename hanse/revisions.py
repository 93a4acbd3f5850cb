"""The revision log: every change of an entity as a numbered revision, with who, when and why.

Audit trail, change feed and time travel all come from two tables. Numbers are given under a transaction
advisory lock that is kept until the commit, so that they commit in order: a reader that has seen revision n
has seen all before it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Row,
    Select,
    bindparam,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from hanse.database import UtcTime
from hanse.errors import Refused

LOCK = "revisions"
NEVER = 2**63 - 1  # the end of what still holds, where an index needs a number
Body = dict[str, Any]


class RevisionBase(DeclarativeBase):
    """The tables of the revision log, in the databases of registry and vomsdb."""


class Revision(RevisionBase):
    """Who changed something, when and why. `at` never runs backwards along the numbers."""

    __tablename__ = "revision"
    __table_args__ = (
        CheckConstraint("number > 0", name="revision_positive"),
        Index("revision_at", "at"),
        Index("revision_actor", "actor", "number"),
        Index("revision_actor_name", "actor_name", "number"),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcTime)
    actor: Mapped[str]
    actor_name: Mapped[str]
    reason: Mapped[str]


# Looks at the past walk an index in the order of the page and skip what did not hold then without fetching it,
# so that five years of revisions cost a page of the past little more than a page of today.
_UNTIL = f"coalesce(to_revision, {NEVER})"
_PUT = text("op = 'put'")
_OPEN = text("to_revision is null")
_SITE, _HOST = "(body ->> 'site')", "(body ->> 'hostname')"
_NAME = "(body ->> 'name')"  # the migrations add `collate "C"`, which cannot be compared here
_SITES = text("(body -> 'sites')")


class History(RevisionBase):
    """What an entity was from one revision until another (null = still). A delete is a row too."""

    __tablename__ = "history"
    __table_args__ = (
        CheckConstraint("op in ('put', 'delete')", name="history_op"),
        CheckConstraint("(op = 'put') = (body is not null)", name="history_body"),
        CheckConstraint("to_revision > from_revision", name="history_order"),
        Index("history_entity", "kind", "entity_id", "from_revision", unique=True, postgresql_include=["id"]),
        Index("history_now", "kind", "entity_id", unique=True, postgresql_where=_OPEN),
        Index("history_now_named", "kind", text(_NAME), postgresql_where=_OPEN),
        Index("history_now_counted", "kind", text("length(entity_id)"), "entity_id", postgresql_where=_OPEN),
        Index(
            "history_counted",
            "kind",
            text("length(entity_id)"),
            "entity_id",
            "from_revision",
            text(f"({_UNTIL})"),
            postgresql_where=_PUT,
        ),
        Index("history_feed", "from_revision", "id"),
        Index("history_trail", "kind", "id"),
        Index("history_principal", "kind", text("(body ->> 'principal')")),
        Index("history_person", "kind", text("(body ->> 'person')")),
        *(
            Index(name, "kind", text(field), "from_revision", text(f"({_UNTIL})"), postgresql_where=_PUT)
            for name, field in (("history_site", _SITE), ("history_host", _HOST), ("history_named", _NAME))
        ),
        Index("history_scope", "kind", text("(body ->> 'scope')"), postgresql_where=_PUT),
        Index("history_sites", _SITES, postgresql_using="gin", postgresql_where=text("body ? 'sites'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    entity_id: Mapped[str]
    from_revision: Mapped[int] = mapped_column(ForeignKey("revision.number"))
    to_revision: Mapped[int | None] = mapped_column(ForeignKey("revision.number"))
    op: Mapped[str]
    body: Mapped[Body | None] = mapped_column(JSONB(none_as_null=True))


class FeedIdentity(RevisionBase):
    """Which life of the log this is. A new epoch tells every follower to read everything again."""

    __tablename__ = "feed_identity"
    __table_args__ = (CheckConstraint("one", name="feed_identity_one_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[str] = mapped_column(UUID(as_uuid=False))


@dataclass(frozen=True)
class Actor:
    """Who makes a change: the principal's key and the name that people read."""

    key: str
    name: str


Rewrite = Callable[[Body], Body]


class Change:
    """Collects puts and deletes; they are written when the `change` block ends. The last word on an entity
    wins.
    """

    def __init__(self, session: Session, actor: Actor, reason: str) -> None:
        self._session = session
        self._actor = actor
        self._reason = reason
        self._wanted: dict[tuple[str, str], Body | None] = {}
        self._rewrites: dict[tuple[str, str], Rewrite] = {}
        self._number: int | None = None
        self._written = False

    def put(self, kind: str, entity_id: str, body: Mapping[str, Any]) -> None:
        """`kind` `entity_id` is `body` from now on. JSON values only. Refused: text that PostgreSQL cannot
        hold.
        """
        encoded = json.dumps(body, ensure_ascii=False, allow_nan=False)
        if "\\u0000" in encoded.replace("\\\\", "") or not _is_unicode(encoded):
            raise Refused(f"The {kind} {entity_id} has a NUL or half a character in a text; take it out.")
        self._wanted[(kind, entity_id)] = json.loads(encoded)

    def delete(self, kind: str, entity_id: str) -> None:
        """`kind` `entity_id` is no more."""
        self._wanted[(kind, entity_id)] = None

    def redact(self, kind: str, entity_id: str, rewrite: Rewrite | Iterable[str]) -> None:
        """Take something out of all that `kind` `entity_id` ever was: what the law wants forgotten.

        `rewrite` gives a body without it, or names the fields that become null. The log stays whole: numbers,
        times and everything else in the bodies are as before. Where the entity still stands it is put anew
        without the fields, so that every follower is told; `put` or `delete` of the same block win over that.
        """
        self._rewrites[(kind, entity_id)] = rewrite if callable(rewrite) else _without(tuple(rewrite))

    @property
    def number(self) -> int | None:
        """The revision's number; None when the block changed nothing.

        Asking inside the block takes the feed's lock there and then, so do that after your own row locks.
        """
        if self._number is None and not self._written:
            self._number = _next_number(self._session)
        return self._number

    def write(self) -> None:
        """Write header and history; called once, by `change`. What is so already is left out."""
        # also when nothing will change: what "already so" means can only be read under the lock
        number = self.number if self._wanted or self._rewrites else None
        wanted = {**_put_anew(self._session, self._rewrites), **self._wanted}
        differing = _differing(self._session, wanted) if wanted else {}
        self._written = True
        if differing and number is not None:
            _write_header(self._session, number, self._actor, self._reason)
            _write_history(self._session, number, differing)
        else:
            self._number = None
        _rewrite_closed(self._session, self._rewrites)


@contextmanager
def change(session: Session, actor: Actor, reason: str) -> Iterator[Change]:
    """One revision inside the caller's transaction; nothing is written when the block raises or changes
    nothing.

    Make it the last thing in the transaction: the feed's lock is held from the end of the block to the
    commit.
    """
    collected = Change(session, actor, reason)
    yield collected
    # the caller's rows and their locks come before the feed's lock, or two writers could deadlock
    session.flush()
    collected.write()


def _next_number(session: Session) -> int:
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": LOCK})
    return (session.scalar(select(func.max(Revision.number))) or 0) + 1


def _differing(
    session: Session, wanted: Mapping[tuple[str, str], Body | None]
) -> dict[tuple[str, str], Body | None]:
    present: dict[tuple[str, str], Body | None] = {}
    keys = list(wanted)
    for start in range(0, len(keys), 1000):
        statement = select(History.kind, History.entity_id, History.body).where(
            tuple_(History.kind, History.entity_id).in_(keys[start : start + 1000]),
            History.to_revision.is_(None),
        )
        present.update({(kind, entity_id): body for kind, entity_id, body in session.execute(statement)})
    return {key: body for key, body in wanted.items() if not _same(present.get(key), body)}


def _same(left: object, right: object) -> bool:
    """Equal as JSON: `True` is not 1, but 1e22 and the whole number that jsonb gives back for it are one."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, int | float) and isinstance(right, int | float) and type(left) is not type(right):
        return max(abs(left), abs(right)) <= sys.float_info.max and float(left) == float(right)
    return left == right


def _is_unicode(encoded: str) -> bool:
    try:
        encoded.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def _write_header(session: Session, number: int, actor: Actor, reason: str) -> None:
    header = text(
        "insert into revision (number, at, actor, actor_name, reason) values (:number,"
        " greatest(clock_timestamp(), (select max(at) from revision)), :actor, :actor_name, :reason)"
    )
    row = {"number": number, "actor": actor.key, "actor_name": actor.name, "reason": reason}
    session.execute(header, row)


def _write_history(session: Session, number: int, changes: Mapping[tuple[str, str], Body | None]) -> None:
    keys = list(changes)
    for start in range(0, len(keys), 1000):
        page = keys[start : start + 1000]
        entities = tuple_(History.kind, History.entity_id)
        # a second block of one transaction has its own number: no entity changes twice in one revision
        now = History.to_revision.is_(None)
        session.execute(update(History).where(entities.in_(page), now).values(to_revision=number))
    rows = [
        History(
            kind=kind,
            entity_id=entity_id,
            from_revision=number,
            op="delete" if body is None else "put",
            body=body,
        )
        for (kind, entity_id), body in changes.items()
    ]
    session.add_all(rows)
    session.flush()


def _without(fields: tuple[str, ...]) -> Rewrite:
    return lambda body: {key: None if key in fields else value for key, value in body.items()}


def _put_anew(
    session: Session, rewrites: Mapping[tuple[str, str], Rewrite]
) -> dict[tuple[str, str], Body | None]:
    standing: dict[tuple[str, str], Body | None] = {}
    for (kind, entity_id), rewrite in rewrites.items():
        body = session.scalar(
            select(History.body).where(
                History.kind == kind, History.entity_id == entity_id, History.to_revision.is_(None)
            )
        )
        if body is not None:
            standing[(kind, entity_id)] = rewrite(body)
    return standing


def _rewrite_closed(session: Session, rewrites: Mapping[tuple[str, str], Rewrite]) -> None:
    """The rows that no longer hold; the row that does was put anew, or already lacks what is to go."""
    for (kind, entity_id), rewrite in rewrites.items():
        past = select(History.id, History.body).where(
            History.kind == kind,
            History.entity_id == entity_id,
            History.to_revision.is_not(None),
            History.op == "put",
        )
        rows = [{"row": row.id, "new": rewrite(row.body or {})} for row in session.execute(past)]
        if rows:
            session.connection().execute(
                update(History).where(History.id == bindparam("row")).values(body=bindparam("new")), rows
            )


def forget_actor(session: Session, keys: Iterable[str], name: str) -> int:
    """Let everything that the principals of `keys` ever did stand under `name`; how many revisions that were.

    The keys stay: they are pseudonyms, and the trail by person must hold. Erase what ties them to a person too.
    """
    done = session.connection().execute(
        update(Revision).where(Revision.actor.in_(list(keys))).values(actor_name=name)
    )
    return done.rowcount


def current(session: Session, kind: str) -> dict[str, Body]:
    """All entities of `kind` as they are now, by id."""
    return _bodies(session, select(History).where(History.kind == kind, History.to_revision.is_(None)))


def as_of(session: Session, kind: str, at: datetime | int) -> dict[str, Body]:
    """All entities of `kind` as they were at a time (aware) or after a revision, by id."""
    number = at if isinstance(at, int) else number_at_time(session, at)
    return _bodies(
        session,
        select(History).where(
            History.kind == kind,
            History.from_revision <= number,
            (History.to_revision > number) | History.to_revision.is_(None),
        ),
    )


def number_at_time(session: Session, at: datetime) -> int:
    """The last revision at or before an aware time; 0 before the first."""
    if at.tzinfo is None:
        raise ValueError("as_of needs an aware time")
    # numbers, not times, order the log: equal times belong to it up to the highest of them
    newest = (
        select(Revision.number).where(Revision.at <= at).order_by(Revision.at.desc(), Revision.number.desc())
    )
    return session.scalar(newest.limit(1)) or 0


def _bodies(session: Session, statement: Select[Any]) -> dict[str, Body]:
    columns = statement.with_only_columns(History.entity_id, History.body).where(History.op == "put")
    return {row.entity_id: row.body for row in session.execute(columns)}


@dataclass(frozen=True)
class HistoryEntry:
    """One state of one entity: from which revision, until which (None = still), by whom and why."""

    revision: int
    until: int | None
    at: datetime
    actor: str
    actor_name: str
    reason: str
    op: str
    body: Body | None


def history_of(session: Session, kind: str, entity_id: str) -> list[HistoryEntry]:
    """All that an entity has been, oldest first; empty when it never was."""
    statement = (
        select(History, Revision)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == kind, History.entity_id == entity_id)
        .order_by(History.from_revision)
    )
    return [
        HistoryEntry(revision.number, row.to_revision, *_who_and_why(revision), row.op, row.body)
        for row, revision in session.execute(statement)
    ]


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
        return {
            **asdict(self),
            "at": self.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "body": self.body,
        }


@dataclass(frozen=True)
class ChangePage:
    """A page of the feed. `next` is the cursor to ask with next; it is `head` for who is up to date."""

    epoch: str
    head: int
    next: int
    bootstrap: bool
    changes: Sequence[FeedChange]


def head(session: Session) -> int:
    """The highest committed revision number; 0 for an empty log."""
    return session.scalar(select(func.max(Revision.number))) or 0


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
    changes = [_feed_change(row) for row in rows]
    full = len(changes) >= limit
    # a follower that knows more than there is (a restore took it away) must learn the true head
    last = changes[-1].revision if changes else 0
    reached = last if full else max(last, newest)
    return ChangePage(epoch, max(newest, last), reached, since == 0, changes)


def _feed_rows(
    session: Session, since: int, limit: int, kinds: tuple[str, ...]
) -> Sequence[Row[History, Revision]]:
    narrowed: list[ColumnElement[bool]] = [History.kind.in_(kinds)] if kinds else []
    if since == 0:
        narrowed += [History.to_revision.is_(None), History.op == "put"]
    wanted = select(History.id, History.from_revision).where(History.from_revision > since, *narrowed)
    page = wanted.order_by(History.from_revision, History.id).limit(limit).subquery()
    last = select(func.max(page.c.from_revision)).scalar_subquery()
    statement = (
        select(History, Revision)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.from_revision > since, History.from_revision <= last, *narrowed)
        .order_by(History.from_revision, History.id)
    )
    return session.execute(statement).all()


def _feed_change(row: Row[History, Revision]) -> FeedChange:
    state, revision = row
    what = (state.kind, state.entity_id, state.op, state.body)
    return FeedChange(revision.number, *_who_and_why(revision), *what)


def _who_and_why(revision: Revision) -> tuple[datetime, str, str, str]:
    return revision.at, revision.actor, revision.actor_name, revision.reason
