"""What the site holds now, read back from its files, and the hash that says so.

The hash is that of the signed snapshot only when every target file holds exactly what the snapshot gives.
A file that was edited, lost or overwritten gives another hash, so that the server sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Iterable

from siteagent.appliers import Applier, Held
from siteagent.documents import Snapshot, canonical, digest
from siteagent.entries import Admitted

NOTHING = digest(b"")
"""The hash of a site that holds nothing for a VO."""


@dataclass(frozen=True)
class Deviation:
    """How one file differs from what was applied to it."""

    file: str
    missing: frozenset[Held]
    foreign: frozenset[Held]

    def concerns(self, vo: str) -> bool:
        """A foreign entry that names no VO is everybody's concern."""
        return any(held.vo in (vo, None) for held in self.missing | self.foreign)

    def sentence(self, vo: str) -> str:
        """What an administrator should know."""
        lost = sum(held.vo == vo for held in self.missing)
        foreign = sum(held.vo in (vo, None) for held in self.foreign)
        return f"{self.file} was changed by another hand: {lost} entries missing, {foreign} foreign"


def compare(targets: Iterable[Applier], admitted: Admitted) -> list[Deviation]:
    """The files that do not hold exactly what they should. Raises AgentError when one cannot be read."""
    deviations = []
    for target in targets:
        expected, found = target.expected(admitted), target.found(admitted)
        if expected != found:
            deviations.append(Deviation(str(target.path), expected - found, found - expected))
    return deviations


def held_hash(
    snapshot: Snapshot, deviations: Iterable[Deviation], promise_ends: datetime, now: datetime
) -> str:
    """The hash of what the site holds of a VO: `snapshot.sha256` if nothing deviates."""
    concerned = [deviation for deviation in deviations if deviation.concerns(snapshot.vo)]
    if not concerned and promise_ends > now:
        return snapshot.sha256
    really: dict[str, object] = dict(snapshot.content)
    if promise_ends <= now:
        really["members"] = []
    really["missing"] = sorted(
        _printable(held.text) for one in concerned for held in one.missing if held.vo == snapshot.vo
    )
    really["foreign"] = sorted(_printable(held.text) for one in concerned for held in one.foreign)
    return digest(canonical(really))


def _printable(text: str) -> str:
    """Text of a file with bytes that are no UTF-8, which canonical JSON cannot hold, spelt as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
