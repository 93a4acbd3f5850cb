"""VOMS attribute certificates: made, read, and checked the way libvomsapi and voms-api-java check them.

The structure is that of RFC 5755 with the departures both libraries insist on: the holder's name is the *subject* of
the user's certificate, the URI stands in an IetfAttrSyntax, targets have one SEQUENCE more than the RFC, and
noRevAvail, authorityKeyIdentifier and the chain of the attribute authority are always there and never critical.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hanse.identity import der
from hanse.identity.der import DerError, Node, sequence, write
from hanse.identity.names import canonical, subject_der
from hanse.identity.vomsdir import Chain, LscError, matches, read_lsc

FQANS = "1.3.6.1.4.1.8005.100.100.4"
IN_PROXY = "1.3.6.1.4.1.8005.100.100.5"
AUTHORITY_CHAIN = "1.3.6.1.4.1.8005.100.100.10"
GENERIC_ATTRIBUTES = "1.3.6.1.4.1.8005.100.100.11"
NO_REVOCATION = "2.5.29.56"
AUTHORITY_KEY = "2.5.29.35"
TARGETS = "2.5.29.55"

#: The C++ verifier tolerates five minutes of clock difference, the Java one none, so notBefore is put back.
BACK_DATED = timedelta(minutes=3)
TOLERATED = timedelta(minutes=5)
_SHA256_RSA = "1.2.840.113549.1.1.11"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    _SHA256_RSA: hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_VO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_FQAN = re.compile(r"(?:/[\w.-]+)+(?:/Role=[\w.-]+)?(?:/Capability=[\w.-]+)?", re.ASCII)


class VomsError(ValueError):
    """The attribute certificate must not be believed; the text is a sentence that says why."""


class Trust(Protocol):
    """What is needed of `hanse.identity.trust.TrustStore`."""

    def verify(self, chain: list[x509.Certificate], at: datetime | None = None) -> object:
        """Raises an exception with a sentence when the chain is not to be trusted at that time."""


def long_fqan(fqan: str) -> str:
    """`/vo/g/Role=NULL/Capability=NULL` for `/vo/g`; raises VomsError when the text is not an FQAN.

    >>> long_fqan("/vo.example.org/Role=analyst")
    '/vo.example.org/Role=analyst/Capability=NULL'
    """
    group, role = split_fqan(fqan)
    return f"{group}/Role={role or 'NULL'}/Capability=NULL"


def split_fqan(fqan: str) -> tuple[str, str | None]:
    """(group path, role or None) of an FQAN in its short or long form; any capability but NULL is refused."""
    if not _FQAN.fullmatch(fqan) or "/." in fqan:
        raise VomsError(f'"{fqan[:200]}" is not a group or role of the form /vo/group/Role=role')
    path, _, capability = fqan.partition("/Capability=")
    if capability not in ("", "NULL"):
        raise VomsError(f'Capabilities are no longer used; leave "/Capability={capability[:100]}" out')
    group, _, role = path.partition("/Role=")
    return group, role if role not in ("", "NULL") else None


# --- making one -----------------------------------------------------------------------------------------------------


class SigningAuthority:
    """An attribute authority: its certificate, its chain without the root, its RSA key and where it is reached.

    Raises VomsError when the certificate or key cannot serve: both verifiers need RSA and a subjectKeyIdentifier.
    """

    def __init__(self, chain: Sequence[x509.Certificate], key: object, host: str, port: int) -> None:
        if not isinstance(key, rsa.RSAPrivateKey):
            raise VomsError("The attribute authority needs an RSA key: the Java verifier knows no other.")
        if not chain or chain[0].public_key() != key.public_key():
            raise VomsError("The attribute authority's key does not belong to its certificate.")
        self.chain = tuple(c for c in chain if c.subject != c.issuer) or tuple(chain[:1])
        self.host, self.port, self.key = host, port, key
        self._key_identifier = _key_identifier(chain[0])

    @classmethod
    def from_files(cls, certificate: Path, key: Path, host: str, port: int) -> SigningAuthority:
        """Reads the PEM files of certificate (with intermediates, if any) and unencrypted key."""
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        return cls(chain, private, host, port)

    def issue(
        self,
        holder: x509.Certificate,
        vo: str,
        fqans: Sequence[str],
        lifetime: tuple[datetime, datetime],
        targets: Sequence[str] = (),
    ) -> bytes:
        """The signed attribute certificate (DER) for the user's end-entity certificate.

        `fqans` in the order wanted, the first is the primary one; each must lie inside `vo`. `lifetime` is
        (not before, not after), aware. Raises VomsError for anything a verifier would refuse.
        """
        if not fqans:
            raise VomsError("An attribute certificate without groups says nothing.")
        algorithm = sequence(der.oid(_SHA256_RSA), write(der.NULL))
        info = sequence(
            der.integer(1),
            _holder(holder),
            write(0xA0, sequence(write(0xA4, subject_der(self.chain[0])))),
            algorithm,
            der.integer(secrets.randbits(127) | 1),
            sequence(*(_time(moment) for moment in lifetime)),
            sequence(self._attributes(vo, fqans)),
            self._extensions(targets),
        )
        signature = self.key.sign(info, padding.PKCS1v15(), hashes.SHA256())
        return sequence(info, algorithm, write(der.BIT_STRING, b"\0", signature))

    def _attributes(self, vo: str, fqans: Sequence[str]) -> bytes:
        uri = f"{vo}://{self.host}:{self.port}".encode("ascii")
        values = [write(der.OCTET_STRING, _inside(vo, fqan).encode("ascii")) for fqan in fqans]
        syntax = sequence(write(0xA0, write(0x86, uri)), sequence(*values))
        return sequence(der.oid(FQANS), write(der.SET, syntax))

    def _extensions(self, targets: Sequence[str]) -> bytes:
        chain = (c.public_bytes(serialization.Encoding.DER) for c in self.chain)
        found = [
            _extension(AUTHORITY_CHAIN, sequence(sequence(*chain))),
            _extension(NO_REVOCATION, write(der.NULL)),
            _extension(AUTHORITY_KEY, sequence(write(0x80, self._key_identifier))),
        ]
        if targets:
            hosts = [sequence(write(0xA0, write(0x86, host.encode("ascii")))) for host in targets]
            found.append(_extension(TARGETS, sequence(sequence(*hosts)), critical=True))
        return sequence(*found)


def _holder(certificate: x509.Certificate) -> bytes:
    name = write(0xA4, subject_der(certificate))
    return sequence(write(0xA0, sequence(name), der.integer(certificate.serial_number)))


def _inside(vo: str, fqan: str) -> str:
    if split_fqan(fqan)[0].split("/")[1] != vo:
        raise VomsError(f'"{fqan}" is not a group of {vo}')
    return long_fqan(fqan)


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    flag = write(der.BOOLEAN, b"\xff") if critical else b""
    return sequence(der.oid(oid), flag, write(der.OCTET_STRING, value))


def _time(moment: datetime) -> bytes:
    return write(der.GENERALIZED_TIME, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def _key_identifier(certificate: x509.Certificate) -> bytes:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        raise VomsError(
            "The attribute authority's certificate has no subjectKeyIdentifier extension, and both verifiers "
            "refuse attribute certificates signed by such a one. Ask your CA for one that has it."
        ) from None
    return found.value.digest


def proxy_extension(certificates: Iterable[bytes]) -> x509.UnrecognizedExtension:
    """The extension by which a proxy carries attribute certificates (each DER), for `create_proxy`."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(IN_PROXY), sequence(sequence(*certificates)))


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
    return vo, host, int(port), tuple(_inside(vo, text) for text in texts)


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
    return tuple(x509.load_der_x509_certificate(node.raw) for node in nodes)


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
    if certificate.key_identifier != _key_identifier(authority):
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
