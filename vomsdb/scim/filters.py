"""Filters of RFC 7644, section 3.4.2.2, and the paths of PATCH, section 3.5.2: from text to a tree.

Attribute names come out in small letters, since SCIM compares them so; `urn:...:name` keeps its schema in front.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vomsdb.scim.faults import bad_filter, bad_path

LONGEST: Final = 2000
DEEPEST: Final = 20
MOST: Final = 100
OPERATORS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"})
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")|(?P<mark>[()\[\]])"""
    r"""|(?P<word>[A-Za-z0-9$_:.+-]+))"""
)
_NAME: Final = re.compile(
    r"(?:urn:[A-Za-z0-9:._-]+:)?[A-Za-z$][A-Za-z0-9$_-]*(?:\.[A-Za-z$][A-Za-z0-9$_-]*)?"
)

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Compare:
    """`attribute operator value`; `pr` has no value."""

    attribute: str
    operator: str
    value: Value = None


@dataclass(frozen=True)
class Not:
    """The opposite."""

    inner: Filter


@dataclass(frozen=True)
class Both:
    """`and`."""

    left: Filter
    right: Filter


@dataclass(frozen=True)
class Either:
    """`or`."""

    left: Filter
    right: Filter


@dataclass(frozen=True)
class Within:
    """`attribute[filter]`: one value of the attribute fulfils all of it."""

    attribute: str
    inner: Filter


Filter = Compare | Not | Both | Either | Within


def parse(text: str) -> Filter:
    """The tree of a filter. Raises ScimRefused (invalidFilter) saying where it cannot be read."""
    reader = _Reader(text)
    found = reader.either(0)
    reader.end()
    return found


def parse_path(text: str) -> tuple[str, Filter | None, str]:
    """(attribute, filter or None, sub-attribute or "") of a PATCH path. Raises ScimRefused (invalidPath)."""
    before, bracket, rest = text.strip().partition("[")
    if not bracket:
        return _checked(before), None, ""
    inside, closed, after = rest.rpartition("]")
    if not closed or (after and not re.fullmatch(r"\.[A-Za-z$][A-Za-z0-9$_-]*", after)):
        raise bad_path(
            'A path reads attribute, attribute[filter] or attribute[filter].sub, as members[value eq "7"].'
        )
    return _checked(before), parse(inside), after[1:].lower()


def _checked(name: str) -> str:
    if len(name) > 200 or not _NAME.fullmatch(name):
        raise bad_path("The path names no attribute.")
    return name.lower()


class _Reader:
    """Reads from left to right; `not` binds closest, then `and`, then `or`."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise bad_filter(f"A filter has {LONGEST} characters at most.")
        self._tokens = list(_tokens(text))
        if len(self._tokens) > 4 * MOST:
            raise bad_filter(f"A filter has {MOST} comparisons at most.")
        self._at = 0

    def either(self, depth: int) -> Filter:
        found = self._both(depth)
        while self._word() == "or":
            self._at += 1
            found = Either(found, self._both(depth))
        return found

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise bad_filter(f"The filter goes on after its end: {self._tokens[self._at][1][:40]}")

    def _both(self, depth: int) -> Filter:
        found = self._one(depth)
        while self._word() == "and":
            self._at += 1
            found = Both(found, self._one(depth))
        return found

    def _one(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise bad_filter(f"A filter is nested {DEEPEST} deep at most.")
        if self._is("("):
            return self._in_brackets(")", depth)
        if self._word() == "not":
            self._at += 1
            if not self._is("("):
                raise bad_filter("What follows `not` stands in brackets.")
            return Not(self._in_brackets(")", depth))
        name = self._attribute()
        if self._is("["):
            return Within(name, self._in_brackets("]", depth))
        return self._comparison(name)

    def _in_brackets(self, closing: str, depth: int) -> Filter:
        self._at += 1
        found = self.either(depth + 1)
        if not self._is(closing):
            raise bad_filter(f"A {closing} is missing.")
        self._at += 1
        return found

    def _attribute(self) -> str:
        kind, text = self._take("an attribute")
        if kind != "word" or not _NAME.fullmatch(text):
            raise bad_filter(f"An attribute is wanted instead of {text[:40]}.")
        return text.lower()

    def _comparison(self, name: str) -> Compare:
        operator = self._take("an operator")[1].lower()
        if operator not in OPERATORS:
            raise bad_filter(f"{operator[:40]} is no operator; there are {', '.join(sorted(OPERATORS))}.")
        if operator == "pr":
            return Compare(name, "pr")
        kind, text = self._take("a value")
        if kind == "mark":
            raise bad_filter("A value is wanted: text in double quotes, a number, true, false or null.")
        return Compare(name, operator, _value(text))

    def _take(self, wanted: str) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise bad_filter(f"The filter ends where {wanted} is wanted.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, mark: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)

    def _word(self) -> str:
        at = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        return at[1].lower() if at[0] == "word" else ""


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise bad_filter(
                f"The filter cannot be read from character {at + 1} on; text stands in double quotes."
            )
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _value(text: str) -> Value:
    try:
        read = json.loads(text)
    except ValueError:
        read = ...
    known = read is None or isinstance(read, str | int | float)
    if not known or (isinstance(read, str) and ("\x00" in read or not read.isprintable())):
        raise bad_filter(f"{text[:40]} is no value; text stands in double quotes.")
    assert read is None or isinstance(read, str | int | float)
    return read
