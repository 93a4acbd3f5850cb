"""What a check says: how bad it is, of which part, what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from hanse.settings import ServiceSettings


class Level(IntEnum):
    """The worse the higher: GOOD, NOTE (works, and will not for ever), BAD (does not work)."""

    GOOD = 0
    NOTE = 1
    BAD = 2


@dataclass(frozen=True)
class Advice:
    """One thing that was looked at. `do` is empty when nothing has to be done."""

    level: Level
    part: str
    said: str
    do: str = ""


@dataclass(frozen=True)
class Patient:
    """The service that is looked at: its name, its package (for migrations), its settings, what it does when it was
    restored, and what a backup keeps of it beside its data_dir."""

    name: str
    package: str
    settings: ServiceSettings
    restored: Callable[[Session], None] | None = None
    kept: Callable[[Any], dict[str, Path]] | None = None

    def paths(self) -> dict[str, Path]:
        """Settings that are files and folders, by key; those that are not given are left out."""
        found = {key: getattr(self.settings, key) for key in type(self.settings).model_fields}
        return {key: value for key, value in found.items() if isinstance(value, Path)}


Check = Callable[[Patient], Iterator[Advice]]


def good(part: str, said: str) -> Advice:
    """All is well with a part."""
    return Advice(Level.GOOD, part, said)


def note(part: str, said: str, do: str) -> Advice:
    """It works today."""
    return Advice(Level.NOTE, part, said, do)


def bad(part: str, said: str, do: str) -> Advice:
    """It does not work."""
    return Advice(Level.BAD, part, said, do)
