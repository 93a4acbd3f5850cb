"""How much of a body is read. The framework cuts a body of unknown length off at the limit and takes a body that broke
off for whole; both would be kept as if the sender had meant them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

from flask import Request, current_app, request
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

_GZIP = 16 + zlib.MAX_WBITS


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


def body_unpacked() -> bytes:
    """The body of this request, taken out of gzip when Content-Encoding says so.

    What it becomes may not be larger than a body may: 413, and no more than that was unpacked. 415 for other codings,
    400 for gzip that is broken, cut or followed by something.
    """
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    body = request.get_data()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip"):
        raise UnsupportedMediaType(
            f"The Content-Encoding {coding} is not read here; send gzip, or the body as it is."
        )
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequest(f"The body is not gzip, as Content-Encoding says: {error}.") from error
    if len(unpacked) > limit:
        raise RequestEntityTooLarge
    if not unpacking.eof or unpacking.unused_data:
        raise BadRequest("The gzip of the body is cut, or something follows it; send it again.")
    return unpacked
