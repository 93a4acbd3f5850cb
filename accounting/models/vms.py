"""Snapshots of machines, and what each machine used by month."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, Numeric, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime


class VmSnapshot(Base):
    """One cumulative report of a virtual machine, and the usage it adds: from `from_at` to `measured_at`.

    Key (site, machine, measurement time), so no site can overwrite another's. `wall_s` and `cpu_s` are the
    counters as sent (seconds since the start of the machine); `used_*_s` what this report adds to the one
    before it. `carried` holds the counters wall, CPU, network in and out as they stood after this report, where
    it left one out that an earlier one had stated; else NULL. `message_id` names a message that may be archived.
    """

    __tablename__ = "vm_snapshot"
    __table_args__ = (
        CheckConstraint("wall_s >= 0 and cpu_s >= 0 and cpu_count >= 0", name="vm_snapshot_not_negative"),
        CheckConstraint("used_wall_s >= 0 and used_cpu_s >= 0", name="vm_snapshot_used"),
        CheckConstraint("from_at <= measured_at", name="vm_snapshot_interval"),
        Index("vm_snapshot_measured", "measured_at"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    vmuuid: Mapped[str] = mapped_column(NAME, primary_key=True)
    measured_at: Mapped[datetime] = mapped_column(UtcTime, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    wall_s: Mapped[int | None] = mapped_column(BigInteger)
    cpu_s: Mapped[int | None] = mapped_column(BigInteger)
    suspend_s: Mapped[int | None] = mapped_column(BigInteger)
    cpu_count: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    status: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(NAME)
    machine_name: Mapped[str] = mapped_column(NAME)
    local_user: Mapped[str] = mapped_column(NAME)
    local_group: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    fqan: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    network_type: Mapped[str] = mapped_column(NAME)
    network_in: Mapped[int | None] = mapped_column(BigInteger)
    network_out: Mapped[int | None] = mapped_column(BigInteger)
    public_ips: Mapped[int | None] = mapped_column(BigInteger)
    memory_mb: Mapped[int | None] = mapped_column(BigInteger)
    disk_gb: Mapped[int | None] = mapped_column(BigInteger)
    benchmark_type: Mapped[str] = mapped_column(String(50))
    benchmark: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    storage_record: Mapped[str] = mapped_column(NAME)
    image: Mapped[str] = mapped_column(NAME)
    cloud_type: Mapped[str] = mapped_column(NAME)
    from_at: Mapped[datetime | None] = mapped_column(UtcTime)
    used_wall_s: Mapped[int | None] = mapped_column(BigInteger)
    used_cpu_s: Mapped[int | None] = mapped_column(BigInteger)
    carried: Mapped[list[int | None] | None] = mapped_column(ARRAY(BigInteger))


class VmMonth(Base):
    """What one machine used in one month, cut exactly; a part for each VO, user, status, size ... it ran under.

    `part` is the number of that combination (`usage.part_of`). On the part that a machine ended the month with,
    `vms` is 1 and memory and disk are what it had then; on the others they are 0, so that a machine counts once a
    month in every sum. Network as the site counts it (specification: GB).
    """

    __tablename__ = "vm_month"
    __table_args__ = (
        CheckConstraint("extract(day from month) = 1", name="vm_month_first_day"),
        CheckConstraint("wall_s >= 0 and cpu_s >= 0 and vms in (0, 1)", name="vm_month_not_negative"),
        Index("vm_month_part", "site", "month", "part"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    vmuuid: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    service: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    status: Mapped[str] = mapped_column(Text, server_default="")
    image: Mapped[str] = mapped_column(NAME, server_default="")
    cores: Mapped[Decimal] = mapped_column(Numeric(10, 3), server_default="0")
    benchmark_type: Mapped[str] = mapped_column(String(50), server_default="")
    benchmark: Mapped[Decimal] = mapped_column(Numeric(10, 3), server_default="0")
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    network_in: Mapped[int] = mapped_column(BigInteger, server_default="0")
    network_out: Mapped[int] = mapped_column(BigInteger, server_default="0")
    memory_mb: Mapped[int] = mapped_column(BigInteger, server_default="0")
    disk_gb: Mapped[int] = mapped_column(BigInteger, server_default="0")
    vms: Mapped[int] = mapped_column(SmallInteger)


class Uncounted(Base):
    """A site whose machines must be counted anew from their snapshots before anything is added to its figures.

    Written by a migration that changes how machines are counted, and by whoever changes snapshots by hand.
    """

    __tablename__ = "uncounted"

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
