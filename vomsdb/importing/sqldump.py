"""The text of `mysqldump` as rows: its tables and inserts are read, nothing in it is ever carried out.

Values come as bytes, numbers or None, by the escapes of MySQL: a `bit(1)` is one byte, NUL or 1, however written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hanse.errors import FieldFault, Refused, TooLarge

MAX_BYTES: Final = 1_000_000_000
MAX_VALUE: Final = 1_000_000
MAX_ROWS: Final = 2_000_000
MAX_COLUMNS: Final = 200
Value = bytes | int | None
Row = Mapping[str, Value]

_SKIPPED = re.compile(rb"(?:\s++|--[^\n]*+(?:\n|\Z)|\#[^\n]*+(?:\n|\Z)|/\*.*?\*/)++", re.DOTALL)
_QUOTED = rb"'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"\\]|\\.|\"\")*+\"|`(?:[^`]|``)*+`"
_REST = re.compile(rb"(?:[^;'\"`/\-\#]++|" + _QUOTED + rb"|/\*.*?\*/|--[^\n]*+|[/\-\#])*+(?:;|\Z)", re.DOTALL)
_CREATE = re.compile(rb"CREATE\s+(?:TEMPORARY\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?", re.IGNORECASE)
_INSERT = re.compile(
    rb"(?:INSERT|REPLACE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE)\s+)*(?:INTO\s+)?", re.IGNORECASE
)
_NAME = re.compile(rb"(?:`(?P<quoted>(?:[^`]|``)++)`|(?P<plain>[A-Za-z_$][\w$]*+))")
_VALUES = re.compile(rb"VALUES?\b", re.IGNORECASE)
_TEXT = re.compile(
    rb"(?:(?P<bits>[bB])(?=')|(?P<digits>[xX])(?=')|[nN](?=')|_[A-Za-z0-9]+\s*(?='))?"
    rb"(?:'(?P<single>(?:[^'\\]|\\.|'')*+)'|\"(?P<double>(?:[^\"\\]|\\.|\"\")*+)\")",
    re.DOTALL,
)
_PLAIN = re.compile(
    rb"(?:_binary\s+)?(?:0x(?P<hex>[0-9A-Fa-f]++)|(?P<null>NULL\b)|(?P<true>TRUE\b)|(?P<false>FALSE\b)"
    rb"|(?P<number>[+-]?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+))",
    re.IGNORECASE,
)
_ESCAPE = re.compile(rb"\\(.)|''|\"\"", re.DOTALL)
_MEANT: Final = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}


@dataclass
class Tables:
    """Rows by table, in the order of the dump, and the columns of each table that it creates."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def of(self, table: str) -> list[Row]:
        """The rows of a table; none when the dump has none."""
        return self.rows.get(table, [])


def read(dump: bytes, wanted: Collection[str]) -> Tables:
    """The wanted tables of a dump. Raises TooLarge, or Refused with the table and the line that cannot be read."""
    if len(dump) > MAX_BYTES:
        raise TooLarge(f"The dump has {len(dump):,} bytes; {MAX_BYTES:,} are read at most.")
    reader = _Reader(dump)
    found = Tables()
    count = 0
    while reader.more():
        if reader.take(_CREATE):
            table = reader.name()
            found.columns[table] = reader.columns(table)
            reader.skip_statement()
        elif reader.take(_INSERT):
            table = reader.name()
            if table in wanted:
                for row in reader.rows(table, found.columns.get(table)):
                    count += 1
                    if count > MAX_ROWS:
                        raise reader.fault(table, f"more than {MAX_ROWS:,} rows are read from no dump")
                    found.rows.setdefault(table, []).append(row)
            else:
                reader.skip_statement()
        else:
            reader.skip_statement()
    return found


