"""Snapshots of VOs: those in the agent's folder, and those to be fetched, by one delta or whole.

Each is known by its hash, which a signed manifest names. So a copy in the folder needs no second look at its signature,
also when the key that made it has been retired since.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Mapping, Optional

from siteagent.deltas import envelope_after
from siteagent.documents import Manifest, Opened, Snapshot
from siteagent.errors import AgentError, Refused
from siteagent.server import Server
from siteagent.state import HeldVO, StateDirectory

log = logging.getLogger("hanse-siteagent")
Opener = Callable[[object], Opened]
"""Opens an envelope that a good key signed; raises Refused."""


class Library:
    """The snapshots of one site; what was read once is kept in memory as long as it is held."""

    def __init__(self, state: StateDirectory, server: Server, federation: str) -> None:
        self._state = state
        self._server = server
        self._federation = federation
        self._read: dict[str, Snapshot] = {}

    def held(self, held: HeldVO) -> Snapshot:
        """The snapshot that is held; a copy that was lost or damaged is fetched again by its hash."""
        found = self._read.get(held.sha256)
        if found is None:
            try:
                found = self._parsed(self._state.snapshot(held.sha256), held.vo, held.sha256)
            except AgentError:
                envelope = self._whole(held.vo, held.sha256)
                found = self._parsed(envelope, held.vo, held.sha256)
                self._state.save_snapshot(held.sha256, envelope)
            self._read[held.sha256] = found
        return found

    def fetch(self, manifest: Manifest, held: Optional[HeldVO], opener: Opener) -> Snapshot:
        """The snapshot that a manifest names, believed only under a good key. Raises AgentError, Refused."""
        envelope = self._state.snapshot(manifest.sha256)
        if envelope is None and held is not None:
            envelope = self._by_delta(manifest, held, opener)
        if envelope is None:
            envelope = self._whole(manifest.vo, manifest.sha256)
        snapshot = Snapshot.parse(opener(envelope), self._federation, manifest.vo, manifest.sha256)
        self._state.save_snapshot(manifest.sha256, envelope)
        self._read[manifest.sha256] = snapshot
        return snapshot

    def keep_only(self, hashes: frozenset[str]) -> None:
        """Forgets all others."""
        self._state.drop_snapshots_except(hashes)
        self._read = {sha256: found for sha256, found in self._read.items() if sha256 in hashes}

    def _by_delta(self, manifest: Manifest, held: HeldVO, opener: Opener) -> Optional[Mapping[str, Any]]:
        """None where there is no delta, or none that leads there: then the whole snapshot decides."""
        envelope = self._server.delta(manifest.vo, held.sha256, manifest.sha256)
        if envelope is None:
            return None
        try:
            return envelope_after(self.held(held), opener(envelope), self._federation, manifest.sha256)
        except Refused as error:
            log.warning("%s The whole snapshot is fetched.", error)
            return None

    def _whole(self, vo: str, sha256: str) -> Mapping[str, Any]:
        return self._server.snapshot(vo, sha256, self._state.part(sha256))

    def _parsed(self, envelope: object, vo: str, sha256: str) -> Snapshot:
        return Snapshot.parse(Opened.unsigned(envelope), self._federation, vo, sha256)
