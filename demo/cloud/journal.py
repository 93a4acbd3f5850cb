"""A file of JSON lines that outlives kills: each line is durable before the change that it tells is answered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path


class Journal:
    """A file of JSON lines; an appended line is durable when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self) -> list[dict[str, object]]:
        """All whole lines. Only the last can be cut short, since each is durable before the next is begun."""
        if not self._path.exists():
            return []
        raw = self._path.read_bytes()
        return [json.loads(line) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]

    def append(self, record: dict[str, object]) -> None:
        """Add a line."""
        with self._path.open("ab") as stream:
            stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def rewrite(self, records: Iterable[dict[str, object]]) -> None:
        """Replace the whole file by these lines: drops what is over, and a last line that was cut short."""
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as stream:
            for record in records:
                stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, self._path)
