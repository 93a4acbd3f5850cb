"""Where identities are put at a site: one module a format, one class, one line in `APPLIERS`."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, Protocol, Sequence

from siteagent.appliers.gridmap import Gridmap
from siteagent.appliers.held import Held
from siteagent.appliers.mapping import Mapping as IdentityMapping
from siteagent.entries import Entry


class Applier(Protocol):
    """A file of the site that holds identities."""

    path: Path

    def render(self, entries: Sequence[Entry]) -> bytes:
        """The whole file for these entries; the same entries give the same bytes."""

    def expected(self, entries: Sequence[Entry]) -> frozenset[Held]:
        """What `found` returns when the file holds exactly these entries."""

    def found(self, pools: Mapping[str, str]) -> frozenset[Held]:
        """What the file holds now; `pools` maps an account or pool prefix to its VO. Raises AgentError if
        unreadable.
        """

    def unwritable(self, entries: Sequence[Entry]) -> list[str]:
        """A sentence for each entry that this format cannot express."""


APPLIERS: Mapping[str, Callable[[Path], Applier]] = {"gridmap": Gridmap, "mapping": IdentityMapping}

__all__ = ["APPLIERS", "Applier", "Held"]
