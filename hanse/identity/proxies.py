"""RFC 3820 proxy certificates: a short-lived certificate that a user signs with the user's own key.

Draft proxies (1.3.6.1.4.1.3536.1.222) and legacy ones (`CN=proxy`) are not recognised; so does OpenSSL.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID

from hanse.identity import names, signatures
from hanse.identity.certificates import certificate_from_pem, is_ca, key_usage, slash_name

PROXY_CERT_INFO: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
INHERIT_ALL: Final = "1.3.6.1.5.5.7.21.1"
INDEPENDENT: Final = "1.3.6.1.5.5.7.21.2"
LIMITED: Final = "1.3.6.1.4.1.3536.1.1.1.9"
_OID: Final = ExtensionOID
KNOWN_CRITICAL: Final = frozenset(
    {
        _OID.BASIC_CONSTRAINTS,
        _OID.KEY_USAGE,
        _OID.EXTENDED_KEY_USAGE,
        _OID.CERTIFICATE_POLICIES,
        _OID.SUBJECT_ALTERNATIVE_NAME,
        PROXY_CERT_INFO,
    }
)
"""Extensions whose demands are kept, or ask nothing of a relying party here; any other critical one refuses."""
_CLOCK_SKEW: Final = timedelta(minutes=5)
_KEY_BITS: Final = 2048
_CN: Final = "2.5.4.3"

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class ProxyFault(ValueError):
    """A proxy certificate breaks RFC 3820; the message is a clause that fits after the proxy's name."""


class _ProxyPolicy(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012
        ("policy_language", core.ObjectIdentifier),
        ("policy", core.OctetString, {"optional": True}),
    ]


class _ProxyCertInfo(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012
        ("path_length", core.Integer, {"optional": True}),
        ("policy", _ProxyPolicy),
    ]


@dataclass(frozen=True)
class ProxyInfo:
    """What the extension says: how many proxies may follow (None: any), and the policy language."""

    path_length: int | None
    language: str
    critical: bool

    @property
    def limited(self) -> bool:
        """A limited proxy: by Globus custom it may not start jobs or virtual machines."""
        return self.language == LIMITED


def is_proxy(cert: x509.Certificate) -> bool:
    """True when the certificate carries the proxyCertInfo extension of RFC 3820."""
    return _extension(cert) is not None


def end_entity(chain: Sequence[x509.Certificate]) -> x509.Certificate:
    """The first certificate that is no proxy: the user or host itself. ValueError without one."""
    for cert in chain:
        if not is_proxy(cert):
            return cert
    raise ValueError("The certificate chain consists of proxies only: send the user's certificate along.")


def proxy_info(cert: x509.Certificate) -> ProxyInfo:
    """The proxyCertInfo extension, read. Raises ProxyFault when it is missing or broken."""
    extension = _extension(cert)
    if extension is None:
        raise ProxyFault("is not a proxy certificate")
    try:
        info = _ProxyCertInfo.load(extension.value.public_bytes(), strict=True)
        length = info["path_length"].native
        language = str(info["policy"]["policy_language"].dotted)
    except (ValueError, TypeError) as error:
        raise ProxyFault("has a proxyCertInfo extension that cannot be read") from error
    if length is not None and length < 0:
        raise ProxyFault("has a negative path length")
    return ProxyInfo(length, language, extension.critical)


def _extension(cert: x509.Certificate) -> x509.Extension[x509.ExtensionType] | None:
    try:
        return cert.extensions.get_extension_for_oid(PROXY_CERT_INFO)
    except x509.ExtensionNotFound:
        return None


def check_proxy(proxy: x509.Certificate, issuer: x509.Certificate, depth: int) -> None:
    """Raise ProxyFault unless `issuer` may have made it. `depth`: how many proxies stand below this one."""
    info = proxy_info(proxy)
    if not info.critical:
        raise ProxyFault("does not mark its proxyCertInfo as critical")
    if info.language not in (INHERIT_ALL, LIMITED):
        raise ProxyFault(f"has the policy {info.language}, which hands on no rights that are understood here")
    if info.path_length is not None and depth > info.path_length:
        raise ProxyFault(f"allows {info.path_length} proxies below it, and the chain has {depth}")
    _check_name(proxy, issuer)
    _check_proxy_extensions(proxy)
    usage = key_usage(issuer)
    if usage is not None and not usage.digital_signature:
        raise ProxyFault("was signed with a key that may not make signatures")
    try:
        signatures.verify_certificate(proxy, issuer.public_key())
    except signatures.SignatureFault as fault:
        raise ProxyFault(f"is not signed by {slash_name(issuer)}: {fault}") from fault


