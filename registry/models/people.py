"""People and machines, what they sign in with, which roles they hold."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hanse.identity import names
from registry.models.base import (
    PERSON_ROLES,
    Base,
    UtcTime,
    one_of,
)
from registry.models.sites import Ngi, Site


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
    """A role that a person holds in a scope. Sites and NGIs are kept as ids, so that their names may change."""

    __tablename__ = "role"
    __table_args__ = (
        CheckConstraint(one_of("role", PERSON_ROLES), name="role_name"),
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
