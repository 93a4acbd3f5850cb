"""The registry's tables: what must always be true of a site, a service, a downtime, a person, and the database says so.

Text that people choose is checked in `registry.schemas`; the constraints here hold whatever wrote the row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Sequence,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from hanse.database import GroundBase
from hanse.identity import names
from hanse.revisions import RevisionBase

UtcTime = TIMESTAMP(timezone=True)
CERTIFICATIONS = ("Candidate", "Uncertified", "Certified", "Suspended", "Closed")
CONTACT_KINDS = ("admin", "security", "alarm", "helpdesk", "operations")
SEVERITIES = ("OUTAGE", "WARNING")
CLASSIFICATIONS = ("SCHEDULED", "UNSCHEDULED")
DOWNTIME_STATES = ("planned", "ongoing", "ended")
PERSON_ROLES = ("federation_operator", "ngi_manager", "site_administrator", "site_security_officer")


class Base(DeclarativeBase):
    """The registry's own tables."""


def _one_of(column: str, values: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} in ({listed})"


# GOCDB gives sites, NGIs, projects and service groups ids of ONE sequence; its clients rely on that.
owned_entity_id = Sequence("owned_entity_id", metadata=Base.metadata)
service_id = Sequence("service_id", metadata=Base.metadata)
downtime_id = Sequence("downtime_id", metadata=Base.metadata)


