"""What accounting keeps beside the figures: findings of the cross-checks, events, replays, archives, pseudonyms."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime
from hanse.mails import MailColumns


class Finding(Base):
    """One thing that a cross-check found: usage that does not agree with what registry or membership say.

    `fact` names it within its kind, so that it is found again. `since` is when it was first seen, `gone_at` when it
    was found no longer. `owner` is who mends it: `site:X`, `vo:X` or `federation`; `told_at` when that one was
    written to. A decision is `acknowledged` (somebody is at it) or `accepted` (it is in order, with a reason).
    """

    __tablename__ = "finding"
    __table_args__ = (
        UniqueConstraint("kind", "fact", name="finding_once"),
        CheckConstraint("decision in ('', 'acknowledged', 'accepted')", name="finding_decision"),
        CheckConstraint("decision <> 'accepted' or reason <> ''", name="finding_reason"),
        CheckConstraint("cpu_s >= 0", name="finding_not_negative"),
        Index("finding_open", "kind", "site", postgresql_where=text("gone_at is null")),
        Index("finding_owner", "owner", postgresql_where=text("gone_at is null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    fact: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(Text)
    site: Mapped[str] = mapped_column(NAME)
    vo: Mapped[str] = mapped_column(NAME, server_default="")
    subject: Mapped[str] = mapped_column(NAME, server_default="")
    month: Mapped[date | None] = mapped_column(Date)
    sentence: Mapped[str] = mapped_column(Text)
    cpu_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    since: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
    gone_at: Mapped[datetime | None] = mapped_column(UtcTime)
    told_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decision: Mapped[str] = mapped_column(Text, server_default="")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    decided_at: Mapped[datetime | None] = mapped_column(UtcTime)
    decided_by: Mapped[str] = mapped_column(Text, server_default="")


class UsageEvent(Base):
    """Something a person or a job did to the figures or to what they are made of; never changed, never removed."""

    __tablename__ = "usage_event"
    __table_args__ = (
        CheckConstraint("sentence <> ''", name="usage_event_sentence"),
        Index("usage_event_site", "site", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    kind: Mapped[str] = mapped_column(Text)
    site: Mapped[str] = mapped_column(NAME, server_default="")
    month: Mapped[date | None] = mapped_column(Date)
    done_by: Mapped[str] = mapped_column(Text)
    sentence: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")


class ReplayRun(Base):
    """A replay of all refused records of a site with one cause: asked for once, worked off in portions.

    `last_id` is the refused record up to which it came, so that a run whose process was killed goes on there.
    `unread` of the refused could not be read again; then `reason` is why.
    """

    __tablename__ = "replay_run"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name="replay_run_state"),
        Index("replay_run_site", "site", "id"),
        Index("replay_run_open", "id", postgresql_where=text("state in ('waiting', 'running')")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site: Mapped[str] = mapped_column(NAME)
    code: Mapped[str] = mapped_column(Text, server_default="")
    field: Mapped[str | None] = mapped_column(Text)
    as_site: Mapped[str | None] = mapped_column(NAME)
    month: Mapped[date | None] = mapped_column(Date)
    since: Mapped[datetime | None] = mapped_column(UtcTime)
    records: Mapped[int]
    up_to_id: Mapped[int] = mapped_column(BigInteger)
    last_id: Mapped[int] = mapped_column(BigInteger, server_default="0")
    done: Mapped[int] = mapped_column(server_default="0")
    counted: Mapped[int] = mapped_column(server_default="0")
    refused: Mapped[int] = mapped_column(server_default="0")
    unread: Mapped[int] = mapped_column(server_default="0")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    asked_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    asked_by: Mapped[str] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)


class ArchivePart(Base):
    """One Parquet file: the rows of one table and month that were taken out of the database.

    `path` counts from the archive folder, `sha256` is over the file. `restored_at` = its rows are back in the tables.
    """

    __tablename__ = "archive_part"
    __table_args__ = (
        CheckConstraint("rows > 0 and bytes > 0", name="archive_part_counts"),
        CheckConstraint("extract(day from month) = 1", name="archive_part_first_day"),
    )

    kept: Mapped[str] = mapped_column(Text, primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    rows: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    made_by: Mapped[str] = mapped_column(Text)
    restored_at: Mapped[datetime | None] = mapped_column(UtcTime)


class Mail(MailColumns, Base):
    """One mail to one address about findings of the cross-checks; `about` is their owner, as `site:BIFI`."""

    __tablename__ = "mail"
    __table_args__ = (
        CheckConstraint("state in ('pending', 'delivered', 'failed')", name="mail_state"),
        Index("mail_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    )

    about: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")


class Pseudonym(Base):
    """A person's name that must not be shown: its keyed digest, and what stands in its place. The name is not kept."""

    __tablename__ = "pseudonym"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    name: Mapped[str] = mapped_column(NAME, unique=True)
    made_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    made_by: Mapped[str] = mapped_column(Text)
