"""Cloud messages by column: the good records that nothing needs to be said about, and the numbers of the others.

The same rules as `cloud.py`, which judges whatever is left here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from itertools import compress, repeat
from operator import is_
from typing import Any

from accounting.formats import keyvalue
from accounting.formats.cloud_fields import (
    IGNORED,
    LONGEST_S,
    MOST_CORES,
    MOST_SIZE,
    NUMBERS,
    STATUSES,
    TEXTS,
    size,
    split_fqan,
)
from accounting.formats.columns import ODD, Memo, Shape, cells, chunks, optional, texts
from accounting.formats.keyvalue import EARLIEST, BadValue, decimal
from accounting.formats.records import Judging, VmSnapshot

KNOWN = frozenset({*TEXTS, *NUMBERS, *IGNORED})
NONE = Decimal(0)
Row = tuple[int, VmSnapshot]


def plain(text: str, judging: Judging) -> tuple[dict[str, list[Row]], list[int]] | None:
    """The (number, row) of good records by their SiteName, and the numbers of the records left to `cloud.read`.

    None when all of them are.
    """
    found = chunks(text, keyvalue.head_of(text), KNOWN)
    if found is None:
        return None
    table = _Table(judging.received_at + judging.future_tolerance_s)
    rows: dict[str, list[Row]] = {}
    odd: list[int] = []
    for chunk in found:
        odd += chunk.odd
        for shape in chunk.shapes:
            odd += table.take(shape, rows)
    return rows, odd


def _status(value: str) -> str:
    status = (keyvalue.stated(value) or "").lower() or "unknown"
    if status not in STATUSES:
        raise BadValue("is not known")
    return status


def _number(value: str) -> Decimal:
    return decimal(value) if keyvalue.stated(value) else NONE


def _thousandths(value: str) -> int:
    return int(_number(value) * 1000)


def _of_number(key: str) -> Memo:
    return Memo(_number if key in ("CpuCount", "Benchmark") else optional(NUMBERS[key]))


_MEMOS = {
    **{key: Memo(texts(limit)) for key, limit in TEXTS.items()},
    **{key: _of_number(key) for key in NUMBERS},
    "Status": Memo(_status),
}
_CORES = Memo(_thousandths)
_FQANS = Memo(split_fqan)
_made: Callable[[Iterable[Any]], VmSnapshot] = partial(tuple.__new__, VmSnapshot)


class _Table:
    """Converts shapes of one message; `latest` is the epoch second beyond which a time lies in the future."""

    def __init__(self, latest: int) -> None:
        self.measured = partial(measured_at, latest)

    def take(self, shape: Shape, rows: dict[str, list[Row]]) -> list[int]:
        """Add the good records of a shape to `rows`; returns the numbers of the others."""
        columns = {key: _cells(key, raw) for key, raw in shape.columns.items() if key not in IGNORED}
        cores = cells(shape.columns.get("CpuCount", ()), _CORES)
        numbers: Sequence[int] = shape.numbers
        odd = _odd(columns)
        if odd:
            kept = [index not in odd for index in range(len(numbers))]
            columns = {key: list(compress(column, kept)) for key, column in columns.items()}
            cores, numbers = list(compress(cores, kept)), list(compress(numbers, kept))
        got = _Columns(columns, len(numbers))
        measured: list[int] = list(
            map(
                self.measured, got["VMUUID"], got["SiteName"], got.or_("Status", "unknown"),
                got["RecordCreateTime"], got["StartTime"], got["EndTime"], got["SuspendDuration"],
                got["WallDuration"], got["CpuDuration"], cores or got["CpuCount"],
            )
        )  # fmt: skip
        made = zip(numbers, map(_made, _rows(got, measured)), strict=True)
        for site_name, row in compress(zip(got["SiteName"], made, strict=True), measured):
            rows.setdefault(site_name, []).append(row)
        left = [number for number, moment in zip(numbers, measured, strict=True) if not moment]
        return left + [shape.numbers[index] for index in odd]


def _cells(key: str, raw: Sequence[str]) -> list[Any]:
    if key in TEXTS or key in ("CpuCount", "Benchmark"):
        return cells(raw, _MEMOS[key])
    most = MOST_SIZE if NUMBERS[key] is size else None
    return cells(raw, _MEMOS[key], EARLIEST if key.endswith("Time") else 0, most)


def _odd(columns: dict[str, list[Any]]) -> set[int]:
    """Which records have an odd cell."""
    return {
        index
        for column in columns.values()
        if any(map(is_, column, repeat(ODD)))
        for index, value in enumerate(column)
        if value is ODD
    }


def _rows(got: _Columns, measured: list[int]) -> Iterable[tuple[Any, ...]]:
    """Values in the order of VmSnapshot."""
    fqans = got.text("FQAN")
    vos, groups, roles = zip(*cells(fqans, _FQANS), strict=True) if fqans else ((), (), ())
    begun = got["StartTime"]
    if None in begun:
        begun = [
            max(moment - (wall or 0) - (suspended or 0), 0) if started is None else started
            for moment, started, wall, suspended in zip(
                measured, begun, got["WallDuration"], got["SuspendDuration"], strict=True
            )
        ]
    return zip(
        got.text("VMUUID"), measured, begun, got["EndTime"], got["WallDuration"], got["CpuDuration"],
        got["SuspendDuration"], got["NetworkInbound"], got["NetworkOutbound"], got["Memory"], got["Disk"],
        got["PublicIPCount"], got.text("CloudComputeService"), vos, groups, roles, got.text("GlobalUserName"),
        got.or_("Status", "unknown"), got.text("ImageId"), got.or_("CpuCount", NONE),
        got.text("BenchmarkType"), got.or_("Benchmark", NONE), got.text("MachineName"),
        got.text("LocalUserId"), got.text("LocalGroupId"), fqans, got.text("NetworkType"),
        got.text("StorageRecordId"), got.text("CloudType"), strict=True,
    )  # fmt: skip


class _Columns:
    """Converted columns of one length; one that no record has is filled."""

    def __init__(self, columns: dict[str, list[Any]], length: int) -> None:
        self.columns = columns
        self.length = length

    def __getitem__(self, key: str) -> list[Any]:
        return self.or_(key, None)

    def text(self, key: str) -> list[Any]:
        return self.or_(key, "")

    def or_(self, key: str, value: object) -> list[Any]:
        return self.columns.get(key) or [value] * self.length


def measured_at(
    latest: int, vmuuid: str, site_name: str, status: str, created: int | None, started: int | None,
    ended: int | None, suspended: int | None, wall: int | None, cpu: int | None, thousandths: int | None,
) -> int:  # fmt: skip
    """When the counters of a record were read; 0 where `cloud.py` has something to say about it."""
    if not vmuuid or not site_name or wall is None or cpu is None:
        return 0
    if status == "completed":
        measured = ended
    elif created is not None:
        measured = created
    elif started is not None:
        measured = started + (suspended or 0) + wall
    else:
        measured = ended
    if measured is None or measured > latest or wall > LONGEST_S or cpu > LONGEST_S * MOST_CORES:
        return 0
    if created is not None and created > latest:
        return 0
    if ended is not None and (ended > latest or (started is not None and ended < started)):
        return 0
    if started is not None and (started > latest or wall > max(measured - started, 0) + 1):
        return 0
    if thousandths and cpu * 1000 > wall * thousandths:
        return 0
    return measured
