"""Messages as they came, and when each site was last heard of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Sequence,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from accounting.models.base import NAME, Base
from hanse.database import UtcTime

RECEIPTS = Sequence("receipt", metadata=Base.metadata)
"""Numbers receipts in order. Of two reports of one machine at one time the one with the higher receipt
counts.
"""


ONCE_BY_EMPAID = "source in ('ams', 'pull')"
ONCE_BY_SENDER = "source = 'https'"


class Message(Base):
    """One message as it came, whole, with its verdict once it has one. The inbox is the rows that are
    waiting.

    `site` is whose message it is: the signer's, else the publisher's; "" while nobody's. `sha256` is over
    `body` as it came. Since `archived_at` the body lies in the archive only; since `redacted_at` names in it are
    replaced by pseudonyms, so that its signature holds no longer. Since `withdrawn_at` records of it are out of the
    figures, so that it counts anew when its sender sends it again.
    """

    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'loaded', 'refused')", name="message_state"),
        CheckConstraint("source in ('ams', 'load', 'https', 'pull')", name="message_source"),
        CheckConstraint("not unsigned_ok or sender_site <> ''", name="message_unsigned"),
        CheckConstraint("state <> 'refused' or reason <> ''", name="message_reason"),
        CheckConstraint("records >= 0 and loaded >= 0 and refused >= 0", name="message_counts"),
        Index("message_once", "empaid", "sha256", unique=True, postgresql_where=text(ONCE_BY_EMPAID)),
        Index(
            "message_once_posted",
            "sender",
            "sender_site",
            "sha256",
            unique=True,
            postgresql_where=text(ONCE_BY_SENDER),
        ),
        Index("message_waiting", "id", postgresql_where=text("state = 'waiting'")),
        Index("message_site", "site", "received_at"),
        Index("message_received", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    receipt: Mapped[int] = mapped_column(BigInteger, RECEIPTS, server_default=RECEIPTS.next_value())
    received_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    source: Mapped[str] = mapped_column(Text)
    topic: Mapped[str] = mapped_column(NAME, server_default="")
    empaid: Mapped[str] = mapped_column(NAME, server_default="")
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    sender: Mapped[str] = mapped_column(Text, server_default="")
    sender_name: Mapped[str] = mapped_column(Text, server_default="")
    sender_site: Mapped[str] = mapped_column(NAME, server_default="")
    unsigned_ok: Mapped[bool] = mapped_column(server_default="false")
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    code: Mapped[str] = mapped_column(Text, server_default="")
    reason: Mapped[str] = mapped_column(Text, server_default="")
    signer: Mapped[str] = mapped_column(Text, server_default="")
    site: Mapped[str] = mapped_column(NAME, server_default="")
    format: Mapped[str] = mapped_column(Text, server_default="")
    records: Mapped[int] = mapped_column(server_default="0")
    loaded: Mapped[int] = mapped_column(server_default="0")
    refused: Mapped[int] = mapped_column(server_default="0")
    remarked: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    retry_at: Mapped[datetime | None] = mapped_column(UtcTime)
    judged_at: Mapped[datetime | None] = mapped_column(UtcTime)
    archived_at: Mapped[datetime | None] = mapped_column(UtcTime)
    redacted_at: Mapped[datetime | None] = mapped_column(UtcTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcTime)


class SitePublishing(Base):
    """The last message of a site that brought records, and the latest time it reported about."""

    __tablename__ = "site_publishing"

    site: Mapped[str] = mapped_column(NAME, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    last_message_at: Mapped[datetime] = mapped_column(UtcTime)
    measured_until: Mapped[datetime] = mapped_column(UtcTime)
