"""Reading by column: records of one shape (the same keys in the same order) are split and converted together.

What is odd in any way (a value that needs a remark or a refusal, a shape that few records have) is left to the
reading by record, so that every reason, line and remark comes from one place. Nothing is decided here that the
reading by record would decide otherwise: a test compares the two on mixed messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import methodcaller
from typing import Final

from accounting.formats.keyvalue import EARLIEST, SEPARATOR, BadValue, Head, stated

MOST_SHAPES = 32
CHUNK = 2000
DIGITS = 18  # so many always fit 64 bits
END_OF_TIME = 253402300800
REMEMBERED = (
    5_000  # cells a column; of all columns 5 MB, and 50 MB where somebody sends nothing but long texts
)
FEW = 8
_LINE_ENDS = methodcaller("count", "\n")


class Odd:
    """The value of a cell that only the reading by record can judge."""


ODD: Final = Odd()


@dataclass(frozen=True, slots=True)
class Shape:
    """Records with the same keys: their numbers in the message, and the raw values by key, one a record."""

    numbers: list[int]
    columns: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that lie behind one another: by shape, and the numbers of those that have none."""

    shapes: list[Shape]
    odd: list[int]


Lines = tuple[int, list[str]]
"""The number of a record and its lines."""


def chunks(text: str, head: Head, known: frozenset[str]) -> Iterator[Chunk] | None:
    """The records after the header; None when only the reading by record can tell where they end.

    A record has a shape when each of its lines is `Key: value` with a key of `known`, each key once. Numbers are
    those of `keyvalue.split_records`.
    """
    blocks = _blocks(text, head)
    return None if blocks is None else _chunks(blocks, known)


def _chunks(blocks: list[str], known: frozenset[str]) -> Iterator[Chunk]:
    number = 0
    for start in range(0, len(blocks), CHUNK):
        some = blocks[start : start + CHUNK]
        columns = _columns(some, known)
        if columns is not None:
            yield Chunk([Shape(list(range(number + 1, number + len(some) + 1)), columns)], [])
            number += len(some)
            continue
        by_length: dict[int, list[Lines]] = {}
        for block in some:
            if block and not block.isspace():
                number += 1
                lines = block.split("\n")
                by_length.setdefault(len(lines), []).append((number, lines))
        yield _by_shape(by_length.values(), known)


def _columns(blocks: list[str], known: frozenset[str]) -> dict[str, list[str]] | None:
    """The columns of records that have one shape, which is that of the first; None when they have not.

    Every step goes over a whole column, without a step of ours for each cell.
    """
    first = blocks[0].split("\n")
    keys = [line.partition(":")[0] for line in first]
    if not known.issuperset(keys) or len(set(keys)) < len(keys) or not all(":" in line for line in first):
        return None
    if set(map(_LINE_ENDS, blocks)) != {len(keys) - 1}:
        return None
    lines = "\n".join(blocks).split("\n")
    columns: dict[str, list[str]] = {}
    for place, key in enumerate(keys):
        column = "\n" + "\n".join(lines[place :: len(keys)])
        cut = column.split(f"\n{key}: ")
        if len(cut) <= len(blocks):  # somebody writes no space after the colon
            cut = column.split(f"\n{key}:")
        if len(cut) != len(blocks) + 1:
            return None
        columns[key] = cut[1:]
    return columns


def _by_shape(groups: Iterable[list[Lines]], known: frozenset[str]) -> Chunk:
    """Records of equal length are tried on the keys of the first of them, what is left on the next, and so on."""
    shapes: list[Shape] = []
    odd: list[int] = []
    tries = 0
    for group in groups:
        left = group
        while left and tries < MOST_SHAPES:
            tries += 1
            keys = [line.partition(":")[0] for line in left[0][1]]
            heads = [f"{key}:" for key in keys]
            fits = [True, *[all(map(str.startswith, lines, heads)) for _, lines in left[1:]]]
            same = list(compress(left, fits))
            left = [record for record, fit in zip(left, fits, strict=True) if not fit]
            if (
                len(set(keys)) == len(keys)
                and known.issuperset(keys)
                and all(":" in line for line in same[0][1])
            ):
                shapes.append(_shape(same, keys))
            else:
                odd.extend(number for number, _ in same)
        odd.extend(number for number, _ in left)
    return Chunk(shapes, odd)


def _shape(records: list[Lines], keys: list[str]) -> Shape:
    columns = zip(keys, zip(*[lines for _, lines in records], strict=True), strict=True)
    return Shape(
        [number for number, _ in records],
        {key: [line[len(key) + 1 :] for line in column] for key, column in columns},
    )


def _blocks(text: str, head: Head) -> list[str] | None:
    """What stands between the separators, with LF line ends."""
    start = 0
    for _ in range(head.line):
        start = text.find("\n", start) + 1
        if not start:  # nothing follows the header
            return []
    body = "\n" + text[start:]
    if "\r" in body:
        body = body.replace("\r\n", "\n")
    blocks = f"{body}\n".split(f"\n{SEPARATOR}\n")
    if "\r" in body or body.count(SEPARATOR) != len(blocks) - 1:
        return None
    blocks[0], blocks[-1] = blocks[0].lstrip("\n"), blocks[-1].strip("\n")
    if not blocks[-1].strip():  # most senders end the last record, too
        blocks.pop()
    return blocks


class Memo(dict[str, object]):
    """Raw cells and what they convert to: sites, users, machines and sizes come again, in a message and in the next.
    ODD where `convert` raises BadValue. Forgets everything when it grows beyond `REMEMBERED`.
    """

    def __init__(self, convert: Callable[[str], object]) -> None:
        super().__init__()
        self.convert = convert

    def __missing__(self, raw: str) -> object:
        try:
            value = self.convert(raw.strip())
        except BadValue:
            value = ODD
        if len(self) >= REMEMBERED:
            self.clear()
        self[raw] = value
        return value


def texts(limit: int) -> Callable[[str], str]:
    """Converts texts; one that is too long or cannot be stored raises BadValue."""

    def convert(value: str) -> str:
        if len(value) > limit or "\x00" in value:
            raise BadValue("is odd")
        return stated(value) or ""

    return convert


def optional(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Converts what is stated; the words that mean nothing become None."""

    def converted(value: str) -> object:
        said = stated(value)
        return None if said is None else convert(said)

    return converted


def cells(
    column: Sequence[str], memo: Memo, least: int | None = None, most: int | None = None
) -> list[object]:
    """A column converted. With `least`, a column of plain whole numbers from it to `most` is converted at once, unless
    its values are few.
    """
    if least is not None and len(set(column)) * FEW > len(column):
        numbers = _numbers(column, least)
        if numbers is not None and (most is None or max(numbers) <= most):
            return list(numbers)
    return list(map(memo.__getitem__, column))


def _numbers(column: Sequence[str], least: int) -> list[int] | None:
    digits = "".join(column)
    if not digits.isdigit():
        column = [raw.strip() for raw in column]
        digits = "".join(column)
    if not (digits.isascii() and digits.isdigit()) or len(max(column, key=len)) > DIGITS or "" in column:
        return None
    numbers = list(map(int, column))
    if least == EARLIEST and max(numbers) >= END_OF_TIME:
        return None
    return numbers if min(numbers) >= least else None
