"""What the agent asks of the VO membership service."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Protocol, Sequence


class Offer(NamedTuple):
    """What comes by pull and by push alike: envelopes of manifests, and of the notice of keys under each key."""

    manifests: Sequence[object]
    keys: Sequence[object] = ()

    @classmethod
    def parse(cls, document: object) -> Offer:
        """From `{"manifests": [...], "keys": [...]}`; keys may be absent. Raises ValueError."""
        manifests = document.get("manifests") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(manifests, list):
            raise ValueError("The body must be an object with a list `manifests`.")
        keys = document.get("keys", [])
        if not isinstance(keys, list):
            raise ValueError("The field `keys` must be a list.")
        return cls(manifests, keys)


class Server(Protocol):
    """The calls of replication; see `siteagent.vomsdb.VomsdbClient`. All raise AgentError and Unreachable."""

    def offer(self, site: str) -> Optional[Offer]:
        """What the site should hold; None while that has not changed."""

    def forget_etag(self) -> None:
        """Ask for everything next time."""

    def delta(self, vo: str, before: str, after: str) -> Optional[Mapping[str, Any]]:
        """What leads from one state to the other, both by their hashes; None where there is no such way."""

    def snapshot(self, vo: str, sha256: str, part: Path) -> Mapping[str, Any]:
        """A state by its hash; what came of it is kept in `part` until all of it is there."""

    def acknowledge(self, site: str, acks: Sequence[Mapping[str, Any]], sent_at: datetime) -> Sequence[str]:
        """Says what the site holds; a sentence for each VO that the server does not want to hear of."""
