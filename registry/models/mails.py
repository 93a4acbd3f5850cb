"""Mails that wait to be sent, and what became of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from registry.models.base import Base, UtcTime, one_of

MAIL_STATES = ("pending", "delivered", "failed")


class Mail(Base):
    """One mail to one address. `pending` until the relay took it; `failed` when it refused it for good.

    `about` says what it tells of, as `role:5` or `downtime:7`; `unsubscribe_url` becomes the List-Unsubscribe header.
    """

    __tablename__ = "mail"
    __table_args__ = (
        CheckConstraint(one_of("state", MAIL_STATES), name="mail_state"),
        Index("mail_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("mail_about", "about"),
        Index("mail_recipient", "recipient"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    recipient: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text, server_default="")
    unsubscribe_url: Mapped[str] = mapped_column(Text, server_default="")
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    attempts: Mapped[int] = mapped_column(BigInteger, server_default="0")
    last_answer: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    next_attempt_at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
    delivered_at: Mapped[datetime | None] = mapped_column(UtcTime)
