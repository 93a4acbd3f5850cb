"""What was refused, and what was said about records that count."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime


class RefusedRecord(Base):
    """A record that was not counted, with the reason; record 0 is a whole message. `line` counts in the
    message.

    `faults` holds every fault of the record, the first being the one in `code`, `field`, `line` and `reason`.
    `counted_for` is the site for which a replay counted it last.
    """

    __tablename__ = "refused_record"
    __table_args__ = (
        UniqueConstraint("message_id", "record", name="refused_record_once"),
        CheckConstraint("state in ('refused', 'replayed', 'discarded')", name="refused_record_state"),
        CheckConstraint("reason <> ''", name="refused_record_reason"),
        Index("refused_record_site", "site", "state", "received_at"),
        Index("refused_record_open", "received_at", postgresql_where=text("state = 'refused'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    record: Mapped[int]
    site: Mapped[str] = mapped_column(NAME)
    site_name: Mapped[str] = mapped_column(NAME)
    code: Mapped[str] = mapped_column(Text)
    field: Mapped[str] = mapped_column(Text)
    line: Mapped[int | None]
    reason: Mapped[str] = mapped_column(Text)
    faults: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    first_line: Mapped[int]
    raw: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    cpu_s: Mapped[int | None] = mapped_column(BigInteger)
    month: Mapped[date | None] = mapped_column(Date)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
    state: Mapped[str] = mapped_column(Text, server_default="refused")
    decided_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decided_by: Mapped[str] = mapped_column(Text, server_default="")
    decided_why: Mapped[str] = mapped_column(Text, server_default="")
    counted_for: Mapped[str] = mapped_column(NAME, server_default="")


class Remark(Base):
    """Something said about counted records: one row a message, code and field, with how many records it
    concerns.
    """

    __tablename__ = "remark"
    __table_args__ = (Index("remark_site", "site", "received_at"),)

    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), primary_key=True)
    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    code: Mapped[str] = mapped_column(Text, primary_key=True)
    field: Mapped[str] = mapped_column(NAME, primary_key=True)
    records: Mapped[int]
    record: Mapped[int]
    line: Mapped[int | None]
    reason: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
