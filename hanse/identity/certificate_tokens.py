"""Tokens that stand for a certificate for some hours, for clients that show the certificate once and a token after.

Nothing is stored: a token says whose it is, which certificate was shown and until when it holds, under a MAC whose
key is derived from the services' secret. So each process of a service knows every token, and asking again renews it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from hanse.errors import Unauthorised
from hanse.identity import names
from hanse.identity.principals import X509Identity

PREFIX: Final = "hanse_x509_"
_USE: Final = b"hanse tokens that stand for a certificate, 1 "


@dataclass(frozen=True)
class Bearer:
    """What a token says: the identity's key, the certificate that was shown, and until when the token holds."""

    key: str
    issuer_der: bytes
    serial: int
    not_after: datetime


class CertificateTokens:
    """Makes and reads such tokens of one service. `lifetime`: how long one holds, the certificate's end permitting."""

    def __init__(self, secret: str, service: str, lifetime: timedelta) -> None:
        self._mac_key = hmac.digest(secret.encode(), _USE + service.encode(), "sha256")
        self._lifetime = lifetime

    def make(self, certificate: x509.Certificate, now: datetime) -> str:
        """A token for whoever just proved to hold this certificate (no proxy)."""
        ends = min(now + self._lifetime, certificate.not_valid_after_utc)
        said = {
            "key": X509Identity.from_certificate(certificate).key,
            "issuer": base64.b64encode(names.issuer_der(certificate)).decode(),
            "serial": str(certificate.serial_number),
            "until": int(ends.timestamp()),
        }
        payload = json.dumps(said, separators=(",", ":")).encode()
        return f"{PREFIX}{_text(payload)}.{_text(self._mac(payload))}"

    def read(self, token: str, now: datetime) -> Bearer:
        """What the token says. Raises Unauthorised when it is not of our making, or over."""
        try:
            first, _, second = token.removeprefix(PREFIX).partition(".")
            payload, mac = _bytes(first), _bytes(second)
        except (binascii.Error, ValueError):
            raise Unauthorised("This token is mistyped; ask for another with your certificate.") from None
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise Unauthorised("This token was not made here; ask for one with your certificate.")
        said = json.loads(payload)
        bearer = Bearer(
            said["key"], base64.b64decode(said["issuer"]), int(said["serial"]),
            datetime.fromtimestamp(said["until"], UTC),
        )  # fmt: skip
        if bearer.not_after <= now:
            raise Unauthorised(
                f"This token ended at {bearer.not_after:%Y-%m-%d %H:%M} UTC; ask for another with your certificate."
            )
        return bearer

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._mac_key, payload, hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
