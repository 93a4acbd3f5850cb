"""Storage in use: reports as they came, and by month."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime

BYTES = Numeric(38, 0)
"""Bytes and byte-seconds: a petabyte over a month is beyond 64 bits."""


class StorageRecord(Base):
    """What was in use from `started_at` to `ended_at`. The end is in the key, so that a source which reports under
    one record id again and again leaves a history. `attributes` are group attributes beside subgroup and role.
    """

    __tablename__ = "storage_record"
    __table_args__ = (
        CheckConstraint("started_at <= ended_at", name="storage_record_interval"),
        CheckConstraint("used_bytes >= 0", name="storage_record_not_negative"),
        Index("storage_record_ended", "site", "ended_at"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    record_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(UtcTime, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    storage_system: Mapped[str] = mapped_column(NAME)
    storage_share: Mapped[str] = mapped_column(NAME)
    storage_media: Mapped[str] = mapped_column(NAME)
    storage_class: Mapped[str] = mapped_column(NAME)
    directory_path: Mapped[str] = mapped_column(NAME)
    local_user: Mapped[str] = mapped_column(NAME)
    local_group: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    attributes: Mapped[dict[str, str]] = mapped_column(JSONB)
    file_count: Mapped[int | None] = mapped_column(BigInteger)
    used_bytes: Mapped[int] = mapped_column(BigInteger)
    logical_bytes: Mapped[int | None] = mapped_column(BigInteger)
    allocated_bytes: Mapped[int | None] = mapped_column(BigInteger)


class StorageSummary(Base):
    """Storage of a site in a month. `byte_s` is bytes x seconds in use, cut exactly at month ends; `last_*` is what
    the month's last report of each system, share and local group says, told at `last_at`.
    """

    __tablename__ = "storage_summary"
    __table_args__ = (Index("storage_summary_month", "month"),)

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    storage_system: Mapped[str] = mapped_column(NAME)
    storage_share: Mapped[str] = mapped_column(NAME)
    storage_media: Mapped[str] = mapped_column(NAME)
    storage_class: Mapped[str] = mapped_column(NAME)
    byte_s: Mapped[Decimal] = mapped_column(BYTES)
    last_bytes: Mapped[Decimal] = mapped_column(BYTES)
    last_logical_bytes: Mapped[Decimal] = mapped_column(BYTES)
    last_allocated_bytes: Mapped[Decimal] = mapped_column(BYTES)
    last_files: Mapped[Decimal] = mapped_column(BYTES)
    last_at: Mapped[datetime | None] = mapped_column(UtcTime)
