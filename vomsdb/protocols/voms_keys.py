"""The keys of the attribute authority while it runs: read again when a file changed, the next one in its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from hanse.identity.voms import SigningAuthority, VomsError
from hanse.settings import SettingsError
from vomsdb.authorities import Seat, seats
from vomsdb.settings import VomsdbSettings

log = structlog.get_logger("vomsdb.aa")
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class TlsFiles:
    """The files of one seat as TLS needs them: the authority shows the certificate with which it signs."""

    trust_dir: Path
    tls_cert: Path
    tls_key: Path


def authority_of(seat: Seat) -> SigningAuthority:
    """The authority from the files of a seat; raises SettingsError with a sentence."""
    if seat.key is None:
        raise SettingsError(f"{seat.host} has no key here: aa_next_key must name it.")
    try:
        if seat.key.stat().st_mode & 0o077:
            raise SettingsError(f"{seat.key} can be read by others; chmod 600 it.")
        return SigningAuthority.from_files(seat.certificate, seat.key, seat.host, seat.port)
    except OSError as fault:
        raise SettingsError(f"{fault.filename} cannot be read: {fault.strerror}.") from fault
    except (ValueError, VomsError) as fault:
        raise SettingsError(f"{seat.certificate} and {seat.key} cannot be used: {fault}") from fault


class Keys:
    """The seats of one host. Raises SettingsError when one of them cannot be used at the start."""

    def __init__(self, own: Sequence[Seat], trust_dir: Path) -> None:
        self._seats, self._trust_dir = tuple(own), trust_dir
        self._lock = threading.Lock()
        self._read = {seat: (_stamp(seat), authority_of(seat)) for seat in self._seats}

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return self._seats[0].host, self._seats[0].port

    def seat(self) -> Seat:
        """The seat whose turn it is."""
        now = datetime.now(UTC)
        return next((seat for seat in self._seats if seat.serves(now)), self._seats[-1])

    def authority(self) -> SigningAuthority:
        """What signs now; files that cannot be used leave the key in place that was read before."""
        seat = self.seat()
        with self._lock:
            stamp, authority = self._read[seat]
            now = _stamp(seat)
            if now == stamp:
                return authority
            try:
                self._read[seat] = now, authority_of(seat)
            except SettingsError as fault:
                # certificate and key that are being replaced do not fit for a moment
                log.error("key not read again; the one before still signs", reason=str(fault))
                return authority
            log.info("key read again", host=seat.host, certificate=str(seat.certificate))
            return self._read[seat][1]

    def tls(self) -> TlsFiles:
        """The files with which the host shows itself now."""
        seat = self.seat()
        assert seat.key is not None  # read at the start
        return TlsFiles(self._trust_dir, seat.certificate, seat.key)


def _stamp(seat: Seat) -> Stamp | None:
    """What changes with the files; None when one is not there, which reading it puts into words."""
    assert seat.key is not None
    try:
        certificate, key = seat.certificate.stat(), seat.key.stat()
    except OSError:
        return None
    return certificate.st_mtime_ns, certificate.st_ino, key.st_mtime_ns, key.st_ino


def keys_of(settings: VomsdbSettings) -> list[Keys]:
    """The keys of every host that this machine serves; raises SettingsError.

    A second host whose key is not here is another machine's.
    """
    by_host: dict[str, list[Seat]] = {}
    for seat in seats(settings):
        if seat.key is not None:
            by_host.setdefault(seat.host, []).append(seat)
    return [Keys(own, settings.trust_dir) for own in by_host.values()]
