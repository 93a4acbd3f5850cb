"""The name in archive files: each that holds it is written anew beside the old one, which goes after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update

from accounting.archive import files
from accounting.archive.keeping import columns_of
from accounting.archive.kept import KEPT, table_of
from accounting.hiding.messages import replaced_body
from accounting.hiding.tables import KEYED, key_after
from accounting.models import ArchivePart, Message
from accounting.pseudonyms import Hidden
from hanse.database import Database


def replace(db: Database, folder: Path, what: Hidden, now: datetime) -> int:
    """Write every archive file anew that holds the name; returns how many. Files that no row names are removed: a
    killed process left them.
    """
    with db.transaction() as session:
        parts = session.scalars(select(ArchivePart).where(ArchivePart.restored_at.is_(None))).all()
    count = sum(_replace(db, folder, part, what, now) for part in parts)
    with db.transaction() as session:
        named = set(session.scalars(select(ArchivePart.path).where(ArchivePart.restored_at.is_(None))))
    for path in folder.rglob("*.parquet") if folder.is_dir() else ():
        if str(path.relative_to(folder)) not in named:
            path.unlink()
    return count


def _replace(db: Database, folder: Path, part: ArchivePart, what: Hidden, now: datetime) -> bool:
    columns = columns_of(table_of(part.kept), KEPT[part.kept])
    changed: list[int] = []
    path = (
        f"{part.path.removesuffix('.parquet').partition('~')[0]}~{what.pseudonym[-8:]}{now:%H%M%S%f}.parquet"
    )
    schema = files.schema_of(table_of(part.kept), columns)
    if not any(_without(part, columns, row, what) != row for row in files.rows_of(folder / part.path)):
        return False
    written = files.write(folder / path, schema, _rows(folder / part.path, part, columns, what, changed))
    assert written is not None
    with db.transaction() as session:
        row = session.get_one(ArchivePart, (part.kept, part.month, part.part))
        row.path, row.sha256, row.bytes = path, written.sha256, written.bytes
        if part.kept == "message":
            session.execute(update(Message).where(Message.id.in_(changed)).values(redacted_at=now))
    (folder / part.path).unlink(missing_ok=True)
    return True


def _rows(
    path: Path, part: ArchivePart, columns: Sequence[str], what: Hidden, changed: list[int]
) -> Iterator[files.Row]:
    for row in files.rows_of(path):
        made = _without(part, columns, row, what)
        if made != row and part.kept == "message":
            changed.append(int(row[0]))
        yield made


def _without(part: ArchivePart, columns: Sequence[str], row: files.Row, what: Hidden) -> files.Row:
    """The row with the name replaced."""
    values = dict(zip(columns, row, strict=True))
    if part.kept == "message":
        body = replaced_body(values["body"], what)
        return row if body is None else (values["id"], body)
    if values.get("user_name") != what.name:
        return row
    if part.kept in KEYED:
        values["key"] = key_after(part.kept, values, what)
    values["user_name"] = what.pseudonym
    return tuple(values[name] for name in columns)
