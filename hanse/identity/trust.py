"""Whom the federation trusts: CA certificates and revocation lists of one folder, and chains checked.

The rules are those of RFC 5280 section 6 (as far as grid CAs use it), RFC 3820 for proxies, and: a CA without
a current revocation list cannot vouch for anybody. Everything fails closed, with a sentence.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from hanse.identity import names, signatures
from hanse.identity.certificates import is_ca, key_usage, self_issued, slash_name
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import KNOWN_CRITICAL, ProxyFault, check_proxy, is_proxy, proxy_info
from hanse.identity.trustfiles import Anchors, fingerprint, read_anchors

_MAX_CHAIN: Final = 20
_CLOCK_SKEW: Final = timedelta(minutes=5)
_OID: Final = ExtensionOID


class TrustError(Exception):
    """A chain that is not trusted. The message is a sentence that names the certificate and the reason."""


@dataclass(frozen=True)
class VerifiedChain:
    """A chain that holds: whose it is, the certificate of its owner, the proxies in front (leaf first)."""

    identity: X509Identity
    end_entity: x509.Certificate
    proxies: tuple[x509.Certificate, ...]
    limited: bool
    issuers: tuple[x509.Certificate, ...]
    """The CAs above the end entity, up to the trusted root."""
    not_after: datetime
    """When the first certificate of the chain ends: a proxy cannot outlive those it depends on."""


@dataclass(frozen=True)
class CrlState:
    """How fresh a CA's revocation list is; `problem` is None when it can be used."""

    ca: str
    last_update: datetime | None
    next_update: datetime | None
    problem: str | None


class TrustStore:
    """CA certificates (*.pem, *.crt, *.0 ...) and revocation lists (*.r0 ..., *.crl, *.crl.pem) of a folder.

    The folder is looked at again at every call, so a new revocation list counts at once; or, for who verifies
    hundreds of chains a second, when `look_every_s` have passed.
    """

    def __init__(self, directory: Path, look_every_s: float = 0) -> None:
        self.directory = Path(directory)
        self._look_every_s = look_every_s
        self._looked_at = -math.inf
        self._lock = threading.Lock()
        self._loaded: tuple[str, Anchors] | None = None

    @property
    def version(self) -> str:
        """Changes whenever a file of the folder changes. Raises TrustError when the folder cannot be read."""
        try:
            return fingerprint(self.directory)
        except OSError as error:
            raise TrustError(
                f"The trust folder {self.directory} cannot be read: {error.strerror}."
            ) from error

    def anchors(self) -> Anchors:
        """The CAs and revocation lists as the files have them now. Raises TrustError as `version` does."""
        with self._lock:
            if self._loaded is not None and time.monotonic() - self._looked_at < self._look_every_s:
                return self._loaded[1]
            version, self._looked_at = self.version, time.monotonic()
            if self._loaded is None or self._loaded[0] != version:
                self._loaded = (version, read_anchors(self.directory))
            return self._loaded[1]

    def verify(self, chain: Sequence[x509.Certificate], at: datetime | None = None) -> VerifiedChain:
        """Check a chain, leaf first; extra certificates may follow and serve as intermediates only.

        `at` (aware; default now) is the moment for which validity is asked. Raises TrustError.
        """
        if not chain:
            raise TrustError("There is no certificate to check.")
        if len(chain) > _MAX_CHAIN:
            raise TrustError(
                f"The chain has {len(chain)} certificates; {_MAX_CHAIN} is the most that is looked at."
            )
        try:
            return self._verify(list(chain), at or datetime.now(UTC))
        except signatures.UNREADABLE as error:  # an extension, a name or a key that cannot be parsed
            raise TrustError(f"A certificate of the chain cannot be read: {error}") from error

    def _verify(self, chain: list[x509.Certificate], at: datetime) -> VerifiedChain:
        proxies = _leading_proxies(chain)
        if len(proxies) == len(chain):
            raise TrustError("The chain consists of proxies only: send the user's certificate along.")
        owner, others = chain[len(proxies)], chain[len(proxies) + 1 :]
        if is_ca(owner):
            raise TrustError(f"{slash_name(owner)} is the certificate of a CA: nobody can sign in with it.")
        path = _PathFinder(self.anchors(), others, at).find(owner)
        _check_proxies([*proxies, owner], at)
        return VerifiedChain(
            identity=X509Identity.from_certificate(owner),
            end_entity=owner,
            proxies=tuple(proxies),
            limited=any(proxy_info(p).limited for p in proxies),
            issuers=tuple(path),
            not_after=min(c.not_valid_after_utc for c in (*proxies, owner, *path)),
        )

    def crl_states(self, at: datetime | None = None) -> list[CrlState]:
        """Freshness of the revocation list of every CA in the folder, for alarms and for people."""
        moment = at or datetime.now(UTC)
        anchors = self.anchors()
        return [_crl_state(anchors, ca, moment) for ca in anchors.certificates]

    def names_revoked(self, issuer_der: bytes, serial: int) -> bool:
        """Whether a list of that issuer names the serial number; for sessions, which outlive their handshake."""
        lists = self.anchors().crls.get(names.canonical(issuer_der), ())
        return any(crl.get_revoked_certificate_by_serial_number(serial) is not None for crl in lists)

    def problems(self) -> list[str]:
        """Sentences about unreadable files and lists that are missing, expired or not signed by the CA."""
        return [*self.anchors().problems, *(s.problem for s in self.crl_states() if s.problem)]


