"""Notices of keys: how sites that joined long ago learn the key that signs next, and forget the one that signed before.

A notice lists every key that is good, and replaces all that a site knew. It is signed by the key that signs now and by
the one before it, so that a site which was away during the change of keys finds one that it knows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vomsdb import manifests
from vomsdb.models import KeyNotice
from vomsdb.press import Press
from vomsdb.snapshots import SigningKey, canonical


def current(session: Session, press: Press) -> list[dict[str, Any]]:
    """The envelopes of the notice in force, written anew when the keys changed or half their time is over."""
    found = _latest(session)
    if found is None or _outdated(found, press):
        manifests.one_at_a_time(session)
        found = _latest(session)
        if found is None or _outdated(found, press):
            found = _write(session, press, _number_after(found))
    return found.envelopes


def _number_after(found: KeyNotice | None) -> int:
    """Seconds since 1970, so that sites follow what is written after a restore too: they refuse a lower number."""
    return max(int(time.time()), 1 if found is None else found.number + 1)


def _latest(session: Session) -> KeyNotice | None:
    query = select(KeyNotice).order_by(KeyNotice.number.desc()).limit(1)
    return session.scalar(query.execution_options(populate_existing=True))


def _outdated(notice: KeyNotice, press: Press) -> bool:
    half = notice.made_at + press.keys_for / 2
    return notice.keys != [key.key_id for key in press.keys] or half < datetime.now(UTC)


def _write(session: Session, press: Press, number: int) -> KeyNotice:
    until = datetime.now(UTC) + press.keys_for
    described = [key.described(until) for key in press.keys]
    body = {"type": "keys", "federation": press.federation, "number": number, "keys": described}
    envelopes = [key.sign(canonical(body)).as_json() for key in _signers(press)]
    notice = KeyNotice(number=number, keys=[key.key_id for key in press.keys], envelopes=envelopes)
    session.add(notice)
    session.flush()
    return notice


def _signers(press: Press) -> Sequence[SigningKey]:
    return [press.key] if press.previous_key is None else [press.key, press.previous_key]