class _Reader:
    """A place in the dump, and what may stand there."""

    def __init__(self, dump: bytes) -> None:
        self._dump = dump
        self._at = 0

    def more(self) -> bool:
        """Whether anything but blanks and comments follows."""
        self._blank()
        return self._at < len(self._dump)

    def _blank(self) -> None:
        found = _SKIPPED.match(self._dump, self._at)
        self._at = found.end() if found else self._at

    def take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """What stands here, when it is that, and on behind it."""
        self._blank()
        found = pattern.match(self._dump, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def sign(self, expected: bytes) -> bool:
        """Whether this sign stands here; then on behind it."""
        self._blank()
        there = self._dump.startswith(expected, self._at)
        self._at += len(expected) if there else 0
        return there

    def fault(self, table: str, reason: str) -> Refused:
        """What is wrong, with the line of this place."""
        line = self._dump.count(b"\n", 0, self._at) + 1
        return Refused("The dump cannot be read.", FieldFault(f"{table or 'dump'}, line {line}", reason))

    def skip_statement(self) -> None:
        """On behind the next `;` that stands in no text."""
        start = self._at
        found = _REST.match(self._dump, self._at)
        if found is None or found.end() == start:
            raise self.fault("", "a text that begins in this statement does not end")
        self._at = found.end()

    def name(self) -> str:
        """A table or a column; of `database`.`table` the table."""
        found = self.take(_NAME)
        if found is None:
            raise self.fault("", "a name is missing")
        name = (found["quoted"] or found["plain"]).replace(b"``", b"`")
        return self.name() if self.sign(b".") else name.decode("utf-8", "replace")

    def columns(self, table: str) -> list[str]:
        """The columns of CREATE TABLE: every definition that begins with a quoted name."""
        if not self.sign(b"("):
            return []
        found: list[str] = []
        while True:
            self._blank()
            if self._dump.startswith(b"`", self._at):
                found.append(self.name())
            if len(found) > MAX_COLUMNS:
                raise self.fault(table, f"it has more than {MAX_COLUMNS} columns")
            if not self._skip_definition(table):
                return found

    def _skip_definition(self, table: str) -> bool:
        """On behind the comma that ends this definition; False at the end of the table."""
        depth = 0
        for found in _DEFINITION.finditer(self._dump, self._at):
            sign = found[0]
            if sign == b"(":
                depth += 1
            elif sign == b")" and depth:
                depth -= 1
            elif sign == b")" or (sign == b"," and not depth) or sign == b";":
                self._at = found.end() - (sign == b";")
                return sign == b","
        raise self.fault(table, "its definition does not end")

    def rows(self, table: str, created: list[str] | None) -> Iterator[Row]:
        """The rows of an INSERT, each by the names of its columns."""
        columns = self._named_columns() if self.sign(b"(") else created
        if not columns:
            raise self.fault(
                table, "the dump does not say which columns it has; dump it with its CREATE TABLE"
            )
        if not self.take(_VALUES):
            raise self.fault(table, "VALUES is missing; only inserts of values are read")
        while True:
            values = self._values(table)
            if len(values) != len(columns):
                raise self.fault(table, f"a row has {len(values)} values for {len(columns)} columns")
            yield dict(zip(columns, values, strict=True))
            if not self.sign(b","):
                break
        if not self.sign(b";") and self.more():
            raise self.fault(table, "something stands behind a row that is no row")

    def _named_columns(self) -> list[str]:
        found = [self.name()]
        while self.sign(b","):
            found.append(self.name())
        if not self.sign(b")"):
            raise self.fault("", "the list of columns does not end")
        return found

    def _values(self, table: str) -> list[Value]:
        if not self.sign(b"("):
            raise self.fault(table, "a row must begin with a bracket")
        found = [self._value(table)]
        while self.sign(b","):
            found.append(self._value(table))
        if not self.sign(b")"):
            raise self.fault(table, f"value {len(found)} of a row cannot be read to its end")
        return found

    def _value(self, table: str) -> Value:
        found = self.take(_TEXT)
        if found is not None:
            return self._text(table, found)
        found = self.take(_PLAIN)
        if found is None:
            raise self.fault(table, "a value is neither a text, a number, NULL nor hexadecimal")
        if found["null"]:
            return None
        if found["hex"]:
            return _bytes_of(found["hex"])
        if not found["number"]:
            return int(found["true"] is not None)
        try:
            return (
                int(found["number"])
                if found["number"].lstrip(b"+-").isdigit()
                else int(float(found["number"]))
            )
        except (OverflowError, ValueError):
            raise self.fault(table, "a number is too large") from None

    def _text(self, table: str, found: re.Match[bytes]) -> bytes:
        raw = found["single"] if found["single"] is not None else found["double"]
        if len(raw) > MAX_VALUE:
            raise self.fault(table, f"a value has more than {MAX_VALUE:,} bytes")
        try:
            if found["bits"]:
                return bytes([int(raw or b"0", 2) & 0xFF])
            if found["digits"]:
                return _bytes_of(raw)
        except ValueError:
            raise self.fault(table, "a value in bits or hexadecimal has other signs in it") from None
        return _ESCAPE.sub(_meant, raw)


_DEFINITION = re.compile(_QUOTED + rb"|/\*.*?\*/|--[^\n]*+|[(),;]", re.DOTALL)


def _bytes_of(digits: bytes) -> bytes:
    return bytes.fromhex((b"0" * (len(digits) % 2) + digits).decode("ascii"))


def _meant(found: re.Match[bytes]) -> bytes:
    char: bytes | None = found[1]
    if char is None:
        return found[0][:1]
    if char in b"%_":
        return b"\\" + char
    return _MEANT.get(char, char)


def text_of(row: Row, name: str) -> str:
    """A text of the row; "" for NULL and for a column that is not there. Bytes that are no UTF-8 count as Latin-1."""
    value = row.get(name)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return "" if value is None else str(value)


def number_of(row: Row, name: str) -> int | None:
    """A number of the row, also where it stands as a text; None for NULL and for what is none."""
    value = row.get(name)
    if isinstance(value, bytes):
        return int(value) if value.isdigit() and len(value) < 20 else None
    return value


def truth_of(row: Row, name: str) -> bool:
    """A `bit(1)`, as raw byte, digit or number; NULL counts as no.

    An empty text is yes: the byte 1 gets lost when a dump goes through an editor, NUL is written with an escape.
    """
    value = row.get(name)
    return value not in (b"\0", b"0") if isinstance(value, bytes) else bool(value)
