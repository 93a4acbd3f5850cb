"""Parquet files of rows: written whole, read back and compared, durable, and never half there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, Date, Integer, LargeBinary, Numeric, SmallInteger, String, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.types import TypeEngine

from hanse.errors import Refused

if TYPE_CHECKING:  # pyarrow takes 30 MB of every process that imports it; few write files
    import pyarrow as pa

BATCH = 5_000
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Written:
    """A file as it was written: SHA-256 over its bytes, rows, size in bytes."""

    sha256: str
    rows: int
    bytes: int


def schema_of(table: Table, columns: Sequence[str]) -> pa.Schema:
    """The Parquet schema of some columns of a table. Times are microseconds UTC, JSON is text."""
    import pyarrow as pa

    return pa.schema([pa.field(name, _arrow_type(table.c[name].type)) for name in columns])


def _arrow_type(column: TypeEngine[Any]) -> pa.DataType:
    import pyarrow as pa

    if isinstance(column, Numeric) and column.asdecimal:
        return pa.decimal128(column.precision or 38, column.scale or 0)
    if isinstance(column, ARRAY):
        return pa.list_(_arrow_type(column.item_type))
    if isinstance(column, TIMESTAMP):
        return pa.timestamp("us", tz="UTC")
    for known, name in _TYPES:
        if isinstance(column, known):
            return pa.type_for_alias(name)
    raise TypeError(f"no Parquet type stands for {column!r}")


_TYPES: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Boolean, "bool"),
    (SmallInteger, "int16"),
    (BigInteger, "int64"),
    (Integer, "int32"),
    (JSONB, "string"),
    (String, "string"),
    (Date, "date32"),
    (LargeBinary, "binary"),
)


def write(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> Written | None:
    """Write rows into a new file and read it back; None, and no file, when there are no rows.

    The file appears under its name only whole, equal to what was given, and on the disk. Raises Refused when what is
    read back differs; OSError for a disk that is full or away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    try:
        count, digest = _write_draft(draft, schema, rows)
        if not count:
            return None
        if _digest(rows_of(draft)) != (count, digest):
            raise Refused(
                f"The archive file {path.name} reads back otherwise than it was written; nothing was removed."
            )
        written = Written(file_hash(draft), count, draft.stat().st_size)
        os.replace(draft, path)
        _sync_folder(path.parent)
        return written
    finally:
        draft.unlink(missing_ok=True)


def _write_draft(draft: Path, schema: pa.Schema, rows: Iterable[Row]) -> tuple[int, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count, digest = 0, hashlib.sha256()
    with draft.open("wb") as stream:
        with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            for some in _portions(rows):
                columns = [
                    pa.array(values, field.type)
                    for values, field in zip(zip(*some, strict=True), schema, strict=True)
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
                count += len(some)
                _add(digest, some)
        stream.flush()
        os.fsync(stream.fileno())
    return count, digest.hexdigest()


def _portions(rows: Iterable[Row]) -> Iterator[list[Row]]:
    given = iter(rows)
    while some := list(islice(given, BATCH)):
        yield some


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a file, in order, without holding all of them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH):
            columns = [column.to_pylist() for column in batch.columns]
            yield from zip(*columns, strict=True)


def file_hash(path: Path) -> str:
    """SHA-256 over the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(rows: Iterator[Row]) -> tuple[int, str]:
    count, digest = 0, hashlib.sha256()
    for some in _portions(rows):
        count += len(some)
        _add(digest, some)
    return count, digest.hexdigest()


def _add(digest: Any, rows: Sequence[Row]) -> None:
    for row in rows:
        digest.update(repr([_compared(value) for value in row]).encode())


def _compared(value: Any) -> Any:
    return value.timestamp() if hasattr(value, "timestamp") else value


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
