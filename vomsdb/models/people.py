"""What members ask for once they are in, who decides for a group, and generic attributes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Identity, Index
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from hanse.database import UtcTime
from vomsdb.models.base import Base, one_of

ASKED = ("group", "role", "certificate", "removal")
DECIDED = ("approved", "rejected", "withdrawn", "expired")


class MemberRequest(Base):
    """A member asks for a group, a role in a group, a further certificate, or to leave; decided once."""

    __tablename__ = "member_request"
    __table_args__ = (
        one_of("kind", *ASKED),
        one_of("state", "pending", *DECIDED),
        CheckConstraint("(state = 'rejected') <= (reason is not null)", name="reasoned"),
        CheckConstraint("(kind in ('group', 'role')) = (path is not null)", name="path"),
        CheckConstraint("(kind = 'role') = (role is not null)", name="role"),
        CheckConstraint("(kind = 'certificate') = (key is not null)", name="key"),
        Index(
            "member_request_once",
            "member_id",
            "kind",
            sql("coalesce(path, '')"),
            sql("coalesce(role, '')"),
            sql("coalesce(key, '')"),
            unique=True,
            postgresql_where=sql("state = 'pending'"),
        ),
        Index("member_request_listed", "vo", "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"))
    member_id: Mapped[int] = mapped_column(ForeignKey("member.id"), index=True)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="pending")
    path: Mapped[str | None]
    role: Mapped[str | None]
    key: Mapped[str | None]
    subject_der: Mapped[bytes | None]
    issuer_der: Mapped[bytes | None]
    subject: Mapped[str | None]
    issuer: Mapped[str | None]
    certificate: Mapped[bytes | None]
    """The certificate that is asked for (DER), by whose key it is proved to be the member's."""
    challenge: Mapped[str | None]
    """What that key is to sign; or its owner signs in with it."""
    proved_at: Mapped[datetime | None] = mapped_column(UtcTime)
    motivation: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decided_by: Mapped[str | None]
    decided_by_name: Mapped[str | None]
    reason: Mapped[str | None]


class GroupManager(Base):
    """A certificate whose owner decides for a group and those below it, and for nothing above."""

    __tablename__ = "group_manager"

    path: Mapped[str] = mapped_column(ForeignKey("vo_group.path"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(server_default="")
    subject: Mapped[str]
    issuer: Mapped[str]
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))


class AttributeClass(Base):
    """A generic attribute that a VO knows; `distinct_values` allows each value to one member only."""

    __tablename__ = "attribute_class"
    __table_args__ = (CheckConstraint("name ~ '^[A-Za-z][A-Za-z0-9_.:-]{0,63}$'", name="name"),)

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(server_default="")
    distinct_values: Mapped[bool] = mapped_column(server_default="false")


class AttributeValue(Base):
    """A value of a generic attribute: of one member, of all in a group, or of all who hold a role there."""

    __tablename__ = "attribute_value"
    __table_args__ = (
        ForeignKeyConstraint(["vo", "name"], ["attribute_class.vo", "attribute_class.name"]),
        CheckConstraint("(member_id is null) = (path is not null)", name="whose"),
        CheckConstraint("role is null or path is not null", name="role"),
        Index(
            "attribute_value_once",
            "vo",
            "name",
            sql("coalesce(member_id, 0)"),
            sql("coalesce(path, '')"),
            sql("coalesce(role, '')"),
            unique=True,
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    vo: Mapped[str]
    name: Mapped[str]
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"), index=True)
    path: Mapped[str | None] = mapped_column(ForeignKey("vo_group.path"))
    role: Mapped[str | None]
    value: Mapped[str]
