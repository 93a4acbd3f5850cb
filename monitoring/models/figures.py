"""Tables of availability and reliability: what was to be judged on each day and how, and the figures of the days.

Days are UTC. A profile, weights and the topology are dated: the version in force on a day is the newest that
began on it or before."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Numeric, Text

from monitoring.models.base import Base, UtcTime

FRACTION = Numeric(6, 5)
PERCENT = Numeric(8, 5)


class Profile(Base):
    """A profile, report or set of weights under its immutable id; what it says stands in its versions."""

    __tablename__ = "profile"
    __table_args__ = (
        CheckConstraint(
            "kind in ('metric', 'aggregation', 'operations', 'thresholds', 'weights', 'report')",
            name="profile_kind",
        ),
        Index("profile_name", "kind", "name", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))


class ProfileVersion(Base):
    """What a profile says from a day on. `made_by` None = kept by Hanse itself."""

    __tablename__ = "profile_version"

    profile_id: Mapped[str] = mapped_column(ForeignKey("profile.id", ondelete="CASCADE"), primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    made_by: Mapped[str | None]


class TopologyRow(Base):
    """An endpoint as the registry had it from `first_day` to `last_day` (both part of it; None = still)."""

    __tablename__ = "topology_row"
    __table_args__ = (
        CheckConstraint("last_day is null or last_day >= first_day", name="topology_days"),
        Index("topology_by_day", "first_day", "last_day"),
    )

    endpoint_id: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    last_day: Mapped[date | None]
    site: Mapped[str]
    ngi: Mapped[str]
    service_type: Mapped[str]
    service_id: Mapped[str]
    hostname: Mapped[str]
    url: Mapped[str]
    production: Mapped[bool]
    certification: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))


class DayFigure(Base):
    """What a UTC day of a site, a service type of a site, or an endpoint amounts to in a report.

    `line` = its states as [second of the day, state]. Percent and fractions as ARGO writes them, -1 =
    undefined."""

    __tablename__ = "day_figure"
    __table_args__ = (
        CheckConstraint("level in ('site', 'service', 'endpoint')", name="day_figure_level"),
        Index("day_figure_of_subject", "report_id", "level", "site", "day"),
    )

    report_id: Mapped[str] = mapped_column(ForeignKey("profile.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True, server_default="")
    endpoint_id: Mapped[str] = mapped_column(primary_key=True, server_default="")
    ngi: Mapped[str]
    availability: Mapped[Decimal] = mapped_column(PERCENT)
    reliability: Mapped[Decimal] = mapped_column(PERCENT)
    uptime: Mapped[Decimal] = mapped_column(FRACTION)
    unknown: Mapped[Decimal] = mapped_column(FRACTION)
    downtime: Mapped[Decimal] = mapped_column(FRACTION)
    line: Mapped[list[Any]] = mapped_column(JSONB)


class ComputedDay(Base):
    """That a day's figures of a report stand, and when they were made."""

    __tablename__ = "computed_day"

    report_id: Mapped[str] = mapped_column(ForeignKey("profile.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    computed_at: Mapped[datetime] = mapped_column(UtcTime)


class NotedDay(Base):
    """A day whose figures must be made anew, and why; gone when they were."""

    __tablename__ = "noted_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    noted_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    why: Mapped[str]


class SeenDowntime(Base):
    """A downtime as the figures last took it into account: another fingerprint means that its days changed."""

    __tablename__ = "seen_downtime"

    id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    starts: Mapped[datetime] = mapped_column(UtcTime)
    ends: Mapped[datetime] = mapped_column(UtcTime)


class Recomputation(Base):
    """Somebody asks for figures of a period to be made anew, without what was not the sites' fault."""

    __tablename__ = "recomputation"
    __table_args__ = (
        CheckConstraint(
            "status in ('pending', 'approved', 'rejected', 'running', 'done')", name="recomputation_status"
        ),
        CheckConstraint("ends > starts", name="recomputation_times"),
        Index("recomputation_times_of", "starts", "ends"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    report: Mapped[str]
    starts: Mapped[datetime] = mapped_column(UtcTime)
    ends: Mapped[datetime] = mapped_column(UtcTime)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(server_default="pending")
    history: Mapped[list[Any]] = mapped_column(JSONB)
    asked_by: Mapped[str]
    decided_by: Mapped[str | None]
