"""Who may speak for which site: the signer of a message against the sites and certificates of the registry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounting.formats.records import Note, Reading, Unreadable
from accounting.models import Message
from hanse import cms
from hanse.database import Followed
from hanse.identity.trust import TrustStore


@dataclass(frozen=True)
class Site:
    """A site of the registry: its name, the SiteName values it may use, and what it declares."""

    name: str
    usage_names: frozenset[str]
    vcpu: int | None
    certification: str
    ngi: str = ""
    country: str = ""


@dataclass(frozen=True)
class Registration:
    """A certificate that the registry lets speak for a site, from and until when (None = no limit)."""

    site: str
    not_before: datetime | None
    not_after: datetime | None

    def valid_at(self, moment: datetime) -> bool:
        """Whether the registration held at that time."""
        return (self.not_before is None or self.not_before <= moment) and (
            self.not_after is None or moment <= self.not_after
        )


@dataclass(frozen=True)
class Directory:
    """The registry's sites and host certificates, as last followed."""

    sites: Mapping[str, Site]
    registrations: Mapping[str, tuple[Registration, ...]]

    def called(self, usage_name: str) -> frozenset[str]:
        """The sites whose records may carry this SiteName."""
        return frozenset(site.name for site in self.sites.values() if usage_name in site.usage_names)

    def speaks_for(self, key: str, moment: datetime) -> frozenset[str]:
        """The sites that the certificate with this key might speak for at that time."""
        held = self.registrations.get(key, ())
        return frozenset(each.site for each in held if each.valid_at(moment) and each.site in self.sites)


@dataclass(frozen=True)
class Speaker:
    """Who made a message: a certificate with its sites, or the administrator of this machine, who may for
    all.
    """

    name: str
    sites: frozenset[str]
    administrator: bool = False


ADMINISTRATOR = Speaker("the administrator of this machine", frozenset(), administrator=True)


def directory(session: Session) -> Directory:
    """The registry as this service last followed it; empty when it never did."""
    statement = select(Followed.kind, Followed.body).where(Followed.kind.in_(("site", "host_certificate")))
    sites: dict[str, Site] = {}
    registrations: dict[str, list[Registration]] = {}
    for kind, body in session.execute(statement):
        if kind == "site":
            sites[body["name"]] = _site(body)
        elif body.get("key"):
            registrations.setdefault(body["key"], []).append(
                Registration(body["site"], _moment(body.get("not_before")), _moment(body.get("not_after")))
            )
    return Directory(sites, {key: tuple(held) for key, held in registrations.items()})


def _site(body: Mapping[str, Any]) -> Site:
    capacity = body.get("capacity") or {}
    return Site(
        name=body["name"],
        usage_names=frozenset(body.get("usage_site_names") or ()) | {body["name"]},
        vcpu=capacity.get("vcpu"),
        certification=body.get("certification") or "",
        ngi=body.get("ngi") or "",
        country=body.get("country") or "",
    )


def _moment(value: str | None) -> datetime | None:
    if not value:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Opened:
    """A message after its envelope and signature: the verified bytes, and who signed (key None = plain).

    `statement`: a hash of what was signed, by whom and when; the same one twice is one message twice. b"" for a
    plain message, and for one without a time of signing, which may be meant anew.
    """

    content: bytes
    signer: str
    key: str | None
    statement: bytes = b""


@dataclass(frozen=True)
class Envelope:
    """How messages are opened: the trust store, and the certificate and key that encrypted ones were made
    for.
    """

    trust: TrustStore
    certificate: Path
    key: Path

    def open(self, body: bytes, at: datetime, *, must_be_signed: bool) -> Opened:
        """Decrypt and verify. Raises Unreadable with the reason when the message must be refused."""
        if _looks_encrypted(body):
            body = self._decrypted(body)
        if not _looks_signed(body):
            if must_be_signed:
                raise Unreadable(
                    "not_signed",
                    "The message is not signed; send it as S/MIME, signed with the host certificate.",
                )
            return Opened(body, "", None)
        try:
            signed = cms.verify(body, self.trust, at)
        except cms.CmsError as error:
            raise Unreadable("bad_signature", f"The signature does not hold: {error}") from None
        return Opened(signed.content, signed.identity.subject_slash, signed.identity.key, _statement(signed))

    def _decrypted(self, body: bytes) -> bytes:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = load_pem_private_key(self.key.read_bytes(), None)
            return cms.decrypt(body, certificate, key)
        except (OSError, ValueError) as error:
            raise Unreadable(
                "not_decrypted", f"The message is encrypted and this server cannot use its own key: {error}."
            ) from None
        except cms.CmsError as error:
            raise Unreadable("not_decrypted", f"The message cannot be decrypted: {error}") from None


