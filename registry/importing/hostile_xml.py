"""XML from strangers as a plain tree: no document types, no entities, and an end to depth, width and size.

Expat is told to stop at the first document type declaration, so that no entity can ever be declared, let alone
expanded; whatever is left is counted while it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from hanse.errors import FieldFault, Refused, TooLarge

MAX_BYTES: Final = 64_000_000
MAX_DEPTH: Final = 20
MAX_ELEMENTS: Final = 2_000_000
MAX_TEXT: Final = 100_000
MAX_ATTRIBUTES: Final = 50


@dataclass
class Element:
    """An element with its attributes, its own text without outer white space, and its children in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Element]:
        """Children of this name."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Element | None:
        """The first child of this name."""
        return next(self.all(tag), None)

    def get(self, tag: str) -> str:
        """The text of the first child of this name; "" without one."""
        found = self.first(tag)
        return "" if found is None else found.text


class _Stop(Exception):
    """Why reading ends; expat passes it on to the caller."""


def read(document: bytes, name: str) -> Element:
    """The root of `document`. Raises TooLarge, or Refused with the line where it stops being acceptable.

    `name` says in the error which document it was.
    """
    if len(document) > MAX_BYTES:
        raise TooLarge(f"{name} has {len(document):,} bytes; {MAX_BYTES:,} are read at most.")
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.begin
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.EntityDeclHandler = builder.entity
    parser.ExternalEntityRefHandler = builder.external
    try:
        parser.Parse(document, True)
    except _Stop as stop:
        raise _refused(name, parser.CurrentLineNumber, str(stop)) from None
    except expat.ExpatError as error:
        reason = f"is not well-formed: {expat.errors.messages[error.code]}"
        raise _refused(name, error.lineno, reason) from None
    except (LookupError, ValueError) as error:  # an encoding that nobody knows
        raise _refused(name, 1, f"cannot be decoded: {error}") from None
    assert builder.root is not None
    return builder.root


def _refused(name: str, line: int, reason: str) -> Refused:
    return Refused(f"{name} cannot be read.", FieldFault(f"{name}, line {line}", reason))


class _Builder:
    """Collects what expat tells, and counts it."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._text_sizes: list[int] = []
        self._count = 0

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise _Stop(f"has more than {MAX_ELEMENTS:,} elements")
        if len(self._open) >= MAX_DEPTH:
            raise _Stop(f"is nested more than {MAX_DEPTH} deep")
        if len(attributes) > MAX_ATTRIBUTES:
            raise _Stop(f"an element has more than {MAX_ATTRIBUTES} attributes")
        if len(tag) + sum(map(len, attributes.values())) > MAX_TEXT:
            raise _Stop(f"a name or attribute has more than {MAX_TEXT:,} characters")
        element = Element(tag, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])
        self._text_sizes.append(0)

    def end(self, _tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop()).strip()
        self._text_sizes.pop()

    def characters(self, text: str) -> None:
        self._text_sizes[-1] += len(text)
        if self._text_sizes[-1] > MAX_TEXT:
            raise _Stop(f"a text has more than {MAX_TEXT:,} characters")
        self._texts[-1].append(text)

    def doctype(self, *_declared: object) -> None:
        raise _Stop("declares a document type; entities are never read")

    def entity(self, *_declared: object) -> None:
        raise _Stop("declares an entity; entities are never read")

    def external(self, *_referred: object) -> int:
        raise _Stop("refers to something outside; that is never fetched")
