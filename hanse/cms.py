"""Signed messages of accounting clients (SSM): S/MIME made with a host certificate; and their envelopes.

`cryptography` signs and decrypts, but has no public way to verify; the verifier here reads with `asn1crypto`
and checks signatures with `cryptography`. It demands exactly one signer, takes the identity from the
certificate of that signer alone, and returns only bytes that the signature covers.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7

from hanse import smime
from hanse.identity import names, signatures
from hanse.identity.certificates import certificate_from_der, key_usage, slash_name
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import is_proxy
from hanse.identity.trust import TrustError, TrustStore

_TEXT_HEADER: Final = b"Content-Type: text/plain\r\n\r\n"
_DIGESTS: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_OPENSSL_S: Final = 20
# what asn1crypto and cryptography raise for bytes that are not the structure they claim to be
_UNREADABLE: Final = (
    *signatures.UNREADABLE,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class CmsError(Exception):
    """A message that is not accepted. The message is a sentence with the reason."""


@dataclass(frozen=True)
class Signed:
    """A message whose signature holds: its content, who signed, when, if the signer said so.

    `attributes` is what the signature covers (DER): the digest of the content, and the time if there is one.
    """

    content: bytes
    signer: x509.Certificate
    identity: X509Identity
    signing_time: datetime | None
    attributes: bytes


# --- signing ----------------------------------------------------------------------------------------


def sign(
    content: bytes,
    cert: x509.Certificate,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    detached: bool = True,
    chain: Sequence[x509.Certificate] = (),
) -> bytes:
    """The S/MIME form of a text, as SSM clients send it: `multipart/signed`, or opaque when not `detached`.

    `chain`: intermediate certificates that the receiver may lack. All line ends of `content` become LF.
    """
    part = _TEXT_HEADER + smime.crlf(content.rstrip(b"\r"))  # there it would join the line of the boundary
    builder = pkcs7.PKCS7SignatureBuilder().set_data(part).add_signer(cert, key, hashes.SHA256())
    for issuer in chain:
        builder = builder.add_certificate(issuer)
    options = [pkcs7.PKCS7Options.Binary]  # the line ends are right already
    if detached:
        der = builder.sign(Encoding.DER, [*options, pkcs7.PKCS7Options.DetachedSignature])
        return smime.compose_detached(part, der)
    return smime.compose_wrapped(builder.sign(Encoding.DER, options), "signed-data")


# --- verifying --------------------------------------------------------------------------------------


def verify(message: bytes, trust: TrustStore, at: datetime | None = None) -> Signed:
    """Check a signed message and return what was signed. Raises CmsError with the reason.

    `at` (default now) is the moment for which the signer's certificate must be valid and not revoked. The
    content is that of the signed part, without the part's headers and transfer encoding; text has LF ends.
    """
    try:
        parsed = smime.parse(message)
        if isinstance(parsed, smime.Wrapped) and parsed.kind not in ("", "signed-data"):
            raise CmsError(f"The message is {parsed.kind}, not signed-data.")
        signed, part = _signed_data(parsed)
        verified = _verify(signed, part)
        identity = _identity(verified, trust, at)
        content = smime.content_of(part)
        return Signed(content, verified.signer, identity, verified.signing_time, verified.attributes)
    except smime.MimeFault as fault:
        raise CmsError(str(fault)) from fault
    except _UNREADABLE as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> CmsError:
    """asn1crypto explains over several lines; the first one says what was wrong."""
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(" .")
    return CmsError(f"The signature of the message cannot be read: {reason}.")


@dataclass(frozen=True)
class _Verified:
    signer: x509.Certificate
    others: tuple[x509.Certificate, ...]
    signing_time: datetime | None
    attributes: bytes


def _signed_data(parsed: smime.Wrapped | smime.Detached) -> tuple[Any, bytes]:
    """The SignedData and the bytes it signs."""
    info = asn1.ContentInfo.load(parsed.der, strict=True)
    if info["content_type"].native != "signed_data":
        raise CmsError("The signature of the message is not a CMS SignedData.")
    signed = info["content"]
    inside = signed["encap_content_info"]["content"]
    carried = None if inside.native is None else bytes(inside.native)
    if isinstance(parsed, smime.Detached):
        if carried is not None:
            raise CmsError("The message carries its content twice, beside and inside the signature.")
        return signed, parsed.signed
    if carried is None:
        raise CmsError("The message has a signature and no content.")
    return signed, carried


def _verify(signed: Any, part: bytes) -> _Verified:
    """Check the one signature against the one certificate it names; says nothing about trust yet."""
    signer_infos = list(signed["signer_infos"])
    if len(signer_infos) != 1:
        raise CmsError(f"The message has {len(signer_infos)} signers; exactly one is accepted.")
    info = signer_infos[0]
    embedded = list(_embedded(signed))
    signer = _signer(info["sid"], embedded)
    attributes = _attributes(info)
    if attributes["content_type"] != signed["encap_content_info"]["content_type"].dotted:
        raise CmsError("The signature is for another type of content.")
    digest = _digest(info)
    if attributes["message_digest"] != _hashed(digest, part):
        raise CmsError("The content was changed after it was signed: its digest is not the signed one.")
    _check_signature(info, signer, digest)
    others = tuple(cert for cert in embedded if cert != signer)
    return _Verified(signer, others, attributes.get("signing_time"), _covered(info))


def _embedded(signed: Any) -> Iterator[x509.Certificate]:
    """The X.509 certificates in the message, each once; other kinds are passed over."""
    seen: set[bytes] = set()
    for choice in signed["certificates"] or ():
        der = bytes(choice.chosen.dump())
        if choice.name == "certificate" and der not in seen:
            seen.add(der)
            yield certificate_from_der(der)


def _signer(sid: Any, embedded: Sequence[x509.Certificate]) -> x509.Certificate:
    """The one embedded certificate that the signer info names: issuer and serial number, or key id."""
    if sid.name == "issuer_and_serial_number":
        issuer = names.canonical(bytes(sid.chosen["issuer"].dump()))
        serial = sid.chosen["serial_number"].native
        found = [
            c
            for c in embedded
            if c.serial_number == serial and names.canonical(names.issuer_der(c)) == issuer
        ]
    else:
        found = [c for c in embedded if _key_id(c) == bytes(sid.chosen.native)]
    if len(found) != 1:
        count = "no certificate" if not found else "more than one certificate"
        raise CmsError(f"The message has {count} of its signer in it.")
    return found[0]


def _key_id(cert: x509.Certificate) -> bytes | None:
    try:
        return cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _attributes(info: Any) -> dict[str, Any]:
    """content_type (dotted), message_digest (bytes) and, when there, signing_time of the signed attributes.

    They are demanded: else the bytes of somebody's signed attributes could pass for a signed message.
    """
    found: dict[str, Any] = {}
    for attribute in info["signed_attrs"] or ():
        name = attribute["type"].native
        if name in found or len(attribute["values"]) != 1:
            raise CmsError(f"The signed attribute {name} is there more than once.")
        value = attribute["values"][0]
        found[name] = value.dotted if name == "content_type" else value.native
    if "message_digest" not in found or "content_type" not in found:
        raise CmsError("The signature has no signed digest of the content.")
    moment = found.get("signing_time")
    if moment is not None and not isinstance(moment, datetime):
        raise CmsError("The signing time of the message cannot be read.")
    if isinstance(moment, datetime):
        found["signing_time"] = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return found


def _digest(info: Any) -> hashes.HashAlgorithm:
    return _hash_named(str(info["digest_algorithm"]["algorithm"].native))


def _hash_named(name: str) -> hashes.HashAlgorithm:
    if name not in _DIGESTS:
        raise CmsError(f"The message is signed with the digest {name}; use sha256.")
    return _DIGESTS[name]()


def _hashed(digest: hashes.HashAlgorithm, content: bytes) -> bytes:
    hasher = hashes.Hash(digest)
    hasher.update(content)
    return hasher.finalize()


def _check_signature(info: Any, signer: x509.Certificate, digest: hashes.HashAlgorithm) -> None:
    covered, signature = _covered(info), bytes(info["signature"].native)
    algorithm = info["signature_algorithm"]
    try:
        made_with, parameters = _signature_algorithm(algorithm, digest)
        signatures.verify(signer.public_key(), signature, covered, made_with, parameters)
    except signatures.SignatureFault as fault:
        raise CmsError(f"The message was not signed by {slash_name(signer)}: {fault}.") from fault


def _covered(info: Any) -> bytes:
    """The SET (0x31) of the signed attributes; in the message it stands under a context tag (RFC 5652, 5.4)."""
    return b"\x31" + bytes(info["signed_attrs"].dump())[1:]


def _signature_algorithm(
    algorithm: Any, digest: hashes.HashAlgorithm
) -> tuple[hashes.HashAlgorithm, signatures.SignatureParameters]:
    """Hash and padding. `rsaEncryption` leaves the hash to the digest algorithm; else both agree."""
    kind = str(algorithm["algorithm"].native)
    if kind == "rsassa_pkcs1v15":
        return digest, padding.PKCS1v15()
    if kind == "rsassa_pss":
        parameters = algorithm["parameters"]
        named = _hash_named(str(parameters["hash_algorithm"]["algorithm"].native))
        mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
        salt = int(parameters["salt_length"].native)
        pad: signatures.SignatureParameters = padding.PSS(padding.MGF1(_hash_named(str(mask))), salt)
    else:
        named = _hash_named(str(algorithm.hash_algo))
        pad = padding.PKCS1v15() if algorithm.signature_algo == "rsassa_pkcs1v15" else None
        if algorithm.signature_algo not in ("rsassa_pkcs1v15", "ecdsa"):
            raise CmsError(f"The message is signed with {kind}, which is not accepted; use RSA or ECDSA.")
    if named.name != digest.name:
        raise CmsError("The signature and the digest of the message use different algorithms.")
    return named, pad


def _identity(verified: _Verified, trust: TrustStore, at: datetime | None) -> X509Identity:
    """Whose certificate it is, once the chain of that certificate holds; the others only help to build it."""
    name = slash_name(verified.signer)
    if is_proxy(verified.signer):
        raise CmsError(f"The message is signed with the proxy {name}; sign with the host certificate itself.")
    usage = key_usage(verified.signer)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise CmsError(f"The certificate {name} may not be used for signatures, by its key usage.")
    try:
        return trust.verify([verified.signer, *verified.others], at).identity
    except TrustError as error:
        raise CmsError(str(error)) from error


# --- decrypting -------------------------------------------------------------------------------------


def decrypt(message: bytes, cert: x509.Certificate, key: PrivateKeyTypes) -> bytes:
    """The message inside an envelope made for `cert`, whose key is `key` (RSA). Raises CmsError.

    AES-128 and AES-256 are opened here; for AES-192 and 3DES of old senders the openssl command is asked.
    """
    try:
        parsed = smime.parse(message)
    except smime.MimeFault as fault:
        raise CmsError(str(fault)) from fault
    if not isinstance(parsed, smime.Wrapped) or parsed.kind not in ("", "enveloped-data"):
        raise CmsError("The message is not encrypted.")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CmsError(
            "Only an RSA key can open encrypted messages; the key of this server is of another kind."
        )
    try:
        return pkcs7.pkcs7_decrypt_der(parsed.der, cert, key, [])
    except UnsupportedAlgorithm:
        return _decrypt_with_openssl(parsed.der, cert, key)
    except ValueError as error:
        raise CmsError(f"The message cannot be decrypted with the key of this server: {error}.") from error


def _decrypt_with_openssl(der: bytes, cert: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # made with mode 700
        cert_path, key_path = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert_path.write_bytes(cert.public_bytes(Encoding.PEM))
        key_path.touch(mode=0o600)
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-binary"]
        command += ["-recip", str(cert_path), "-inkey", str(key_path)]
        try:
            done = subprocess.run(command, input=der, capture_output=True, timeout=_OPENSSL_S, check=False)
        except FileNotFoundError as error:
            raise CmsError(
                "The message uses an old cipher, and the openssl command that could open it is not installed."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise CmsError("The openssl command did not decrypt the message in time.") from error
    if done.returncode != 0:
        raise CmsError("The message cannot be decrypted with the key of this server.")
    return done.stdout
