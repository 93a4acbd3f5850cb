"""Which entities ever belonged to a site or an NGI: the audit trail finds them here instead of in every state."""

from __future__ import annotations

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from registry.models.base import Base


class TrailEntity(Base):
    """An entity of the log with a place that one of its states names: "site:BIFI", "ngi:NGI_CZ".

    The database writes it itself with each state that comes into the log (function `trail_places`, see the migration),
    so that no way of writing can miss it.
    """

    __tablename__ = "trail_entity"
    __table_args__ = (Index("trail_entity_entity", "kind", "entity_id"),)

    place: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    entity_id: Mapped[str] = mapped_column(Text, primary_key=True)
