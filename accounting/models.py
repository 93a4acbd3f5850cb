"""The tables: the inbox, snapshots of machines, usage by month, summaries, and what was refused or remarked."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.database import GroundBase, UtcTime

NAME = String(255)


class Base(DeclarativeBase):
    """Tables of accounting."""


RECEIPTS = Sequence("receipt", metadata=Base.metadata)
"""Numbers receipts in order. Of two reports of one machine at one time the one with the higher receipt
counts.
"""


class Message(Base):
    """One message as it came, whole, with its verdict once it has one. The inbox is the rows that are
    waiting.

    `site` is whose message it is: the signer's, else the publisher's; "" while nobody's. `sha256` is over
    `body`.
    """

    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'loaded', 'refused')", name="message_state"),
        CheckConstraint("source in ('ams', 'load')", name="message_source"),
        CheckConstraint("state <> 'refused' or reason <> ''", name="message_reason"),
        CheckConstraint("records >= 0 and loaded >= 0 and refused >= 0", name="message_counts"),
        Index("message_once", "empaid", "sha256", unique=True, postgresql_where=text("source = 'ams'")),
        Index("message_waiting", "id", postgresql_where=text("state = 'waiting'")),
        Index("message_site", "site", "received_at"),
        Index("message_received", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger, RECEIPTS, server_default=RECEIPTS.next_value())
    received_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    source: Mapped[str] = mapped_column(Text)
    topic: Mapped[str] = mapped_column(NAME, server_default="")
    empaid: Mapped[str] = mapped_column(NAME, server_default="")
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    sender: Mapped[str] = mapped_column(Text, server_default="")
    sender_name: Mapped[str] = mapped_column(Text, server_default="")
    sender_site: Mapped[str] = mapped_column(NAME, server_default="")
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    code: Mapped[str] = mapped_column(Text, server_default="")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    signer: Mapped[str] = mapped_column(Text, server_default="")
    site: Mapped[str] = mapped_column(NAME, server_default="")
    format: Mapped[str] = mapped_column(Text, server_default="")
    records: Mapped[int] = mapped_column(server_default="0")
    loaded: Mapped[int] = mapped_column(server_default="0")
    refused: Mapped[int] = mapped_column(server_default="0")
    remarked: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    retry_at: Mapped[datetime | None] = mapped_column(UtcTime)
    judged_at: Mapped[datetime | None] = mapped_column(UtcTime)


class VmSnapshot(Base):
    """One cumulative report of a virtual machine, and the usage it adds: from `from_at` to `measured_at`.

    Key (site, machine, measurement time), so no site can overwrite another's. `wall_s` and `cpu_s` are the
    counters as sent (seconds since the start of the machine); `used_*_s` what this report adds to the one
    before it.
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
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
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


class VmMonth(Base):
    """What one machine used in one month, cut exactly; a part for each VO, user or service it ran under.

    `vms` is 1 on the last part and 0 on the others, so that a machine counts once a month in every sum.
    """

    __tablename__ = "vm_month"
    __table_args__ = (
        CheckConstraint("extract(day from month) = 1", name="vm_month_first_day"),
        CheckConstraint("wall_s >= 0 and cpu_s >= 0 and vms in (0, 1)", name="vm_month_not_negative"),
        Index("vm_month_site", "site", "month"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    vmuuid: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    service: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    vms: Mapped[int] = mapped_column(SmallInteger)


class UsageSummary(Base):
    """Usage of a site in a month by service, VO, group, role and user; made anew whenever a report touches
    it.
    """

    __tablename__ = "usage_summary"
    __table_args__ = (Index("usage_summary_site", "site", "month"), Index("usage_summary_month", "month"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site: Mapped[str] = mapped_column(NAME)
    month: Mapped[date] = mapped_column(Date)
    service: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    vms: Mapped[int] = mapped_column(BigInteger)


class SummaryDue(Base):
    """A site and month whose summary is older than its usage; written with the usage, taken by the
    summariser.
    """

    __tablename__ = "summary_due"

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))


class SitePublishing(Base):
    """The last message of a site that brought records, and the latest time it reported about."""

    __tablename__ = "site_publishing"

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    last_message_at: Mapped[datetime] = mapped_column(UtcTime)
    measured_until: Mapped[datetime] = mapped_column(UtcTime)


class RefusedRecord(Base):
    """A record that was not counted, with the reason; record 0 is a whole message. `line` counts in the
    message.

    `faults` holds every fault of the record, the first being the one in `code`, `field`, `line` and `reason`.
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


metadatas = (Base.metadata, GroundBase.metadata)
