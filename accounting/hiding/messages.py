"""The name in raw messages: replaced where they are text, and taken away whole where they are coded or encrypted."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounting.formats.records import Unreadable
from accounting.models import Message
from accounting.pseudonyms import Hidden
from accounting.signatures import Envelope

_CODED = re.compile(rb"pkcs7-mime|content-transfer-encoding:\s*(base64|quoted-printable)", re.IGNORECASE)
_CANDIDATES = text(
    """
    select id from message m
     where m.body <> '' and (m.id = any(:known)
        or exists (select from unnest(cast(:forms as bytea[])) as t (form) where position(form in m.body) > 0)
        or encode(substring(m.body from 1 for 4096), 'escape') ~* 'pkcs7-mime|quoted-printable|encoding: *base64')
     order by id
    """
)


@dataclass
class InMessages:
    """In how many messages the name was replaced, and how many could not be opened to look."""

    replaced: int = 0
    closed: int = 0


def replace(
    session: Session, what: Hidden, known: Collection[int], envelope: Envelope, now: datetime
) -> InMessages:
    """Replace the name in every raw message. `known` brought records of it."""
    given = {"known": list(known), "forms": [form for form, _ in what.spellings()]}
    found = InMessages()
    for number in session.scalars(_CANDIDATES, given).all():
        message = session.scalars(select(Message).where(Message.id == number).with_for_update()).one()
        body = replaced_body(message.body, what)
        if body is None:
            body = _coded_body(message, what, number in known, envelope, found)
        if body is not None:
            message.body, message.redacted_at = body, now
            found.replaced += 1
        session.flush()
        session.expunge(message)
    return found


def replaced_body(body: bytes, what: Hidden) -> bytes | None:
    """The body with the name replaced; None when it is not there as text."""
    made = body
    for form, pseudonym in what.spellings():
        made = made.replace(form, pseudonym)
    return None if made == body else made


def _coded_body(
    message: Message, what: Hidden, known: bool, envelope: Envelope, found: InMessages
) -> bytes | None:
    """b"" for a body in which the name stands coded or encrypted; None for one without the name."""
    if known:
        return b""
    if not _CODED.search(_first_part(message.body)):
        return None
    try:
        content = envelope.open(message.body, message.received_at, must_be_signed=False).content
    except Unreadable:
        found.closed += 1
        return None
    return b"" if replaced_body(content, what) is not None else None


def _first_part(body: bytes) -> bytes:
    """The heads of the message and of its first part: what comes after is the text, then the signature."""
    return b"\n\n".join(body[:8192].replace(b"\r\n", b"\n").split(b"\n\n", 3)[:3])
