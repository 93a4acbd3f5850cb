"""Fetches the revocation lists of a trust folder's CAs, as fetch-crl does at grid sites.

Where a list is stands in `<name>.crl_url` beside the CA's file (one address a line, as IGTF packages have it), else in
the CA's own certificate (CRL distribution points). A list is taken only when its CA signed it, when it holds now, and
when it is not older than the one that is there; the file is replaced as a whole, so no reader sees half of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.http import HttpError, Policy, fetch
from hanse.identity import names, signatures
from hanse.identity.certificates import certificate_from_pem
from hanse.identity.trust import TrustStore, signed_by

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_ADDRESSES: Final = 10
_SKEW: Final = timedelta(minutes=5)
_AT_ONCE: Final = 8
_PEM: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True)
class Refreshed:
    """What became of one CA's list. `problem` is empty when it holds; `fetched` when a newer one was put in place."""

    ca: str
    fetched: bool
    next_update: datetime | None
    problem: str
    note: str = ""


def refresh(directory: Path, *, deadline_s: float = 60, now: datetime | None = None) -> list[Refreshed]:
    """Fetch all lists of the folder, eight at a time; by name of the CA. Raises TrustError without a folder."""
    moment = now or datetime.now(UTC)
    store = TrustStore(directory)
    anchors = store.anchors()
    sources = _sources(directory)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tries = pool.map(
            lambda ca: _fetch_one(directory, ca, sources.get(_key(ca), ()), deadline_s, moment),
            anchors.certificates,
        )
        noted = list(zip(anchors.certificates, tries, strict=True))
    states = {state.ca: state for state in store.crl_states(moment)}
    told = []
    for ca, (fetched, note) in noted:
        state = states[names.slash(names.subject_der(ca))]
        told.append(Refreshed(state.ca, fetched, state.next_update, state.problem or "", note))
    return sorted(told, key=lambda one: one.ca)


def addresses_of(ca: x509.Certificate) -> tuple[str, ...]:
    """Where a CA's certificate says that its list is; http and https only."""
    try:
        points = ca.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    found = [
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return tuple(one for one in found if one.startswith(("http://", "https://")))


def _sources(directory: Path) -> dict[bytes, tuple[str, ...]]:
    """Addresses by canonical subject, from the .crl_url files; the trust folder's problems tell what is skipped."""
    found: dict[bytes, tuple[str, ...]] = {}
    for path in sorted(directory.glob("*.crl_url")):
        try:
            key, addresses = _beside(path), _addresses_in(path)
        except (OSError, *signatures.UNREADABLE):
            continue
        if key is not None and addresses:
            found[key] = found.get(key, ()) + addresses
    return found


def _addresses_in(path: Path) -> tuple[str, ...]:
    words = path.read_text(errors="replace").split()
    return tuple(word for word in words if word.startswith(("http://", "https://")))


def _beside(path: Path) -> bytes | None:
    """The subject of the CA whose certificate lies beside a .crl_url file."""
    for certificate in (path.with_suffix(".pem"), path.with_suffix(".0"), path.with_suffix(".crt")):
        if certificate.is_file():
            return _key(certificate_from_pem(certificate.read_bytes()))
    return None


def _key(ca: x509.Certificate) -> bytes:
    return names.canonical(names.subject_der(ca))


def _fetch_one(
    directory: Path, ca: x509.Certificate, given: tuple[str, ...], deadline_s: float, now: datetime
) -> tuple[bool, str]:
    try:
        addresses = given or addresses_of(ca)
    except signatures.UNREADABLE as error:
        return False, f"Its certificate cannot be read: {error}."
    if not addresses:
        return False, "Nothing says where its revocation list is: put its address into a .crl_url file."
    note = ""
    for address in dict.fromkeys(addresses[:MOST_ADDRESSES]):
        try:
            crl = _checked(_read(_body(address, deadline_s)), ca, now)
            return _put(directory, ca, crl), ""
        except (_Unfit, OSError, *signatures.UNREADABLE) as unfit:
            note = f"{address}: {unfit}"
    return False, note


class _Unfit(Exception):
    """Why a list is not taken, a sentence."""


def _body(address: str, deadline_s: float) -> bytes:
    try:
        answer = fetch(
            "GET", address, deadline_s=deadline_s, max_bytes=MOST_BYTES, retries=1, policy=Policy(redirects=3)
        )
    except HttpError as error:
        raise _Unfit(str(error)) from None
    if not answer.ok:
        raise _Unfit(f"it was answered {answer.status}.")
    return answer.body


def _read(body: bytes) -> x509.CertificateRevocationList:
    try:
        block = _PEM.search(body)
        return x509.load_pem_x509_crl(block[0]) if block else x509.load_der_x509_crl(body)
    except ValueError:
        raise _Unfit("what is there is not a revocation list.") from None


def _checked(
    crl: x509.CertificateRevocationList, ca: x509.Certificate, now: datetime
) -> x509.CertificateRevocationList:
    if names.canonical(names.crl_issuer_der(crl)) != _key(ca):
        raise _Unfit("it is the list of another CA.")
    if not signed_by(crl, ca):
        raise _Unfit("its signature is not that of the CA.")
    if crl.last_update_utc > now + _SKEW:
        raise _Unfit(f"it begins only on {crl.last_update_utc:%Y-%m-%d %H:%M} UTC.")
    if crl.next_update_utc is None or crl.next_update_utc <= now:
        raise _Unfit("it has ended already.")
    return crl


def _put(directory: Path, ca: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    """Whether the list is newer than the one that is there, and is in its place now."""
    path, present = _place(directory, ca)
    if present is not None and present.last_update_utc >= crl.last_update_utc:
        if present.last_update_utc > crl.last_update_utc:
            raise _Unfit("it is older than the one that is here already.")
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with draft.open("wb") as stream:
            stream.write(crl.public_bytes(Encoding.PEM))
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _Unfit(f"it cannot be written to {path}: {error.strerror}.") from None
    return True


def _place(directory: Path, ca: x509.Certificate) -> tuple[Path, x509.CertificateRevocationList | None]:
    """The file of the CA's list and what is in it: `<hash>.r0`, or the next number where another CA has the hash."""
    for path in _numbered(directory, names.lookup_hash(names.subject_der(ca))):
        if not path.exists():
            return path, None
        try:
            present = _read(path.read_bytes())
        except _Unfit:
            return path, None
        if names.canonical(names.crl_issuer_der(present)) == _key(ca):
            return path, present if signed_by(present, ca) else None
    raise AssertionError("numbers do not end")


def _numbered(directory: Path, hashed: str) -> Iterator[Path]:
    number = 0
    while True:
        yield directory / f"{hashed}.r{number}"
        number += 1
