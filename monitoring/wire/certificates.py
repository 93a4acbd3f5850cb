"""Server certificates: a verifying context from the trust folder, and a distinct reason for each way to
fail."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from hanse.identity.certificates import certificate_from_der, certificate_from_pem
from monitoring.findings import Fault, Status

# OpenSSL's X509_V_ERR_* numbers (openssl/x509_vfy.h) that a server's certificate can earn.
_VERDICTS = {
    9: ("tls-not-yet-valid", "is not valid yet"),
    10: ("tls-expired", "has expired"),
    18: ("tls-self-signed", "is signed by nobody but itself"),
    19: ("tls-unknown-ca", "comes from a CA that is not trusted"),
    20: ("tls-unknown-ca", "comes from a CA that is not trusted"),
    21: ("tls-unknown-ca", "comes from a CA that is not trusted"),
    23: ("tls-revoked", "has been revoked"),
    62: ("tls-wrong-host", "is for another host"),
    64: ("tls-wrong-host", "is for another address"),
    66: ("tls-weak", "has a key that is too short"),
    67: ("tls-weak", "comes from a CA whose key is too short"),
    68: ("tls-weak", "is signed with a digest that is too weak"),
}
# Our own revocation lists at fault: the site is not to blame.
_OUR_LISTS = {3: "is missing", 11: "is not valid yet", 12: "is out of date"}


@dataclass(frozen=True, slots=True)
class Presented:
    """The chain a server sent, leaf first."""

    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The server's own certificate."""
        return self.chain[0]

    def days_left(self, now: datetime | None = None) -> float:
        """Days until the first certificate of the chain ends; negative when one has ended."""
        ends = min(certificate.not_valid_after_utc for certificate in self.chain)
        return (ends - (now or datetime.now(UTC))).total_seconds() / 86_400


