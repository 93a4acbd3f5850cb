"""Brings archived rows back, exactly as they were."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from sqlalchemy import Table, func, select, text
from sqlalchemy.orm import Session

from accounting import events
from accounting.archive import files
from accounting.archive.keeping import Archived, alone, columns_of
from accounting.archive.kept import ARCHIVING, KEPT, Kept, table_of
from accounting.models import ArchivePart
from hanse.database import Database
from hanse.errors import NotFound, Refused


def restore(db: Database, folder: Path, first: date, by: str) -> list[Archived]:
    """Bring back what was archived of the month `first` and all later ones: a late record of a month is counted against
    what came after it, so the later ones are needed too.

    Raises NotFound when nothing of them is in the archive, Refused for a file that is not what was written.
    """
    with alone(db):
        with db.transaction() as session:
            wanted = select(ArchivePart).where(ArchivePart.month >= first, ArchivePart.restored_at.is_(None))
            parts = session.scalars(
                wanted.order_by(ArchivePart.kept, ArchivePart.month, ArchivePart.part)
            ).all()
        if not parts:
            raise NotFound(f"Nothing of {first:%B %Y} or later lies in the archive.")
        return [_restore(db, folder, part, by) for part in parts]


def _restore(db: Database, folder: Path, part: ArchivePart, by: str) -> Archived:
    path = folder / part.path
    _check(path, part)
    kept, table = KEPT[part.kept], table_of(part.kept)
    columns = columns_of(table, kept)
    with db.transaction() as session:
        session.execute(ARCHIVING)
        session.execute(text(f"create temporary table coming (like {table.name}) on commit drop"))
        for name in table.c.keys():  # noqa: SIM118 - the collection is no dict
            if name not in columns:
                session.execute(text(f"alter table coming drop column {name}"))
        count = db.copy(session, "coming", columns, files.rows_of(path))
        if count != part.rows:
            raise Refused(f"{part.path} holds {count:,} rows and not {part.rows:,}; nothing was restored.")
        _put_back(session, table, kept, columns)
        row = session.get_one(ArchivePart, (part.kept, part.month, part.part))
        row.restored_at = session.execute(select(func.clock_timestamp())).scalar_one()
        words = f"{count:,} {kept.title} of {part.month:%B %Y} came back from the archive file {part.path}."
        events.tell(session, "restore", words, by=by, month=part.month, rows=count)
    return Archived(part.kept, part.month, count, part.path)


def _check(path: Path, part: ArchivePart) -> None:
    try:
        digest = files.file_hash(path)
    except OSError as error:
        raise Refused(
            f"The archive file {part.path} cannot be read: {error.strerror}. Bring it back from a backup."
        ) from None
    if digest != part.sha256:
        raise Refused(
            f"The archive file {part.path} is not what was written (SHA-256 {digest[:16]}... instead of"
            f" {part.sha256[:16]}...). Bring it back from a backup; nothing was restored."
        )


def _put_back(session: Session, table: Table, kept: Kept, columns: tuple[str, ...]) -> None:
    names = ", ".join(columns)
    if kept.emptied:
        same = " and ".join(f"m.{column.name} = c.{column.name}" for column in table.primary_key)
        filled = ", ".join(f"{name} = c.{name}" for name in kept.emptied)
        statement = f"update {table.name} m set {filled}, archived_at = null from coming c where {same}"  # noqa: S608
        session.execute(text(statement + " and m.archived_at is not null"))
        return
    session.execute(
        text(f"insert into {table.name} ({names}) select {names} from coming on conflict do nothing")  # noqa: S608
    )
