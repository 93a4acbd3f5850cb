"""The MIME around signed and encrypted messages, byte for byte: what was signed has to be found exactly.

Line ends on the wire are LF (as the accounting clients send) or CRLF (as the openssl command writes); what is
signed is always the CRLF form (RFC 8551 section 3.1.1).
"""

from __future__ import annotations

import binascii
import quopri
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Final

_LINE_END: Final = re.compile(rb"\r*\n")
_BLANK_LINE: Final = re.compile(rb"(?:\A|\r*\n)\r*\n")
_PART_HEADER: Final = re.compile(rb"(?:content-[a-z-]+|mime-version)[ \t]*:", re.IGNORECASE)
_MARK_END: Final = re.compile(rb"(--)?[ \t]*(?=\r*\n|\Z)")
_BASE64_LINE: Final = 64
_WRAPPED: Final = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_SIGNATURE: Final = {"application/pkcs7-signature", "application/x-pkcs7-signature"}


class MimeFault(ValueError):
    """The message is not the MIME it should be; the message is a sentence."""


@dataclass(frozen=True)
class Wrapped:
    """A CMS object that carries its content, signed or encrypted. `kind`: the smime-type, or empty."""

    der: bytes
    kind: str


@dataclass(frozen=True)
class Detached:
    """The signed part, in CRLF form and with its own headers, and the CMS object that signs it."""

    signed: bytes
    der: bytes


def crlf(text: bytes) -> bytes:
    """The text with every line ended by CRLF, which is the form that is signed."""
    if b"\r" not in text:
        return text.replace(b"\n", b"\r\n")
    return _LINE_END.sub(b"\r\n", text)


def lf(text: bytes) -> bytes:
    """The text with every line ended by LF."""
    text = text.replace(b"\r\n", b"\n")
    # bodies are long, and looking for one byte is the quickest look
    return _LINE_END.sub(b"\n", text) if b"\r" in text and b"\r\n" in text else text


def parse(message: bytes) -> Wrapped | Detached:
    """Take an S/MIME message apart. Raises MimeFault."""
    head, body = _split(message.lstrip(b"\r\n"))
    kind = head.get_content_type()
    if kind == "multipart/signed":
        return _detached(_boundary(head), body)
    if kind in _WRAPPED:
        return Wrapped(_decoded(head, body, "base64"), str(head.get_param("smime-type", "")).lower())
    raise MimeFault(f"The message is not signed as S/MIME: its content type is {kind}.")


def content_of(part: bytes) -> bytes:
    """The content of a verified part: its headers stripped, its transfer encoding undone, text with LF ends.

    A part without MIME headers (`openssl smime -sign` without `-text`) is content throughout. MimeFault
    for encodings that MIME does not know, and for parts within the part.
    """
    if not _PART_HEADER.match(part):
        return lf(re.sub(rb"\A\r*\n", b"", part))
    head, body = _split(part)
    if head.get_content_maintype() == "multipart":
        raise MimeFault("The signed part consists of parts itself; sign the text alone.")
    content = _decoded(head, body, "7bit")
    return lf(content) if head.get_content_maintype() == "text" else content


def _split(entity: bytes) -> tuple[Message, bytes]:
    """Headers and body, divided by the first blank line."""
    blank = _BLANK_LINE.search(entity)
    if blank is None:
        raise MimeFault("The message has no blank line after its headers.")
    try:
        text = lf(entity[: blank.start()]).decode("ascii")
    except UnicodeDecodeError as error:
        raise MimeFault("The headers of the message are not ASCII.") from error
    return HeaderParser().parsestr(text + "\n\n"), entity[blank.end() :]


def _decoded(head: Message, body: bytes, default: str) -> bytes:
    encoding = str(head.get("Content-Transfer-Encoding", default)).strip().lower()
    if encoding == "base64":
        try:
            return binascii.a2b_base64(re.sub(rb"[ \t\r\n]+", b"", body), strict_mode=True)
        except binascii.Error as error:
            raise MimeFault(f"A part of the message is not valid base64: {error}.") from error
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    if encoding in ("7bit", "8bit", "binary"):
        return body
    raise MimeFault(f"The transfer encoding {encoding!r} is not one of MIME.")


def _boundary(head: Message) -> bytes:
    boundary = head.get_boundary()
    if not boundary or len(boundary) > 200:  # RFC 2046 allows 70
        raise MimeFault("The multipart message names no boundary.")
    return boundary.encode("ascii", "replace")


def _detached(boundary: bytes, body: bytes) -> Detached:
    marks = list(_marks(body, b"--" + boundary))
    if [mark.closing for mark in marks] != [False, False, True]:
        raise MimeFault("A signed message has exactly two parts, and this one is cut or has others.")
    first, second, last = marks
    signed = re.sub(rb"\A\r*\n", b"", body[first.end : second.start], count=1)
    head, signature = _split(re.sub(rb"\A\r*\n", b"", body[second.end : last.start], count=1))
    if head.get_content_type() not in _SIGNATURE:
        raise MimeFault(f"The second part of the message is {head.get_content_type()} and no signature.")
    return Detached(crlf(signed), _decoded(head, signature, "base64"))


@dataclass(frozen=True)
class _Mark:
    """A line that divides parts, from the end of the line before it to its own; `closing`: the last one."""

    start: int
    end: int
    closing: bool


def _marks(body: bytes, delimiter: bytes) -> Iterator[_Mark]:
    """The lines that consist of the delimiter; looked for by its text, since bodies are long."""
    done, at = 0, body.find(delimiter)
    while at >= 0:
        end = _MARK_END.match(body, at + len(delimiter))
        if end is not None and (at == 0 or (body[at - 1 : at] == b"\n" and at > done)):
            start = max(at - 1, 0)
            while start > done and body[start - 1 : start] == b"\r":
                start -= 1
            yield _Mark(start, end.end(), bool(end[1]))
            done = end.end()
        at = body.find(delimiter, at + 1)


def compose_detached(signed: bytes, der: bytes) -> bytes:
    """The text that accounting clients send: `signed` (with its headers) in LF form, and the signature."""
    boundary = b"----" + secrets.token_hex(16).upper().encode()
    return b"".join(
        [
            b"MIME-Version: 1.0\n",
            b'Content-Type: multipart/signed; protocol="application/x-pkcs7-signature"; micalg="sha-256"; ',
            b'boundary="' + boundary + b'"\n\nThis is an S/MIME signed message\n\n',
            b"--" + boundary + b"\n" + lf(signed) + b"\n",
            b"--" + boundary + b"\n",
            b'Content-Type: application/x-pkcs7-signature; name="smime.p7s"\n',
            b"Content-Transfer-Encoding: base64\n",
            b'Content-Disposition: attachment; filename="smime.p7s"\n\n',
            _base64(der) + b"\n--" + boundary + b"--\n\n",
        ]
    )


def compose_wrapped(der: bytes, kind: str) -> bytes:
    """One CMS object as a message; `kind` is `signed-data` or `enveloped-data`."""
    return b"".join(
        [
            b"MIME-Version: 1.0\n",
            b'Content-Disposition: attachment; filename="smime.p7m"\n',
            b"Content-Type: application/x-pkcs7-mime; smime-type=" + kind.encode() + b'; name="smime.p7m"\n',
            b"Content-Transfer-Encoding: base64\n\n",
            _base64(der) + b"\n",
        ]
    )


def _base64(der: bytes) -> bytes:
    text = binascii.b2a_base64(der, newline=False)
    lines = (text[start : start + _BASE64_LINE] for start in range(0, len(text), _BASE64_LINE))
    return b"\n".join(lines) + b"\n"
