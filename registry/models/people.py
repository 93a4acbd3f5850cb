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
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hanse.identity import names
from registry.models.base import (
    Base,
    UtcTime,
    one_of,
)
from registry.models.federation import Project, ServiceGroup
from registry.models.role_names import PERSON_ROLES, ROLE_TYPES, OwnerKind, held_at
from registry.models.sites import Ngi, Site

Owner = Site | Ngi | Project | ServiceGroup

ROLE_STATUSES = ("PENDING", "GRANTED")
ROLE_ACTIONS = ("requested", "granted", "rejected", "revoked", "laid down")


def _where_held() -> str:
    """A role hangs on exactly one site, NGI, project or service group, an operator's on none."""
    columns: dict[OwnerKind, str] = {
        "project": "project_id",
        "ngi": "ngi_id",
        "site": "site_id",
        "servicegroup": "service_group_id",
    }
    arms = " ".join(
        f"when {one_of('role', tuple(sorted(held_at(kind))))} then {column} is not null"
        for kind, column in columns.items()
    )
    return (
        "num_nonnulls(site_id, ngi_id, project_id, service_group_id)"
        " = case role when 'federation_operator' then 0 else 1 end"
        f" and case {arms} else true end"
    )


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
    """Somebody with roles. What is personal stands here, so that it can be erased without breaking the log.

    `name` is what people read; `works_from` and `works_until` are times of day ("08:30") in the person's own place.
    `roles` holds what was granted, `requests` what waits for a decision.
    """

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    forename: Mapped[str] = mapped_column(Text, server_default="")
    surname: Mapped[str] = mapped_column(Text, server_default="")
    title: Mapped[str] = mapped_column(Text, server_default="")
    email: Mapped[str | None] = mapped_column(Text)
    telephone: Mapped[str] = mapped_column(Text, server_default="")
    works_from: Mapped[str] = mapped_column(Text, server_default="")
    works_until: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    last_login_at: Mapped[datetime | None] = mapped_column(UtcTime)

    credentials: Mapped[list[Credential]] = relationship(
        cascade="all, delete-orphan", order_by="Credential.id", lazy="selectin", passive_deletes=True
    )
    roles: Mapped[list[Role]] = relationship(
        back_populates="person",
        primaryjoin="and_(Person.id == Role.person_id, Role.status == 'GRANTED')",
        cascade="all, delete-orphan",
        order_by="Role.id",
        lazy="selectin",
        passive_deletes=True,
    )
    requests: Mapped[list[Role]] = relationship(
        primaryjoin="and_(Person.id == Role.person_id, Role.status == 'PENDING')",
        order_by="Role.id",
        viewonly=True,
    )


