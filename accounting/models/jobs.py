"""Batch jobs: as they ran, as sites sum them, as sites count them, and what both add up to."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, LargeBinary, Numeric, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime

LEVEL = Numeric(10, 3)
LARGE = Numeric(38, 0)


class JobRecord(Base):
    """One job that has ended. The same LocalJobId with another end is another job (APEL).

    `service_level` is the speed of a core by `service_level_type` (1 and "" where none is stated).
    """

    __tablename__ = "job_record"
    __table_args__ = (
        CheckConstraint("wall_s >= 0 and cpu_s >= 0 and processors >= 0", name="job_record_not_negative"),
        CheckConstraint("started_at <= ended_at", name="job_record_interval"),
        Index("job_record_ended", "site", "ended_at"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    local_job_id: Mapped[str] = mapped_column(NAME, primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(UtcTime, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    submit_host: Mapped[str] = mapped_column(NAME)
    machine_name: Mapped[str] = mapped_column(NAME)
    queue: Mapped[str] = mapped_column(String(100))
    local_user: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    fqan: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    processors: Mapped[int]
    node_count: Mapped[int]
    infrastructure_type: Mapped[str] = mapped_column(String(20))
    infrastructure_description: Mapped[str] = mapped_column(String(100))
    memory_real_kb: Mapped[int | None] = mapped_column(BigInteger)
    memory_virtual_kb: Mapped[int | None] = mapped_column(BigInteger)
    service_level_type: Mapped[str] = mapped_column(String(20))
    service_level: Mapped[Decimal] = mapped_column(LEVEL)


class ReceivedJobSummary(Base):
    """Jobs of a month as a site has summed them. `key` is the SHA-256 of all that tells summaries apart; of two
    with one key the later receipt counts.
    """

    __tablename__ = "received_job_summary"
    __table_args__ = (
        CheckConstraint("extract(day from month) = 1", name="received_job_summary_first_day"),
        CheckConstraint("wall_s >= 0 and cpu_s >= 0 and jobs >= 0", name="received_job_summary_not_negative"),
        CheckConstraint("normalised = (norm_wall_s is not null)", name="received_job_summary_normalised"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    normalised: Mapped[bool]
    user_name: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    submit_host: Mapped[str] = mapped_column(NAME)
    infrastructure_type: Mapped[str] = mapped_column(String(20))
    infrastructure_description: Mapped[str] = mapped_column(String(100))
    service_level_type: Mapped[str] = mapped_column(String(20))
    service_level: Mapped[Decimal] = mapped_column(LEVEL)
    node_count: Mapped[int]
    processors: Mapped[int]
    earliest_end: Mapped[datetime | None] = mapped_column(UtcTime)
    latest_end: Mapped[datetime | None] = mapped_column(UtcTime)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    norm_wall_s: Mapped[int | None] = mapped_column(BigInteger)
    norm_cpu_s: Mapped[int | None] = mapped_column(BigInteger)
    jobs: Mapped[int] = mapped_column(BigInteger)


class JobSummary(Base):
    """Jobs of a site that ended in a month, by all that APEL groups by; the portal reads these.

    `origin` says what was summed: "jobs", "summaries" or "normalised"; one month of a site has one origin, so
    nothing is counted twice. `norm_*_s` is duration x service level in units of HEPSPEC06 or HEPScore23 (si2k /
    250), rounded after summing; `wall_core_s` wall time x processors.
    """

    __tablename__ = "job_summary"
    __table_args__ = (
        CheckConstraint("origin in ('jobs', 'summaries', 'normalised')", name="job_summary_origin"),
        Index("job_summary_month", "month"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    origin: Mapped[str] = mapped_column(Text)
    vo: Mapped[str] = mapped_column(NAME)
    vo_group: Mapped[str] = mapped_column(NAME)
    vo_role: Mapped[str] = mapped_column(NAME)
    user_name: Mapped[str] = mapped_column(NAME)
    submit_host: Mapped[str] = mapped_column(NAME)
    infrastructure_type: Mapped[str] = mapped_column(String(20))
    service_level_type: Mapped[str] = mapped_column(String(20))
    service_level: Mapped[Decimal] = mapped_column(LEVEL)
    node_count: Mapped[int]
    processors: Mapped[int]
    earliest_end: Mapped[datetime | None] = mapped_column(UtcTime)
    latest_end: Mapped[datetime | None] = mapped_column(UtcTime)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
    wall_core_s: Mapped[Decimal] = mapped_column(LARGE)
    norm_wall_s: Mapped[Decimal] = mapped_column(LARGE)
    norm_cpu_s: Mapped[Decimal] = mapped_column(LARGE)
    jobs: Mapped[int] = mapped_column(BigInteger)


class SyncCount(Base):
    """How many jobs a site says that it ran at a submit host in a month; the later receipt counts."""

    __tablename__ = "sync_count"
    __table_args__ = (CheckConstraint("jobs >= 0", name="sync_count_not_negative"),)

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    submit_host: Mapped[str] = mapped_column(NAME, primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int] = mapped_column(BigInteger)
    jobs: Mapped[int] = mapped_column(BigInteger)


class Overlap(Base):
    """Usage that a site has sent in two ways for one month: what is not counted, since `counted` is.

    `kind` is "job" (jobs, summaries, normalised summaries) or "cloud" (records of machines, summaries); `records`
    counts jobs or machines.
    """

    __tablename__ = "overlap"
    __table_args__ = (
        CheckConstraint("kind in ('job', 'cloud')", name="overlap_kind"),
        CheckConstraint("origin <> counted", name="overlap_two"),
    )

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    origin: Mapped[str] = mapped_column(Text, primary_key=True)
    counted: Mapped[str] = mapped_column(Text)
    records: Mapped[int] = mapped_column(BigInteger)
    wall_s: Mapped[int] = mapped_column(BigInteger)
    cpu_s: Mapped[int] = mapped_column(BigInteger)
