"""VOMS attribute certificates: read and checked the way libvomsapi and voms-api-java check them.

The structure is that of RFC 5755 with the departures both libraries insist on: the holder's name is the *subject* of
the user's certificate, the URI stands in an IetfAttrSyntax, targets have one SEQUENCE more than the RFC, and
noRevAvail, authorityKeyIdentifier and the chain of the attribute authority are always there and never critical.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hanse.identity import der
from hanse.identity.certificates import certificate_from_der
from hanse.identity.der import DerError, Node
from hanse.identity.fqans import (
    AUTHORITY_CHAIN,
    AUTHORITY_KEY,
    FQANS,
    IN_PROXY,
    NO_REVOCATION,
    TARGETS,
    VomsError,
    inside,
    long_fqan,
    split_fqan,
)
from hanse.identity.names import canonical, subject_der
from hanse.identity.voms_signing import (
    BACK_DATED,
    SHA256_RSA,
    SigningAuthority,
    key_identifier,
    proxy_extension,
)
from hanse.identity.vomsdir import Chain, LscError, matches, read_lsc

__all__ = [
    "BACK_DATED",
    "AttributeCertificate",
    "SigningAuthority",
    "VomsError",
    "extract",
    "from_proxy",
    "long_fqan",
    "parse",
    "proxy_extension",
    "split_fqan",
    "verify",
]

#: What the C++ verifier forgives a clock.
TOLERATED = timedelta(minutes=5)
_HASHES: dict[str, hashes.HashAlgorithm] = {
    SHA256_RSA: hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_VO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


class Trust(Protocol):
    """What is needed of `hanse.identity.trust.TrustStore`."""

    def verify(self, chain: list[x509.Certificate], at: datetime | None = None) -> object:
        """Raises an exception with a sentence when the chain is not to be trusted at that time."""


# --- reading one ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttributeCertificate:
    """An attribute certificate as read; nothing in it is to be believed before `verify`."""

    der: bytes
    holder_subject: bytes
    holder_serial: int
    issuer: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    vo: str
    host: str
    port: int
    fqans: tuple[str, ...]
    targets: tuple[str, ...]
    chain: tuple[x509.Certificate, ...]
    key_identifier: bytes | None
    no_revocation: bool
    unknown_critical: tuple[str, ...]
    signed: bytes
    algorithm: str
    signature: bytes

    @property
    def primary(self) -> str:
        """The first FQAN, which sites map to an account."""
        return self.fqans[0]


def parse(data: bytes) -> AttributeCertificate:
    """Reads one attribute certificate (DER); raises VomsError when it is not one of the VOMS shape."""
    try:
        return _parse(data)
    except (DerError, IndexError, ValueError) as fault:
        if isinstance(fault, VomsError):
            raise
        raise VomsError(f"This is not a VOMS attribute certificate: {fault}.") from fault


def _parse(data: bytes) -> AttributeCertificate:
    info, outer, signature = der.read(data).expect(der.SEQUENCE, "the certificate").children()
    version, holder, issuer, inner, serial, validity, attributes, *rest = info.children()
    if version.integer() != 1:
        raise VomsError("The attribute certificate is not of version 2.")
    if inner.raw != outer.raw:
        raise VomsError("The two signature algorithms of the attribute certificate differ.")
    name, number = holder.children()[0].expect(0xA0, "the holder").children()[:2]
    not_before, not_after = (_read_time(node) for node in validity.children())
    vo, host, port, fqans = _read_attributes(attributes)
    extensions = _read_extensions(rest)
    return AttributeCertificate(
        der=data,
        holder_subject=name.only(0xA4, "the holder's name").only(der.SEQUENCE, "the holder's name").raw,
        holder_serial=number.integer(),
        issuer=_issuer_name(issuer),
        serial=serial.integer(),
        not_before=not_before,
        not_after=not_after,
        vo=vo,
        host=host,
        port=port,
        fqans=fqans,
        signed=info.raw,
        algorithm=_dotted(outer.children()[0]),
        signature=signature.expect(der.BIT_STRING, "the signature").body[1:],
        targets=_read_targets(extensions.get(TARGETS)),
        chain=_read_chain(extensions.get(AUTHORITY_CHAIN)),
        key_identifier=_read_key_identifier(extensions.get(AUTHORITY_KEY)),
        no_revocation=NO_REVOCATION in extensions and not extensions[NO_REVOCATION][0],
        unknown_critical=tuple(
            oid for oid, (critical, _) in extensions.items() if critical and oid != TARGETS
        ),
    )


def _issuer_name(node: Node) -> bytes:
    names = node.expect(0xA0, "the issuer").only(der.SEQUENCE, "the issuer's names")
    return names.only(0xA4, "the issuer's name").only(der.SEQUENCE, "the issuer's name").raw


def _read_attributes(node: Node) -> tuple[str, str, int, tuple[str, ...]]:
    oid, values = node.only(der.SEQUENCE, "the attribute").children()
    if _dotted(oid) != FQANS:
        raise VomsError("The attribute certificate carries no groups of a VO.")
    authority, fqans = values.only(der.SEQUENCE, "the attribute's value").children()
    uri = authority.expect(0xA0, "the authority").only(0x86, "the authority's address").body.decode("ascii")
    vo, _, place = uri.partition("://")
    host, _, port = place.rpartition(":")
    if not _VO.fullmatch(vo) or not _HOST.fullmatch(host) or not port.isdigit():
        raise VomsError(f'"{uri[:200]}" is not of the form vo://host:port.')
    texts = tuple(n.expect(der.OCTET_STRING, "a group").body.decode("ascii") for n in fqans.children())
    if not texts:
        raise VomsError("The attribute certificate names no group.")
    return vo, host, int(port), tuple(inside(vo, text) for text in texts)


def _read_extensions(rest: list[Node]) -> dict[str, tuple[bool, bytes]]:
    found: dict[str, tuple[bool, bytes]] = {}
    for node in rest[-1].expect(der.SEQUENCE, "the extensions").children() if rest else []:
        parts = node.children()
        oid = _dotted(parts[0])
        if oid in found:
            raise VomsError(f"The extension {oid} occurs twice.")
        critical = len(parts) == 3 and parts[1].expect(der.BOOLEAN, "critical").body != b"\0"
        found[oid] = (critical, parts[-1].expect(der.OCTET_STRING, "an extension").body)
    return found


def _read_chain(extension: tuple[bool, bytes] | None) -> tuple[x509.Certificate, ...]:
    if extension is None:
        return ()
    nodes = der.read(extension[1]).only(der.SEQUENCE, "the authority's chain").children()
    return tuple(certificate_from_der(node.raw) for node in nodes)


def _read_key_identifier(extension: tuple[bool, bytes] | None) -> bytes | None:
    if extension is None or extension[0]:
        return None
    return next((n.body for n in der.read(extension[1]).children() if n.tag == 0x80), None)


def _read_targets(extension: tuple[bool, bytes] | None) -> tuple[str, ...]:
    if extension is None:
        return ()
    targets = der.read(extension[1]).only(der.SEQUENCE, "the targets").children()
    return tuple(t.only(0xA0, "a target").only(0x86, "a target's host").body.decode("ascii") for t in targets)


def _read_time(node: Node) -> datetime:
    text = node.expect(der.GENERALIZED_TIME, "a time").body.decode("ascii")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _dotted(node: Node) -> str:
    body = node.expect(der.OID, "an object identifier").body
    arcs, value = [], 0
    for octet in body:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def extract(certificate: x509.Certificate) -> tuple[AttributeCertificate, ...]:
    """The attribute certificates that one proxy certificate carries; none when it has no such extension."""
    for extension in certificate.extensions:
        if extension.oid.dotted_string == IN_PROXY and isinstance(
            extension.value, x509.UnrecognizedExtension
        ):
            try:
                nodes = der.read(extension.value.value).only(der.SEQUENCE, "the list").children()
            except DerError as fault:
                raise VomsError(
                    f"The proxy's list of attribute certificates cannot be read: {fault}."
                ) from fault
            return tuple(parse(node.raw) for node in nodes)
    return ()


# --- checking one ---------------------------------------------------------------------------------------------------


def verify(
    certificate: AttributeCertificate,
    holder: x509.Certificate,
    *,
    lsc: Sequence[Chain],
    trust: Trust | None = None,
    at: datetime | None = None,
    hostname: str | None = None,
) -> None:
    """Returns when the attribute certificate may be believed; raises VomsError with the reason otherwise.

    `holder` is the user's end-entity certificate (the first that is not a proxy), `lsc` the chains of names of the
    site's .lsc file, `trust` the store in which the authority's chain is checked (None only where the caller has
    pinned the certificate itself), `hostname` what targets are compared with.
    """
    at = at or datetime.now(UTC)
    _check_holder(certificate, holder)
    if not certificate.not_before - TOLERATED <= at <= certificate.not_after:
        span = f"{certificate.not_before:%Y-%m-%d %H:%M} to {certificate.not_after:%Y-%m-%d %H:%M} UTC"
        raise VomsError(f"The attribute certificate of {certificate.vo} is valid only from {span}.")
    _check_extensions(certificate, hostname)
    _check_signature(certificate)
    if not any(matches(chain, certificate.chain) for chain in lsc):
        raise VomsError(f"The .lsc file of {certificate.vo} does not name the authority that signed this.")
    if trust is not None:
        _check_trust(certificate, trust, at)


def _check_holder(certificate: AttributeCertificate, holder: x509.Certificate) -> None:
    if certificate.holder_serial != holder.serial_number or (
        canonical(certificate.holder_subject) != canonical(subject_der(holder))
    ):
        raise VomsError(
            "The attribute certificate was issued to another certificate than the one that shows it."
        )


def _check_extensions(certificate: AttributeCertificate, hostname: str | None) -> None:
    if certificate.unknown_critical:
        raise VomsError(f"The critical extension {certificate.unknown_critical[0]} is not known here.")
    if not certificate.no_revocation:
        raise VomsError("The attribute certificate has no noRevAvail extension.")
    if certificate.targets and hostname not in certificate.targets:
        raise VomsError(f"The attribute certificate is meant for {', '.join(certificate.targets)} alone.")


def _check_signature(certificate: AttributeCertificate) -> None:
    if not certificate.chain:
        raise VomsError("The attribute certificate does not bring its authority's certificate.")
    authority = certificate.chain[0]
    key, algorithm = authority.public_key(), _HASHES.get(certificate.algorithm)
    if canonical(subject_der(authority)) != canonical(certificate.issuer):
        raise VomsError("The attribute certificate names another issuer than the authority it brings.")
    if certificate.key_identifier != key_identifier(authority):
        raise VomsError("The authorityKeyIdentifier is missing or belongs to another key.")
    if not isinstance(key, rsa.RSAPublicKey) or algorithm is None:
        raise VomsError("The attribute certificate is not signed with RSA and SHA-256 or better.")
    try:
        key.verify(certificate.signature, certificate.signed, padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        raise VomsError("The signature of the attribute certificate does not match its content.") from None


def _check_trust(certificate: AttributeCertificate, trust: Trust, at: datetime) -> None:
    try:
        trust.verify(list(certificate.chain), at)
    except Exception as fault:
        raise VomsError(f"The attribute authority's certificate is not trusted: {fault}") from fault


def from_proxy(
    proxies: Sequence[x509.Certificate],
    holder: x509.Certificate,
    *,
    vomsdir: Path,
    trust: Trust | None,
    at: datetime | None = None,
    hostname: str | None = None,
) -> tuple[AttributeCertificate, ...]:
    """The verified attribute certificates of a proxy chain that was itself verified already.

    `proxies` leaf first; the first that carries any is the one that counts. Each is checked against
    `vomsdir/<vo>/<host>.lsc`. Raises VomsError when one does not hold: a client that shows a bad one is told so.
    """
    for proxy in proxies:
        if found := extract(proxy):
            for certificate in found:
                path = vomsdir / certificate.vo / f"{certificate.host}.lsc"
                verify(certificate, holder, lsc=_lsc_at(path), trust=trust, at=at, hostname=hostname)
            return found
    return ()


def _lsc_at(path: Path) -> tuple[Chain, ...]:
    try:
        return read_lsc(path.read_text("utf-8"))
    except FileNotFoundError:
        raise VomsError(f"No attribute authority is known as {path.parent.name}/{path.name}.") from None
    except LscError as fault:
        raise VomsError(str(fault)) from fault
