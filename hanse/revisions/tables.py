"""The tables of the revision log: revisions, the states of entities between them, and the life of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hanse.database import UtcTime

NEVER = 2**63 - 1  # the end of what still holds, where an index needs a number
Body = dict[str, Any]


class RevisionBase(DeclarativeBase):
    """The tables of the revision log, in the databases of registry and vomsdb."""


class Revision(RevisionBase):
    """Who changed something, when and why. `at` never runs backwards along the numbers."""

    __tablename__ = "revision"
    __table_args__ = (
        CheckConstraint("number > 0", name="revision_positive"),
        Index("revision_at", "at"),
        Index("revision_actor", "actor", "number"),
        Index("revision_actor_name", "actor_name", "number"),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcTime)
    actor: Mapped[str]
    actor_name: Mapped[str]
    reason: Mapped[str]


# Looks at the past walk an index in the order of the page and skip what did not hold then without fetching it,
# so that five years of revisions cost a page of the past little more than a page of today.
_UNTIL = f"coalesce(to_revision, {NEVER})"
_PUT = text("op = 'put'")
_OPEN = text("to_revision is null")
_SITE, _HOST = "(body ->> 'site')", "(body ->> 'hostname')"
_NAME = "(body ->> 'name')"  # the migrations add `collate "C"`, which cannot be compared here
_SITES = text("(body -> 'sites')")


class History(RevisionBase):
    """What an entity was from one revision until another (null = still). A delete is a row too."""

    __tablename__ = "history"
    __table_args__ = (
        CheckConstraint("op in ('put', 'delete')", name="history_op"),
        CheckConstraint("(op = 'put') = (body is not null)", name="history_body"),
        CheckConstraint("to_revision > from_revision", name="history_order"),
        Index("history_entity", "kind", "entity_id", "from_revision", unique=True, postgresql_include=["id"]),
        Index("history_now", "kind", "entity_id", unique=True, postgresql_where=_OPEN),
        Index("history_now_named", "kind", text(_NAME), postgresql_where=_OPEN),
        Index("history_now_counted", "kind", text("length(entity_id)"), "entity_id", postgresql_where=_OPEN),
        Index(
            "history_counted",
            "kind",
            text("length(entity_id)"),
            "entity_id",
            "from_revision",
            text(f"({_UNTIL})"),
            postgresql_where=_PUT,
        ),
        Index("history_feed", "from_revision", "id"),
        Index("history_trail", "kind", "id"),
        Index("history_principal", "kind", text("(body ->> 'principal')")),
        Index("history_person", "kind", text("(body ->> 'person')")),
        *(
            Index(name, "kind", text(field), "from_revision", text(f"({_UNTIL})"), postgresql_where=_PUT)
            for name, field in (("history_site", _SITE), ("history_host", _HOST), ("history_named", _NAME))
        ),
        Index("history_scope", "kind", text("(body ->> 'scope')"), postgresql_where=_PUT),
        Index("history_sites", _SITES, postgresql_using="gin", postgresql_where=text("body ? 'sites'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    entity_id: Mapped[str]
    from_revision: Mapped[int] = mapped_column(ForeignKey("revision.number"))
    to_revision: Mapped[int | None] = mapped_column(ForeignKey("revision.number"))
    op: Mapped[str]
    body: Mapped[Body | None] = mapped_column(JSONB(none_as_null=True))


class FeedIdentity(RevisionBase):
    """Which life of the log this is. A new epoch tells every follower to read everything again."""

    __tablename__ = "feed_identity"
    __table_args__ = (CheckConstraint("one", name="feed_identity_one_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[str] = mapped_column(UUID(as_uuid=False))
