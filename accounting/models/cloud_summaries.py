"""Cloud usage that somebody else has summed by month."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, LargeBinary, Numeric, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime


class ReceivedCloudSummary(Base):
    """Machines of a month as a site, or a server that it reports to, has summed them. `key` is the SHA-256 of all
    that tells summaries apart; of two with one key the later receipt counts. Network in GB, memory in MB, disk in GB.
    """

    __tablename__ = "received_cloud_summary"
    __table_args__ = (
        CheckConstraint("extract(day from month) = 1", name="received_cloud_summary_first_day"),
        CheckConstraint(
            "wall_s >= 0 and cpu_s >= 0 and vms >= 0", name="received_cloud_summary_not_negative"
        ),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    service: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    status: Mapped[str] = mapped_column(Text)
    cloud_type: Mapped[str] = mapped_column(NAME)
    image: Mapped[str] = mapped_column(NAME)
    earliest_start: Mapped[datetime | None] = mapped_column(UtcTime)
    latest_start: Mapped[datetime | None] = mapped_column(UtcTime)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    cpu_count: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    network_in: Mapped[int | None] = mapped_column(BigInteger)
    network_out: Mapped[int | None] = mapped_column(BigInteger)
    memory_mb: Mapped[int | None] = mapped_column(BigInteger)
    disk_gb: Mapped[int | None] = mapped_column(BigInteger)
    benchmark_type: Mapped[str] = mapped_column(String(50))
    benchmark: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    vms: Mapped[int] = mapped_column(BigInteger)