class Trust:
    """Contexts that verify servers against a folder of CAs and revocation lists; built once, rebuilt on
    change.

    `directory` None or without a CA in it = the system's CAs. A (certificate, key) pair is presented where
    given."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}

    @property
    def directory(self) -> Path | None:
        """The folder; None where the system's CAs count."""
        return self._directory if self._files()[0] else None

    def context(self, credential: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """The context to verify with; Fault credential-* (UNKNOWN: ours) when our own credential cannot be
        used."""
        key = (self._version(), credential, _stamp(credential))
        if key not in self._contexts:
            if len(self._contexts) > 64:
                self._contexts.clear()
            self._contexts[key] = self._build(credential)
        if credential:
            _check_own(credential[0])
        return self._contexts[key]

    def organisations(self) -> set[str]:
        """Organisations (O=) of the trusted CAs: tells a forgotten intermediate from a foreign CA."""
        found: set[str] = set()
        for der in self.context().get_ca_certs(binary_form=True):
            found.update(_organisations(certificate_from_der(der).subject))
        return found

    def _files(self) -> tuple[list[Path], list[Path]]:
        if self._directory is None or not self._directory.is_dir():
            return [], []
        lists = sorted({*self._directory.glob("*.r0"), *self._directory.glob("*.crl.pem")})
        authorities = sorted({*self._directory.glob("*.pem"), *self._directory.glob("*.0")} - set(lists))
        return authorities, lists

    def _version(self) -> tuple[object, ...]:
        authorities, lists = self._files()
        return tuple((path.name, path.stat().st_mtime_ns) for path in (*authorities, *lists) if path.exists())

    def _build(self, credential: tuple[Path, Path] | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        authorities, lists = self._files()
        for path in authorities:
            context.load_verify_locations(cafile=path)
        if not authorities:
            context.load_default_certs()
        for path in lists:
            context.load_verify_locations(cafile=path)
        if lists:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if credential:
            _present(context, credential)
        return context


def unverified_context() -> ssl.SSLContext:
    """A context that only looks: nothing may be sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def presented(tls: ssl.SSLObject) -> Presented:
    """The chain of a finished handshake. Python 3.11 and 3.12 show it through the object that they wrap."""
    inner = getattr(tls, "_sslobj", tls)
    read = getattr(inner, "get_unverified_chain", None)
    sent = (
        [link.public_bytes() if hasattr(link, "public_bytes") else link for link in (read() or [])]
        if read
        else []
    )
    leaf = tls.getpeercert(binary_form=True)
    chain = [_certificate(link) for link in sent] or ([_certificate(leaf)] if leaf else [])
    if not chain:
        raise Fault("tls-handshake", "The server showed no certificate")
    return Presented(tuple(chain))


def _certificate(link: bytes | str) -> x509.Certificate:
    if isinstance(link, str):
        return certificate_from_pem(link.encode())
    if link.startswith(b"-----"):
        return certificate_from_pem(link)
    return certificate_from_der(link)


def handshake_fault(host: str, port: int, error: Exception) -> Fault:
    """The fault that a failed handshake is."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _OUR_LISTS:
            said = f"Our revocation list for the CA of {host}:{port} {_OUR_LISTS[code]}"
            return Fault("our-revocation-list", said, Status.UNKNOWN)
        reason, words = _VERDICTS.get(code, ("tls-untrusted", f"is not trusted ({error.verify_message})"))
        return Fault(reason, f"The certificate of {host}:{port} {words}")
    if isinstance(error, ssl.SSLError):
        if "WRONG_VERSION_NUMBER" in (error.reason or "") or "HTTP_REQUEST" in (error.reason or ""):
            return Fault("tls-handshake", f"{host}:{port} does not speak TLS")
        words = (error.reason or str(error)).replace("_", " ").lower()
        return Fault("tls-handshake", f"{host}:{port} broke off the TLS handshake ({words})")
    return Fault("tls-handshake", f"{host}:{port} closed the connection during the TLS handshake")


def sharpen(fault: Fault, seen: Presented, trusted: set[str], host: str) -> Fault:
    """The same fault said more exactly, from the chain that the server sent."""
    leaf = seen.leaf
    if fault.reason in ("tls-expired", "tls-not-yet-valid"):
        ended = next((c for c in seen.chain if c.not_valid_after_utc < datetime.now(UTC)), leaf)
        which = "The certificate" if ended is leaf else f"The CA certificate {ended.subject.rfc4514_string()}"
        when = ended.not_valid_after_utc if fault.reason == "tls-expired" else leaf.not_valid_before_utc
        verb = "ended" if fault.reason == "tls-expired" else "begins only"
        return Fault(fault.reason, f"{which} of {host} {verb} on {when:%a %d %b %Y, %H:%M} UTC")
    if fault.reason == "tls-wrong-host":
        return Fault(fault.reason, f"The certificate is for {names_of(leaf)}, not for {host}")
    if fault.reason != "tls-unknown-ca":
        return fault
    top = seen.chain[-1]
    issuer = top.issuer.rfc4514_string()
    if len(seen.chain) == 1 and top.issuer != top.subject and _organisations(top.issuer) & trusted:
        return Fault("tls-incomplete-chain", f"{host} does not send the intermediate certificate {issuer}")
    return Fault(
        "tls-unknown-ca", f"The certificate of {host} comes from {issuer}, which is not a trusted CA"
    )


def names_of(certificate: x509.Certificate) -> str:
    """Host names of a certificate, for a sentence."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string()
    shown = [str(name) for name in names.get_values_for_type(x509.DNSName)]
    shown += [str(name) for name in names.get_values_for_type(x509.IPAddress)]
    return ", ".join(shown[:4]) or certificate.subject.rfc4514_string()


def _organisations(name: x509.Name) -> set[str]:
    return {str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}


def _stamp(credential: tuple[Path, Path] | None) -> tuple[int, ...]:
    if credential is None:
        return ()
    return tuple(path.stat().st_mtime_ns for path in credential if path.exists())


def _present(context: ssl.SSLContext, credential: tuple[Path, Path]) -> None:
    try:
        context.load_cert_chain(*credential)
    except (OSError, ssl.SSLError) as error:
        raise Fault(
            "credential-unusable", f"Our credential {credential[0]} cannot be used: {error}", Status.UNKNOWN
        ) from None


def _check_own(path: Path) -> None:
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    if certificate.not_valid_after_utc < datetime.now(UTC):
        ended = f"{certificate.not_valid_after_utc:%d %b %Y, %H:%M} UTC"
        raise Fault(
            "credential-expired", f"Our own credential ended on {ended}; renew {path}", Status.UNKNOWN
        )
