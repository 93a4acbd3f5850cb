"""What is needed to make signed documents: the federation's keys, its attribute authority, and how long they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from vomsdb.snapshots import SigningKey


class Authority(NamedTuple):
    """An attribute authority as sites know it: `host` names the file vomsdir/<vo>/<host>.lsc, `lsc` its lines."""

    host: str
    lsc: tuple[str, ...]


def unknown() -> None:
    """Nothing is known of the attribute authority: sites keep what they have in their vomsdir."""


@dataclass(frozen=True)
class Press:
    """Makes signed documents."""

    federation: str
    key: SigningKey
    valid_for: timedelta
    """How long a site may go on without hearing more."""
    next_key: SigningKey | None = None
    """Will sign later; sites learn it now."""
    previous_key: SigningKey | None = None
    """Signed before; sites that know no newer one learn the newer ones under it."""
    keys_for: timedelta = timedelta(days=3650)
    """How long sites may trust the keys that they learn."""
    authorities: Callable[[], Sequence[Authority] | None] = unknown
    """The federation's attribute authority, one a host; None while a certificate of it cannot be read."""
    authorities_change_at: datetime | None = None
    """From when on they are others: what was signed before is signed anew then."""

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """All keys that sites should know, the one that signs first."""
        every = (self.key, self.previous_key, self.next_key)
        return tuple(key for key in every if key is not None)