# --- the path from the end entity to a root -----------------------------------------------------------------


class _PathFinder:
    """Looks for a path of issuers that ends in a trusted root; keeps the best reason when there is none."""

    def __init__(self, anchors: Anchors, offered: Sequence[x509.Certificate], at: datetime) -> None:
        self._anchors = anchors
        self._offered = [c for c in offered if is_ca(c)]
        self._at = at
        self._reasons: list[tuple[int, str]] = []

    def find(self, owner: x509.Certificate) -> list[x509.Certificate]:
        """Issuers of `owner` up to the root. Raises TrustError with the reason of the best attempt."""
        _check_validity(owner, self._at)
        _check_extensions(owner)
        path = self._extend(owner, [])
        if path is None:
            raise TrustError(max(self._reasons, key=lambda reason: reason[0])[1])
        return path

    def _extend(self, cert: x509.Certificate, above: list[x509.Certificate]) -> list[x509.Certificate] | None:
        if len(above) >= _MAX_CHAIN:
            return None
        candidates = self._issuers(cert, above)
        if not candidates:
            self._remember(
                0, f"{slash_name(cert)} was issued by {_issuer_name(cert)}, a CA that is not trusted here."
            )
        for issuer in candidates:
            try:
                _check_signed(cert, issuer)
            except TrustError as error:
                self._remember(2 * len(above) + 1, str(error))
                continue
            try:
                self._check_step(cert, issuer, len(above))
            except TrustError as error:  # one that did sign says more than one that did not
                self._remember(2 * len(above) + 2, str(error))
                continue
            if self._is_root(issuer):
                return [*above, issuer]
            path = self._extend(issuer, [*above, issuer])
            if path is not None:
                return path
        return None

    def _remember(self, depth: int, reason: str) -> None:
        self._reasons.append((depth, reason))

    def _issuers(self, cert: x509.Certificate, above: list[x509.Certificate]) -> list[x509.Certificate]:
        wanted = names.canonical(names.issuer_der(cert))
        trusted = self._anchors.by_subject.get(wanted, ())
        offered = [c for c in self._offered if names.canonical(names.subject_der(c)) == wanted]
        found: list[x509.Certificate] = []
        for candidate in (*trusted, *offered):
            if candidate not in found and candidate not in above:
                found.append(candidate)
        # only a file of the folder can be a root; a self-signed certificate that was sent along leads nowhere
        return [c for c in found if c in trusted or not self_issued(c)]

    def _is_root(self, issuer: x509.Certificate) -> bool:
        return self_issued(issuer) and issuer in self._anchors.certificates

    def _check_step(self, cert: x509.Certificate, issuer: x509.Certificate, below: int) -> None:
        _check_validity(issuer, self._at)
        _check_extensions(issuer)
        _check_may_issue(issuer, below)
        check_not_revoked(self._anchors, cert, issuer, self._at)


