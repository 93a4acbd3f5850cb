"""The grid-mapfile: a line `"DN" local` for each identity, read by gridftp, ARC, HTCondor-CE, rOCCI and
others.

The DN stands in slash form; `local` is a user, a `.poolprefix`, or a comma list of them. Readers skip a DN
that holds a quotation mark or ends in a backslash, so none is written; names with an e-mail address get a
line in each of the two spellings in use (edg-mkgridmap does the same).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, Mapping, Optional

from siteagent.appliers.held import Held
from siteagent.entries import Admitted, Entry
from siteagent.errors import AgentError

_HEAD = "# Written by hanse-siteagent. Changes made by hand are reported and overwritten.\n"
_LINE = re.compile(r'"(?P<dn>[^"]*)"[ \t]+(?P<local>\S+)')
_UNWRITABLE = re.compile(r'["\x00-\x1f\x7f]|\\$')


class Gridmap:
    """A grid-mapfile at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def render(self, admitted: Admitted) -> dict[Path, Optional[bytes]]:
        locals_of: dict[str, set[str]] = {}
        for entry in admitted.entries:
            for name in _names(entry):
                locals_of.setdefault(name, set()).add(entry.pool)
        lines = (f'"{name}" {",".join(sorted(pools))}\n' for name, pools in sorted(locals_of.items()))
        return {self.path: (_HEAD + "".join(lines)).encode()}

    def expected(self, admitted: Admitted) -> frozenset[Held]:
        return frozenset(
            Held(entry.vo, f'"{name}" {entry.pool}') for entry in admitted.entries for name in _names(entry)
        )

    def found(self, admitted: Admitted) -> frozenset[Held]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise AgentError(f"Cannot read {self.path}: {error.strerror}.") from error
        return frozenset(held for line in text.splitlines() for held in _line(line, admitted.pools))

    def unwritable(self, admitted: Admitted) -> list[str]:
        return [
            f"grid-mapfile: {entry.vo} member {entry.member} left out, its name cannot be written there"
            for entry in admitted.entries
            if _UNWRITABLE.search(entry.cert.dn_slash)
        ]


def _names(entry: Entry) -> Iterator[str]:
    name = entry.cert.dn_slash
    if _UNWRITABLE.search(name):
        return
    yield name
    if "/emailAddress=" in name:
        yield name.replace("/emailAddress=", "/Email=")


def _line(line: str, pools: Mapping[str, str]) -> Iterator[Held]:
    line = line.strip()
    if not line or line.startswith("#"):
        return
    match = _LINE.fullmatch(line)
    if match is None:
        yield Held(None, line[:200])
        return
    for local in match["local"].split(","):
        yield Held(pools.get(local), f'"{match["dn"]}" {local}')
