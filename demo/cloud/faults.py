"""Faults on demand: the word in a cloud's file `fault`, looked at again and again, so that a command can
change it.
"""

from __future__ import annotations

from pathlib import Path

FAULTS = {
    "refuse": "the port is closed",
    "hang": "connections are taken and never answered",
    "tls": "the server shows an expired certificate",
    "error": "every request is answered 500",
}


class FaultFile:
    """The fault of one cloud; no file, or an empty one, means that it works."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "fault"

    def now(self) -> str:
        """The present fault, empty for none."""
        try:
            word = self._path.read_text().strip()
        except FileNotFoundError:
            return ""
        return word if word in FAULTS else ""

    def set(self, word: str) -> None:
        """Make the cloud fail in this way. Raises ValueError for a way that is not known."""
        if word not in FAULTS:
            raise ValueError(f"{word!r} is no fault; there are {', '.join(FAULTS)}.")
        self._path.write_text(word + "\n")

    def clear(self) -> None:
        """Let the cloud work again."""
        self._path.unlink(missing_ok=True)
