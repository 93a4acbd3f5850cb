"""What each site should hold of each VO, what it said it holds, and every attempt to bring the two together."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from hanse.database import UtcTime
from vomsdb.models.base import Base, one_of


class VoChange(Base):
    """A revision that changed what sites should hold of a VO. The promise is measured from `at`."""

    __tablename__ = "vo_change"

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    urgent: Mapped[bool]
    """Suspensions overtake the daily run."""


class Snapshot(Base):
    """The state of a VO, signed once and the same for all sites; named by the hash of its payload."""

    __tablename__ = "snapshot"
    __table_args__ = (Index("snapshot_latest", "vo", "seq", unique=True),)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"))
    seq: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger)
    """Every change up to this revision is in it."""
    members: Mapped[int]
    content: Mapped[str]
    """Hash of the members alone, so that an unchanged state makes no new snapshot."""
    payload: Mapped[bytes]
    signature: Mapped[bytes]
    key_id: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))


class Delta(Base):
    """What leads from one state of a VO to a later one, signed once and the same for all sites that need it."""

    __tablename__ = "delta"

    from_sha256: Mapped[str] = mapped_column(
        ForeignKey("snapshot.sha256", ondelete="cascade"), primary_key=True
    )
    to_sha256: Mapped[str] = mapped_column(
        ForeignKey("snapshot.sha256", ondelete="cascade"), primary_key=True, index=True
    )
    payload: Mapped[bytes]
    signature: Mapped[bytes]
    key_id: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))


class KeyNotice(Base):
    """Which keys sign documents, told to the sites under a key that they know already; the highest number counts."""

    __tablename__ = "key_notice"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    keys: Mapped[list[str]] = mapped_column(JSONB)
    """Ids of the keys, the one that signs first, then the one before it, then the next."""
    envelopes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """The same notice under each key that a site may know."""
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))


class Agent(Base):
    """A site that joined: where its agent can be reached, and the push that waits for it."""

    __tablename__ = "agent"
    __table_args__ = (Index("agent_due", "push_at", postgresql_where=text("push_at is not null")),)

    site: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str | None]
    version: Mapped[str] = mapped_column(server_default="")
    joined_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    heard_at: Mapped[datetime | None] = mapped_column(UtcTime)
    push_at: Mapped[datetime | None] = mapped_column(UtcTime)
    """When to push next; None while nothing is to be told."""
    failures: Mapped[int] = mapped_column(server_default="0")
    clock_off_s: Mapped[int | None]
    """Seconds by which the site's clock was ahead of ours at its last report; None = it did not say."""


class Replica(Base):
    """A VO at a site that supports it: the manifest it was given, and what it acknowledged."""

    __tablename__ = "replica"
    __table_args__ = (Index("replica_renewal", "manifest_at"),)

    site: Mapped[str] = mapped_column(primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True, index=True)
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    seq: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    valid_until: Mapped[datetime | None] = mapped_column(UtcTime)
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """The signed envelope as it is sent."""
    manifest_at: Mapped[datetime | None] = mapped_column(UtcTime)
    """When the manifest was signed; None = it is to be signed anew before anybody gets it."""
    told_at: Mapped[datetime | None] = mapped_column(UtcTime)
    """`manifest_at` of the manifest that the agent last took from a push."""
    held_seq: Mapped[int | None] = mapped_column(BigInteger)
    held_sha256: Mapped[str | None]
    held_revision: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Every change up to this revision has been acknowledged."""
    differs_since: Mapped[datetime | None] = mapped_column(UtcTime)
    """Since when the site has held something that we never made or that is older than what it held before."""
    acked_at: Mapped[datetime | None] = mapped_column(UtcTime)
    applied_at: Mapped[datetime | None] = mapped_column(UtcTime)
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    errors: Mapped[list[str]] = mapped_column(JSONB, server_default="[]")


class Attempt(Base):
    """One contact with a site: a push by us, a pull or an acknowledgement by its agent."""

    __tablename__ = "attempt"
    __table_args__ = (
        one_of("way", "push", "pull", "ack", "join"),
        Index("attempt_by_site", "site", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site: Mapped[str]
    vo: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    way: Mapped[str]
    good: Mapped[bool]
    answer: Mapped[str]


class Acknowledgement(Base):
    """Changes that a site confirmed with one acknowledgement, for the figures of the promise."""

    __tablename__ = "acknowledgement"
    __table_args__ = (
        Index("acknowledgement_at", "at"),
        Index("acknowledgement_by_site", "site", "id"),
        Index("acknowledgement_by_vo", "vo", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site: Mapped[str]
    vo: Mapped[str]
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    sha256: Mapped[str]
    changes: Mapped[int]
    oldest_change_at: Mapped[datetime] = mapped_column(UtcTime)


class JoinCode(Base):
    """A one-time code with which a site's agent joins; only its hash is kept."""

    __tablename__ = "join_code"

    code_hash: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    created_by: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcTime)


class Digest(Base):
    """The daily mail to a manager of a VO: the day it was last written for, and whether it is wanted."""

    __tablename__ = "digest"

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    reader: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of the manager's address, so that nothing is left to erase here."""
    day: Mapped[date | None]
    """The last day (UTC) on which one was written."""
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    """Since when the reader wants none."""
