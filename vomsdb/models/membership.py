"""VOs, their rules, the people in them and those who ask to be.

A VO is known by its name for ever, because the name stands in every FQAN and in the configuration of every site.
Personal data stands in `person` and `application` alone; members, certificates and the revision log refer to them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from hanse.database import UtcTime
from vomsdb.models.base import Base, one_of

VO_NAME = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
SUSPENSIONS = (
    "FAILED_TO_SIGN_AUP",
    "MEMBERSHIP_EXPIRATION",
    "SECURITY_INCIDENT",
    "HR_DB_VALIDATION",
    "OTHER",
)
KINDS = ("person", "robot", "service")


class Vo(Base):
    """A virtual organisation and its identity card."""

    __tablename__ = "vo"
    __table_args__ = (
        CheckConstraint(f"name ~ '{VO_NAME}'", name="name"),
        CheckConstraint("membership_days between 1 and 3660", name="membership_days"),
        CheckConstraint("ac_lifetime_s between 600 and 86400", name="ac_lifetime_s"),
        one_of("state", "new", "production", "suspended", "closed"),
        one_of("scope", "Global", "Regional", "Local"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    discipline: Mapped[str] = mapped_column(server_default="")
    scope: Mapped[str] = mapped_column(server_default="Global")
    homepage: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="production")
    aup_version: Mapped[int]
    membership_days: Mapped[int]
    ac_lifetime_s: Mapped[int]
    """No attribute certificate of this VO lasts longer, in seconds."""
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    """By which catalogues of VOs know the card."""
    alias: Mapped[str] = mapped_column(server_default="")
    enrolment_url: Mapped[str] = mapped_column(server_default="")
    """Where people join when it is not here."""
    support_unit: Mapped[str] = mapped_column(server_default="")
    middleware: Mapped[list[str]] = mapped_column(JSONB, server_default="[]")
    contacts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """Each with role, name, email and dn."""
    authorities: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """Attribute authorities beside our own: host, port, dn, ca_dn."""
    resources: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    shares: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}")
    """Per cent of the VO's computing by group or role."""
    changed_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
    asked_at: Mapped[datetime | None] = mapped_column(UtcTime)
    """When its managers asked for validation; None when nobody waits for it."""
    validated_at: Mapped[datetime | None] = mapped_column(UtcTime)
    validated_by: Mapped[str | None]
    state_reason: Mapped[str] = mapped_column(server_default="")
    least_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """No state of it that is published gets a lower number: sites may hold what a restored database has forgotten."""


class Aup(Base):
    """One version of a VO's acceptable use policy; the highest version is the one in force."""

    __tablename__ = "aup"

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    days_to_sign: Mapped[int] = mapped_column(server_default="15")
    published_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
    published_by: Mapped[str]


class VoManager(Base):
    """A certificate whose owner may decide for the VO."""

    __tablename__ = "vo_manager"

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(server_default="")
    subject: Mapped[str]
    issuer: Mapped[str]
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))


class Person(Base):
    """What is known of somebody; erasable without touching anything else."""

    __tablename__ = "person"
    __table_args__ = (Index("person_email", sql("lower(email)")),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    institution: Mapped[str] = mapped_column(server_default="")
    erased_at: Mapped[datetime | None] = mapped_column(UtcTime)


class Certificate(Base):
    """A person's certificate, known by the names of subject and issuer (DER) and never by printed text."""

    __tablename__ = "certificate"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    key: Mapped[str] = mapped_column(unique=True)
    subject_der: Mapped[bytes]
    issuer_der: Mapped[bytes]
    subject: Mapped[str] = mapped_column(index=True)
    issuer: Mapped[str]
    added_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))


class ProviderSubject(Base):
    """A person as an OpenID Connect provider knows them: a way to sign in, for all memberships of the person."""

    __tablename__ = "provider_subject"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    key: Mapped[str] = mapped_column(unique=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    added_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))


