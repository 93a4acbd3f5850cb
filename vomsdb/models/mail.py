"""Mails that wait to be sent, and what became of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from hanse.database import UtcTime
from vomsdb.models.base import Base, one_of


class Mail(Base):
    """One mail to one address. `pending` until the relay took it; `failed` when the relay refused it for good."""

    __tablename__ = "mail"
    __table_args__ = (
        one_of("state", "pending", "delivered", "failed"),
        Index("mail_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    recipient: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    about: Mapped[str]
    """What it is about, as `application:5` or `member:7`."""
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_answer: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    next_attempt_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
    delivered_at: Mapped[datetime | None] = mapped_column(UtcTime)
