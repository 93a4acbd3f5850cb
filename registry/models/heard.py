"""What other services told our pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from registry.models.base import (
    Base,
    UtcTime,
)


class HeardAnswer(Base):
    """The last good answer of another service to a question of our pages, for the time when it is silent."""

    __tablename__ = "heard_answer"

    question: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
