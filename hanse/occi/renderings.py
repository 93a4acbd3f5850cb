"""OCCI messages on the wire, read and written: text/plain, text/occi, application/occi+json, text/uri-list.

    document = read(headers, body)                    # by its Content-Type
    message = write(document, "text/plain")           # .headers, .body

Reading is as generous as real servers need (pyssf, ooi, rOCCI-server, snf-occi differ), no more: what is not
OCCI raises RenderingError with a sentence. Headers are (name, value) pairs in order, repeated names allowed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hanse.occi import json_rendering
from hanse.occi.model import Document
from hanse.occi.text import ITEM_NAMES, LOCATION, Item, RenderingError, excerpt, read_items, write_items

PLAIN, OCCI, JSON, URI_LIST = "text/plain", "text/occi", "application/occi+json", "text/uri-list"
MEDIA = (PLAIN, OCCI, JSON, URI_LIST)

Headers = Sequence[tuple[str, str]]

_LINE = re.compile(r"([A-Za-z][A-Za-z-]*)[ \t]*:[ \t]*(.*)", re.DOTALL)
_ADDRESS = re.compile(r"(?:https?://|/)\S+")

__all__ = [
    "JSON",
    "MEDIA",
    "OCCI",
    "PLAIN",
    "URI_LIST",
    "Message",
    "RenderingError",
    "choose",
    "read",
    "write",
]


@dataclass(frozen=True, slots=True)
class Message:
    """Headers (Content-Type among them, no Content-Length) and body to send."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def read(headers: Headers, body: bytes) -> Document:
    """The document in a message. Without a Content-Type the text/plain of GFD.223 is meant.

    Raises RenderingError: not a rendering of OCCI (HTML, say), not UTF-8, broken quotes, a truncated item."""
    media = media_type(_first(headers, "content-type"))
    if media == OCCI:
        return read_items(_header_items(headers))
    if media in (JSON, "application/json"):
        return json_rendering.read(_decoded(body))
    if media == URI_LIST:
        return Document(locations=tuple(_uri_lines(_decoded(body))))
    if media in (PLAIN, ""):
        return _read_plain(_decoded(body))
    raise RenderingError(f"the answer is {excerpt(media, 60)}, which is not a rendering of OCCI.")


def write(document: Document, media: str, *, joined: bool = False) -> Message:
    """The document in a rendering. `joined` makes text/occi one comma-joined header a name, as pyssf does,
    else headers repeat, as ooi does. JSON takes its shape from what the document carries (`json_rendering`).

    Raises RenderingError for what the rendering cannot say."""
    if media == OCCI:
        items = [(name, _wire(value)) for name, value in write_items(document)]
        return Message((("Content-Type", OCCI), *(_joined(items) if joined else items)), b"OK")
    if media == JSON:
        return Message((("Content-Type", JSON),), json_rendering.write(document).encode())
    if media == URI_LIST:
        lines = [value for name, value in write_items(document) if name == LOCATION]
        return Message((("Content-Type", URI_LIST),), _lines(lines))
    if media == PLAIN:
        lines = [f"{name}: {value}" for name, value in write_items(document)]
        return Message((("Content-Type", "text/plain; charset=utf-8"),), _lines(lines))
    raise RenderingError(f"{media} is not a rendering of OCCI; there are {', '.join(MEDIA)}.")


def choose(accept: str, offered: Sequence[str] = MEDIA) -> str | None:
    """The rendering a server answers in: the best of `offered` by the client's Accept, None for 406.

    No Accept means text/plain (GFD.223 section 5.6.1); equal wishes go by the order of `offered`."""
    if not accept.strip():
        return offered[0]
    wishes = [_wish(part) for part in accept.split(",") if part.strip()]
    scored = [(_quality(media, wishes), -place, media) for place, media in enumerate(offered)]
    quality, _, media = max(scored)
    return media if quality > 0 else None


def media_type(content_type: str) -> str:
    """The bare media type of a Content-Type value, lower case."""
    return content_type.partition(";")[0].strip().lower()


def _first(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _wish(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media, float(parameter[2:])
            except ValueError:
                return media, 0.0
    return media, 1.0


def _quality(media: str, wishes: Iterable[tuple[str, float]]) -> float:
    ranges = dict(wishes)
    for pattern in (media, media.partition("/")[0] + "/*", "*/*"):
        if pattern in ranges:
            return ranges[pattern]
    return 0.0


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise RenderingError(f"the body is not UTF-8 (byte {fault.start + 1}).") from fault


def _read_plain(text: str) -> Document:
    if text.strip() == "OK":
        return Document()
    return read_items(_plain_items(text))


def _plain_items(text: str) -> Iterator[Item]:
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        line = raw.strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match and match.group(1).lower() in ITEM_NAMES:
            yield ITEM_NAMES[match.group(1).lower()], match.group(2)
        elif _ADDRESS.fullmatch(line):
            yield LOCATION, line
        else:
            raise RenderingError(f"line {number} is not an OCCI item: {excerpt(line)!r}")


def _header_items(headers: Headers) -> Iterator[Item]:
    for name, value in headers:
        if name.lower() in ITEM_NAMES and value.strip():
            yield ITEM_NAMES[name.lower()], _unwired(value)
        elif name.lower() == "location" and value.strip():
            yield LOCATION, value.strip()


def _uri_lines(text: str) -> Iterator[str]:
    """RFC 2483: one address a line, comments begin with "#" (pyssf: `# uri:/compute/`)."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not _ADDRESS.fullmatch(line):
            raise RenderingError(f"line {number} is not an address: {excerpt(line)!r}")
        yield line


def _wire(value: str) -> str:
    """Headers are bytes shown as Latin-1 (PEP 3333); titles outside ASCII travel as UTF-8."""
    return value.encode("utf-8").decode("latin-1")


def _unwired(value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _joined(items: Iterable[Item]) -> Iterator[Item]:
    grouped: dict[str, list[str]] = {}
    for name, value in items:
        grouped.setdefault(name, []).append(value)
    for name, values in grouped.items():
        yield name, ", ".join(values)


def _lines(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode() if lines else b""
