"""How much of a body is read. The framework cuts a body of unknown length off at the limit and takes a body that broke
off for whole; both would be kept as if the sender had meant them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge


class MeasuredBody:
    """The input of a request. Reading past `limit` bytes raises 413; ending before `length` bytes, 400."""

    def __init__(self, stream: IO[bytes], limit: int, length: int | None) -> None:
        self._stream, self._limit, self._length = stream, limit, length
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; all that is left for -1."""
        wanted = self._limit + 1 - self._read if size < 0 else size
        return self._counted(self._stream.read(wanted), wanted)

    def readline(self, size: int = -1) -> bytes:
        """A line with its end, or `size` bytes of it."""
        wanted = self._limit + 1 - self._read if size < 0 else size
        return self._counted(self._stream.readline(wanted), wanted)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """All lines that are left."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _counted(self, part: bytes, wanted: int) -> bytes:
        self._read += len(part)
        if self._read > self._limit:
            raise RequestEntityTooLarge
        if not part and wanted and self._length is not None and self._read < self._length:
            raise ClientDisconnected(
                f"The body ended after {self._read} of {self._length} bytes; send it again."
            )
        return part


def measure_body(request: Request, limit: int) -> None:
    """Refuse a body that says it is larger than `limit`, and watch over one that does not say. Before it is read."""
    length = request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    stream = request.environ["wsgi.input"]
    request.environ["wsgi.input"] = MeasuredBody(stream, limit, length)
    request.max_content_length = limit + 1
