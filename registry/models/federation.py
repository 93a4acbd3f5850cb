"""Projects, scopes, service groups, and the log of certification: what spans sites."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.models.base import CERTIFICATIONS, Base, UtcTime, one_of, owned_entity_id
from registry.models.sites import ExtensionProperty, Ngi, Service

project_ngi = Table(
    "project_ngi",
    Base.metadata,
    Column("project_id", ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    Column("ngi_id", ForeignKey("ngi.id", ondelete="CASCADE"), primary_key=True),
    Index("project_ngi_ngi", "ngi_id"),
)
service_group_service = Table(
    "service_group_service",
    Base.metadata,
    Column("service_group_id", ForeignKey("service_group.id", ondelete="CASCADE"), primary_key=True),
    Column("service_id", ForeignKey("service.id", ondelete="CASCADE"), primary_key=True),
    Index("service_group_service_service", "service_id"),
)


class Scope(Base):
    """A tag that sorts NGIs, sites, services and groups; a reserved one is given by operators."""

    __tablename__ = "scope"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    reserved: Mapped[bool] = mapped_column(server_default=text("false"))


class Project(Base):
    """What NGIs take part in; its roles reach down to their sites."""

    __tablename__ = "project"

    id: Mapped[int] = mapped_column(BigInteger, owned_entity_id, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")

    ngis: Mapped[list[Ngi]] = relationship(
        secondary=project_ngi, order_by=Ngi.name, lazy="selectin", passive_deletes=True
    )


class ServiceGroup(Base):
    """Services of any sites that belong together, under a name of their own."""

    __tablename__ = "service_group"
    __table_args__ = (
        CheckConstraint("cardinality(scopes) > 0", name="service_group_has_scope"),
        Index("service_group_scopes", "scopes", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(BigInteger, owned_entity_id, primary_key=True)
    primary_key: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    monitored: Mapped[bool]
    email: Mapped[str | None] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())

    services: Mapped[list[Service]] = relationship(
        secondary=service_group_service, order_by=Service.id, passive_deletes=True
    )
    properties: Mapped[list[ExtensionProperty]] = relationship(
        cascade="all, delete-orphan", order_by=ExtensionProperty.id, lazy="selectin", passive_deletes=True
    )


class CertificationChange(Base):
    """One step of a site's certification. `by_key` is the principal's key; `by_name` is personal data."""

    __tablename__ = "certification_change"
    __table_args__ = (
        CheckConstraint(one_of("old", CERTIFICATIONS), name="certification_change_old"),
        CheckConstraint(one_of("new", CERTIFICATIONS), name="certification_change_new"),
        Index("certification_change_site", "site_id", "at"),
        Index("certification_change_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    old: Mapped[str] = mapped_column(Text)
    new: Mapped[str] = mapped_column(Text)
    by_key: Mapped[str] = mapped_column(Text)
    by_name: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
