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
from typing import Any, Mapping, NamedTuple, Optional

from siteagent.errors import Refused

CLOCK_TOLERANCE = timedelta(minutes=5)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


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
class Opened:
    """A document whose signature holds: its bytes and what they say."""

    payload: bytes
    content: Mapping[str, Any]

    @classmethod
    def unsigned(cls, envelope: object) -> Opened:
        """A document whose hash is known from elsewhere, so that its signature says nothing more. Raises Refused."""
        if not isinstance(envelope, Mapping):
            raise Refused("A signed document must be an object with payload, signature and key_id.")
        payload = from_base64(text_of(envelope, "payload", "envelope"), "envelope: field payload")
        return cls(payload, content_of(payload))


class Authority(NamedTuple):
    """An attribute authority of a VO: the host that names its .lsc file, and the lines of it."""

    host: str
    lsc: tuple[str, ...]

    @classmethod
    def parse(cls, record: object, where: str) -> Authority:
        """Raises Refused for what could not stand in a vomsdir."""
        if not isinstance(record, Mapping):
            raise Refused(f"{where}: an attribute authority must be an object.")
        host, lsc = text_of(record, "host", where), record.get("lsc")
        if not _HOST.fullmatch(host):
            raise Refused(f"{where}: {host[:60]!r} is no host name.")
        if not isinstance(lsc, list) or not lsc or not all(_is_name(line) for line in lsc):
            raise Refused(f"{where}: the attribute authority {host} needs the names of its certificates.")
        return cls(host, tuple(lsc))


def _is_name(line: object) -> bool:
    return isinstance(line, str) and line.startswith("/") and line.isprintable()


@dataclass(frozen=True)
class Manifest:
    """What one site should hold for one VO; `authorities` is None where the server could not name them."""

    vo: str
    seq: int
    sha256: str
    valid_until: datetime
    generated_at: datetime
    authorities: Optional[tuple[Authority, ...]]

    @classmethod
    def parse(cls, opened: Opened, federation: str, site: str, now: datetime) -> Manifest:
        """Raises Refused for another federation or site, a wrong type, or a manifest past its validity."""
        content = opened.content
        expect(content, "manifest", federation)
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
        known = content.get("authorities")
        authorities = None if known is None else authorities_of(known, f"manifest of {vo}")
        seq, sha256 = sequence_of(content, vo), sha256_of(content, "sha256", vo)
        return cls(vo, seq, sha256, valid_until, generated_at, authorities)


def authorities_of(records: object, where: str) -> tuple[Authority, ...]:
    """The attribute authorities in a list of records. Raises Refused."""
    if not isinstance(records, list):
        raise Refused(f"{where}: field authorities must be a list.")
    return tuple(Authority.parse(record, where) for record in records)


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
        expect(opened.content, "snapshot", federation)
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


def expect(content: Mapping[str, Any], kind: str, federation: str) -> None:
    """Raises Refused for a document of another kind or federation."""
    if content.get("type") != kind:
        raise Refused(f"Expected a {kind}, the signed document says {str(content.get('type'))[:30]!r}.")
    if content.get("federation") != federation:
        raise Refused(
            f"A {kind} is of federation {str(content.get('federation'))[:60]!r}, this site joined"
            f" {federation!r}."
        )


def from_base64(text: str, where: str) -> bytes:
    """The bytes of base64 text. Raises Refused naming `where`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{where} is not base64.") from None


def content_of(payload: bytes) -> Mapping[str, Any]:
    """What canonical bytes say. Raises Refused for bytes that are not canonical."""
    try:
        content = json.loads(payload)
    except ValueError:
        raise Refused("A signed document is not JSON.") from None
    # Two readers must never see two meanings in one signed text (duplicate keys, odd numbers).
    if not isinstance(content, dict) or canonical(content) != payload:
        raise Refused("A signed document is not in canonical JSON.")
    return content


def sequence_of(content: Mapping[str, Any], vo: str) -> int:
    """The sequence number that must be in a document of the VO. Raises Refused."""
    seq = content.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise Refused(f"A document of {vo} has no sequence number.")
    return seq


def sha256_of(content: Mapping[str, Any], name: str, vo: str) -> str:
    """A hash that must be in a document of the VO. Raises Refused."""
    value = content.get(name)
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise Refused(f"A document of {vo} names no SHA-256.")
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
        from_base64(text_of(record, name, where), f"{where}: field {name}")
    return Certificate(
        subject_der=text_of(record, "subject_der", where),
        issuer_der=text_of(record, "issuer_der", where),
        dn_slash=text_of(record, "dn_slash", where),
        dn_rfc2253=text_of(record, "dn_rfc2253", where),
    )
