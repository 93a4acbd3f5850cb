"""The signed documents of replication: envelopes, manifests and snapshots.

A document is signed over its exact bytes, which must be canonical JSON (sorted keys, no spaces, UTF-8), so
that one content has one hash. A manifest tells one site what it should hold for one VO; a snapshot is the
VO's members.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Iterable, Mapping, Optional

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from siteagent.errors import Refused

CLOCK_TOLERANCE = timedelta(minutes=5)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def canonical(value: object) -> bytes:
    """The one byte form of a JSON value that is signed and hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(payload: bytes) -> str:
    """SHA-256 of a document's bytes, in lower-case hexadecimal."""
    return hashlib.sha256(payload).hexdigest()


def key_id(public_key: bytes) -> str:
    """The short name of an Ed25519 public key (32 raw bytes): the first 16 hexadecimal digits of its
    SHA-256.
    """
    return digest(public_key)[:16]


def instant(text: object, where: str) -> datetime:
    """An ISO 8601 time with zone as an aware datetime in UTC. Raises Refused naming `where`."""
    try:
        # Python before 3.11 does not read the letter Z.
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        raise Refused(f"{where} is not an ISO 8601 time: {str(text)[:40]!r}.") from None
    if moment.tzinfo is None:
        raise Refused(f"{where} names no time zone: {str(text)[:40]!r}.")
    return moment.astimezone(timezone.utc)


