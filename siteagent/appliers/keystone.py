"""voms.json: which Keystone project the members of a VO, of a group or with a role work in.

`{"VO": {"tenant": PROJECT}, "/VO/group": {"tenant": PROJECT}}`; Keystone looks for the FQAN first, then for the VO.
The site's administrator names the projects; a VO without one works in the project of its own name. When the server's
promise for a VO ends, it is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

from siteagent.appliers.held import Held
from siteagent.entries import Admitted
from siteagent.errors import AgentError


class Keystone:
    """The file at `path`, such as /etc/keystone/voms.json."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def render(self, admitted: Admitted) -> dict[Path, Optional[bytes]]:
        document = {name: {"tenant": project} for name, project in sorted(_projects(admitted).items())}
        return {self.path: (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()}

    def expected(self, admitted: Admitted) -> frozenset[Held]:
        return frozenset(Held(vo_of(name), f"{name}: {to}") for name, to in _projects(admitted).items())

    def found(self, admitted: Admitted) -> frozenset[Held]:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            return frozenset(
                Held(vo_of(name), f"{name}: {entry['tenant']}") for name, entry in document.items()
            )
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise AgentError(f"Cannot read {self.path}: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            return frozenset({Held(None, f"{self.path.name} is not a voms.json")})

    def unwritable(self, admitted: Admitted) -> list[str]:
        return []


def vo_of(name: str) -> str:
    """The VO of a VO's name or of an FQAN."""
    return name.lstrip("/").partition("/")[0]


def _projects(admitted: Admitted) -> dict[str, str]:
    own = {vo: vo for vo in admitted.authorities}
    named = {name: to for name, to in admitted.projects.items() if vo_of(name) in admitted.authorities}
    return {**own, **named}
