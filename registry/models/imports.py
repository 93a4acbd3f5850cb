"""Where things came from that were taken over from another registry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from registry.models.base import Base, UtcTime


class ImportedRecord(Base):
    """A thing of another registry and what it became here. `values` is what was read there last.

    With the last values the next import can tell a change there from a change here. Nothing personal is in them.
    """

    __tablename__ = "imported_record"
    __table_args__ = (Index("imported_record_entity", "kind", "entity_id"),)

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[str] = mapped_column(Text)
    values: Mapped[dict[str, Any]] = mapped_column("values", JSONB)
    at: Mapped[datetime] = mapped_column(UtcTime, server_default=func.now())
