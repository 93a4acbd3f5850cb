"""Long answers that are the same for everybody: made at most every few minutes in a process, and sent from a file."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Final

from flask import Response, request

KEPT_S: Final = 300.0
SENT_BYTES: Final = 65_536


@dataclass(frozen=True, eq=False)
class _Copy:
    """A document as it was made: an open file without a name, which closes with the last answer that reads it."""

    file: int
    length: int
    tag: str
    made_at: float


class KeptAnswer:
    """A document of any length for everybody. `make` gives its parts; while it makes, others get the one before."""

    def __init__(
        self,
        make: Callable[[], Iterable[bytes]],
        content_type: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._content_type = content_type
        self._clock = clock
        self._copy: _Copy | None = None
        self._making = threading.Lock()

    def answer(self) -> Response:
        """The document, or 304 when the caller holds it. Raises what `make` raises."""
        copy = self._current()
        if request.if_none_match.contains(copy.tag):
            answer = Response(status=304)
        else:
            answer = Response(_sent(copy), content_type=self._content_type)
            answer.headers["Content-Length"] = str(copy.length)
        answer.set_etag(copy.tag)
        left = max(0, round(KEPT_S - (self._clock() - copy.made_at)))
        answer.headers["Cache-Control"] = f"public, max-age={left}"
        return answer

    def _current(self) -> _Copy:
        held = self._copy
        if held is not None and self._clock() - held.made_at < KEPT_S:
            return held
        if held is not None and not self._making.acquire(blocking=False):
            return held
        if held is None:
            self._making.acquire()
        try:
            if self._copy is None or self._copy is held:
                self._copy = self._made()
            return self._copy
        finally:
            self._making.release()

    def _made(self) -> _Copy:
        at, length, digest = self._clock(), 0, hashlib.sha256()
        with TemporaryFile() as file:
            for part in self._make():
                file.write(part)
                digest.update(part)
                length += len(part)
            file.flush()
            copy = _Copy(os.dup(file.fileno()), length, digest.hexdigest()[:32], at)
        weakref.finalize(copy, os.close, copy.file)
        return copy


def _sent(copy: _Copy) -> Iterator[bytes]:
    at = 0
    while part := os.pread(copy.file, SENT_BYTES, at):
        at += len(part)
        yield part
