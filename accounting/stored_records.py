"""The records of a site as they are stored: what every figure comes from, for those who keep the site's books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, select, tuple_
from sqlalchemy.orm import Session

from accounting.models import Base, Overlap
from accounting.stores.upsert import span_of
from hanse.database import Database
from hanse.errors import FieldFault, Refused

HIDDEN: Final = ("site", "key", "receipt", "carried")
Key = Sequence[str | int]


@dataclass(frozen=True)
class Kind:
    """One kind of record: its table, the column that says when, and the one that names the thing."""

    table: str
    time: str
    subject: str

    @property
    def rows(self) -> Table:
        """The table."""
        return Base.metadata.tables[self.table]

    @property
    def columns(self) -> tuple[str, ...]:
        """What is shown of a record, in order."""
        return tuple(column.name for column in self.rows.columns if column.name not in HIDDEN)

    @property
    def key(self) -> tuple[Any, ...]:
        """What a site's records are sorted by."""
        return tuple(column for column in self.rows.primary_key if column.name != "site")


KINDS: Final[Mapping[str, Kind]] = {
    "vm": Kind("vm_snapshot", "measured_at", "vmuuid"),
    "job": Kind("job_record", "ended_at", "local_job_id"),
    "job_summary": Kind("received_job_summary", "month", "submit_host"),
    "cloud_summary": Kind("received_cloud_summary", "month", "service"),
    "sync": Kind("sync_count", "month", "submit_host"),
    "storage": Kind("storage_record", "ended_at", "record_id"),
    "accelerator": Kind("accelerator_record", "month", "vmuuid"),
    "ip": Kind("ip_snapshot", "measured_at", "local_group"),
}


@dataclass(frozen=True)
class Wanted:
    """Which records of a site: of one kind, of the months from `first` to `last` (first days, both included), about
    one thing (`subject`), of one VO. None = any.
    """

    site: str
    kind: str
    first: date | None = None
    last: date | None = None
    subject: str | None = None
    vo: str | None = None


def records(session: Session, wanted: Wanted, limit: int, after: Key | None = None) -> list[dict[str, Any]]:
    """Records in the order of their keys, at most `limit` after the key `after`. Raises Refused for a key that is
    none.
    """
    kind = KINDS[wanted.kind]
    statement = select(kind.rows).where(*_filters(kind, wanted))
    if after is not None:
        statement = statement.where(tuple_(*kind.key) > tuple_(*_values(kind, after)))
    return [dict(row) for row in session.execute(statement.order_by(*kind.key).limit(limit)).mappings()]


def every_record(db: Database, wanted: Wanted, most: int, page: int = 1000) -> Iterator[dict[str, Any]]:
    """The same, one after the other, at most `most`; a short transaction a page, so that a slow reader holds none."""
    after: Key | None = None
    left = most
    while left > 0:
        with db.transaction() as session:
            found = records(session, wanted, min(page, left), after)
        yield from found
        if len(found) < page:
            return
        after, left = key_of(wanted.kind, found[-1]), left - len(found)


def key_of(kind: str, row: Mapping[str, Any]) -> Key:
    """The key of a record, as a cursor holds it."""
    return [_plain(row[column.name]) for column in KINDS[kind].key]


def shown(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A record's fields by name; months as YYYY-MM."""
    return {name: _month(row[name]) for name in KINDS[kind].columns}


def _month(value: Any) -> Any:
    return f"{value:%Y-%m}" if isinstance(value, date) and not isinstance(value, datetime) else value


def _filters(kind: Kind, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    columns = kind.rows.c
    yield columns.site == wanted.site
    of_month = kind.time == "month"
    if wanted.first is not None:
        yield columns[kind.time] >= (wanted.first if of_month else span_of(wanted.first)["begin"])
    if wanted.last is not None:
        yield (
            columns[kind.time] <= wanted.last
            if of_month
            else columns[kind.time] < span_of(wanted.last)["until"]
        )
    if wanted.subject is not None:
        yield columns[kind.subject] == wanted.subject
    if wanted.vo is not None:
        if "vo" not in columns:
            raise Refused("Records of this kind name no VO.", FieldFault("vo", "leave it out for this kind"))
        yield columns.vo == wanted.vo


def _plain(value: Any) -> str | int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _values(kind: Kind, key: Key) -> list[Any]:
    try:
        if len(key) != len(kind.key):
            raise ValueError
        return [_typed(column.type.python_type, value) for column, value in zip(kind.key, key, strict=True)]
    except (ValueError, TypeError, OverflowError, OSError):
        raise Refused(
            "The cursor is not one of this list.",
            FieldFault("cursor", "take it from `next` of the page before"),
        ) from None


def _typed(type_: type, value: str | int) -> Any:
    """A value of a cursor as its column has it. Raises ValueError or TypeError."""
    if type_ is datetime and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, str) or "\x00" in value or type_ is datetime:
        raise TypeError
    if type_ is date:
        return date.fromisoformat(value)
    return bytes.fromhex(value) if type_ is bytes else value


def overlaps(session: Session, site: str) -> list[Overlap]:
    """Months of a site that it has told of in several ways, newest first; one of them counts."""
    found = select(Overlap).where(Overlap.site == site)
    return list(session.scalars(found.order_by(Overlap.month.desc(), Overlap.kind, Overlap.origin)))
