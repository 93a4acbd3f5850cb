"""Downtimes, what they affect, and drafts of downtimes that nobody has declared yet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
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
    """A time in which services of one or more sites are away or at risk; `state` is moved by the clock.

    `site` is the first of `parts`. `series` is the first of a series of repeated downtimes. `import_uid` is the UID of
    the calendar event that it was made of.
    """

    __tablename__ = "downtime"
    __table_args__ = (
        CheckConstraint("start_at < end_at", name="downtime_order"),
        CheckConstraint(one_of("severity", SEVERITIES), name="downtime_severity"),
        CheckConstraint(one_of("classification", CLASSIFICATIONS), name="downtime_classification"),
        CheckConstraint(one_of("state", DOWNTIME_STATES), name="downtime_state"),
        Index("downtime_site", "site_id", "start_at"),
        Index("downtime_span", "start_at", "end_at"),
        Index("downtime_end", "end_at", "start_at"),
        Index("downtime_open", "state", postgresql_where=text("state <> 'ended'")),
        Index("downtime_series", "series", postgresql_where=text("series is not null")),
        UniqueConstraint("site_id", "import_uid", name="downtime_import_uid"),
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
    series: Mapped[int | None] = mapped_column(BigInteger)
    import_uid: Mapped[str | None] = mapped_column(Text)

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)
    parts: Mapped[list[DowntimePart]] = relationship(
        cascade="all, delete-orphan",
        lazy="selectin",
        order_by="DowntimePart.position",
        passive_deletes=True,
    )
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

    @property
    def site_names(self) -> list[str]:
        """The sites that are affected, the first first."""
        return [part.site.name for part in self.parts]


class DowntimePart(Base):
    """A site that a downtime affects. When it is `whole`, services that the site gets later are affected as well."""

    __tablename__ = "downtime_part"
    __table_args__ = (Index("downtime_part_site", "site_id"),)

    downtime_id: Mapped[int] = mapped_column(ForeignKey("downtime.id", ondelete="CASCADE"), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int]
    whole: Mapped[bool]

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)


class DowntimeService(Base):
    """A service that a downtime affects.

    When it is `whole`, endpoints that it gets later are affected as well. `end_at` is its own, earlier end; without
    one it ends with the downtime.
    """

    __tablename__ = "downtime_service"
    __table_args__ = (Index("downtime_service_service", "service_id"),)

    downtime_id: Mapped[int] = mapped_column(ForeignKey("downtime.id", ondelete="CASCADE"), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True)
    end_at: Mapped[datetime | None] = mapped_column(UtcTime)
    whole: Mapped[bool] = mapped_column(server_default=text("false"))


class DowntimeEndpoint(Base):
    """An endpoint that a downtime affects; its service is one of the downtime's."""

    __tablename__ = "downtime_endpoint"
    __table_args__ = (Index("downtime_endpoint_endpoint", "endpoint_id"),)

    downtime_id: Mapped[int] = mapped_column(ForeignKey("downtime.id", ondelete="CASCADE"), primary_key=True)
    endpoint_id: Mapped[int] = mapped_column(ForeignKey("endpoint.id", ondelete="CASCADE"), primary_key=True)


class DowntimeDraft(Base):
    """What somebody typed of a downtime and has not declared. `key` stands in the address and cannot be guessed.

    It belongs to a person (`owner`, the principal's key), or to all who may declare at a site, when the registry
    proposes it (`proposal` says because of what, so that it is proposed once).
    """

    __tablename__ = "downtime_draft"
    __table_args__ = (
        CheckConstraint("num_nonnulls(owner, site_id) = 1", name="downtime_draft_one_owner"),
        Index("downtime_draft_owner", "owner"),
        Index("downtime_draft_site", "site_id"),
    )

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[str | None] = mapped_column(Text)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    proposal: Mapped[str | None] = mapped_column(Text, unique=True)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    changed_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())

    site: Mapped[Site | None] = relationship(lazy="joined")
