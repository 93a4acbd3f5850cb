"""What all tables of monitoring share."""

from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase

UtcTime = TIMESTAMP(timezone=True)
STATES = "('ok', 'warning', 'unknown', 'missing', 'critical', 'downtime')"


class Base(DeclarativeBase):
    """Monitoring's own tables."""
