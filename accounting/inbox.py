"""The inbox: messages stored whole and durable before anybody is answered, and handed out to loaders."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounting.models import RECEIPTS, Message
from accounting.models.inbox import ONCE_BY_EMPAID, ONCE_BY_SENDER
from hanse.database import Database
from hanse.errors import Unavailable

NOT_BASE64 = "not_base64"
BATCH_BYTES = 4_000_000
LOOKED_AT = 200
MOST_LOOKS = 10
_ONCE = {
    "ams": (("empaid", "sha256"), ONCE_BY_EMPAID),
    "pull": (("empaid", "sha256"), ONCE_BY_EMPAID),
    "https": (("sender", "sender_site", "sha256"), ONCE_BY_SENDER),
}
"""What makes a message of this source the same again: its columns, and the rows among which it is unique."""


@dataclass(frozen=True)
class Arrival:
    """A message as it came. `unreadable` says why its transport coding could not be undone ("" = it could)."""

    body: bytes
    empaid: str = ""
    unreadable: str = ""


@dataclass(frozen=True)
class Sender:
    """Who delivered it: the principal's key, its name, and the site it belongs to ("" = none).

    `unsigned`: what it sends may be plain text, since it stands for its site by the connection.
    """

    key: str
    name: str
    site: str = ""
    unsigned: bool = False


class Inbox:
    """Accepts messages. `max_waiting` bounds how many may wait for a loader before there is no room."""

    def __init__(self, db: Database, max_waiting: int) -> None:
        self._db = db
        self._max_waiting = max_waiting
        self._looked_at = float("-inf")
        self._full = False
        self._lock = threading.Lock()

    def accept(
        self, arrivals: Sequence[Arrival], sender: Sender, *, source: str, topic: str = ""
    ) -> list[int]:
        """Store the messages in one committed transaction; returns their numbers, in order.

        A message that was sent before keeps its first number and is not loaded again: from an AMS, one with the
        same empaid and bytes; posted, one with the same sender and bytes. It is, when its records were taken out of
        the figures since and its sender sends it, or when it was refused unsigned and its sender need not sign any
        more. Raises Unavailable when too many wait; database errors pass through, and nothing is stored then.
        """
        if self._is_full():
            raise Unavailable(
                "The inbox is full: more messages wait than may. They are loaded; send again later."
            )
        with self._db.transaction() as session:
            # The answer promises that the message is safe, whatever the server's default is.
            session.execute(text("set local synchronous_commit = on"))
            return [_store(session, arrival, sender, source, topic) for arrival in arrivals]

    def _is_full(self) -> bool:
        with self._lock:
            if time.monotonic() - self._looked_at > 5:
                with self._db.transaction() as session:
                    self._full = waiting(session, self._max_waiting) >= self._max_waiting
                self._looked_at = time.monotonic()
            return self._full


def _store(session: Session, arrival: Arrival, sender: Sender, source: str, topic: str) -> int:
    digest = hashlib.sha256(arrival.body).digest()
    empaid = plain(arrival.empaid)[:255]
    row = {
        "source": source, "topic": topic, "empaid": empaid, "sha256": digest, "body": arrival.body,
        "sender": sender.key, "sender_name": sender.name, "sender_site": sender.site, "site": sender.site,
        "unsigned_ok": sender.unsigned,
    }  # fmt: skip
    if arrival.unreadable:
        row |= {"code": NOT_BASE64, "reason": arrival.unreadable}  # the loader refuses it with that reason
    statement = insert(Message).values(row)
    once = _ONCE.get(source)
    if once is None:
        return session.execute(statement.returning(Message.id)).scalar_one()
    names, where = once
    once_only = statement.on_conflict_do_nothing(index_elements=names, index_where=text(where))
    number: int | None = session.scalar(once_only.returning(Message.id))
    if number is not None:
        return number
    same = [getattr(Message, name) == row[name] for name in names]
    found = select(
        Message.id, Message.withdrawn_at, Message.sender, Message.sender_site, Message.state, Message.code
    )
    known = session.execute(found.where(text(where), *same)).one()
    own = (known.sender, known.sender_site) == (sender.key, sender.site)
    if own and (known.withdrawn_at is not None or _is_let_off(known.state, known.code, sender)):
        message = session.get_one(Message, known.id, with_for_update=True)
        let_off = _is_let_off(message.state, message.code, sender)
        message.unsigned_ok = message.unsigned_ok or let_off
        if let_off or message.withdrawn_at is not None:
            # with its first receipt: of its other months nothing was taken out, and what corrected them stays
            _wait_again(message, arrival.body)
    return int(known.id)


def _is_let_off(state: str, code: str, sender: Sender) -> bool:
    """Whether the message was refused for want of a signature, which its sender needs no longer."""
    return sender.unsigned and state == "refused" and code == "not_signed"


def plain(value: str) -> str:
    """The text as the database can hold it: NUL and lone surrogates are replaced."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def waiting(session: Session, at_most: int | None = None) -> int:
    """How many messages wait for a loader, counted up to `at_most`."""
    wanted = select(Message.id).where(Message.state == "waiting").limit(at_most).subquery()
    return session.scalar(select(func.count()).select_from(wanted)) or 0