class Ngi(Base):
    """A national grid infrastructure (`ROC` in the GOCDB interface)."""

    __tablename__ = "ngi"

    id: Mapped[int] = mapped_column(BigInteger, owned_entity_id, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    description: Mapped[str] = mapped_column(Text, server_default="")
    email: Mapped[str | None] = mapped_column(Text)
    rod_email: Mapped[str | None] = mapped_column(Text)
    helpdesk_email: Mapped[str | None] = mapped_column(Text)
    security_email: Mapped[str | None] = mapped_column(Text)

    sites: Mapped[list[Site]] = relationship(back_populates="ngi")


class Site(Base):
    """A resource centre. `certification` moves by the rules of `registry.rules`; `production` = its infrastructure."""

    __tablename__ = "site"
    __table_args__ = (
        CheckConstraint(_one_of("certification", CERTIFICATIONS), name="site_certification"),
        CheckConstraint("country_code ~ '^[A-Z]{2}$'", name="site_country_code"),
        CheckConstraint("latitude between -90 and 90", name="site_latitude"),
        CheckConstraint("longitude between -180 and 180", name="site_longitude"),
        CheckConstraint("cardinality(scopes) > 0", name="site_has_scope"),
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
    production: Mapped[bool]
    notify: Mapped[bool] = mapped_column(server_default=text("true"))
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
    """Whom to reach at a site, and for what."""

    __tablename__ = "contact"
    __table_args__ = (CheckConstraint(_one_of("kind", CONTACT_KINDS), name="contact_kind"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)


class VoShare(Base):
    """A VO that the site supports, and the virtual processors it declares for it (None = not said)."""

    __tablename__ = "vo_share"
    __table_args__ = (CheckConstraint("vcpu >= 0", name="vo_share_vcpu"), Index("vo_share_vo", "vo"))

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), primary_key=True)
    vo: Mapped[str] = mapped_column(Text, primary_key=True)
    vcpu: Mapped[int | None] = mapped_column(BigInteger)


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
    service_type: Mapped[str] = mapped_column(ForeignKey("service_type.name"))
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
    """A key and value that a site, a service or an endpoint carries for others' programs (`EXTENSIONS` in GOCDB)."""

    __tablename__ = "extension_property"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(site_id, service_id, endpoint_id) = 1", name="extension_property_one_owner"
        ),
        UniqueConstraint("site_id", "key", name="extension_property_of_site"),
        UniqueConstraint("service_id", "key", name="extension_property_of_service"),
        UniqueConstraint("endpoint_id", "key", name="extension_property_of_endpoint"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    endpoint_id: Mapped[int | None] = mapped_column(ForeignKey("endpoint.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)


class Downtime(Base):
    """A time in which services of one site are away or at risk. `state` is moved by the clock (`registry.jobs`)."""

    __tablename__ = "downtime"
    __table_args__ = (
        CheckConstraint("start_at < end_at", name="downtime_order"),
        CheckConstraint(_one_of("severity", SEVERITIES), name="downtime_severity"),
        CheckConstraint(_one_of("classification", CLASSIFICATIONS), name="downtime_classification"),
        CheckConstraint(_one_of("state", DOWNTIME_STATES), name="downtime_state"),
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


class HostCertificate(Base):
    """A certificate that may speak for a site while it is valid. A renewal has the same `key` and another serial."""

    __tablename__ = "host_certificate"
    __table_args__ = (
        CheckConstraint("not_before < not_after", name="host_certificate_order"),
        Index("host_certificate_key", "key"),
        Index("host_certificate_site", "site_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text, unique=True)
    subject_der: Mapped[bytes] = mapped_column(LargeBinary)
    issuer_der: Mapped[bytes] = mapped_column(LargeBinary)
    pem: Mapped[str] = mapped_column(Text)
    not_before: Mapped[datetime] = mapped_column(UtcTime)
    not_after: Mapped[datetime] = mapped_column(UtcTime)
    added_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)

    @property
    def dn_text(self) -> str:
        """The subject in slash form, for people."""
        return names.slash(self.subject_der)


class Person(Base):
    """Somebody with roles. What is personal stands here, so that it can be erased without breaking the log."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())

    credentials: Mapped[list[Credential]] = relationship(
        cascade="all, delete-orphan", order_by="Credential.id", lazy="selectin", passive_deletes=True
    )
    roles: Mapped[list[Role]] = relationship(
        back_populates="person",
        cascade="all, delete-orphan",
        order_by="Role.id",
        lazy="selectin",
        passive_deletes=True,
    )


class Credential(Base):
    """A way to sign in: a person's X.509 identity or token, or a token of a site's machines.

    `key` is the principal key ("x509:<hex>", "token:<hex>"); a token itself is never stored.
    """

    __tablename__ = "credential"
    __table_args__ = (
        CheckConstraint("kind in ('x509', 'token')", name="credential_kind"),
        CheckConstraint("num_nonnulls(person_id, site_id) = 1", name="credential_one_owner"),
        CheckConstraint(
            "(kind = 'x509') = (subject_der is not null and issuer_der is not null)", name="credential_x509"
        ),
        CheckConstraint("kind <> 'token' or not_after is not null", name="credential_token_ends"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    subject_der: Mapped[bytes | None] = mapped_column(LargeBinary)
    issuer_der: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    not_after: Mapped[datetime | None] = mapped_column(UtcTime)

    @property
    def subject(self) -> str:
        """The subject in slash form, for people; "" for a token."""
        return names.slash(self.subject_der) if self.subject_der else ""

    @property
    def issuer(self) -> str:
        """The issuer in slash form, for people; "" for a token."""
        return names.slash(self.issuer_der) if self.issuer_der else ""


class Role(Base):
    """A role that a person holds in a scope ("federation", "ngi:NAME", "site:NAME" kept as ids, so names may change)."""

    __tablename__ = "role"
    __table_args__ = (
        CheckConstraint(_one_of("role", PERSON_ROLES), name="role_name"),
        CheckConstraint(
            "case role when 'federation_operator' then site_id is null and ngi_id is null"
            " when 'ngi_manager' then site_id is null and ngi_id is not null"
            " else site_id is not null and ngi_id is null end",
            name="role_scope",
        ),
        UniqueConstraint(
            "person_id", "role", "site_id", "ngi_id", name="role_once", postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(Text)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), index=True)
    ngi_id: Mapped[int | None] = mapped_column(ForeignKey("ngi.id", ondelete="CASCADE"), index=True)
    granted_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    granted_by: Mapped[str] = mapped_column(Text)

    person: Mapped[Person] = relationship(back_populates="roles")
    site: Mapped[Site | None] = relationship(lazy="joined")
    ngi: Mapped[Ngi | None] = relationship(lazy="joined")

    @property
    def scope(self) -> str:
        """Where the role holds, as grants spell it."""
        if self.site is not None:
            return f"site:{self.site.name}"
        return f"ngi:{self.ngi.name}" if self.ngi is not None else "federation"


class LinkCode(Base):
    """A one-time code with which a person links another certificate. Only its hash is kept."""

    __tablename__ = "link_code"

    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    valid_until: Mapped[datetime] = mapped_column(UtcTime)


class HeardAnswer(Base):
    """The last good answer of another service to a question of our pages, for the time when it is silent."""

    __tablename__ = "heard_answer"

    question: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)


metadatas = (Base.metadata, GroundBase.metadata, RevisionBase.metadata)
