"""Writing down what must be sent: signed messages of each site-month that says something else than was told.

One transaction a site-month: its note is taken, its messages that wait are replaced, what it says now is remembered.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from accounting.apel_view import is_whole
from accounting.forwarding import due
from accounting.forwarding.content import KINDS, Content, content_of
from accounting.models import ForwardedMessage, ForwardedMonth
from accounting.stores.received import has_machines
from hanse.database import Database


@dataclass(frozen=True)
class Outbox:
    """Where messages go: a destination for each kind that is told (kinds that lack one are not), and how they are
    signed. Months before `first` are not told.
    """

    destinations: dict[str, str]
    sign: Callable[[bytes], bytes]
    first: date | None = None


def write_due(db: Database, outbox: Outbox) -> int:
    """Write down what differs from what was told, site-month by site-month; how many messages that makes."""
    _begin(db, outbox)
    count = 0
    while True:
        with db.transaction() as session:
            taken = due.take(session, outbox.destinations, outbox.first)
            if taken is None:
                return count
            kind, site, month = taken
            if not _stands(session, kind, site, month):
                count += _write(session, outbox, kind, site, month)


def _stands(session: Session, kind: str, site: str, month: date) -> bool:
    """Whether what was told of a month stays: records that it is summed from lie in the archive, and in APEL's view no
    report that still comes changes such a month. Summed from what is left here it would be told wrongly.
    """
    return (
        kind == due.CLOUD and has_machines(session, site, month) and not is_whole(session, site, month, month)
    )


def tell_again(db: Database, outbox: Outbox, site: str | None, month: date | None) -> None:
    """Forget what was told of a site, a month or both, so that it is written and sent again as it is now."""
    with db.transaction() as session:
        told = update(ForwardedMonth).where(ForwardedMonth.destination.in_(outbox.destinations.values()))
        if site is not None:
            told = told.where(ForwardedMonth.site == site)
        if month is not None:
            told = told.where(ForwardedMonth.month == month)
        session.execute(told.values(sha256=b""))
        due.note_everything(session, site, month)


def _begin(db: Database, outbox: Outbox) -> None:
    """A destination that was never told anything is told everything."""
    with db.transaction() as session:
        for kind, destination in outbox.destinations.items():
            told = ForwardedMonth.destination == destination, ForwardedMonth.kind == kind
            if session.scalar(select(ForwardedMonth.month).where(*told).limit(1)) is None:
                due.note_everything(session, kinds=[kind])


def _write(session: Session, outbox: Outbox, kind: str, site: str, month: date) -> int:
    destination = outbox.destinations[kind]
    told = session.get(ForwardedMonth, (destination, kind, site, month), with_for_update=True)
    held = [group for group, _ in told.groups] if told else []
    content = content_of(session, KINDS[kind], site, month, held)
    if told is not None and told.sha256 == content.digest:
        return 0
    if told is None and not content.texts:
        return 0
    _replace_waiting(session, destination, kind, site, month)
    for text, records in zip(content.texts, content.records, strict=True):
        session.add(
            ForwardedMessage(
                destination=destination, kind=kind, site=site, month=month, empaid=_empaid(), records=records,
                sha256=hashlib.sha256(text.encode()).digest(), body=outbox.sign(text.encode()),
            )
        )  # fmt: skip
    _remember(session, told, (destination, kind, site, month), content)
    return len(content.texts)


def _replace_waiting(session: Session, destination: str, kind: str, site: str, month: date) -> None:
    session.execute(
        update(ForwardedMessage)
        .where(
            ForwardedMessage.state == "waiting", ForwardedMessage.destination == destination,
            ForwardedMessage.kind == kind, ForwardedMessage.site == site, ForwardedMessage.month == month,
        )
        .values(state="replaced", body=None)
    )  # fmt: skip


def _remember(
    session: Session, told: ForwardedMonth | None, key: tuple[str, str, str, date], content: Content
) -> None:
    if told is None:
        destination, kind, site, month = key
        told = ForwardedMonth(destination=destination, kind=kind, site=site, month=month)
        session.add(told)
    told.sha256, told.records = content.digest, sum(content.records)
    told.groups = [[group, counts] for group, counts in content.groups]


def forget_gone(session: Session, sent: ForwardedMessage) -> None:
    """Once all messages of a month were taken, what was told as zero is zero there: no name of it is kept here."""
    same = (
        ForwardedMessage.destination == sent.destination, ForwardedMessage.kind == sent.kind,
        ForwardedMessage.site == sent.site, ForwardedMessage.month == sent.month,
    )  # fmt: skip
    session.flush()
    if session.scalar(select(ForwardedMessage.id).where(ForwardedMessage.state == "waiting", *same).limit(1)):
        return
    told = session.get(
        ForwardedMonth, (sent.destination, sent.kind, sent.site, sent.month), with_for_update=True
    )
    if told is not None:
        told.groups = [[group, counts] for group, counts in told.groups if counts]


def _empaid() -> str:
    """An id as the queues of ssmsend give it."""
    return f"{secrets.token_hex(4)}/{secrets.token_hex(7)}"
