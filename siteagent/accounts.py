"""Local accounts: a fixed one for a VO, or one a member out of a pool, never given to a second person."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Mapping

from siteagent.atomic import replace_file
from siteagent.errors import AgentError

_LOCAL = re.compile(r"\.?[a-z_][a-z0-9_-]*")


def default_pool(vo: str) -> str:
    """A pool prefix from the first label of a VO name: `training.egi.eu` gives `.training`."""
    label = re.sub(r"[^a-z0-9]", "", vo.split(".")[0].lower())
    return f".{label}" if label[:1].isalpha() else f".vo{label}"


def check_pool(local: str) -> str:
    """Return `local` if it can stand in a grid-mapfile as `user` or `.poolprefix`. Raises AgentError."""
    if not _LOCAL.fullmatch(local):
        raise AgentError(
            f"{local!r} is no account name: give a user, or a pool prefix that begins with a dot."
        )
    return local


class AccountBook:
    """The ledger of pool accounts in `path`. Accounts of members who left stay theirs, so that nobody
    inherits files.
    """

    def __init__(self, path: Path, pools: Mapping[str, str]) -> None:
        self._path = path
        self._pools = dict(pools)
        self._given: dict[str, dict[str, str]] = {}
        self.read()

    def read(self) -> None:
        """What was given out, also by another process; what was not saved was never given."""
        self._given = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._changed = False

    def pool(self, vo: str) -> str:
        return self._pools.get(vo) or default_pool(vo)

    def account(self, vo: str, member: str) -> str:
        pool = self.pool(vo)
        if not pool.startswith("."):
            return pool
        given = self._given.setdefault(pool, {})
        # Two VOs may share a pool; their member ids must not meet in it.
        owner = f"{vo} {member}"
        if owner not in given:
            given[owner] = f"{pool[1:]}{len(given) + 1:03d}"
            self._changed = True
        return given[owner]

    def save(self) -> None:
        """Make new accounts durable; call it before any file that names them."""
        if self._changed:
            replace_file(self._path, json.dumps(self._given, indent=1, sort_keys=True).encode(), 0o600)
            self._changed = False
