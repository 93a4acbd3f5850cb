"""The documents that carry a VO's members to the sites: canonical, named by their hash, signed with Ed25519.

A *snapshot* is the state of a VO at one sequence number, the same for all sites, made and signed once. A *manifest*
is small and tells one site which snapshot it should hold and until when. A *delta* leads from one snapshot to a later
one, and a *notice of keys* says which keys sign. All travel in the same envelope:
`{"payload": base64 of the canonical bytes, "signature": base64, "key_id": 16 hex digits}`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class DocumentError(ValueError):
    """The document must not be applied; the text is a sentence that says why."""


def canonical(payload: Mapping[str, object]) -> bytes:
    """The one spelling of a document that is hashed and signed: sorted keys, no blanks, UTF-8."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(payload: bytes) -> str:
    """The SHA-256 of canonical bytes in hex, by which a snapshot is named."""
    return hashlib.sha256(payload).hexdigest()


def moment(at: datetime) -> str:
    """A time as documents write it: ISO 8601, UTC, whole seconds, Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class HeldCertificate:
    """A certificate of a member: the names' DER in base64, and the two spellings sites put into their files."""

    subject_der: str
    issuer_der: str
    dn_slash: str
    dn_rfc2253: str


@dataclass(frozen=True)
class Member:
    """A member as sites learn of it: an opaque id, certificates, FQANs (the first is primary), and when it ends."""

    id: str
    certs: tuple[HeldCertificate, ...]
    fqans: tuple[str, ...]
    state: str
    not_after: str


def snapshot(federation: str, vo: str, seq: int, members: Sequence[Member]) -> bytes:
    """The canonical bytes of the VO's state; members in the order of their ids, so that equal states are equal."""
    ordered = [asdict(member) for member in sorted(members, key=lambda member: member.id)]
    return canonical({"type": "snapshot", "federation": federation, "vo": vo, "seq": seq, "members": ordered})


@dataclass(frozen=True)
class Manifest:
    """What one site should hold of one VO, and until when it may keep it without hearing more."""

    federation: str
    site: str
    vo: str
    seq: int
    sha256: str
    generated_at: str
    valid_until: str

    def payload(self, authorities: Sequence[Mapping[str, object]] | None = None) -> bytes:
        """The canonical bytes; with the VO's attribute authorities where they are known."""
        known = {} if authorities is None else {"authorities": authorities}
        return canonical({"type": "manifest", **asdict(self), **known})


@dataclass(frozen=True)
class Envelope:
    """A payload with its signature and the name of the key that made it."""

    payload: bytes
    signature: bytes
    key_id: str

    def as_json(self) -> dict[str, str]:
        """The object that goes over the wire."""
        return {
            "payload": base64.b64encode(self.payload).decode("ascii"),
            "signature": base64.b64encode(self.signature).decode("ascii"),
            "key_id": self.key_id,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> Envelope:
        """Reads the wire form; raises DocumentError when it is not one."""
        try:
            payload, signature = (
                base64.b64decode(str(body[name]), validate=True) for name in ("payload", "signature")
            )
            return cls(payload, signature, str(body["key_id"]))
        except (KeyError, binascii.Error) as fault:
            raise DocumentError(f"This is not a signed document: {fault}.") from fault


def key_id(public_key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]


class SigningKey:
    """The federation's key for documents."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key()
        self.key_id = key_id(self.public_key)

    @classmethod
    def at(cls, path: Path) -> SigningKey:
        """The key in this PEM file, made on first use; only its owner can read it.

        Several processes may ask at once: the first one's file is linked into place, and all read that.
        """
        if not path.exists():
            _create(path)
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise DocumentError(f"{path} does not hold an Ed25519 key, which signed documents need.")
        return cls(key)

    def sign(self, payload: bytes) -> Envelope:
        """The payload in its envelope."""
        return Envelope(payload, self._private_key.sign(payload), self.key_id)

    def described(self, not_after: datetime) -> dict[str, str]:
        """The public half, as a joining site learns it."""
        raw = base64.b64encode(self.public_key.public_bytes_raw()).decode("ascii")
        return {"key_id": self.key_id, "public_key": raw, "not_after": moment(not_after)}


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as file:  # mode 600 from the start
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return


def opened(envelope: Envelope, keys: Mapping[str, Ed25519PublicKey], kind: str) -> dict[str, object]:
    """The payload of a document of this kind, its signature checked; raises DocumentError."""
    key = keys.get(envelope.key_id)
    if key is None:
        raise DocumentError(f"The document is signed with key {envelope.key_id}, which is not known here.")
    try:
        key.verify(envelope.signature, envelope.payload)
    except InvalidSignature:
        raise DocumentError("The signature does not match the document.") from None
    payload = json.loads(envelope.payload)
    if not isinstance(payload, dict) or payload.get("type") != kind:
        raise DocumentError(f"The document is not a {kind}.")
    return payload
