"""What sites publish of their clouds, what was wrong with it, and which differences were found to be in order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.models.base import Base, UtcTime, one_of
from registry.models.sites import Site

DOCUMENT_FORMATS = ("glue21json", "ldif2.0", "ldif2.1")
DOCUMENT_SOURCES = ("api", "ams", "file")


class CloudDocument(Base):
    """A cloud-info document that was in order. One of each cloud service (`service` = its GLUE ID) is current.

    `body` is the document as GLUE 2.1 JSON whatever it came as, `facts` what drift and search read of it.
    `received_at` is when this very text came first, `heard_at` when last. `stood_until` is set when documents after it
    are no longer kept: until then one of them, or itself, held.
    """

    __tablename__ = "cloud_document"
    __table_args__ = (
        CheckConstraint(one_of("format", DOCUMENT_FORMATS), name="cloud_document_format"),
        CheckConstraint(one_of("source", DOCUMENT_SOURCES), name="cloud_document_source"),
        UniqueConstraint("site_id", "service", "sha256", name="cloud_document_once"),
        Index("cloud_document_current", "site_id", "service", unique=True, postgresql_where=text("current")),
        Index("cloud_document_came", "site_id", "service", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    service: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    format: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    sender: Mapped[str] = mapped_column(Text)
    sender_name: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
    heard_at: Mapped[datetime] = mapped_column(UtcTime)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    valid_until: Mapped[datetime] = mapped_column(UtcTime)
    stood_until: Mapped[datetime | None] = mapped_column(UtcTime)
    current: Mapped[bool]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)

    @property
    def held_until(self) -> datetime:
        """Until when it tells what was published, for those who look back."""
        return self.stood_until or self.valid_until


class CloudRefusal(Base):
    """A document that was not taken, whole, with what was wrong: kept so that the site can mend it."""

    __tablename__ = "cloud_refusal"
    __table_args__ = (
        CheckConstraint(one_of("source", DOCUMENT_SOURCES), name="cloud_refusal_source"),
        UniqueConstraint("site_id", "sha256", name="cloud_refusal_once"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    sender: Mapped[str] = mapped_column(Text)
    sender_name: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
    heard_at: Mapped[datetime] = mapped_column(UtcTime)
    times: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    faults: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
    content: Mapped[bytes] = mapped_column(deferred=True)


class DriftDecision(Base):
    """A difference that somebody found to be in order: it stays hidden while it is as `seen`, and until `until`."""

    __tablename__ = "drift_decision"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    fact: Mapped[str] = mapped_column(Text, primary_key=True)
    seen: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reason: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime | None] = mapped_column(UtcTime)
    at: Mapped[datetime] = mapped_column(UtcTime)
    by_name: Mapped[str] = mapped_column(Text)
