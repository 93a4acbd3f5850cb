"""Where the attribute authority answers and with which certificate: now, and after its key was renewed.

A site knows the authority by the names of its certificate and of the CA, in one .lsc file a host, and voms-api-java
reads one chain of it only. So two ways lead from a certificate to one with another name: a second host, which has a
.lsc file of its own and serves beside the first until that is given up; or the same host, which signs with the next
key from a moment that everybody was told. A renewed certificate with the same names needs neither: its files are read
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from hanse.errors import Unavailable
from hanse.identity.names import issuer_der, slash, subject_der
from vomsdb.settings import VomsdbSettings

#: A certificate that ends sooner than this is told of as a warning.
WARNED = timedelta(days=30)


@dataclass(frozen=True)
class Seat:
    """A certificate of the attribute authority, where it serves, and from when until when (None = open)."""

    host: str
    port: int
    certificate: Path
    key: Path | None
    begins: datetime | None = None
    ends: datetime | None = None

    def serves(self, now: datetime) -> bool:
        """Whether it signs at that moment."""
        begun = self.begins is None or self.begins <= now
        return begun and (self.ends is None or now < self.ends)


def seats(settings: VomsdbSettings) -> list[Seat]:
    """The certificate in use, and the next one where it is set."""
    ours = settings.aa_host, settings.aa_port
    if settings.aa_next_cert is None:
        return [Seat(*ours, settings.aa_cert, settings.aa_key)]
    following = settings.aa_next_cert, settings.aa_next_key
    if settings.aa_next_host:
        second = Seat(settings.aa_next_host, settings.aa_next_port or settings.aa_port, *following)
        return [Seat(*ours, settings.aa_cert, settings.aa_key), second]
    change = settings.aa_next_from
    return [
        Seat(*ours, settings.aa_cert, settings.aa_key, ends=change),
        Seat(*ours, *following, begins=change),
    ]


def serving(settings: VomsdbSettings, now: datetime) -> list[Seat]:
    """Those that clients may ask at that moment, one a host."""
    return [seat for seat in seats(settings) if seat.serves(now)]


def chain_of(certificate: Path) -> list[x509.Certificate]:
    """The certificate and those above it, from its file; raises Unavailable when it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(certificate.read_bytes())
    except (OSError, ValueError) as fault:
        raise Unavailable(
            f"The attribute authority's certificate {certificate} cannot be read; its operator must mend aa_cert."
        ) from fault


@dataclass(frozen=True)
class Shown:
    """A seat with what its certificate says; `fault` instead of it when the file cannot be read."""

    seat: Seat
    subject: str = ""
    issuer: str = ""
    serial: int = 0
    not_after: datetime | None = None
    fault: str = ""
    state: str = "unreadable"

    @property
    def warned(self) -> bool:
        """Whether somebody must do something about the certificate."""
        return self.state in ("ended", "ending", "unreadable")


def shown(settings: VomsdbSettings, now: datetime) -> list[Shown]:
    """Every seat with its certificate, the one in use first."""
    return [_shown(seat, now) for seat in seats(settings)]


def _shown(seat: Seat, now: datetime) -> Shown:
    try:
        certificate = chain_of(seat.certificate)[0]
    except Unavailable as fault:
        return Shown(seat, fault=fault.detail)
    return Shown(
        seat,
        slash(subject_der(certificate)),
        slash(issuer_der(certificate)),
        certificate.serial_number,
        certificate.not_valid_after_utc,
        state=_state(seat, certificate.not_valid_after_utc, now),
    )


def _state(seat: Seat, not_after: datetime, now: datetime) -> str:
    if not_after <= now:
        return "ended"
    if seat.ends is not None and seat.ends <= now:
        return "given up"
    if not_after - now < WARNED and (seat.ends is None or seat.ends > not_after):
        return "ending"
    return "in use" if seat.serves(now) else "waits"


def same_names(found: Sequence[Shown]) -> bool:
    """Whether all have one subject and issuer, so that no site needs another .lsc file."""
    return len({(one.subject, one.issuer) for one in found if not one.fault}) <= 1
