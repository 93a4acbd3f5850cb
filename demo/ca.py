"""A certificate authority for the demo and the tests; not for production: its keys lie open in a folder.

Layout of a directory made by `CertificateAuthority.create(directory, name)`:

    directory/ca.key.pem              the key of the CA
    directory/index.json              what was issued and revoked
    directory/ca.cert.pem             its certificate
    directory/trust/<hash>.pem, .0    what every service trusts: the certificate, named for OpenSSL,
    directory/trust/<hash>.r0         its revocation list,
    directory/trust/<hash>.signing_policy   and the subjects it may sign
    directory/certs/<name>.cert.pem   issued certificates (with chain, for an intermediate CA)
    directory/certs/<name>.key.pem    their keys, mode 600
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from hanse.identity import names

_CLOCK_SKEW = timedelta(minutes=5)
_KEY_BITS = 2048


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as files and as objects. `cert_path` ends with the intermediates, if any."""

    cert_path: Path
    key_path: Path
    cert: x509.Certificate
    key: rsa.RSAPrivateKey


class CertificateAuthority:
    """A root (or intermediate) CA whose state is a directory; open the same directory again with `open`."""

    def __init__(
        self,
        directory: Path,
        cert: x509.Certificate,
        key: rsa.RSAPrivateKey,
        chain: tuple[x509.Certificate, ...] = (),
    ) -> None:
        self.directory = directory
        self.cert = cert
        self.key = key
        self.chain = chain
        """For an intermediate CA: its own certificate and those above, without the root."""

    @classmethod
    def create(
        cls, directory: Path, name: str, *, days: int = 3650, path_length: int | None = None
    ) -> CertificateAuthority:
        """A new root, `name` in slash form or a common name alone, in a new directory with an empty CRL."""
        key = _new_key()
        subject = _name(name if name.startswith("/") else f"/C=EU/O=Hanse Demo/CN={name}")
        cert = _ca_builder(subject, subject, key.public_key(), key.public_key(), days, path_length).sign(
            key, hashes.SHA256()
        )
        ca = cls(directory, cert, key)
        ca._write_state()
        return ca

    @classmethod
    def open(cls, directory: Path) -> CertificateAuthority:
        """The CA that `create` left in the directory. Raises FileNotFoundError when there is none."""
        cert = x509.load_pem_x509_certificate((directory / "ca.cert.pem").read_bytes())
        key = load_pem_private_key((directory / "ca.key.pem").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        chain_file = directory / "chain.pem"
        chain = x509.load_pem_x509_certificates(chain_file.read_bytes()) if chain_file.exists() else []
        return cls(directory, cert, key, tuple(chain))

    def intermediate(self, directory: Path, name: str, *, days: int = 1825) -> CertificateAuthority:
        """A CA under this one. Its trust folder holds its own files only: add the root's."""
        key = _new_key()
        subject = _name(name if name.startswith("/") else f"/C=EU/O=Hanse Demo/CN={name}")
        builder = _ca_builder(subject, self.cert.subject, self.key.public_key(), key.public_key(), days, 0)
        cert = builder.sign(self.key, hashes.SHA256())
        ca = CertificateAuthority(directory, cert, key, (cert, *self.chain))
        ca._write_state()
        return ca

    @property
    def trust_dir(self) -> Path:
        """The folder for `trust_dir` of the services."""
        return self.directory / "trust"

    @property
    def bundle(self) -> Path:
        """One PEM file with the CA certificate, for clients (`curl --cacert`, REQUESTS_CA_BUNDLE)."""
        return self.trust_dir / f"{names.lookup_hash(names.subject_der(self.cert))}.pem"

    @property
    def crl_path(self) -> Path:
        """The revocation list in the trust folder."""
        return self.trust_dir / f"{names.lookup_hash(names.subject_der(self.cert))}.r0"

    def issue(
        self,
        subject_slash: str,
        *,
        host: str | None = None,
        days: float = 365,
        not_before: datetime | None = None,
        email: str | None = None,
        file_name: str | None = None,
    ) -> Issued:
        """A certificate for a person (no `host`) or a host (`host` becomes its subject alternative name).

        Valid from `not_before` (default five minutes ago) for `days`, which may be negative: long expired.
        """
        key = _new_key()
        subject = _name(subject_slash)
        begin = not_before or datetime.now(UTC) - _CLOCK_SKEW
        end = (not_before or datetime.now(UTC)) + timedelta(days=days)
        if end <= begin:
            begin = end - timedelta(days=1)
        builder = _base_builder(subject, self.cert.subject, key.public_key(), begin, end)
        builder = _end_entity_extensions(
            builder,
            self.key.public_key(),
            key.public_key(),
            _alternatives(host, email),
            is_host=host is not None,
        )
        cert = builder.sign(self.key, hashes.SHA256())
        return self._store(cert, key, file_name or _file_name(subject_slash))

    def revoke(self, cert: x509.Certificate, *, write: bool = True) -> None:
        """Put the certificate on the revocation list and, unless told not to, publish the list at once."""
        index = self._index()
        index.revoked[str(cert.serial_number)] = datetime.now(UTC).isoformat()
        self._save(index)
        if write:
            self.write_crl()

    def write_crl(self, valid_hours: float = 24 * 30) -> Path:
        """Write the revocation list, valid for so many hours from now; negative: expired. Its path."""
        last = datetime.now(UTC) - _CLOCK_SKEW
        following = datetime.now(UTC) + timedelta(hours=valid_hours)
        index = self._index()
        index.crl_number += 1
        self._save(index)
        crl = self._signed_crl(index, min(last, following - timedelta(hours=1)), following)
        _write(self.crl_path, crl.public_bytes(Encoding.PEM))
        return self.crl_path

    def _signed_crl(
        self, index: _Index, last: datetime, following: datetime
    ) -> x509.CertificateRevocationList:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.cert.subject)
        builder = builder.last_update(last).next_update(following)
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(key_id, critical=False)
        builder = builder.add_extension(x509.CRLNumber(index.crl_number), critical=False)
        for serial, moment in index.revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial))
            builder = builder.add_revoked_certificate(
                entry.revocation_date(datetime.fromisoformat(moment)).build()
            )
        return builder.sign(self.key, hashes.SHA256())

    def _store(self, cert: x509.Certificate, key: rsa.RSAPrivateKey, file_name: str) -> Issued:
        cert_path = self.directory / "certs" / f"{file_name}.cert.pem"
        key_path = self.directory / "certs" / f"{file_name}.key.pem"
        _write(cert_path, b"".join(c.public_bytes(Encoding.PEM) for c in (cert, *self.chain)))
        _write(key_path, _key_pem(key), mode=0o600)
        return Issued(cert_path, key_path, cert, key)

    def _write_state(self) -> None:
        """Key, certificate, trust folder and an empty revocation list of a new CA."""
        for folder in (self.directory, self.trust_dir, self.directory / "certs"):
            folder.mkdir(parents=True, exist_ok=True)
        certificate = self.cert.public_bytes(Encoding.PEM)
        _write(self.directory / "ca.key.pem", _key_pem(self.key), mode=0o600)
        _write(self.directory / "ca.cert.pem", certificate)
        if self.chain:
            _write(self.directory / "chain.pem", b"".join(c.public_bytes(Encoding.PEM) for c in self.chain))
        self._save(_Index(0, {}))
        hashed = names.lookup_hash(names.subject_der(self.cert))
        _write(self.bundle, certificate)
        _write(self.trust_dir / f"{hashed}.0", certificate)
        _write(self.trust_dir / f"{hashed}.signing_policy", _signing_policy(self.cert))
        self.write_crl()
        self._link_by_old_hash(hashed)

    def _link_by_old_hash(self, hashed: str) -> None:
        """Java's readers of such folders look files up by OpenSSL's older hash, the MD5 of the name's DER."""
        digest = hashlib.md5(names.subject_der(self.cert), usedforsecurity=False).digest()
        older = f"{int.from_bytes(digest[:4], 'little'):08x}"
        for suffix in ("0", "signing_policy", "r0"):
            link = self.trust_dir / f"{older}.{suffix}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"{hashed}.{suffix}")

    def _index(self) -> _Index:
        stored = json.loads((self.directory / "index.json").read_text())
        return _Index(int(stored["crl_number"]), dict(stored["revoked"]))

    def _save(self, index: _Index) -> None:
        content = {"crl_number": index.crl_number, "revoked": index.revoked}
        _write(self.directory / "index.json", json.dumps(content, indent=1).encode())


