"""The numbers and keys of new things: the next ones, unless an import keeps those that consumers know already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Sequence
from sqlalchemy.orm import Session

from registry.recording import next_id


@dataclass(frozen=True)
class Keys:
    """What a new thing keeps of its life elsewhere: its number, its primary key, its endpoints' numbers by name.

    Who gives numbers has made sure that they are free and that the sequence is past them.
    """

    number: int | None = None
    primary_key: str | None = None
    endpoints: Mapping[str, int] = field(default_factory=dict)

    def take(self, session: Session, sequence: Sequence) -> tuple[int, str]:
        """The number and the primary key: those that are kept, or the next ones."""
        number = self.number if self.number is not None else next_id(session, sequence)
        return number, self.primary_key or f"{number}G0"


FRESH = Keys()
