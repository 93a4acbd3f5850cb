"""What a store is: the one place where good records of one type go, and where their summaries come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from accounting.formats.records import Note
from hanse.database import Database

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


@dataclass(frozen=True)
class Placed(Generic[Row_co]):
    """Good records of one message that belong to one site: (number of the record, row) in order.

    Of two records about one thing the one with the higher `receipt` counts, within a message the later one.
    """

    site: str
    message_id: int
    receipt: int
    rows: Sequence[tuple[int, Row_co]]


@dataclass(frozen=True)
class Said:
    """A remark that only the comparison with stored records shows; record 0 = none of this message."""

    message_id: int
    site: str
    record: int
    note: Note


@dataclass(frozen=True)
class Touched:
    """What storing changed: the (site, month) whose summaries are older than their records now, and remarks."""

    months: frozenset[tuple[str, date]]
    said: tuple[Said, ...] = ()


@dataclass(frozen=True)
class Store(Generic[Row]):
    """One type of record: how it is stored and summed.

    `store(db, session, placed)` writes records of any number of messages and sites inside the session's
    transaction, so that the same records stored again change nothing; the caller holds the lock of each site (no
    other loader writes records of it meanwhile). `resum(session, site, month)` makes the summaries of one month
    anew from what is stored. `until(row)` is the epoch second until which a row tells of usage. `kind` is the name
    in `summary_due`; types of records that add up to one summary share it, and its `resum`.
    """

    kind: str
    row_type: type[Row]
    store: Callable[[Database, Session, Sequence[Placed[Row]]], Touched]
    resum: Callable[[Session, str, date], None]
    until: Callable[[Row], int]