@dataclass
class _Index:
    """The number of the last list, and serial number -> moment of revocation (ISO 8601)."""

    crl_number: int
    revoked: dict[str, str]


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(slash_form: str) -> x509.Name:
    rdns = names.rdns(names.from_slash(slash_form))
    return x509.Name([x509.RelativeDistinguishedName([_attribute(a) for a in rdn]) for rdn in rdns])


def _attribute(attribute: names.Attribute) -> x509.NameAttribute[str]:
    return x509.NameAttribute(x509.ObjectIdentifier(attribute.oid), attribute.text or "")


def _base_builder(
    subject: x509.Name, issuer: x509.Name, public_key: rsa.RSAPublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)


def _ca_builder(
    subject: x509.Name,
    issuer: x509.Name,
    issuer_key: rsa.RSAPublicKey,
    public_key: rsa.RSAPublicKey,
    days: int,
    path_length: int | None,
) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) - timedelta(days=1)
    builder = _base_builder(subject, issuer, public_key, begin, begin + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_key_usage(certificate_signing=True), critical=True)
    return _key_identifiers(builder, issuer_key, public_key)


def _key_identifiers(
    builder: x509.CertificateBuilder, issuer_key: rsa.RSAPublicKey, public_key: rsa.RSAPublicKey
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return builder.add_extension(authority, critical=False)


def _end_entity_extensions(
    builder: x509.CertificateBuilder,
    issuer_key: rsa.RSAPublicKey,
    public_key: rsa.RSAPublicKey,
    alternatives: list[x509.GeneralName],
    *,
    is_host: bool,
) -> x509.CertificateBuilder:
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    usages += [ExtendedKeyUsageOID.SERVER_AUTH] if is_host else [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(certificate_signing=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = _key_identifiers(builder, issuer_key, public_key)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder


def _alternatives(host: str | None, email: str | None) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = [x509.RFC822Name(email)] if email else []
    if host is None:
        return found
    if host == "localhost" or host.startswith("127."):  # the demo's services answer on both
        return [*found, x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        return [*found, x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        return [*found, x509.DNSName(host)]


def _key_usage(*, certificate_signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not certificate_signing,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_signing,
        crl_sign=certificate_signing,
        encipher_only=False,
        decipher_only=False,
    )


def _signing_policy(cert: x509.Certificate) -> bytes:
    """The file by which grid software learns which subjects a CA may sign; the demo CA may sign all."""
    subject = names.slash(names.subject_der(cert), ascii=True)
    return (
        f"access_id_CA X509 '{subject}'\npos_rights globus CA:sign\ncond_subjects globus '\"*\"'\n".encode()
    )


def _file_name(subject_slash: str) -> str:
    """`/C=EU/O=Hanse Demo/CN=Eliška Malá` -> `eliska-mala`: readable, and safe in a shell."""
    common = names.common_name(names.from_slash(subject_slash)) or subject_slash
    plain = unicodedata.normalize("NFKD", common).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9.]+", "-", plain.lower()).strip("-.") or "certificate"


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file at once: whoever reads the folder sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
