"""What a site makes of groups and roles of VOs, and what earlier imports from elsewhere became here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from hanse.database import UtcTime
from vomsdb.models.base import Base


class SiteRule(Base):
    """At a site the holders of a group or role get an account and a tenant; lower positions decide first."""

    __tablename__ = "site_rule"
    __table_args__ = (CheckConstraint("account <> '' or tenant <> ''", name="given"),)

    site: Mapped[str] = mapped_column(primary_key=True)
    fqan: Mapped[str] = mapped_column(primary_key=True)
    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), index=True)
    position: Mapped[int]
    account: Mapped[str] = mapped_column(server_default="")
    tenant: Mapped[str] = mapped_column(server_default="")


class ImportedRecord(Base):
    """A thing of another membership service by its key there, and which thing here it became.

    `values` is what was read at the last import: what has changed here since is kept. Personal fields stand in it as
    digests only.
    """

    __tablename__ = "imported_record"

    vo: Mapped[str] = mapped_column(ForeignKey("vo.name"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    entity_id: Mapped[str]
    values: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    imported_at: Mapped[datetime] = mapped_column(UtcTime, server_default=sql("now()"))
