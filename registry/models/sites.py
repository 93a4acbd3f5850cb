"""NGIs, sites, services, endpoints: what stands where."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry.models.base import (
    CERTIFICATIONS,
    CONTACT_KINDS,
    INFRASTRUCTURES,
    Base,
    UtcTime,
    one_of,
    owned_entity_id,
    service_id,
)


class Ngi(Base):
    """A national grid infrastructure (`ROC` in the GOCDB interface)."""

    __tablename__ = "ngi"
    __table_args__ = (CheckConstraint("cardinality(scopes) > 0", name="ngi_has_scope"),)

    id: Mapped[int] = mapped_column(BigInteger, owned_entity_id, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    email: Mapped[str | None] = mapped_column(Text)
    rod_email: Mapped[str | None] = mapped_column(Text)
    helpdesk_email: Mapped[str | None] = mapped_column(Text)
    security_email: Mapped[str | None] = mapped_column(Text)
    ggus_su: Mapped[str | None] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{EGI}'"))

    sites: Mapped[list[Site]] = relationship(back_populates="ngi")


class Site(Base):
    """A resource centre. `certification` moves by the rules of `registry.rules`.

    `production` says that `infrastructure` is Production.
    """

    __tablename__ = "site"
    __table_args__ = (
        CheckConstraint(one_of("certification", CERTIFICATIONS), name="site_certification"),
        CheckConstraint("country_code ~ '^[A-Z]{2}$'", name="site_country_code"),
        CheckConstraint("latitude between -90 and 90", name="site_latitude"),
        CheckConstraint("longitude between -180 and 180", name="site_longitude"),
        CheckConstraint("cardinality(scopes) > 0", name="site_has_scope"),
        CheckConstraint(one_of("infrastructure", INFRASTRUCTURES), name="site_infrastructure"),
        CheckConstraint("production = (infrastructure = 'Production')", name="site_production"),
        CheckConstraint(
            "coalesce(vcpu, 0) >= 0 and coalesce(ram_gb, 0) >= 0 and coalesce(storage_tb, 0) >= 0"
            " and coalesce(volumes, 0) >= 0 and coalesce(public_ips, 0) >= 0",
            name="site_capacity",
        ),
        Index("site_ngi", "ngi_id"),
        Index("site_scopes", "scopes", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(BigInteger, owned_entity_id, primary_key=True)
    primary_key: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    ngi_id: Mapped[int] = mapped_column(ForeignKey("ngi.id"))
    official_name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    home_url: Mapped[str | None] = mapped_column(Text)
    telephone: Mapped[str | None] = mapped_column(Text)
    domain: Mapped[str | None] = mapped_column(Text)
    giis_url: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str] = mapped_column(Text)
    country_code: Mapped[str] = mapped_column(Text)
    location: Mapped[str | None] = mapped_column(Text)
    timezone: Mapped[str | None] = mapped_column(Text)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    middleware: Mapped[str | None] = mapped_column(Text)
    certification: Mapped[str] = mapped_column(Text)
    certification_since: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    infrastructure: Mapped[str] = mapped_column(Text, server_default="Production")
    production: Mapped[bool]
    notify: Mapped[bool] = mapped_column(server_default=text("true"))
    ip_range: Mapped[str | None] = mapped_column(Text)
    ipv6_range: Mapped[str | None] = mapped_column(Text)
    tier: Mapped[str | None] = mapped_column(Text)
    sub_grid: Mapped[str | None] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    vcpu: Mapped[int | None] = mapped_column(BigInteger)
    ram_gb: Mapped[float | None]
    storage_tb: Mapped[float | None]
    volumes: Mapped[int | None] = mapped_column(BigInteger)
    public_ips: Mapped[int | None] = mapped_column(BigInteger)
    agent_url: Mapped[str | None] = mapped_column(Text)
    usage_site_names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())

    ngi: Mapped[Ngi] = relationship(back_populates="sites", lazy="joined", innerjoin=True)
    contacts: Mapped[list[Contact]] = relationship(
        cascade="all, delete-orphan", order_by="Contact.position", lazy="selectin", passive_deletes=True
    )
    shares: Mapped[list[VoShare]] = relationship(
        cascade="all, delete-orphan", order_by="VoShare.vo", lazy="selectin", passive_deletes=True
    )
    properties: Mapped[list[ExtensionProperty]] = relationship(
        cascade="all, delete-orphan", order_by="ExtensionProperty.id", lazy="selectin", passive_deletes=True
    )
    services: Mapped[list[Service]] = relationship(
        back_populates="site", order_by="Service.id", passive_deletes=True
    )


class Contact(Base):
    """Whom to reach at a site, for what, and how: by mail, by telephone, or both."""

    __tablename__ = "contact"
    __table_args__ = (
        CheckConstraint(one_of("kind", CONTACT_KINDS), name="contact_kind"),
        CheckConstraint("num_nonnulls(email, telephone) > 0", name="contact_reachable"),
    )

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    telephone: Mapped[str | None] = mapped_column(Text)


class VoShare(Base):
    """A VO that the site supports: the virtual processors declared for it, and the project that it is in the cloud.

    None = not said.
    """

    __tablename__ = "vo_share"
    __table_args__ = (CheckConstraint("vcpu >= 0", name="vo_share_vcpu"), Index("vo_share_vo", "vo"))

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    vo: Mapped[str] = mapped_column(Text, primary_key=True)
    vcpu: Mapped[int | None] = mapped_column(BigInteger)
    project_id: Mapped[str | None] = mapped_column(Text)


class ServiceType(Base):
    """What a service can be. With `monitoring_exception` it may be in production without being monitored."""

    __tablename__ = "service_type"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    monitoring_exception: Mapped[bool] = mapped_column(server_default=text("false"))


class Service(Base):
    """One service on one host of a site. (hostname, type) may repeat inside a site, never over two sites."""

    __tablename__ = "service"
    __table_args__ = (
        CheckConstraint("cardinality(scopes) > 0", name="service_has_scope"),
        Index("service_site", "site_id"),
        Index("service_hostname", "hostname", "service_type"),
        Index("service_scopes", "scopes", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(BigInteger, service_id, primary_key=True)
    primary_key: Mapped[str] = mapped_column(Text, unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    service_type: Mapped[str] = mapped_column(ForeignKey("service_type.name", onupdate="CASCADE"))
    hostname: Mapped[str] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    host_dn: Mapped[str | None] = mapped_column(Text)
    host_ip: Mapped[str | None] = mapped_column(Text)
    host_ipv6: Mapped[str | None] = mapped_column(Text)
    host_os: Mapped[str | None] = mapped_column(Text)
    host_arch: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    beta: Mapped[bool] = mapped_column(server_default=text("false"))
    production: Mapped[bool]
    monitored: Mapped[bool]
    notify: Mapped[bool] = mapped_column(server_default=text("true"))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))

    site: Mapped[Site] = relationship(back_populates="services", lazy="joined", innerjoin=True)
    endpoints: Mapped[list[Endpoint]] = relationship(
        back_populates="service",
        cascade="all, delete-orphan",
        order_by="Endpoint.id",
        lazy="selectin",
        passive_deletes=True,
    )
    properties: Mapped[list[ExtensionProperty]] = relationship(
        cascade="all, delete-orphan", order_by="ExtensionProperty.id", lazy="selectin", passive_deletes=True
    )


class Endpoint(Base):
    """An address of a service. `interface_name` is the service type unless said otherwise."""

    __tablename__ = "endpoint"
    __table_args__ = (UniqueConstraint("service_id", "name", name="endpoint_name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    interface_name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    email: Mapped[str | None] = mapped_column(Text)
    monitored: Mapped[bool]

    service: Mapped[Service] = relationship(back_populates="endpoints")
    properties: Mapped[list[ExtensionProperty]] = relationship(
        cascade="all, delete-orphan", order_by="ExtensionProperty.id", lazy="selectin", passive_deletes=True
    )


class ExtensionProperty(Base):
    """A key and value that a site, service, endpoint or service group carries for others' programs (`EXTENSIONS`)."""

    __tablename__ = "extension_property"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(site_id, service_id, endpoint_id, service_group_id) = 1",
            name="extension_property_one_owner",
        ),
        UniqueConstraint("site_id", "key", name="extension_property_of_site"),
        UniqueConstraint("service_id", "key", name="extension_property_of_service"),
        UniqueConstraint("endpoint_id", "key", name="extension_property_of_endpoint"),
        UniqueConstraint("service_group_id", "key", name="extension_property_of_service_group"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    endpoint_id: Mapped[int | None] = mapped_column(ForeignKey("endpoint.id", ondelete="CASCADE"))
    service_group_id: Mapped[int | None] = mapped_column(ForeignKey("service_group.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
