"""Writing to the log: one numbered revision for each change, with its states, inside the writer's transaction."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, text, tuple_, update
from sqlalchemy.orm import Session

from hanse.errors import Refused
from hanse.revisions.tables import Body, History, Revision

LOCK = "revisions"


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