class Member(Base):
    """A person in a VO. `removed` rows stay as tombstones."""

    __tablename__ = "member"
    __table_args__ = (
        one_of("state", "active", "suspended", "expired", "removed"),
        one_of("suspension_code", *SUSPENSIONS),
        one_of("kind", *KINDS),
        CheckConstraint("(kind = 'person') = (owner_id is null)", name="owned"),
        CheckConstraint("(state = 'suspended') = (suspension_code is not null)", name="suspension"),
        Index("member_once", "vo", "person_id", unique=True, postgresql_where=sql("state <> 'removed'")),
        Index("member_listed", "vo", "id"),
        Index("member_by_end", "vo", "until"),
        Index("member_ending", "until", postgresql_where=sql("state in ('active', 'suspended')")),
        Index("member_aup_due", "aup_due", postgresql_where=sql("state = 'active'")),
        Index(
            "member_user_name",
            sql("lower(user_name)"),
            "vo",
            unique=True,
            postgresql_where=sql("user_name is not null and state <> 'removed'"),
        ),
        Index("member_external_id", "external_id", postgresql_where=sql("external_id is not null")),
        Index("member_leaving", "until", postgresql_where=sql("state in ('expired', 'suspended')")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    state: Mapped[str] = mapped_column(server_default="active")
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
    until: Mapped[datetime] = mapped_column(UtcTime)
    aup_version: Mapped[int]
    aup_signed_at: Mapped[datetime] = mapped_column(UtcTime)
    aup_due: Mapped[datetime | None] = mapped_column(UtcTime)
    """The last moment to sign a newer version; None when the version in force is signed."""
    suspension_code: Mapped[str | None]
    suspension_reason: Mapped[str | None]
    suspended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    suspended_by: Mapped[str | None]
    kind: Mapped[str] = mapped_column(server_default="person")
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"), index=True)
    """Who answers for a robot or a service, and signs for it."""
    purpose: Mapped[str] = mapped_column(server_default="")
    aup_signed_by: Mapped[str | None]
    """Who signed in the member's place; None = the member."""
    aup_reminded: Mapped[int | None]
    """The last reminder to sign told of this many days; None = none was sent."""
    end_reminded: Mapped[int | None]
    """The last warning of the membership's end told of this many days; None = none was sent."""
    user_name: Mapped[str | None]
    """What a system that provisions members by SCIM calls the member; with `external_id`, its own number."""
    external_id: Mapped[str | None]


class MemberCertificate(Base):
    """A certificate that a member uses in this VO; each can be suspended by itself."""

    __tablename__ = "member_certificate"
    __table_args__ = (one_of("state", "active", "suspended"),)

    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True)
    certificate_id: Mapped[int] = mapped_column(ForeignKey("certificate.id"), primary_key=True, index=True)
    state: Mapped[str] = mapped_column(server_default="active")
    suspension_reason: Mapped[str | None]


class Group(Base):
    """A group by its path, `/vo/group/subgroup`; the VO itself is the root group."""

    __tablename__ = "vo_group"
    __table_args__ = (CheckConstraint("path ~ '^(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$'", name="path"),)

    path: Mapped[str] = mapped_column(primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), index=True)
    description: Mapped[str] = mapped_column(server_default="")


class Role(Base):
    """A role that members may hold in groups of the VO."""

    __tablename__ = "vo_role"
    __table_args__ = (CheckConstraint("name ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]*$'", name="name"),)

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(server_default="")


class MemberGroup(Base):
    """A member is in a group below the root; all are in the root."""

    __tablename__ = "member_group"

    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True)
    path: Mapped[str] = mapped_column(ForeignKey("vo_group.path"), primary_key=True, index=True)


class MemberRole(Base):
    """A member holds a role in a group, or in the VO (the root group)."""

    __tablename__ = "member_role"

    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True)
    path: Mapped[str] = mapped_column(ForeignKey("vo_group.path"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)


class Application(Base):
    """A request for membership, from being sent to being decided."""

    __tablename__ = "application"
    __table_args__ = (
        one_of("state", "submitted", "pending", "approved", "rejected", "withdrawn", "expired"),
        CheckConstraint("(state = 'rejected') <= (reason is not null)", name="reasoned"),
        CheckConstraint("(subject_der is null) = (issuer_der is null)", name="certificate"),
        Index(
            "application_once",
            "vo",
            "key",
            unique=True,
            postgresql_where=sql("state in ('submitted', 'pending')"),
        ),
        Index("application_listed", "vo", "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"))
    state: Mapped[str] = mapped_column(server_default="submitted")
    key: Mapped[str] = mapped_column(index=True)
    subject_der: Mapped[bytes | None]
    """None for who signed in with an identity provider; then subject and issuer are the provider's."""
    issuer_der: Mapped[bytes | None]
    subject: Mapped[str]
    issuer: Mapped[str]
    name: Mapped[str]
    email: Mapped[str]
    institution: Mapped[str]
    motivation: Mapped[str]
    aup_version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    warned_at: Mapped[datetime | None] = mapped_column(UtcTime)
    """When the applicant was told that the request is about to expire unconfirmed."""
    token_hash: Mapped[str] = mapped_column(unique=True)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decided_by: Mapped[str | None]
    decided_by_name: Mapped[str | None]
    reason: Mapped[str | None]
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
