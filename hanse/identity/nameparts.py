"""The parts of a distinguished name: attributes, their DER, their short names. For use see `names`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from asn1crypto import parser
from asn1crypto.core import ObjectIdentifier

# Short names as OpenSSL prints them, by object identifier.
SHORT_NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
}
_OIDS: Final = {name.lower(): oid for oid, name in SHORT_NAMES.items()} | {
    "email": "1.2.840.113549.1.9.1",
    "e": "1.2.840.113549.1.9.1",
    "surname": "2.5.4.4",
    "givenname": "2.5.4.42",
    "s": "2.5.4.8",
    "commonname": "2.5.4.3",
    "userid": "0.9.2342.19200300.100.1.1",
    "domaincomponent": "0.9.2342.19200300.100.1.25",
}
UTF8, _PRINTABLE, _TELETEX, _IA5, _VISIBLE, _UNIVERSAL, _BMP = 12, 19, 20, 22, 26, 28, 30
_PRINTABLE_BY_RULE: Final = {"2.5.4.6", "2.5.4.5", "2.5.4.46"}
_IA5_BY_RULE: Final = {"1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.25"}
_CODECS: Final = {
    UTF8: "utf-8",
    _PRINTABLE: "ascii",
    _IA5: "ascii",
    _VISIBLE: "ascii",
    _TELETEX: "latin-1",  # what certificates marked T61String carry in practice
    _UNIVERSAL: "utf-32-be",
    _BMP: "utf-16-be",
}
_PRINTABLE_TEXT: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*\Z")


class NameFault(ValueError):
    """A distinguished name that cannot be read; the message is a sentence for the person who wrote it."""


class Element(NamedTuple):
    """One DER element: class (0 universal), constructed or not, tag number, whole bytes, content bytes."""

    class_: int
    constructed: bool
    tag: int
    whole: bytes
    content: bytes


@dataclass(frozen=True)
class Attribute:
    """One attribute of a name: dotted object identifier and DER of the value."""

    oid: str
    value_der: bytes

    @property
    def text(self) -> str | None:
        """The value as text, or None when it is not a readable string."""
        return text_of(one(self.value_der))

    @property
    def label(self) -> str:
        """Short name as OpenSSL prints it, or the dotted identifier."""
        return SHORT_NAMES.get(self.oid, self.oid)


Rdn = tuple[Attribute, ...]


def elements(content: bytes) -> Iterator[Element]:
    """The DER elements that stand one after the other. Raises NameFault."""
    position = 0
    while position < len(content):
        try:
            class_, method, tag, header, body, trailer = parser.parse(content[position:])
        except ValueError as error:
            raise NameFault("The distinguished name is not valid DER.") from error
        length = len(header) + len(body) + len(trailer)
        yield Element(class_, bool(method), tag, content[position : position + length], body)
        position += length


def one(der: bytes) -> Element:
    """The single DER element that the bytes are. Raises NameFault."""
    found = list(elements(der))
    if len(found) != 1:
        raise NameFault("The distinguished name is not one DER element.")
    return found[0]


def children(element: Element, tag: int) -> list[Element]:
    """What a sequence (tag 16) or set (tag 17) holds. Raises NameFault when it is neither."""
    if element.class_ != 0 or not element.constructed or element.tag != tag:
        raise NameFault("The distinguished name is not a sequence of sets of attributes.")
    return list(elements(element.content))


def text_of(element: Element) -> str | None:
    """The text of a string of any type, or None."""
    codec = _CODECS.get(element.tag)
    if codec is None or element.class_ != 0 or element.constructed:
        return None
    try:
        return element.content.decode(codec)
    except UnicodeDecodeError:
        return None


def rdns(der: bytes) -> list[Rdn]:
    """The relative distinguished names of a DER name, in the order of the certificate. Raises NameFault."""
    names: list[Rdn] = []
    for rdn in children(one(der), 16):
        attributes = []
        for attribute in children(rdn, 17):
            parts = children(attribute, 16)
            if len(parts) != 2 or parts[0].tag != 6:
                raise NameFault("The distinguished name has an attribute that is not a type and a value.")
            attributes.append(Attribute(str(ObjectIdentifier.load(parts[0].whole).dotted), parts[1].whole))
        names.append(tuple(attributes))
    return names


def emit(tag: int, content: bytes, *, constructed: bool = False) -> bytes:
    """DER of one universal element."""
    return bytes(parser.emit(0, int(constructed), tag, content))


def pair(attribute: Attribute) -> bytes:
    """DER of an attribute: the sequence of type and value."""
    return emit(16, bytes(ObjectIdentifier(attribute.oid).dump()) + attribute.value_der, constructed=True)


def encode(names: list[Rdn]) -> bytes:
    """DER of a name; the attributes of a multi-valued RDN are sorted as DER demands of a SET OF."""
    encoded = b""
    for rdn in names:
        pairs = sorted(pair(a) for a in rdn)
        encoded += emit(17, b"".join(pairs), constructed=True)
    return emit(16, encoded, constructed=True)


def string_type(oid: str, text: str) -> int:
    """Tag of the string type that the attribute has by rule, UTF8String otherwise."""
    if oid in _PRINTABLE_BY_RULE and _PRINTABLE_TEXT.match(text):
        return _PRINTABLE
    return _IA5 if oid in _IA5_BY_RULE and text.isascii() else UTF8


def oid_of(key: str) -> str | None:
    """Object identifier of an attribute name in any of its spellings; None when nobody knows it."""
    dotted = key[4:] if key.upper().startswith("OID.") else key
    if dotted[:1].isdigit():
        arcs = [int(arc) for arc in dotted.split(".") if arc.isdecimal() and len(arc) < 20]
        whole = len(arcs) == dotted.count(".") + 1 >= 2
        return (
            ".".join(map(str, arcs)) if whole and (arcs[0] == 2 or (arcs[0] < 2 and arcs[1] < 40)) else None
        )
    return _OIDS.get(key.lower())
