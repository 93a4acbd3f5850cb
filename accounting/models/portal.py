"""What the portal reads first: usage by kind, site, month and VO, a few thousand rows a year."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, Date, Index, Numeric, Text
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base


class UsageMonth(Base):
    """Usage of a site in a month by VO, rolled up from the summaries of its kind in the same transaction.

    Seconds, bytes or counts as in the summaries. `begun` are the machines of `vms` that the month before did not
    have, so that machines of several months are counted once: those of the first month and what begun after.
    """

    __tablename__ = "usage_month"
    __table_args__ = (
        Index("usage_month_month", "kind", "month"),
        Index("usage_month_vo", "kind", "vo", "month"),
    )

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    vo: Mapped[str] = mapped_column(NAME, primary_key=True)
    wall_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cpu_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    wall_core_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    normalised_wall_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    normalised_cpu_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    network_in: Mapped[Decimal] = mapped_column(Numeric(30), server_default="0")
    network_out: Mapped[Decimal] = mapped_column(Numeric(30), server_default="0")
    vms: Mapped[int] = mapped_column(BigInteger, server_default="0")
    begun: Mapped[int] = mapped_column(BigInteger, server_default="0")
    jobs: Mapped[int] = mapped_column(BigInteger, server_default="0")
