"""Reading a folder of CA certificates and revocation lists (`/etc/grid-security/certificates` at sites)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.identity import names, signatures
from hanse.identity.certificates import certificate_from_der, certificate_from_pem

_WANTED: Final = re.compile(r".*(\.pem|\.crt|\.cer|\.crl|\.r?[0-9]+)\Z")
_PEM: Final = re.compile(rb"-----BEGIN (CERTIFICATE|X509 CRL)-----.*?-----END \1-----", re.DOTALL)
_MAX_FILE_BYTES: Final = 64 * 1024 * 1024  # the largest revocation lists in the field have a few megabytes


@dataclass(frozen=True)
class Anchors:
    """What a folder holds. Keys of the mappings are canonical DER names."""

    certificates: tuple[x509.Certificate, ...]
    by_subject: dict[bytes, tuple[x509.Certificate, ...]]
    crls: dict[bytes, tuple[x509.CertificateRevocationList, ...]]
    problems: tuple[str, ...]
    checked: dict[tuple[int, bytes], bool] = field(default_factory=dict, compare=False)
    """(id of a list, its issuer's certificate without the signature) -> whether that one signed it."""

    def pem(self) -> bytes:
        """Everything as one PEM text, for OpenSSL."""
        parts: list[x509.Certificate | x509.CertificateRevocationList] = [*self.certificates]
        parts += [crl for group in self.crls.values() for crl in group]
        return b"".join(part.public_bytes(Encoding.PEM) for part in parts)


def fingerprint(directory: Path) -> str:
    """A text that changes when a file of the folder is added, removed, replaced or rewritten."""
    seen = hashlib.sha256()
    for path in _files(directory):
        status = path.stat()
        seen.update(f"{path.name}\0{status.st_ino} {status.st_size} {status.st_mtime_ns}\0".encode())
    return seen.hexdigest()


def _files(directory: Path) -> list[Path]:
    entries = [e for e in os.scandir(directory) if not e.name.startswith(".") and _WANTED.match(e.name)]
    return sorted(Path(e.path) for e in entries if e.is_file())


def read_anchors(directory: Path) -> Anchors:
    """Read the folder; an unreadable file becomes a sentence in `problems`. OSError without a folder."""
    certificates: dict[bytes, x509.Certificate] = {}
    crls: dict[bytes, x509.CertificateRevocationList] = {}
    problems: list[str] = []
    for path in _files(directory):
        try:
            for found in _parts(path):
                der = found.public_bytes(Encoding.DER)
                if isinstance(found, x509.Certificate):
                    names.canonical(names.subject_der(found))  # a name without sense is found now, too
                    certificates[der] = found
                else:
                    crls[der] = found
        except (OSError, *signatures.UNREADABLE) as error:
            problems.append(f"{path.name} in the trust folder cannot be read: {error}.")
    return Anchors(
        certificates=tuple(certificates.values()),
        by_subject=_by_subject(certificates),
        crls=_by_issuer(crls),
        problems=tuple(problems),
    )


def _parts(path: Path) -> Iterator[x509.Certificate | x509.CertificateRevocationList]:
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {_MAX_FILE_BYTES} bytes")
    content = path.read_bytes()
    blocks = list(_PEM.finditer(content))
    if not blocks and b"-----BEGIN" not in content:
        yield _der(content)
    for block in blocks:
        if block[1] == b"CERTIFICATE":
            yield certificate_from_pem(block[0])
        else:
            yield _checked(x509.load_pem_x509_crl(block[0]))


def _der(content: bytes) -> x509.Certificate | x509.CertificateRevocationList:
    try:
        return _checked(x509.load_der_x509_crl(content))
    except ValueError:
        return certificate_from_der(content)


def _checked(crl: x509.CertificateRevocationList) -> x509.CertificateRevocationList:
    """Touch what is parsed late, so that a broken list is found now and not in the middle of a check."""
    _ = (crl.last_update_utc, crl.next_update_utc, len(crl), list(crl.extensions), _issuer(crl))
    return crl


def _issuer(crl: x509.CertificateRevocationList) -> bytes:
    return names.canonical(names.crl_issuer_der(crl))


def _by_subject(certificates: dict[bytes, x509.Certificate]) -> dict[bytes, tuple[x509.Certificate, ...]]:
    groups: dict[bytes, tuple[x509.Certificate, ...]] = {}
    for cert in certificates.values():
        subject = names.canonical(names.subject_der(cert))
        groups[subject] = (*groups.get(subject, ()), cert)
    return groups


def _by_issuer(
    crls: dict[bytes, x509.CertificateRevocationList],
) -> dict[bytes, tuple[x509.CertificateRevocationList, ...]]:
    groups: dict[bytes, tuple[x509.CertificateRevocationList, ...]] = {}
    for crl in crls.values():
        groups[_issuer(crl)] = (*groups.get(_issuer(crl), ()), crl)
    return groups
