"""The secrets that sign what webhooks are told: shown once when they are made, sealed in their table from then on."""

from __future__ import annotations

import base64
import secrets
from typing import Final

from sqlalchemy import select

from hanse.database import Database
from hanse.sealing import Seal, Unreadable
from registry.models import Webhook
from registry.settings import RegistrySettings

PREFIX: Final = "whsec_"
_PURPOSE: Final = "hanse registry: secrets of webhooks"


def new() -> str:
    """A fresh secret, as it is shown."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def seal_of(settings: RegistrySettings) -> Seal:
    """What seals them: the secret key of the settings; those it had before still open."""
    known = [settings.secret_key, *settings.previous_secret_keys]
    return Seal([one.get_secret_value() for one in known], _PURPOSE)


def opened(seal: Seal, kept: str) -> str:
    """The secret of a webhook as it was shown. Raises Unreadable. What was written before there was a seal is plain."""
    return kept if kept.startswith(PREFIX) else seal.open(kept)


def seal_again(db: Database, settings: RegistrySettings) -> tuple[int, int]:
    """Seal with the present secret key whatever is plain or sealed with one of before.

    Returns how many were sealed, and how many cannot be read and stay as they are. Raises nothing for those: their
    owners make new ones.
    """
    seal = seal_of(settings)
    sealed = lost = 0
    with db.transaction() as session:
        for row in session.scalars(select(Webhook).order_by(Webhook.id).with_for_update(of=Webhook)):
            done = _again(seal, row)
            sealed, lost = sealed + (done is True), lost + (done is None)
    return sealed, lost


def _again(seal: Seal, row: Webhook) -> bool | None:
    """Whether it was sealed now; None when it cannot be read."""
    if not row.secret.startswith(PREFIX) and seal.is_new(row.secret):
        return False
    try:
        row.secret = seal.close(opened(seal, row.secret))
    except Unreadable:
        return None
    return True


def seal_plain(db: Database, settings: RegistrySettings) -> None:
    """Seal what was written before there was a seal; nothing to do from then on."""
    with db.transaction() as session:
        plain = select(Webhook).where(Webhook.secret.startswith(PREFIX, autoescape=True))
        for row in session.scalars(plain.with_for_update(of=Webhook, skip_locked=True)):
            row.secret = seal_of(settings).close(row.secret)
