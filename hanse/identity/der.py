"""A strict reader and a writer for DER, as far as attribute certificates need it (X.690 section 10).

Certificates, keys and messages go through `cryptography` and `asn1crypto`; VOMS attribute certificates differ from
every published module in their tags, so their bytes are put together and taken apart here.
"""

from __future__ import annotations

from dataclasses import dataclass

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x30, 0x31, 0x02, 0x03, 0x04, 0x05, 0x06
BOOLEAN, GENERALIZED_TIME = 0x01, 0x18


class DerError(ValueError):
    """The bytes are not DER of the shape that was expected; the text says where."""


@dataclass(frozen=True)
class Node:
    """One value: its identifier octet, its content, and both with the length as they stood in the input."""

    tag: int
    body: bytes
    raw: bytes

    def children(self) -> list[Node]:
        """The values inside a constructed one, in order; raises DerError when they do not fill it exactly."""
        if not self.tag & 0x20:
            raise DerError(f"a value with tag 0x{self.tag:02x} holds no others")
        found, at = [], 0
        while at < len(self.body):
            node = _read_at(self.body, at)
            found.append(node)
            at += len(node.raw)
        return found

    def expect(self, tag: int, what: str) -> Node:
        """This node, if it has the tag; otherwise DerError naming `what` it should have been."""
        if self.tag != tag:
            raise DerError(f"{what} must have tag 0x{tag:02x}, not 0x{self.tag:02x}")
        return self

    def only(self, tag: int, what: str) -> Node:
        """The single child, which must have the tag."""
        children = self.children()
        if len(children) != 1:
            raise DerError(f"{what} must stand alone, there are {len(children)} values")
        return children[0].expect(tag, what)

    def integer(self) -> int:
        """The value of an INTEGER."""
        if not self.body:
            raise DerError("an INTEGER must not be empty")
        return int.from_bytes(self.expect(INTEGER, "a number").body, "big", signed=True)


def read(data: bytes) -> Node:
    """The one value that `data` holds; raises DerError when anything is left over."""
    node = _read_at(data, 0)
    if len(node.raw) != len(data):
        raise DerError(f"{len(data) - len(node.raw)} bytes follow the value")
    return node


def _read_at(data: bytes, at: int) -> Node:
    if at + 2 > len(data):
        raise DerError("the value is cut off")
    tag, first = data[at], data[at + 1]
    if tag & 0x1F == 0x1F:
        raise DerError("tags above 30 do not occur here")
    start, length = at + 2, first
    if first & 0x80:
        octets = first & 0x7F
        if not 1 <= octets <= 4 or start + octets > len(data):
            raise DerError("the length is not a DER length")
        length = int.from_bytes(data[start : start + octets], "big")
        if length < 0x80 or length >> (8 * (octets - 1)) == 0:
            raise DerError("the length is not in its shortest form")
        start += octets
    if start + length > len(data):
        raise DerError("the value is cut off")
    return Node(tag, data[start : start + length], data[at : start + length])


def write(tag: int, *parts: bytes) -> bytes:
    """The value with this identifier octet around the concatenated parts."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of the parts."""
    return write(SEQUENCE, *parts)


def integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    return write(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return write(OID, b"".join(_arc(arc) for arc in (first * 40 + second, *rest)))


def _arc(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | (value & 0x7F))
    return bytes(reversed(groups))
