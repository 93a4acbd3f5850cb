"""APEL's text framing: a header line, then records of `Key: value` lines, with `%%` on a line between
records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from accounting.formats.records import Note

SEPARATOR = "%%"
LARGEST = 2**63 - 1
EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())  # before any cloud: a clock or a unit is wrong
TEXT_LIMIT = 255
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?\Z", re.ASCII)
_NOTHING = frozenset({"", "none", "null"})


class BadValue(ValueError):
    """A value that its field cannot hold; the text says what is wrong, to follow the field's name."""


@dataclass(frozen=True)
class Head:
    """The header line `<name>: v<version>` and its number."""

    name: str
    version: str
    line: int


@dataclass(slots=True)
class RawRecord:
    """The lines of one record as they came; `line` is the number of the first, from 1."""

    number: int
    line: int
    lines: list[str]

    @property
    def raw(self) -> str:
        """The record's text without its separator."""
        return "\n".join(self.lines)


def lines_of(text: str) -> list[str]:
    """Lines as an editor counts them; only LF and CRLF end a line (a name may hold U+2028)."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def head_of(text: str) -> Head:
    """The header line: the first that is not blank."""
    start, number = int(text.startswith("\ufeff")), 1
    while start < len(text):
        end = text.find("\n", start)
        line = text[start:] if end < 0 else text[start:end]
        if line.strip():
            name, _, version = line.partition(":")
            return Head(name.strip(), version.strip(), number)
        start += len(line) + 1
        number += 1
    return Head("", "", 1)


def split_records(text: str, head: Head) -> Iterator[RawRecord]:
    """The records after the header. Blank records are skipped and not numbered."""
    gathered: list[str] = []
    first = head.line + 1
    number = 1
    for position, line in enumerate(lines_of(text)[head.line :], start=head.line + 1):
        if line.strip() != SEPARATOR:
            gathered.append(line)
            continue
        if any(map(str.strip, gathered)):
            yield _trimmed(number, first, gathered)
            number += 1
        gathered, first = [], position + 1
    if any(map(str.strip, gathered)):
        yield _trimmed(number, first, gathered)


def _trimmed(number: int, first: int, lines: list[str]) -> RawRecord:
    start = next(index for index, line in enumerate(lines) if line.strip())
    while not lines[-1].strip():
        lines.pop()
    return RawRecord(number, first + start, lines[start:])


def fields_of(record: RawRecord) -> tuple[dict[str, tuple[str, int]], list[Note]]:
    """Each key with its value and line, and what is wrong with the lines. A key given twice: the last one
    counts.
    """
    found: dict[str, tuple[str, int]] = {}
    faults: list[Note] = []
    for number, line in enumerate(record.lines, start=record.line):
        key, colon, value = line.partition(":")
        if SEPARATOR in line:
            reason = f"{SEPARATOR} stands inside a line; it separates records and may stand only on a line of its own."
            faults.append(Note("separator_in_value", key.strip()[:60], number, reason))
        elif colon:
            found[key.strip()] = (value.strip(), number)
        elif line.strip():
            reason = f'The line "{line.strip()[:60]}" has no colon; write "Key: value".'
            faults.append(Note("line_without_colon", "", number, reason))
    return found, faults


def stated(value: str) -> str | None:
    """The value, or None for the words that mean nothing: none, null, empty (any case)."""
    return None if value.lower() in _NOTHING else value


def integer(value: str) -> int:
    """A whole number of 0 or more that fits 64 bits. Raises BadValue."""
    number = signed_integer(value)
    if number < 0:
        raise BadValue(f"is {number}; it cannot be negative.")
    return number


def signed_integer(value: str) -> int:
    """A whole number that fits 64 bits. Raises BadValue."""
    if not _INTEGER.match(value):
        raise BadValue(f"is {shown(value)}; write a whole number.")
    number = int(value)
    if abs(number) > LARGEST:
        raise BadValue(f"is {number}, more than {LARGEST}, the largest number that a record can hold.")
    return number


def decimal(value: str) -> Decimal:
    """A number of 0 or more, below 10 million, kept to three decimals (APEL's decimal(10,3)). Raises
    BadValue.
    """
    if not _DECIMAL.match(value):
        raise BadValue(f"is {shown(value)}; write a number such as 4 or 12.5.")
    number = Decimal(value)
    if number < 0:
        raise BadValue(f"is {value}; it cannot be negative.")
    if number >= 10_000_000:
        raise BadValue(f"is {value}; it must be below 10,000,000.")
    return number.quantize(Decimal("0.001"))


def moment(value: str) -> int | None:
    """Epoch seconds of an integer or of `YYYY-MM-DDThh:mm:ssZ`; 0 is cASO's way to say nothing. Raises
    BadValue.
    """
    if value == "0":
        return None
    if _INTEGER.match(value):
        seconds = int(value)
    else:
        try:
            seconds = int(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
        except ValueError:
            raise BadValue(
                f"is {shown(value)}; write seconds since 1970 or a time such as 2026-11-24T08:00:00Z (UTC)."
            ) from None
    if seconds < EARLIEST:
        raise BadValue(f"is {value}, a time before the year 2000; check the clock or the unit (seconds).")
    if seconds >= 253402300800:
        raise BadValue(
            f"is {shown(value)}, a time after the year 9999; the unit is seconds, not milliseconds."
        )
    return seconds


def shown(value: str) -> str:
    """The value in quotes, cut for a sentence."""
    return f'"{value[:60]}..."' if len(value) > 60 else f'"{value}"'
