"""Downtimes and what they affect."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.models.base import (
    CLASSIFICATIONS,
    DOWNTIME_STATES,
    SEVERITIES,
    Base,
    UtcTime,
    downtime_id,
    one_of,
)
from registry.models.sites import Site


class Downtime(Base):
    """A time in which services of one site are away or at risk. `state` is moved by the clock (`registry.jobs`)."""

    __tablename__ = "downtime"
    __table_args__ = (
        CheckConstraint("start_at < end_at", name="downtime_order"),
        CheckConstraint(one_of("severity", SEVERITIES), name="downtime_severity"),
        CheckConstraint(one_of("classification", CLASSIFICATIONS), name="downtime_classification"),
        CheckConstraint(one_of("state", DOWNTIME_STATES), name="downtime_state"),
        Index("downtime_site", "site_id", "start_at"),
        Index("downtime_span", "start_at", "end_at"),
        Index("downtime_open", "state", postgresql_where=text("state <> 'ended'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, downtime_id, primary_key=True)
    primary_key: Mapped[str] = mapped_column(Text, unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    severity: Mapped[str] = mapped_column(Text)
    classification: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    start_at: Mapped[datetime] = mapped_column(UtcTime)
    end_at: Mapped[datetime] = mapped_column(UtcTime)
    state: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    created_by: Mapped[str] = mapped_column(Text)

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)
    services: Mapped[list[DowntimeService]] = relationship(
        cascade="all, delete-orphan",
        lazy="selectin",
        order_by="DowntimeService.service_id",
        passive_deletes=True,
    )
    endpoints: Mapped[list[DowntimeEndpoint]] = relationship(
        cascade="all, delete-orphan",
        lazy="selectin",
        order_by="DowntimeEndpoint.endpoint_id",
        passive_deletes=True,
    )


class DowntimeService(Base):
    """A service that a downtime affects."""

    __tablename__ = "downtime_service"
    __table_args__ = (Index("downtime_service_service", "service_id"),)

    downtime_id: Mapped[int] = mapped_column(ForeignKey("downtime.id", ondelete="CASCADE"), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True)


class DowntimeEndpoint(Base):
    """An endpoint that a downtime affects; its service is one of the downtime's."""

    __tablename__ = "downtime_endpoint"
    __table_args__ = (Index("downtime_endpoint_endpoint", "endpoint_id"),)

    downtime_id: Mapped[int] = mapped_column(ForeignKey("downtime.id", ondelete="CASCADE"), primary_key=True)
    endpoint_id: Mapped[int] = mapped_column(ForeignKey("endpoint.id", ondelete="CASCADE"), primary_key=True)
