"""Sums that the portal reads, and the note which of them are older than their usage."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Date, Index, Numeric, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime


class UsageSummary(Base):
    """Cloud usage of a site in a month by service, VO, group, role, user, status, image, size and benchmark.

    Made anew whenever a report touches it; `part` is the number of the combination. Sums in seconds; `wall_core_s`
    is wall time multiplied by cores; memory (MB) and disk (GB) are summed over the machines (`vms`), network over
    the month as the sites count it.
    """

    __tablename__ = "usage_summary"
    __table_args__ = (Index("usage_summary_month", "month"),)

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    service: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    status: Mapped[str] = mapped_column(Text)
    image: Mapped[str] = mapped_column(NAME)
    cores: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    benchmark_type: Mapped[str] = mapped_column(String(50))
    benchmark: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    wall_core_s: Mapped[int] = mapped_column(BigInteger)
    network_in: Mapped[int] = mapped_column(BigInteger)
    network_out: Mapped[int] = mapped_column(BigInteger)
    memory_mb: Mapped[int] = mapped_column(BigInteger)
    disk_gb: Mapped[int] = mapped_column(BigInteger)
    vms: Mapped[int] = mapped_column(BigInteger)


class UsageDay(Base):
    """Cloud usage of a site on a day (UTC) by VO, cut in proportion to time as months are: the days of a month add
    up to it. `vms` counts each machine once a day.
    """

    __tablename__ = "usage_day"
    __table_args__ = (Index("usage_day_day", "day"),)

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    vo: Mapped[str] = mapped_column(NAME, primary_key=True)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    vms: Mapped[int] = mapped_column(BigInteger)


class SummaryDue(Base):
    """A site and month whose summary of one kind of record is older than its usage; written with the usage, taken
    by the summariser. `kind` names the store (`accounting/stores`).
    """

    __tablename__ = "summary_due"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
