"""XML messages, record by record: no entities, no document type, no network, no huge trees.

Where a text stops being XML, what follows is spoilt and what came before is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import cast

from lxml import etree

from accounting.formats.fields import Part
from accounting.formats.keyvalue import Head, lines_of
from accounting.formats.records import Note, Unreadable

MOST_ELEMENTS = 1000
"""In one record; the schemas have some thirty."""
SHOWN = 2000
_DECLARATION = re.compile(r"\A\ufeff?\s*(<\?xml\s[^<>]*\?>)?")
Given = dict[str, tuple[str, int | None]]


def line_of(element: etree._Element) -> int:
    """The line of an element, from 1."""
    return cast("int | None", element.sourceline) or 1


def _name(element: etree._Element) -> tuple[str, str]:
    """Namespace and local name; libxml2 lets through some that lxml's QName does not ("sr:")."""
    namespace, _, local = str(element.tag).rpartition("}")
    return namespace.removeprefix("{"), local


class Tree:
    """One record. Paths are local names joined by slashes, all in the namespace of the record."""

    def __init__(self, element: etree._Element, namespace: str) -> None:
        self._space = f"{{{namespace}}}"
        self._children: dict[str, list[etree._Element]] = {}
        for child in element:
            self._children.setdefault(str(child.tag).removeprefix(self._space), []).append(child)

    def all(self, path: str) -> list[etree._Element]:
        """Every element at a path of one or two names."""
        first, _, second = path.partition("/")
        found = self._children.get(first, [])
        if not second:
            return found
        return [each for parent in found for each in parent if each.tag == self._space + second]

    def attribute(self, element: etree._Element, name: str) -> str:
        """An attribute, in the namespace as the schemas have it, or without; "" when absent."""
        return str(element.get(self._space + name, element.get(name, "")))

    def put(self, given: Given, path: str, *, attribute: str = "", name: str = "") -> None:
        """Add the text (or an attribute) of the last element at a path, as `name` or the path's last part."""
        for element in self.all(path):
            value = self.attribute(element, attribute) if attribute else element.text or ""
            if not attribute or value:
                given[name or attribute or path.rpartition("/")[2]] = (value.strip(), line_of(element))

    def strange(self, known: frozenset[str], given: Given) -> None:
        """Add children that are not in `known`, so that they can be remarked on."""
        for name, children in self._children.items():
            if name not in known:
                given.setdefault(name, ("", line_of(children[-1])))


class _TooLarge(Exception):
    """A record with more elements than any record has."""


def xml_head(text: str) -> Head:
    """The namespace of the outermost element, as the name. Raises Unreadable when there is none."""
    try:
        for _, element in _events(text):
            return Head(_name(element)[0], "", line_of(element))
    except etree.XMLSyntaxError as error:
        raise Unreadable("broken_xml", _sentence(error), error.lineno or 1) from None
    raise Unreadable("broken_xml", "The message begins like XML and has no element.", 1)


def xml_parts(text: str, namespace: str, record: str, read: Callable[[Tree], Given]) -> Iterator[Part]:
    """The elements named `record`, each with the values that `read` finds in it: those in the outermost element, or
    that one alone. An element of another name that stands where records stand is a part without values and with a
    fault.
    """
    wanted = f"{{{namespace}}}{record}"
    done = depth = count = 0
    line, alone = 1, False
    try:
        for event, element in _events(text):
            if event == "start":
                depth, count = depth + 1, count + 1
                alone = alone or (depth == 1 and element.tag == wanted)
                if depth == (1 if alone else 2):
                    line, count = line_of(element), 1
                if count > MOST_ELEMENTS:
                    raise _TooLarge
                continue
            depth -= 1
            if depth == (0 if alone else 1):
                done += 1
                yield _part(done, line, element, wanted, read)
                _forget(element)
    except (etree.XMLSyntaxError, _TooLarge) as error:
        where = error.lineno if isinstance(error, etree.XMLSyntaxError) else line
        raw = "\n".join(lines_of(text)[line - 1 :])[:SHOWN]
        yield Part(done + 1, line, raw, {}, [Note("broken_xml", "", where, _sentence(error))])


def _part(
    number: int, line: int, element: etree._Element, wanted: str, read: Callable[[Tree], Given]
) -> Part:
    raw = etree.tostring(element, encoding="unicode", with_tail=False)
    if element.tag == wanted:
        return Part(number, line, raw, read(Tree(element, _name(element)[0])))
    name = _name(element)[1]
    words = f"{name[:60]} is not a record that is read here; {wanted.rpartition('}')[2]} is."
    return Part(number, line, raw, {}, [Note("not_a_record", name[:60], line, words)])


def _forget(element: etree._Element) -> None:
    """Free a record that has been read, so that memory does not grow with the message."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _events(text: str) -> Iterator[tuple[str, etree._Element]]:
    if "<!DOCTYPE" in text:
        line = text.count("\n", 0, text.index("<!DOCTYPE")) + 1
        raise Unreadable("doctype", "The message declares a document type (DOCTYPE); send it without.", line)
    # the text was decoded as UTF-8 whatever its declaration says, and blank lines may stand before that
    content = _DECLARATION.sub(lambda found: "\n" * found[0].count("\n"), text, count=1)
    return cast("Iterator[tuple[str, etree._Element]]", etree.iterparse(
        BytesIO(content.encode()), events=("start", "end"), encoding="utf-8", resolve_entities=False, no_network=True,
        load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
    ))  # fmt: skip


def _sentence(error: etree.XMLSyntaxError | _TooLarge) -> str:
    if isinstance(error, _TooLarge):
        return f"A record has more than {MOST_ELEMENTS} elements; what follows is not read."
    return f"The message is no XML from line {error.lineno or 1} on ({error.msg}); what follows is not read."
