"""What the portal reads first: usage by kind, site, month and VO, and what a VO's people used, packed in columns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, Date, Index, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY
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


class UsagePacked(Base):
    """The cloud summaries of a site in a month, a row a VO, a column an array: whose, of which image, and how much.

    A VO's year is some hundred rows that lie together and are compressed, where its summaries lie scattered over
    those of all others. Element n of every array tells of the n-th summary.
    """

    __tablename__ = "usage_packed"
    __table_args__ = (Index("usage_packed_site", "site", "month"),)

    vo: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    user_name: Mapped[list[str]] = mapped_column(ARRAY(Text))
    image: Mapped[list[str]] = mapped_column(ARRAY(Text))
    status: Mapped[list[str]] = mapped_column(ARRAY(Text))
    service: Mapped[list[str]] = mapped_column(ARRAY(Text))
    cores: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric(10, 3)))
    wall_s: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    cpu_s: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    wall_core_s: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    vms: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
