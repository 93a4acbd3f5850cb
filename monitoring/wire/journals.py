"""Where probes note what they make at clouds, before they ask for it: a protocol, and a file for probes run by hand.

`monitoring.machines` keeps the same in the database for workers.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["compute", "storage"]


@dataclass(frozen=True, slots=True)
class Left:
    """Something that a probe made and that is not known to be gone; no `location` = the cloud's answer was lost."""

    title: str
    kind: Kind
    location: str
    begun_at: datetime


class Journal(Protocol):
    """Each note is durable when its method returns."""

    def begin(self, url: str, kind: Kind, title: str) -> None:
        """Something called `title` is about to be asked for at the endpoint `url`."""

    def placed(self, title: str, location: str) -> None:
        """The cloud said where it is."""

    def gone(self, title: str) -> None:
        """The cloud does not know it any more, or never made it."""

    def stays(self, title: str, said: str) -> None:
        """It could not be deleted; what the cloud said."""

    def left(self, url: str) -> list[Left]:
        """What is not gone at an endpoint, oldest first."""


@dataclass(frozen=True, slots=True)
class FileJournal:
    """A file of JSON lines, for the probes that a person or a Nagios runs; several at a time may use it."""

    path: Path

    def begin(self, url: str, kind: Kind, title: str) -> None:
        """As Journal."""
        entry = Left(title, kind, "", datetime.now(UTC))
        self._append({"url": url, **asdict(entry), "begun_at": entry.begun_at.isoformat()})

    def placed(self, title: str, location: str) -> None:
        """As Journal."""
        self._append({"title": title, "location": location})

    def gone(self, title: str) -> None:
        """As Journal."""
        self._append({"title": title, "gone": True})

    def stays(self, title: str, said: str) -> None:
        """As Journal."""
        self._append({"title": title, "said": said[:400]})

    def left(self, url: str) -> list[Left]:
        """As Journal. A line that was cut short by a kill is not read."""
        found: dict[str, tuple[str, Left]] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                note = json.loads(line)
            except ValueError:
                continue
            title = note["title"]
            if "url" in note:
                begun = datetime.fromisoformat(note["begun_at"])
                found[title] = (note["url"], Left(title, note["kind"], "", begun))
            elif note.get("gone"):
                found.pop(title, None)
            elif "location" in note and title in found:
                at, entry = found[title]
                found[title] = (at, replace(entry, location=note["location"]))
        return [entry for at, entry in found.values() if at == url]

    def _append(self, note: dict[str, object]) -> None:
        with self._locked() as descriptor:
            os.write(descriptor, b"\n" * self._is_cut() + json.dumps(note).encode() + b"\n")
            os.fsync(descriptor)

    def _is_cut(self) -> bool:
        content = self.path.read_bytes()
        return bool(content) and not content.endswith(b"\n")

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)
