"""HTTP/1.1 over a stream, written for servers that misbehave: every line, header block and body has a cap.

Python's own client stops at 100 headers; text/occi answers carry more, so heads are read here."""

import asyncio
import re
import zlib
from dataclasses import dataclass

from monitoring.findings import Fault
from monitoring.wire.sockets import MAX_HEAD
from monitoring.wire.trace import Trace

MAX_HEADERS = 2_000
MAX_BODY = 4_194_304
_CHUNK = 65_536
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer read whole: headers in order, repeated names kept; body decoded from its transfer coding."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name, any case; None when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def head(self) -> str:
        """Status line, for people."""
        return f"HTTP/1.1 {self.status} {self.phrase}".rstrip()


def request_head(
    method: str, path: str, host: str, headers: tuple[tuple[str, str], ...], length: int
) -> bytes:
    """The bytes of a request's head; one connection a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{n}: {v}" for n, v in headers)]
    if length or method == "POST":
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1", "replace")


async def read_reply(
    reader: asyncio.StreamReader, trace: Trace, method: str = "GET", cap: int = MAX_BODY
) -> Reply:
    """The next final answer on the stream. Faults http-malformed, http-headers, http-too-large,
    http-truncated."""
    lines = _Lines(reader)
    with trace.phase("first byte") as step:
        status, phrase = await _status(lines)
        while 100 <= status < 200:
            await _headers(lines)
            status, phrase = await _status(lines)
        step.seen = f"{status} {phrase}".strip()
    with trace.phase("body") as step:
        headers = await _headers(lines)
        bare = method == "HEAD" or status in (204, 304)
        body = b"" if bare else await _body(reader, lines, {n.lower(): v for n, v in headers}, cap)
        step.seen = f"{len(headers)} headers, {len(body)} bytes"
    return Reply(status, phrase, headers, body)


class _Lines:
    """Lines of a head under a cap for all of them together."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._left = MAX_HEAD

    async def next(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as cut:
            if not cut.partial:
                raise Fault("http-truncated", "The server closed the connection without an answer") from None
            raise Fault(
                "http-truncated", "The server closed the connection in the middle of the head"
            ) from None
        except asyncio.LimitOverrunError:
            raise Fault("http-headers", "A header line is longer than 1 MB") from None
        except ConnectionError:
            raise Fault("tcp-reset", "The server reset the connection before it answered") from None
        self._left -= len(line)
        if self._left < 0:
            raise Fault("http-headers", "The headers together are larger than 1 MB")
        return line


async def _status(lines: _Lines) -> tuple[int, str]:
    line = await lines.next()
    match = _STATUS.fullmatch(line)
    if not match:
        shown = line[:60].decode("latin-1").strip()
        raise Fault("http-malformed", f"The answer is not HTTP: it begins with {shown!r}")
    return int(match.group(1)), (match.group(2) or b"").decode("latin-1").strip()


async def _headers(lines: _Lines) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    while (line := (await lines.next()).rstrip(b"\r\n").decode("latin-1")) != "":
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise Fault("http-malformed", f"A header line cannot be read: {line[:60]!r}")
        found.append((name, value.strip()))
        if len(found) > MAX_HEADERS:
            raise Fault("http-headers", f"The answer has more than {MAX_HEADERS} headers")
    return tuple(found)


async def _body(reader: asyncio.StreamReader, lines: _Lines, headers: dict[str, str], cap: int) -> bytes:
    try:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = await _chunks(reader, lines, cap)
        elif "content-length" in headers:
            body = await _counted(reader, _length(headers["content-length"]), cap)
        else:
            body = await _until_end(reader, cap)
    except asyncio.IncompleteReadError:
        raise Fault("http-truncated", "The body ended before its announced length") from None
    except ConnectionError:
        raise Fault("tcp-reset", "The server reset the connection while it sent the body") from None
    return _decoded(body, headers.get("content-encoding", "").lower(), cap)


def _length(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise Fault("http-malformed", f"Content-Length is {text[:30]!r}")
    return int(text)


async def _counted(reader: asyncio.StreamReader, length: int, cap: int) -> bytes:
    if length > cap:
        raise _too_large(cap)
    return await reader.readexactly(length)


async def _until_end(reader: asyncio.StreamReader, cap: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await reader.read(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > cap:
            raise _too_large(cap)
    return b"".join(parts)


async def _chunks(reader: asyncio.StreamReader, lines: _Lines, cap: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        line = (await lines.next()).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
            raise Fault("http-malformed", f"A chunk's length is {line[:20]!r}")
        length = int(line, 16)
        if length == 0:
            await _headers(lines)
            return b"".join(parts)
        size += length
        if size > cap:
            raise _too_large(cap)
        parts.append(await reader.readexactly(length))
        await lines.next()


def _decoded(body: bytes, coding: str, cap: int) -> bytes:
    """The body out of gzip or deflate, the cap counted after decoding: a small bomb is a large body."""
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Fault("http-malformed", f"The body is coded as {coding[:30]!r}, which was not asked for")
    unpack = zlib.decompressobj(wbits=47)
    try:
        out = unpack.decompress(body, cap + 1)
    except zlib.error:
        raise Fault("http-malformed", f"The body says it is {coding} and is not") from None
    if len(out) > cap:
        raise _too_large(cap)
    return out


def _too_large(cap: int) -> Fault:
    return Fault("http-too-large", f"The body is larger than {cap // 1_048_576 or 1} MB")
