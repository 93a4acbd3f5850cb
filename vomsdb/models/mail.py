"""Mails that wait to be sent, and what became of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from hanse.database import UtcTime
from hanse.mails import STATES, MailColumns
from vomsdb.models.base import Base, one_of


class Mail(MailColumns, Base):
    """One mail to one address. `about` says what it tells of, as `application:5` or `member:7`."""

    __tablename__ = "mail"
    __table_args__ = (
        one_of("state", *STATES),
        Index("mail_of_vo", "vo", "id"),
        Index("mail_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    )

    about: Mapped[str]
    vo: Mapped[str | None]
    """Whose managers may see what became of it."""
    attempts: Mapped[int] = mapped_column(server_default="0")


class VoLetter(Base):
    """A letter in the words of a VO's managers, in place of the usual ones. `name` is that of its template."""

    __tablename__ = "vo_letter"

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str]
    body: Mapped[str]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("now()"))
