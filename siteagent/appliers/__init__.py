"""Where identities are put at a site: one module a format, one class, one line in `APPLIERS`."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, Optional, Protocol

from siteagent.appliers.gridmap import Gridmap
from siteagent.appliers.held import Held
from siteagent.appliers.keystone import Keystone
from siteagent.appliers.mapping import Mapping as IdentityMapping
from siteagent.appliers.vomsdir import Vomsdir
from siteagent.entries import Admitted
from siteagent.errors import AgentError


class Applier(Protocol):
    """A file, or a folder, of the site that says who is admitted."""

    path: Path

    def render(self, admitted: Admitted) -> Mapping[Path, Optional[bytes]]:
        """Each file whole, None for one that must go; the same input gives the same bytes."""

    def expected(self, admitted: Admitted) -> frozenset[Held]:
        """What `found` returns when the files hold exactly this."""

    def found(self, admitted: Admitted) -> frozenset[Held]:
        """What the files hold now. Raises AgentError if unreadable."""

    def unwritable(self, admitted: Admitted) -> list[str]:
        """A sentence for each entry that this format cannot express."""


APPLIERS: Mapping[str, Callable[[Path], Applier]] = {
    "gridmap": Gridmap,
    "mapping": IdentityMapping,
    "vomsdir": Vomsdir,
    "keystone": Keystone,
}


def appliers_of(targets: Mapping[str, str]) -> list[Applier]:
    """One for each path by its format. Raises AgentError for a format that this agent does not know."""
    unknown = sorted(set(targets) - set(APPLIERS))
    if unknown:
        raise AgentError(f"No such format: {', '.join(unknown)}; known are {', '.join(sorted(APPLIERS))}.")
    return [APPLIERS[name](Path(path)) for name, path in sorted(targets.items())]


__all__ = ["APPLIERS", "Applier", "Held", "appliers_of"]