def _statement(signed: cms.Signed) -> bytes:
    # not over the signature: one of ECDSA can be changed into another valid one by anybody
    if signed.signing_time is None:
        return b""
    return hashlib.sha256(signed.identity.key.encode() + signed.attributes).digest()


def _head(body: bytes) -> bytes:
    return body[:4096].replace(b"\r\n", b"\n").lstrip().split(b"\n\n", 1)[0].lower()


def _looks_encrypted(body: bytes) -> bool:
    return b"pkcs7-mime" in _head(body) and b"enveloped-data" in _head(body)


def _looks_signed(body: bytes) -> bool:
    head = _head(body)
    return b"content-type:" in head and (b"multipart/signed" in head or b"pkcs7-mime" in head)


def hear(envelope: Envelope, message: Message, known: Directory) -> tuple[Speaker, Opened]:
    """Open a message of the inbox and tell whose word it is. Raises Unreadable with the reason of a refusal.

    Plain text is the administrator's in a file, and the sender's where its site may send without a signature.
    """
    from_file = message.source == "load"
    must_be_signed = not (from_file or message.unsigned_ok)
    opened = envelope.open(message.body, message.received_at, must_be_signed=must_be_signed)
    if opened.key is None and not from_file:
        return Speaker(message.sender_name, frozenset({message.sender_site})), opened
    return speaker_of(opened, known, message.received_at), opened


def speaker_of(opened: Opened, known: Directory, at: datetime) -> Speaker:
    """Whom the registry takes the signer for. Raises Unreadable when it may speak for no site at all."""
    if opened.key is None:
        return ADMINISTRATOR
    sites = known.speaks_for(opened.key, at)
    if sites:
        return Speaker(opened.signer, sites)
    lapsed = sorted(each.site for each in known.registrations.get(opened.key, ()))
    if lapsed:
        raise Unreadable(
            "signer_lapsed",
            f"The certificate {opened.signer} may not speak for {_listed(lapsed)} at"
            f" {at:%Y-%m-%d %H:%M} UTC: its registration was not valid then. Register it anew, then replay.",
        )
    raise Unreadable(
        "unknown_signer",
        f"The certificate {opened.signer} is not registered for any site. Add it to the site's host certificates in"
        " the registry, then replay.",
    )


def place(reading: Reading, speaker: Speaker, known: Directory) -> str | Note:
    """The site that a record belongs to, or the fault: a SiteName that is nobody's, or not the signer's."""
    called = known.called(reading.site_name)
    mine = called if speaker.administrator else called & speaker.sites
    if len(mine) == 1:
        return next(iter(mine))
    if mine:
        return Note(
            "ambiguous_site", "SiteName", reading.site_line,
            f'SiteName "{reading.site_name}" is used by {_listed(sorted(mine))}; use the name of one site.',
        )  # fmt: skip
    return _stranger(reading, speaker, bool(called))


def _stranger(reading: Reading, speaker: Speaker, exists: bool) -> Note:
    name = reading.site_name
    if speaker.administrator:
        reason = (
            f'SiteName "{name}" is not a site of the registry. Register it or correct the name, then replay.'
        )
        return Note("unknown_site", "SiteName", reading.site_line, reason)
    own = _listed(sorted(speaker.sites))
    registry = "" if exists else f' The registry has no site "{name}".'
    reason = (
        f'SiteName "{name}" is not a site that this certificate may speak for. The message was signed by'
        f" {speaker.name}, which speaks for: {own}.{registry} Set site_name = {sorted(speaker.sites)[0]}, then replay."
    )
    return Note("not_signers_site", "SiteName", reading.site_line, reason)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