def _check_proxy_extensions(proxy: x509.Certificate) -> None:
    for extension in proxy.extensions:
        if extension.oid in (_OID.SUBJECT_ALTERNATIVE_NAME, _OID.ISSUER_ALTERNATIVE_NAME):
            raise ProxyFault("has an alternative name, which proxies may not have")
        if extension.critical and extension.oid not in KNOWN_CRITICAL:
            raise ProxyFault(f"has the critical extension {extension.oid.dotted_string}, not understood here")
    if is_ca(proxy):
        raise ProxyFault("claims to be a CA")
    usage = key_usage(proxy)
    if usage is not None and (usage.key_cert_sign or usage.content_commitment):
        raise ProxyFault("has a key usage that proxies may not have")


def _check_name(proxy: x509.Certificate, issuer: x509.Certificate) -> None:
    """The subject must be the issuer's and one common name more (RFC 3820, 3.4). Raises ProxyFault."""
    if not names.same(names.issuer_der(proxy), names.subject_der(issuer)):
        raise ProxyFault("was issued by somebody other than the next certificate in the chain")
    parent = names.rdns(names.canonical(names.subject_der(issuer)))
    own = names.rdns(names.canonical(names.subject_der(proxy)))
    if own[:-1] != parent or len(own[-1]) != 1 or own[-1][0].oid != _CN:
        raise ProxyFault("must be named as its issuer with one common name more")


def create_proxy(
    cert: x509.Certificate,
    key: SigningKey,
    chain: Sequence[x509.Certificate] = (),
    lifetime_s: int = 43200,
    limited: bool = False,
    extensions: Iterable[x509.ExtensionType] = (),
    *,
    path_length: int | None = None,
) -> bytes:
    """A proxy of `cert`, signed with its key: PEM of the proxy, its key, `cert` and `chain`, in that order.

    Valid for `lifetime_s` seconds from now, but no longer than `cert`. `extensions` (attribute certificates
    of VOMS) are added as not critical. A proxy of a limited proxy is limited. `chain`: what follows `cert`,
    without the root.
    """
    limited = limited or (is_proxy(cert) and proxy_info(cert).limited)
    proxy_key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    now = datetime.now(UTC)
    builder = _named_builder(cert).public_key(proxy_key.public_key())
    builder = builder.not_valid_before(max(now - _CLOCK_SKEW, cert.not_valid_before_utc))
    builder = builder.not_valid_after(min(now + timedelta(seconds=lifetime_s), cert.not_valid_after_utc))
    builder = builder.add_extension(_info_extension(limited, path_length), critical=True)
    builder = builder.add_extension(_key_usage(), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    proxy = builder.sign(key, hashes.SHA256())
    key_pem = proxy_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    followers = b"".join(c.public_bytes(Encoding.PEM) for c in (cert, *chain))
    return proxy.public_bytes(Encoding.PEM) + key_pem + followers


def _named_builder(cert: x509.Certificate) -> x509.CertificateBuilder:
    """Issuer, subject and serial; the name ends in the serial, so that no two proxies share one."""
    serial = secrets.randbelow(2**31 - 1) + 1
    number = x509.RelativeDistinguishedName([x509.NameAttribute(x509.ObjectIdentifier(_CN), str(serial))])
    subject = x509.Name([*cert.subject.rdns, number])
    return x509.CertificateBuilder().issuer_name(cert.subject).subject_name(subject).serial_number(serial)


def _info_extension(limited: bool, path_length: int | None) -> x509.UnrecognizedExtension:
    info = _ProxyCertInfo({"policy": {"policy_language": LIMITED if limited else INHERIT_ALL}})
    if path_length is not None:
        info["path_length"] = path_length
    return x509.UnrecognizedExtension(PROXY_CERT_INFO, bytes(info.dump()))


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


_PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


def certificates_of(pem: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM text, in order; keys in between are skipped. ValueError on a bad one."""
    return [certificate_from_pem(block) for block in _PEM_BLOCK.findall(pem)]
