"""Tables of the ways in and out: what was signed before, how pulling goes, and what was forwarded."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Date, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime


class SeenSignature(Base):
    """What was signed and opened once (`digest`: signatures.Opened.statement), with the message that brought it first
    and the receipt it had then. No foreign key: what was seen stays seen, whatever becomes of the message.
    """

    __tablename__ = "seen_signature"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    message_id: Mapped[int] = mapped_column(BigInteger)
    receipt: Mapped[int] = mapped_column(BigInteger)


class PullState(Base):
    """How pulling from a subscription goes; `source` is its address, `error` the last failure ("" after a success)."""

    __tablename__ = "pull_state"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    pulled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    message_at: Mapped[datetime | None] = mapped_column(UtcTime)
    messages: Mapped[int] = mapped_column(BigInteger, server_default="0")
    error: Mapped[str] = mapped_column(Text, server_default="")


class ForwardDue(Base):
    """A site-month of one kind whose figures were summed since it was last compared with what was forwarded."""

    __tablename__ = "forward_due"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)


class ForwardedMonth(Base):
    """What a higher federation was told of a site-month: the hash of what counts, and [group, counts still] of each.

    A group that does not count is told as zero, and leaves the list when that was taken.
    """

    __tablename__ = "forwarded_month"

    destination: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    groups: Mapped[list[Any]] = mapped_column(JSONB)
    records: Mapped[int]
    written_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))


class ForwardedMessage(Base):
    """A signed message for a higher federation. `body` goes when it was taken there; `number` is its id there."""

    __tablename__ = "forwarded_message"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'sent', 'replaced')", name="forwarded_message_state"),
        CheckConstraint("(state = 'waiting') = (body is not null)", name="forwarded_message_body"),
        Index("forwarded_message_waiting", "id", postgresql_where=text("state = 'waiting'")),
        Index("forwarded_message_month", "site", "month"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    destination: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    site: Mapped[str] = mapped_column(NAME)
    month: Mapped[date] = mapped_column(Date)
    empaid: Mapped[str] = mapped_column(Text)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    records: Mapped[int]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    written_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    sent_at: Mapped[datetime | None] = mapped_column(UtcTime)
    number: Mapped[str] = mapped_column(Text, server_default="")
