"""Making VOMS attribute certificates that libvomsapi and voms-api-java accept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hanse.identity import der
from hanse.identity.der import sequence, write
from hanse.identity.fqans import (
    AUTHORITY_CHAIN,
    AUTHORITY_KEY,
    FQANS,
    GENERIC_ATTRIBUTES,
    IN_PROXY,
    NO_REVOCATION,
    TARGETS,
    VomsError,
    inside,
)
from hanse.identity.names import subject_der

#: The C++ verifier tolerates five minutes of clock difference, the Java one none, so notBefore is put back.
BACK_DATED = timedelta(minutes=3)
SHA256_RSA = "1.2.840.113549.1.1.11"
_ALGORITHM = sequence(der.oid(SHA256_RSA), write(der.NULL))
_FQANS = der.oid(FQANS)


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
        self._issuer = write(0xA0, sequence(write(0xA4, subject_der(self.chain[0]))))
        self._always = self._extensions_of_all(key_identifier(chain[0]))

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
        generic: Sequence[tuple[str, str, str]] = (),
    ) -> bytes:
        """The signed attribute certificate (DER) for the user's end-entity certificate.

        `fqans` in the order wanted, the first is the primary one; each must lie inside `vo`. `lifetime` is
        (not before, not after), aware. `generic` are generic attributes (name, value, qualifier).
        Raises VomsError for anything a verifier would refuse.
        """
        if not fqans:
            raise VomsError("An attribute certificate without groups says nothing.")
        info = sequence(
            der.integer(1),
            _holder(holder),
            self._issuer,
            _ALGORITHM,
            der.integer(secrets.randbits(127) | 1),
            sequence(*(_time(moment) for moment in lifetime)),
            sequence(self._attributes(vo, fqans)),
            self._extensions(vo, targets, generic),
        )
        signature = self.key.sign(info, padding.PKCS1v15(), hashes.SHA256())
        return sequence(info, _ALGORITHM, write(der.BIT_STRING, b"\0", signature))

    def _attributes(self, vo: str, fqans: Sequence[str]) -> bytes:
        values = [write(der.OCTET_STRING, inside(vo, fqan).encode("ascii")) for fqan in fqans]
        syntax = sequence(write(0xA0, self._uri(vo)), sequence(*values))
        return sequence(_FQANS, write(der.SET, syntax))

    def _uri(self, vo: str) -> bytes:
        return write(0x86, f"{vo}://{self.host}:{self.port}".encode("ascii"))

    def _extensions_of_all(self, identifier: bytes) -> bytes:
        chain = (c.public_bytes(serialization.Encoding.DER) for c in self.chain)
        return b"".join(
            (
                _extension(AUTHORITY_CHAIN, sequence(sequence(*chain))),
                _extension(NO_REVOCATION, write(der.NULL)),
                _extension(AUTHORITY_KEY, sequence(write(0x80, identifier))),
            )
        )

    def _extensions(self, vo: str, targets: Sequence[str], generic: Sequence[tuple[str, str, str]]) -> bytes:
        found = [self._always]
        if targets:
            hosts = [sequence(write(0xA0, write(0x86, host.encode("ascii")))) for host in targets]
            found.append(_extension(TARGETS, sequence(sequence(*hosts)), critical=True))
        if generic:
            tags = [sequence(*(write(der.OCTET_STRING, part.encode()) for part in one)) for one in generic]
            holder = sequence(sequence(self._uri(vo)), sequence(*tags))
            found.append(_extension(GENERIC_ATTRIBUTES, sequence(sequence(holder))))
        return sequence(*found)


def _holder(certificate: x509.Certificate) -> bytes:
    name = write(0xA4, subject_der(certificate))
    return sequence(write(0xA0, sequence(name), der.integer(certificate.serial_number)))


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    flag = write(der.BOOLEAN, b"\xff") if critical else b""
    return sequence(der.oid(oid), flag, write(der.OCTET_STRING, value))


def _time(moment: datetime) -> bytes:
    return write(der.GENERALIZED_TIME, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def proxy_extension(certificates: Iterable[bytes]) -> x509.UnrecognizedExtension:
    """The extension by which a proxy carries attribute certificates (each DER), for `create_proxy`."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(IN_PROXY), sequence(sequence(*certificates)))


def key_identifier(certificate: x509.Certificate) -> bytes:
    """The subjectKeyIdentifier, to which an attribute certificate's authorityKeyIdentifier must point."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        raise VomsError(
            "The attribute authority's certificate has no subjectKeyIdentifier extension, and both verifiers "
            "refuse attribute certificates signed by such a one. Ask your CA for one that has it."
        ) from None
    return found.value.digest