class Credential(Base):
    """A way to sign in: a person's X.509 identity, OIDC subject or token, or a token of a site's machines.

    `key` is the principal key ("x509:<hex>", "oidc:<hex>", "token:<hex>"); a token itself is never stored. `realm` is
    what GOCDB calls the kind of an identifier ("X.509", "EGI Check-in"). A suspended one proves nothing.
    """

    __tablename__ = "credential"
    __table_args__ = (
        CheckConstraint("kind in ('x509', 'oidc', 'token')", name="credential_kind"),
        CheckConstraint("(kind = 'oidc') = (oidc_subject <> '')", name="credential_oidc"),
        Index("credential_oidc_subject", "oidc_subject", unique=True, postgresql_where=text("kind = 'oidc'")),
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
    realm: Mapped[str] = mapped_column(Text, server_default="")
    oidc_issuer: Mapped[str] = mapped_column(Text, server_default="")
    oidc_subject: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    not_after: Mapped[datetime | None] = mapped_column(UtcTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    suspended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    suspended_reason: Mapped[str] = mapped_column(Text, server_default="")

    @property
    def subject(self) -> str:
        """The subject in slash form or of the identity provider, for people; "" for a token."""
        return names.slash(self.subject_der) if self.subject_der else self.oidc_subject or ""

    @property
    def issuer(self) -> str:
        """The issuer in slash form or the identity provider's address, for people; "" for a token."""
        return names.slash(self.issuer_der) if self.issuer_der else self.oidc_issuer or ""


class Role(Base):
    """A role that a person holds in a scope (GRANTED) or asked for (PENDING).

    Sites, NGIs, projects and service groups are kept as ids, so that their names may change. A rejected request and a
    revoked role are no rows any more; `RoleAction` tells of them.
    """

    __tablename__ = "role"
    __table_args__ = (
        CheckConstraint(one_of("role", PERSON_ROLES), name="role_name"),
        CheckConstraint(one_of("status", ROLE_STATUSES), name="role_status"),
        CheckConstraint(
            "(status = 'GRANTED') = (granted_at is not null and granted_by is not null)", name="role_decided"
        ),
        CheckConstraint(_where_held(), name="role_scope"),
        UniqueConstraint(
            "person_id",
            "role",
            "site_id",
            "ngi_id",
            "project_id",
            "service_group_id",
            name="role_once",
            postgresql_nulls_not_distinct=True,
        ),
        Index("role_pending", "requested_at", postgresql_where=text("status = 'PENDING'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(Text)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"), index=True)
    ngi_id: Mapped[int | None] = mapped_column(ForeignKey("ngi.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    service_group_id: Mapped[int | None] = mapped_column(
        ForeignKey("service_group.id", ondelete="CASCADE"), index=True
    )
    status: Mapped[str] = mapped_column(Text, server_default="GRANTED")
    requested_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    requested_by: Mapped[str] = mapped_column(Text, server_default="")
    request_reason: Mapped[str] = mapped_column(Text, server_default="")
    granted_at: Mapped[datetime | None] = mapped_column(UtcTime)
    granted_by: Mapped[str | None] = mapped_column(Text)

    person: Mapped[Person] = relationship(back_populates="roles")
    site: Mapped[Site | None] = relationship(lazy="joined")
    ngi: Mapped[Ngi | None] = relationship(lazy="joined")
    project: Mapped[Project | None] = relationship(lazy="joined")
    service_group: Mapped[ServiceGroup | None] = relationship(lazy="joined")

    @property
    def owner(self) -> Owner | None:
        """The site, NGI, project or service group it hangs on; None for the federation."""
        return self.site or self.ngi or self.project or self.service_group

    @property
    def scope(self) -> str:
        """Where the role holds, as grants spell it: `site:CESNET`, `ngi:NGI_CZ`, `project:EGI`, `servicegroup:X`."""
        owner = self.owner
        return "federation" if owner is None else f"{ROLE_TYPES[self.role].held_at}:{owner.name}"


class RoleAction(Base):
    """What became of a request or a role, by whom and why (`RoleActionRecord` in GOCDB). Outlives both.

    `owner_id` is the id of the site, NGI, project or service group, null for the federation.
    """

    __tablename__ = "role_action"
    __table_args__ = (
        CheckConstraint(one_of("action", ROLE_ACTIONS), name="role_action_action"),
        Index("role_action_at", "at"),
        Index("role_action_person", "person_id"),
        Index("role_action_by", "by_person_id"),
        Index("role_action_scope", "scope", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    action: Mapped[str] = mapped_column(Text)
    role_id: Mapped[int] = mapped_column(BigInteger)
    role: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    owner_id: Mapped[int | None] = mapped_column(BigInteger)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    person_name: Mapped[str] = mapped_column(Text)
    by_person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    by_name: Mapped[str] = mapped_column(Text)
    old_status: Mapped[str] = mapped_column(Text, server_default="")
    new_status: Mapped[str] = mapped_column(Text, server_default="")
    reason: Mapped[str] = mapped_column(Text, server_default="")


class LinkCode(Base):
    """A one-time code with which a person links another identity. Only its hash is kept.

    With a `key` the code was mailed and that very identity is linked; without one, the certificate that shows it.
    """

    __tablename__ = "link_code"

    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    valid_until: Mapped[datetime] = mapped_column(UtcTime)
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    key: Mapped[str] = mapped_column(Text, server_default="")
    subject_der: Mapped[bytes | None] = mapped_column(LargeBinary)
    issuer_der: Mapped[bytes | None] = mapped_column(LargeBinary)
    realm: Mapped[str] = mapped_column(Text, server_default="")
    oidc_issuer: Mapped[str] = mapped_column(Text, server_default="")
    oidc_subject: Mapped[str] = mapped_column(Text, server_default="")


class ApiCredential(Base):
    """What a program signs in with to act for one site: a certificate's subject or a subject of the identity provider.

    Any number of sites may name the same one (a robot that keeps several). `match` is what callers are compared with:
    the hash of the canonical subject, or the principal's key.
    """

    __tablename__ = "api_credential"
    __table_args__ = (
        CheckConstraint("kind in ('x509', 'oidc')", name="api_credential_kind"),
        UniqueConstraint("site_id", "kind", "match", name="api_credential_once"),
        Index("api_credential_match", "kind", "match"),
        Index("api_credential_owner", "owner_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)
    identifier: Mapped[str] = mapped_column(Text)
    realm: Mapped[str] = mapped_column(Text, server_default="")
    match: Mapped[str] = mapped_column(Text)
    allow_write: Mapped[bool] = mapped_column(server_default=text("false"))
    owner_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="RESTRICT"))
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    renewed_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    warned_at: Mapped[datetime | None] = mapped_column(UtcTime)

    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)
    owner: Mapped[Person] = relationship(lazy="joined", innerjoin=True)


class PersonalRead(Base):
    """Somebody read about people: who, when, which page or answer, and about whom."""

    __tablename__ = "personal_read"
    __table_args__ = (
        Index("personal_read_at", "at"),
        Index("personal_read_reader", "reader_id"),
        Index("personal_read_people", "people", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    reader_key: Mapped[str] = mapped_column(Text)
    reader_name: Mapped[str] = mapped_column(Text)
    reader_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    what: Mapped[str] = mapped_column(Text)
    people: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
