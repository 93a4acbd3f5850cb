"""Secrets that a service must be able to read again: kept sealed (Fernet: AES-128 in CBC mode with HMAC-SHA256).

The key is derived from a secret of the settings and from what it is for, so that one secret may seal several things.
What can be compared by its hash, as tokens are, is never kept like this.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES: Final = 32


class Unreadable(Exception):
    """What is sealed was sealed with none of the secrets that are known."""


class Seal:
    """Seals with the first of the secrets, and reads what any of them sealed.

    So a secret is changed without losing anything: put the new one in front, seal all anew, take the old one away.
    """

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._keys = [Fernet(_key(secret, purpose)) for secret in secrets]
        self._all = MultiFernet(self._keys)

    def close(self, text: str) -> str:
        """The text, sealed; ASCII."""
        return self._all.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text that was sealed. Raises Unreadable."""
        try:
            return self._all.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Unreadable("It was sealed with another secret, or is damaged.") from None

    def open_fresh(self, sealed: str, seconds: int) -> str:
        """The text that was sealed no longer ago than this. Raises Unreadable."""
        try:
            return self._all.decrypt(sealed.encode(), ttl=seconds).decode()
        except InvalidToken:
            raise Unreadable("It was sealed with another secret, too long ago, or is damaged.") from None

    def is_new(self, sealed: str) -> bool:
        """Whether the first of the secrets sealed it."""
        try:
            self._keys[0].decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True


def _key(secret: str, purpose: str) -> bytes:
    derived = HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
