"""JSON messages `{"Type": .., "Version": .., "UsageRecords": [..]}`, record by record with their places in the
text. Where a text stops being JSON, what follows is spoilt and what came before is not.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator

from accounting.formats.fields import Part
from accounting.formats.keyvalue import Head
from accounting.formats.records import Note, Unreadable

RECORDS = "UsageRecords"
SHOWN = 2000
_SPACE = re.compile(r"[ \t\r\n]*")
_WHOLE = re.compile(r"(-?[0-9]+)\.0+\Z", re.ASCII)  # JSON knows one kind of number: 4.0 is the whole number 4


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_Number)


class _Broken(Exception):
    """The text is no JSON from `at` on."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(what)
        self.at = at
        self.what = what


class _Scanner:
    """Walks over a JSON text; `at` is the offset that is looked at next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def take(self, char: str) -> None:
        """Go past `char`."""
        if self.peek() != char:
            raise _Broken(self.at, f'"{char}" is expected')
        self.at += 1

    def value(self) -> object:
        """Any value; numbers as they were written."""
        self.peek()
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise _Broken(error.pos, error.msg) from None
        except RecursionError:
            raise _Broken(self.at, "values are nested too deep") from None
        return value

    def members(self) -> Iterator[str]:
        """The keys of an object; whoever takes one goes past its value."""
        self.take("{")
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            if self.peek() != '"':
                raise _Broken(self.at, 'a name in quotes (") is expected')
            key = str(self.value())
            self.take(":")
            self.peek()
            yield key
            if self._ends("}"):
                return

    def elements(self) -> Iterator[None]:
        """Once for each element of a list; whoever takes one goes past it."""
        self.take("[")
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            self.peek()
            yield
            if self._ends("]"):
                return

    def _ends(self, bracket: str) -> bool:
        if self.peek() == bracket:
            self.at += 1
            return True
        self.take(",")
        return False


class _Lines:
    """Line numbers of offsets, from 1."""

    def __init__(self, text: str) -> None:
        self._ends = [found.start() for found in re.finditer("\n", text)]

    def of(self, at: int) -> int:
        """The line on which an offset lies."""
        return bisect_right(self._ends, at - 1) + 1


def json_head(text: str) -> Head:
    """Type and Version of a message. Raises Unreadable when it cannot be read up to its Type."""
    scanner = _Scanner(text.removeprefix("\ufeff"))
    told: dict[str, object] = {}
    begin = 0
    try:
        for key in scanner.members():
            begin = scanner.at if key == "Type" else begin
            if key == RECORDS:
                _skip_records(scanner)
            else:
                told[key] = scanner.value()
    except _Broken as broken:
        if "Type" not in told:
            where = _Lines(text).of(broken.at)
            raise Unreadable("broken_json", _sentence(broken, where), where) from None
    kind, version = told.get("Type"), told.get("Version", "")
    if not isinstance(kind, str):
        words = 'The message is a JSON object without a "Type"; name what its records are.'
        raise Unreadable("unknown_format", words, 1)
    return Head(kind, version if isinstance(version, str) else "", _Lines(text).of(begin))


def _skip_records(scanner: _Scanner) -> None:
    if scanner.peek() != "[":
        scanner.value()
        return
    for _ in scanner.elements():
        scanner.value()


def json_parts(text: str) -> Iterator[Part]:
    """The records of a message. Raises Unreadable when it has no list of them."""
    text = text.removeprefix("\ufeff")
    scanner, lines = _Scanner(text), _Lines(text)
    done = begin = 0
    listed = False
    try:
        for key in scanner.members():
            if key != RECORDS:
                scanner.value()
                continue
            if scanner.peek() != "[":
                raise Unreadable("no_record_list", f'"{RECORDS}" must be a list.', lines.of(scanner.at))
            listed = True
            for _ in scanner.elements():
                begin = scanner.at
                yield _part(scanner, lines, done + 1)
                done, begin = done + 1, scanner.at
        begin = scanner.at
        if scanner.peek():
            raise _Broken(scanner.at, "nothing may follow the message")
    except _Broken as broken:
        where = lines.of(broken.at)
        fault = Note("broken_json", "", where, _sentence(broken, where))
        yield Part(done + 1, lines.of(begin), text[begin : begin + SHOWN], {}, [fault])
        return
    if not listed:
        raise Unreadable("no_record_list", f'The message has no list "{RECORDS}".', 1)


def _part(scanner: _Scanner, lines: _Lines, number: int) -> Part:
    begin, line = scanner.at, lines.of(scanner.at)
    given: dict[str, tuple[str, int | None]] = {}
    faults: list[Note] = []
    if scanner.peek() != "{":
        scanner.value()
        faults.append(Note("not_a_record", "", line, f'An element of "{RECORDS}" is not an object.'))
    else:
        for key in scanner.members():
            where = lines.of(scanner.at)
            _add(given, faults, _whole(key), scanner.value(), where)
    return Part(number, line, scanner.text[begin : scanner.at], given, faults)


def _add(
    given: dict[str, tuple[str, int | None]], faults: list[Note], key: str, value: object, line: int
) -> None:
    """Keep a value as text; a key given twice: the last one counts."""
    if value is None:
        given[key] = ("", line)
    elif isinstance(value, bool):
        given[key] = ("true" if value else "false", line)
    elif isinstance(value, _Number):
        whole = _WHOLE.match(value)
        given[key] = (whole[1] if whole else str(value), line)
    elif isinstance(value, str):
        given[key] = (_whole(value), line)
    else:
        faults.append(
            Note("bad_value", key[:60], line, f"{key[:60]} is a list or an object; write one value.")
        )


def _whole(value: str) -> str:
    """The text without halves of surrogate pairs, which no UTF-8 can hold."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _sentence(broken: _Broken, line: int) -> str:
    where = f"line {line}, character {broken.at + 1}"
    return f"The message is no JSON from {where} on ({broken.what}); what follows is not read."
