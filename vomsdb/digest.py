"""The daily mail to the managers of a VO: which sites do not have its changes, or hold something else. Silence is good.

One is written only on a day on which there is something to say, once a day for each address, and never to somebody who
has ended them by the link that each of them has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import quote

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from vomsdb import applications, mails, promise, vos
from vomsdb.models import Digest, VoManager
from vomsdb.promise import BREACH, LATE, Pair, Promise
from vomsdb.settings import VomsdbSettings

_SALT = "digest to the managers of a VO"
MOST = 50
"""So many sites are named; of the others the mail says how many."""


@dataclass(frozen=True)
class News:
    """What the managers of a VO should know today; the worst sites first."""

    vo: str
    broken: Sequence[Pair]
    late: Sequence[Pair]
    differing: Sequence[Pair]
    waiting: int
    """Requests that wait for a decision; no reason for a mail by themselves."""

    @property
    def worth_telling(self) -> bool:
        """Whether there is something to say."""
        return bool(self.broken or self.late or self.differing)


def news(session: Session, vo: str, promised: Promise) -> News:
    """The state of the VO at its sites."""
    pairs = sorted(promise.pairs(session, promised, vo=vo), key=lambda pair: (-(pair.age_s or 0), pair.site))
    return News(
        vo=vo,
        broken=[pair for pair in pairs if pair.state == BREACH],
        late=[pair for pair in pairs if pair.state == LATE],
        differing=[pair for pair in pairs if pair.differs and pair.state not in (BREACH, LATE)],
        waiting=applications.pending_count(session, vo),
    )


def write(session: Session, vo: str, promised: Promise, settings: VomsdbSettings, today: date) -> int:
    """Queues the mails about one VO, unless they were written today already; how many."""
    told = news(session, vo, promised)
    if not told.worth_telling:
        return 0
    return sum(_write(session, manager, told, settings, today) for manager in _readers(session, vo))


def _readers(session: Session, vo: str) -> Iterator[VoManager]:
    """One for each address, however many certificates its owner has."""
    seen: set[str] = set()
    for manager in vos.managers_of(session, vo):
        reader = reader_of(manager.email)
        if manager.email and reader not in seen:
            seen.add(reader)
            yield manager


def reader_of(email: str) -> str:
    """By what the reader of an address is known here."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


def _write(session: Session, manager: VoManager, told: News, settings: VomsdbSettings, today: date) -> bool:
    row = _held(session, told.vo, reader_of(manager.email))
    if row.ended_at is not None or row.day == today:
        return False
    row.day = today
    mails.write(
        session,
        manager.email,
        "digest",
        f"digest:{told.vo}",
        told.vo,
        name=manager.name,
        told=told,
        most=MOST,
        page=f"{settings.url.rstrip('/')}/replication?vo={quote(told.vo)}",
        stop=link(settings, told.vo, row.reader),
    )
    return True


def _held(session: Session, vo: str, reader: str) -> Digest:
    session.execute(insert(Digest).values(vo=vo, reader=reader).on_conflict_do_nothing())
    query = select(Digest).where(Digest.vo == vo, Digest.reader == reader).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


# --- ending them without signing in -------------------------------------------------------------------------------


def _signer(settings: VomsdbSettings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt=_SALT)


def link(settings: VomsdbSettings, vo: str, reader: str) -> str:
    """Where the digests of a VO to one reader end: it needs no sign-in and can end nothing else."""
    return f"{settings.url.rstrip('/')}/digest?who={quote(str(_signer(settings).dumps([vo, reader])))}"


def of_link(session: Session, settings: VomsdbSettings, who: str) -> Digest:
    """What a link is about, held for change. Raises NotFound for a link that is none of ours."""
    try:
        vo, reader = _signer(settings).loads(who)
    except (BadSignature, ValueError, TypeError):
        raise NotFound("This link is not whole; copy it from the mail once more.") from None
    return _held(session, str(vo), str(reader))


def choose(row: Digest, *, wanted: bool) -> None:
    """Ends the digests, or begins them again."""
    row.ended_at = None if wanted else datetime.now(UTC)
