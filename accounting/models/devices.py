"""Accelerators (GPUs and their like) and public addresses of machines: as reported, and by month."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, LargeBinary, Numeric, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime


class AcceleratorRecord(Base):
    """What one machine had of one type and model in one month so far; the later receipt counts.

    `available_s` and `active_s` are seconds of each of the `accelerators` (a share of one: below 1).
    """

    __tablename__ = "accelerator_record"
    __table_args__ = (
        CheckConstraint("extract(day from month) = 1", name="accelerator_record_first_day"),
        CheckConstraint(
            "accelerators >= 0 and active_s >= 0 and active_s <= available_s",
            name="accelerator_record_active",
        ),
        Index("accelerator_record_month", "site", "month"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    vmuuid: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    type: Mapped[str] = mapped_column(String(20), primary_key=True)
    model: Mapped[str] = mapped_column(NAME, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    accelerators: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    cores: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    available_s: Mapped[int] = mapped_column(BigInteger)
    active_s: Mapped[int] = mapped_column(BigInteger)
    benchmark_type: Mapped[str] = mapped_column(String(50))
    benchmark: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    service: Mapped[str] = mapped_column(NAME)
    cloud_type: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    fqan: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)


class AcceleratorSummary(Base):
    """Accelerators of a site in a month. `available_s` and `active_s` are accelerator-seconds (GPU hours x 3600):
    seconds x number, rounded after summing.
    """

    __tablename__ = "accelerator_summary"
    __table_args__ = (Index("accelerator_summary_month", "month"),)

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    service: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    type: Mapped[str] = mapped_column(String(20))
    model: Mapped[str] = mapped_column(NAME)
    benchmark_type: Mapped[str] = mapped_column(String(50))
    benchmark: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    accelerators: Mapped[Decimal] = mapped_column(Numeric(20, 3))
    available_s: Mapped[int] = mapped_column(BigInteger)
    active_s: Mapped[int] = mapped_column(BigInteger)
    vms: Mapped[int] = mapped_column(BigInteger)


class IpSnapshot(Base):
    """How many public addresses were held at one moment. `key` is the SHA-256 of all that tells snapshots apart."""

    __tablename__ = "ip_snapshot"
    __table_args__ = (
        CheckConstraint("ip_version in (4, 6)", name="ip_snapshot_version"),
        CheckConstraint("ip_count >= 0", name="ip_snapshot_not_negative"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    measured_at: Mapped[datetime] = mapped_column(UtcTime, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    service: Mapped[str] = mapped_column(NAME)
    cloud_type: Mapped[str] = mapped_column(NAME)
    local_user: Mapped[str] = mapped_column(NAME)
    local_group: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    fqan: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    ip_version: Mapped[int] = mapped_column(SmallInteger)
    ip_count: Mapped[int] = mapped_column(BigInteger)


class IpSummary(Base):
    """Public addresses of a site in a month: `last_count` by the month's last snapshot of each service and local
    group (the latest told at `last_at`), `most` the sum of what each of these held at most, and the mean as
    `sum_count` / `snapshots`.
    """

    __tablename__ = "ip_summary"
    __table_args__ = (Index("ip_summary_month", "month"),)

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    service: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    ip_version: Mapped[int] = mapped_column(SmallInteger)
    last_count: Mapped[int] = mapped_column(BigInteger)
    most: Mapped[int] = mapped_column(BigInteger)
    sum_count: Mapped[int] = mapped_column(BigInteger)
    snapshots: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime | None] = mapped_column(UtcTime)
