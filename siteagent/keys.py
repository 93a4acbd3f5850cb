"""The keys of a federation that a site trusts: learnt when it joined, and changed by notices that such a key signed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Iterable, Mapping, Optional

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from siteagent.documents import Opened, content_of, expect, from_base64, instant, key_id, stamp, text_of
from siteagent.errors import Refused


@dataclass(frozen=True)
class PinnedKey:
    """A federation key learnt when the site joined, and trusted from then on."""

    public_key: bytes
    not_after: Optional[datetime]

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> PinnedKey:
        """From `{key_id, public_key (base64 of 32 bytes), not_after}`; the id must be that of the key."""
        raw = from_base64(text_of(record, "public_key", "key"), "key: field public_key")
        if len(raw) != 32 or key_id(raw) != record.get("key_id"):
            raise Refused("A federation key does not match its key id: do not trust this server.")
        until = record.get("not_after")
        return cls(raw, None if until is None else instant(until, "key: field not_after"))

    def record(self) -> dict[str, Optional[str]]:
        """The form that `parse` reads."""
        return {
            "key_id": key_id(self.public_key),
            "public_key": base64.b64encode(self.public_key).decode(),
            "not_after": None if self.not_after is None else stamp(self.not_after),
        }


class Keyring:
    """The pinned keys of one federation."""

    def __init__(self, keys: Iterable[PinnedKey]) -> None:
        self._keys = {key_id(key.public_key): key for key in keys}

    def open(self, envelope: object, now: datetime) -> Opened:
        """Check an envelope `{payload, signature, key_id}`. Raises Refused unless a pinned, valid key signed
        it.
        """
        if not isinstance(envelope, Mapping):
            raise Refused("A signed document must be an object with payload, signature and key_id.")
        key = self._key(text_of(envelope, "key_id", "envelope"), now)
        payload = from_base64(text_of(envelope, "payload", "envelope"), "envelope: field payload")
        signature = from_base64(text_of(envelope, "signature", "envelope"), "envelope: field signature")
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, payload)
        except InvalidSignature:
            raise Refused(
                "The signature of a document does not match: it was altered or signed by another key."
            ) from None
        return Opened(payload, content_of(payload))

    def _key(self, name: str, now: datetime) -> PinnedKey:
        key = self._keys.get(name)
        if key is None:
            raise Refused(
                f"A document is signed by key {name[:16]!r}, which is not one of the federation's: it was not"
                " pinned when this site joined, nor announced since."
            )
        if key.not_after is not None and key.not_after < now:
            raise Refused(f"A document is signed by key {name}, whose validity ended {stamp(key.not_after)}.")
        return key


@dataclass(frozen=True)
class Notice:
    """All keys that are good, in place of those known before; of two notices the higher number counts."""

    number: int
    keys: tuple[PinnedKey, ...]

    @classmethod
    def parse(cls, opened: Opened, federation: str) -> Notice:
        """Raises Refused for what is no notice of this federation."""
        expect(opened.content, "keys", federation)
        number, keys = opened.content.get("number"), opened.content.get("keys")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise Refused("The notice of keys has no number.")
        if not isinstance(keys, list) or not keys or not all(isinstance(key, Mapping) for key in keys):
            raise Refused("The notice of keys names no key.")
        return cls(number, tuple(PinnedKey.parse(key) for key in keys))


def newest_notice(
    envelopes: Iterable[object], keyring: Keyring, federation: str, number: int, now: datetime
) -> Optional[Notice]:
    """The notice that a known key signed and whose number is above `number`; None when there is nothing new.

    The same notice comes under each key that a site may know. Raises Refused when a new one is under none of ours.
    """
    refusal: Optional[Refused] = None
    for envelope in envelopes:
        try:
            notice = Notice.parse(keyring.open(envelope, now), federation)
        except Refused as error:
            refusal = error
            continue
        return notice if notice.number > number else None
    if refusal is not None:
        raise Refused(f"The notice of the federation's keys cannot be believed: {refusal}")
    return None