def claim(session: Session, number: int) -> list[Message]:
    """Lock message `number` for this transaction."""
    message = session.get(Message, number, with_for_update=True, populate_existing=True)
    return [] if message is None else [message]


def claim_next(session: Session) -> list[Message]:
    """Lock the oldest message that waits and nobody else holds."""
    statement = select(Message).where(*_due()).order_by(Message.id).limit(1)
    return list(session.scalars(statement.with_for_update(skip_locked=True)))


def claim_batch(session: Session) -> list[Message]:
    """Lock messages that wait and nobody else holds, up to `BATCH_BYTES` of text: what the senders of the oldest have
    among the `LOOKED_AT` oldest.

    A loader writes a site's records under the lock of the site, so it takes messages of senders whose messages no
    other loader has at the moment, as long as there are such; and several reports of one machine cost less together
    than one by one.
    """
    for _ in range(MOST_LOOKS):
        oldest = _oldest(session)
        free = _up_to_a_batch(_of_free_senders(session, oldest))
        numbers = free or _beside_others(session, oldest)
        statement = select(Message).where(Message.id.in_(numbers), *_due()).order_by(Message.id)
        messages = list(session.scalars(statement.with_for_update(skip_locked=True)))
        if messages or not free:
            return messages
    return []  # each time another loader was done with what was seen, just before it was reserved


Sized = tuple[int, int]
"""The number of a message and the length of its body."""


def _oldest(session: Session) -> dict[str, list[Sized]]:
    """The oldest messages that wait, whoever holds them, by sender in the order of the oldest of each."""
    shown = select(Message.id, Message.sender_site, func.octet_length(Message.body)).where(*_due())
    found: dict[str, list[Sized]] = {}
    for number, sender, length in session.execute(shown.order_by(Message.id).limit(LOOKED_AT)):
        found.setdefault(sender, []).append((number, length))
    return found


def _of_free_senders(session: Session, oldest: Mapping[str, Sequence[Sized]]) -> Iterator[Sized]:
    """The messages of senders that no other loader has; each is reserved when it is come to."""
    for sender, waiting_of in oldest.items():
        if _reserve(session, sender):
            yield from waiting_of


def _beside_others(session: Session, oldest: Mapping[str, Sequence[Sized]]) -> list[int]:
    """Where others have all senders: messages that they left, locked. They are read while the others write."""
    lengths = {number: length for waiting_of in oldest.values() for number, length in waiting_of}
    if not lengths:
        return []
    most = max(1, BATCH_BYTES * len(lengths) // max(sum(lengths.values()), 1))
    statement = select(Message.id).where(Message.id.in_(lengths), *_due()).order_by(Message.id).limit(most)
    locked = session.scalars(statement.with_for_update(skip_locked=True)).all()
    return _up_to_a_batch((number, lengths[number]) for number in locked)


def _up_to_a_batch(sized: Iterable[Sized]) -> list[int]:
    """Numbers up to `BATCH_BYTES` of text, one at least."""
    numbers, size = list[int](), 0
    for number, length in sized:
        size += length
        if numbers and size > BATCH_BYTES:
            break
        numbers.append(number)
    return numbers


def _due() -> tuple[ColumnElement[bool], ...]:
    ripe = (Message.retry_at.is_(None)) | (Message.retry_at <= func.clock_timestamp())
    return Message.state == "waiting", ripe


def _reserve(session: Session, site: str) -> bool:
    """Tell other loaders until the end of the transaction that this one has messages of the site; False when another
    has. Nobody waits for it.
    """
    taken = text("select pg_try_advisory_xact_lock(hashtextextended(:site, 8))")
    return bool(session.scalar(taken, {"site": site}))


def send_again(session: Session, body: bytes) -> int | None:
    """Put a loaded file back in the inbox with a new receipt when the same bytes are loaded again; its
    number.
    """
    message = session.scalars(
        select(Message)
        .where(Message.source == "load", Message.sha256 == hashlib.sha256(body).digest())
        .with_for_update()
    ).first()
    if message is None:
        return None
    message.receipt = session.execute(RECEIPTS.next_value()).scalar_one()  # what it says counts as of now
    _wait_again(message, body)
    return message.id


def _wait_again(message: Message, body: bytes) -> None:
    """Let a message wait for a loader."""
    message.received_at, message.withdrawn_at = func.clock_timestamp(), None
    message.state, message.attempts, message.retry_at = "waiting", 0, None
    # it may have been archived meanwhile, or names in it replaced
    message.body, message.archived_at, message.redacted_at = body, None, None
