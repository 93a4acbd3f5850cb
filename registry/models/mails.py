"""Mails that wait to be sent, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from hanse.mails import STATES, MailColumns
from registry.models.base import Base, one_of


class Mail(MailColumns, Base):
    """One mail to one address.

    `about` says what it tells of, as `role:5` or `downtime:7`; `unsubscribe_url` becomes the List-Unsubscribe header.
    """

    __tablename__ = "mail"
    __table_args__ = (
        CheckConstraint(one_of("state", STATES), name="mail_state"),
        Index("mail_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("mail_about", "about"),
        Index("mail_recipient", "recipient"),
    )

    about: Mapped[str] = mapped_column(Text, server_default="")
    unsubscribe_url: Mapped[str] = mapped_column(Text, server_default="")
    attempts: Mapped[int] = mapped_column(BigInteger, server_default="0")

    def headers(self) -> Mapping[str, str]:
        """The way out of the mails, for those that have one."""
        return {"List-Unsubscribe": f"<{self.unsubscribe_url}>"} if self.unsubscribe_url else {}