def stamp(moment: datetime) -> str:
    """A moment as ISO 8601 UTC, whole seconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def text_of(record: Mapping[str, Any], name: str, where: str) -> str:
    """A field that must be a non-empty string. Raises Refused."""
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(f"{where}: field {name} must be a non-empty text.")
    return value


@dataclass(frozen=True)
class PinnedKey:
    """A federation key learnt when the site joined, and trusted from then on."""

    public_key: bytes
    not_after: Optional[datetime]

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> PinnedKey:
        """From `{key_id, public_key (base64 of 32 bytes), not_after}`; the id must be that of the key."""
        raw = _base64(text_of(record, "public_key", "key"), "key: field public_key")
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


@dataclass(frozen=True)
class Opened:
    """A document whose signature holds: its bytes and what they say."""

    payload: bytes
    content: Mapping[str, Any]


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
        payload = _base64(text_of(envelope, "payload", "envelope"), "envelope: field payload")
        signature = _base64(text_of(envelope, "signature", "envelope"), "envelope: field signature")
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, payload)
        except InvalidSignature:
            raise Refused(
                "The signature of a document does not match: it was altered or signed by another key."
            ) from None
        return Opened(payload, _content(payload))

    def _key(self, name: str, now: datetime) -> PinnedKey:
        key = self._keys.get(name)
        if key is None:
            raise Refused(
                f"A document is signed by key {name[:16]!r}, which was not pinned when this site joined."
            )
        if key.not_after is not None and key.not_after < now:
            raise Refused(f"A document is signed by key {name}, whose validity ended {stamp(key.not_after)}.")
        return key


@dataclass(frozen=True)
class Manifest:
    """What one site should hold for one VO."""

    vo: str
    seq: int
    sha256: str
    valid_until: datetime

    @classmethod
    def parse(cls, opened: Opened, federation: str, site: str, now: datetime) -> Manifest:
        """Raises Refused for another federation or site, a wrong type, or a manifest past its validity."""
        content = opened.content
        _expect(content, "manifest", federation)
        if content.get("site") != site:
            raise Refused(f"A manifest is for site {str(content.get('site'))[:60]!r}, this is {site}.")
        vo = text_of(content, "vo", "manifest")
        valid_until = instant(content.get("valid_until"), f"manifest of {vo}: field valid_until")
        if valid_until < now:
            raise Refused(f"The manifest of {vo} was valid until {stamp(valid_until)}; now is {stamp(now)}.")
        generated_at = instant(content.get("generated_at"), f"manifest of {vo}: field generated_at")
        if generated_at > now + CLOCK_TOLERANCE:
            raise Refused(
                f"The manifest of {vo} was made at {stamp(generated_at)}, later than this site's clock"
                f" ({stamp(now)}): set the clock right."
            )
        return cls(vo, _sequence(content, vo), _sha256(content, vo), valid_until)


@dataclass(frozen=True)
class Certificate:
    """One certificate identity of a member: subject and issuer as base64 of their DER, and the printed
    names.
    """

    subject_der: str
    issuer_der: str
    dn_slash: str
    dn_rfc2253: str


@dataclass(frozen=True)
class Member:
    """One member of a VO as the site sees it."""

    id: str
    certs: tuple[Certificate, ...]
    fqans: tuple[str, ...]
    active: bool
    not_after: Optional[datetime]


@dataclass(frozen=True)
class Snapshot:
    """The members of one VO, named by the hash of the bytes that were signed."""

    vo: str
    sha256: str
    members: tuple[Member, ...]
    content: Mapping[str, Any]

    @classmethod
    def parse(cls, opened: Opened, federation: str, vo: str, sha256: str) -> Snapshot:
        """Raises Refused unless these are exactly the bytes that the manifest names."""
        if digest(opened.payload) != sha256:
            raise Refused(f"The snapshot of {vo} does not have the hash that the manifest names.")
        _expect(opened.content, "snapshot", federation)
        if opened.content.get("vo") != vo:
            raise Refused(
                f"The snapshot is of VO {str(opened.content.get('vo'))[:60]!r}, the manifest names {vo}."
            )
        records = opened.content.get("members")
        if not isinstance(records, list):
            raise Refused(f"The snapshot of {vo} has no list of members.")
        return cls(vo, sha256, tuple(_member(record, vo) for record in records), opened.content)

    @property
    def active_ids(self) -> frozenset[str]:
        """Ids of the members that may use the site."""
        return frozenset(member.id for member in self.members if member.active)


def _expect(content: Mapping[str, Any], kind: str, federation: str) -> None:
    if content.get("type") != kind:
        raise Refused(f"Expected a {kind}, the signed document says {str(content.get('type'))[:30]!r}.")
    if content.get("federation") != federation:
        raise Refused(
            f"A {kind} is of federation {str(content.get('federation'))[:60]!r}, this site joined"
            f" {federation!r}."
        )


def _base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{where} is not base64.") from None


def _content(payload: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(payload)
    except ValueError:
        raise Refused("A signed document is not JSON.") from None
    # Two readers must never see two meanings in one signed text (duplicate keys, odd numbers).
    if not isinstance(content, dict) or canonical(content) != payload:
        raise Refused("A signed document is not in canonical JSON.")
    return content


def _sequence(content: Mapping[str, Any], vo: str) -> int:
    seq = content.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise Refused(f"The manifest of {vo} has no sequence number.")
    return seq


def _sha256(content: Mapping[str, Any], vo: str) -> str:
    value = content.get("sha256")
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise Refused(f"The manifest of {vo} names no SHA-256.")
    return value


def _member(record: object, vo: str) -> Member:
    where = f"snapshot of {vo}: member"
    if not isinstance(record, Mapping):
        raise Refused(f"{where} must be an object.")
    member_id = text_of(record, "id", where)
    certs = record.get("certs")
    fqans = record.get("fqans")
    if not isinstance(certs, list) or not isinstance(fqans, list):
        raise Refused(f"{where} {member_id} needs lists certs and fqans.")
    until = record.get("not_after")
    return Member(
        id=member_id,
        certs=tuple(_certificate(cert, f"{where} {member_id}") for cert in certs),
        fqans=tuple(str(fqan) for fqan in fqans),
        active=record.get("state") == "active",
        not_after=None if until is None else instant(until, f"{where} {member_id}: field not_after"),
    )


def _certificate(record: object, where: str) -> Certificate:
    if not isinstance(record, Mapping):
        raise Refused(f"{where}: a certificate must be an object.")
    for name in ("subject_der", "issuer_der"):
        _base64(text_of(record, name, where), f"{where}: field {name}")
    return Certificate(
        subject_der=text_of(record, "subject_der", where),
        issuer_der=text_of(record, "issuer_der", where),
        dn_slash=text_of(record, "dn_slash", where),
        dn_rfc2253=text_of(record, "dn_rfc2253", where),
    )
