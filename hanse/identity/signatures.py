"""Checking one signature: RSA (PKCS #1 v1.5 and PSS), ECDSA and EdDSA, with today's digests only."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

STRONG_HASHES: Final = frozenset({"sha224", "sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
MINIMUM_RSA_BITS: Final = 2048

UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises, as late as they are looked at, for parts of a certificate without sense."""

SignatureParameters = padding.PSS | padding.PKCS1v15 | ec.ECDSA | None


class SignatureFault(ValueError):
    """The signature is wrong, or made in a way that is not accepted; the message is a clause: `it is ...`."""


def verify(
    public_key: CertificatePublicKeyTypes,
    signature: bytes,
    signed: bytes,
    digest: hashes.HashAlgorithm | None,
    parameters: SignatureParameters = None,
) -> None:
    """Raise SignatureFault unless `signature` over `signed` was made with the key.

    `parameters` is the padding of an RSA signature (PKCS #1 v1.5 when None); `digest` is None for EdDSA.
    """
    try:
        _verify(public_key, signature, signed, digest, parameters)
    except InvalidSignature as error:
        raise SignatureFault("the signature does not match") from error
    except (UnsupportedAlgorithm, ValueError, TypeError) as error:
        if isinstance(error, SignatureFault):
            raise
        raise SignatureFault(f"the signature cannot be checked: {error}") from error


def _verify(
    public_key: CertificatePublicKeyTypes,
    signature: bytes,
    signed: bytes,
    digest: hashes.HashAlgorithm | None,
    parameters: SignatureParameters,
) -> None:
    if isinstance(public_key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        public_key.verify(signature, signed)
        return
    if digest is None or digest.name not in STRONG_HASHES:
        raise SignatureFault(f"the digest {digest.name if digest else 'none'} is too weak; use sha256")
    if isinstance(public_key, rsa.RSAPublicKey):
        if public_key.key_size < MINIMUM_RSA_BITS:
            raise SignatureFault(
                f"the RSA key has only {public_key.key_size} bits; {MINIMUM_RSA_BITS} are needed"
            )
        pad = parameters if isinstance(parameters, padding.PSS) else padding.PKCS1v15()
        public_key.verify(signature, signed, pad, digest)
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        public_key.verify(signature, signed, ec.ECDSA(digest))
    else:
        raise SignatureFault("the key is neither RSA nor of an elliptic curve")


def verify_certificate(cert: x509.Certificate, issuer_key: CertificatePublicKeyTypes) -> None:
    """Raise SignatureFault unless the certificate was signed with the key."""
    digest, parameters = _algorithm(cert)
    verify(issuer_key, cert.signature, cert.tbs_certificate_bytes, digest, parameters)


def verify_crl(crl: x509.CertificateRevocationList, issuer_key: CertificatePublicKeyTypes) -> None:
    """Raise SignatureFault unless the revocation list was signed with the key."""
    digest, parameters = _algorithm(crl)
    verify(issuer_key, crl.signature, crl.tbs_certlist_bytes, digest, parameters)


def _algorithm(
    signed: x509.Certificate | x509.CertificateRevocationList,
) -> tuple[hashes.HashAlgorithm | None, SignatureParameters]:
    try:
        return signed.signature_hash_algorithm, signed.signature_algorithm_parameters
    except (UnsupportedAlgorithm, ValueError) as error:
        raise SignatureFault(f"the signature algorithm is not supported: {error}") from error
