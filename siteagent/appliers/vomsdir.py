"""The vomsdir: `VO/HOST.lsc`, by which services of the site know the attribute authorities of a VO.

Only the folders of VOs that the agent holds are touched, and of those only when the server has named the authorities;
what an administrator put beside them stays. When the server's promise for a VO ends, its files go: no attribute
certificate of it is believed any more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from siteagent.appliers.held import Held
from siteagent.entries import Admitted
from siteagent.errors import AgentError


class Vomsdir:
    """The folder `path`, such as /etc/grid-security/vomsdir."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def render(self, admitted: Admitted) -> dict[Path, Optional[bytes]]:
        files: dict[Path, Optional[bytes]] = dict.fromkeys(self._present(admitted))
        for vo, authorities in admitted.authorities.items():
            for one in authorities or ():
                text = "".join(line + "\n" for line in one.lsc)
                files[self.path / vo / f"{one.host}.lsc"] = text.encode()
        return files

    def expected(self, admitted: Admitted) -> frozenset[Held]:
        return frozenset(
            Held(vo, f"{vo}/{one.host}.lsc: {' '.join(one.lsc)}")
            for vo, authorities in admitted.authorities.items()
            for one in authorities or ()
        )

    def found(self, admitted: Admitted) -> frozenset[Held]:
        return frozenset(self._read(path) for path in self._present(admitted))

    def unwritable(self, admitted: Admitted) -> list[str]:
        return []

    def _present(self, admitted: Admitted) -> list[Path]:
        unknown = {vo for vo, authorities in admitted.authorities.items() if authorities is None}
        ours = sorted(admitted.known - unknown)
        return [path for vo in ours for path in sorted((self.path / vo).glob("*.lsc"))]

    def _read(self, path: Path) -> Held:
        try:
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError as error:
            raise AgentError(f"Cannot read {path}: {error.strerror}.") from error
        return Held(path.parent.name, f"{path.parent.name}/{path.name}: {' '.join(lines)}")