def _check_signed(cert: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        signatures.verify_certificate(cert, issuer.public_key())
    except signatures.SignatureFault as fault:
        raise TrustError(
            f"{slash_name(cert)} is not signed by the trusted {slash_name(issuer)}: {fault}."
        ) from fault


def _check_validity(cert: x509.Certificate, at: datetime) -> None:
    if at < cert.not_valid_before_utc:
        raise TrustError(f"{slash_name(cert)} is not valid before {_time(cert.not_valid_before_utc)}.")
    if at > cert.not_valid_after_utc:
        raise TrustError(f"{slash_name(cert)} expired at {_time(cert.not_valid_after_utc)}.")


def _check_extensions(cert: x509.Certificate) -> None:
    for extension in cert.extensions:
        unknown = extension.critical and extension.oid not in KNOWN_CRITICAL
        if unknown or extension.oid == _OID.NAME_CONSTRAINTS:
            raise TrustError(
                f"{slash_name(cert)} has the extension {extension.oid.dotted_string}, not understood here."
            )


def _check_may_issue(issuer: x509.Certificate, below: int) -> None:
    """`below`: how many CAs stand between issuer and end entity (RFC 5280 section 4.2.1.9)."""
    if not is_ca(issuer):
        raise TrustError(f"{slash_name(issuer)} is not a CA and cannot issue certificates.")
    usage = key_usage(issuer)
    if usage is not None and not usage.key_cert_sign:
        raise TrustError(f"{slash_name(issuer)} may not sign certificates by its key usage.")
    if issuer.version is x509.Version.v1:
        return
    length = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if length is not None and below > length:
        raise TrustError(f"{slash_name(issuer)} allows {length} CAs below it, and the chain has {below}.")


# --- revocation ---------------------------------------------------------------------------------------------


def check_not_revoked(
    anchors: Anchors, cert: x509.Certificate, issuer: x509.Certificate, at: datetime
) -> None:
    """Raise TrustError when the issuer's list names the certificate, or when there is no list to tell."""
    crl = _usable_crl(anchors, issuer, at)
    entry = crl.get_revoked_certificate_by_serial_number(cert.serial_number)
    if entry is not None:
        raise TrustError(f"{slash_name(cert)} was revoked at {_time(entry.revocation_date_utc)}.")


def _usable_crl(anchors: Anchors, issuer: x509.Certificate, at: datetime) -> x509.CertificateRevocationList:
    """The newest list that the issuer's key signed, if it is current at that moment."""
    subject = names.canonical(names.subject_der(issuer))
    named = anchors.crls.get(subject, ())
    if not named:
        raise TrustError(
            f"There is no revocation list of {slash_name(issuer)}: nothing it issued can be trusted."
        )
    signed = [crl for crl in named if _signed_by(anchors, crl, issuer)]
    if not signed:
        raise TrustError(f"The revocation list of {slash_name(issuer)} is not signed by it.")
    newest = max(signed, key=lambda crl: crl.last_update_utc)
    if newest.next_update_utc is None or newest.next_update_utc <= at:
        raise TrustError(
            f"The revocation list of {slash_name(issuer)} expired at {_time(newest.next_update_utc)}."
        )
    if newest.last_update_utc > max(at, datetime.now(UTC)) + _CLOCK_SKEW:
        raise TrustError(f"The revocation list of {slash_name(issuer)} is dated in the future.")
    for extension in newest.extensions:
        if extension.critical:  # delta and partial lists do not answer whether a certificate is revoked
            raise TrustError(
                f"The revocation list of {slash_name(issuer)} has the extension {extension.oid.dotted_string}, "
                "so it is not a complete list."
            )
    return newest


def _signed_by(anchors: Anchors, crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    asked = id(crl), issuer.tbs_certificate_bytes
    found = anchors.checked.get(asked)
    if found is None:
        found = anchors.checked[asked] = signed_by(crl, issuer)
    return found


def signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether a CA may sign lists and signed this one."""
    usage = key_usage(issuer)
    if usage is not None and not usage.crl_sign:
        return False
    try:
        signatures.verify_crl(crl, issuer.public_key())
    except signatures.SignatureFault:
        return False
    return True


def _crl_state(anchors: Anchors, ca: x509.Certificate, at: datetime) -> CrlState:
    subject = names.subject_der(ca)
    try:
        crl = _usable_crl(anchors, ca, at)
    except TrustError as error:
        named = anchors.crls.get(names.canonical(subject), ())
        newest = max(named, key=lambda one: one.last_update_utc, default=None)
        last, following = (newest.last_update_utc, newest.next_update_utc) if newest else (None, None)
        return CrlState(names.slash(subject), last, following, str(error))
    return CrlState(names.slash(subject), crl.last_update_utc, crl.next_update_utc, None)


# --- proxies ------------------------------------------------------------------------------------------------


def _leading_proxies(chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    proxies: list[x509.Certificate] = []
    for cert in chain:
        if not is_proxy(cert):
            break
        proxies.append(cert)
    return proxies


def _check_proxies(line: Sequence[x509.Certificate], at: datetime) -> None:
    """`line`: proxies, leaf first, and the end entity last. RFC 3820 sections 3 and 4."""
    for depth, (proxy, issuer) in enumerate(itertools.pairwise(line)):
        try:
            check_proxy(proxy, issuer, depth)
        except ProxyFault as fault:
            raise TrustError(f"The proxy {slash_name(proxy)} {fault}.") from fault
        _check_validity(proxy, at)


# --- words --------------------------------------------------------------------------------------------------


def _issuer_name(cert: x509.Certificate) -> str:
    return names.slash(names.issuer_der(cert))


def _time(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")
