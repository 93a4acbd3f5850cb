"""What a run did, for people and for the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Mapping

from siteagent import __version__
from siteagent.documents import stamp


@dataclass
class Report:
    """What one run did: sentences by VO, sentences about the run, and the VOs that were applied or
    acknowledged.
    """

    errors: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        """Everything that went wrong."""
        return self.problems + [
            f"{vo}: {text}" for vo, texts in sorted(self.errors.items()) for text in texts
        ]

    def fault(self, vo: str, sentence: str) -> None:
        """Note an error of a VO, once."""
        texts = self.errors.setdefault(vo, [])
        if sentence not in texts:
            texts.append(sentence)


def ack_of(
    vo: str, seq: int, sha256: str, applied_at: datetime, counts: Mapping[str, int], errors: list[str]
) -> dict[str, Any]:
    """What goes over the wire about one VO."""
    return {
        "vo": vo,
        "seq": seq,
        "sha256": sha256,
        "applied_at": stamp(applied_at),
        "counts": dict(counts),
        "errors": errors,
        "agent_version": __version__,
    }
