"""What all tables of the registry share: the base, the words that columns may hold, the sequences of ids."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Sequence, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase

UtcTime = TIMESTAMP(timezone=True)
CERTIFICATIONS = ("Candidate", "Uncertified", "Certified", "Suspended", "Closed")
INFRASTRUCTURES = ("Production", "Test", "SC", "PPS")
CONTACT_KINDS = ("admin", "security", "alarm", "helpdesk", "operations", "emergency")
SEVERITIES = ("OUTAGE", "WARNING")
CLASSIFICATIONS = ("SCHEDULED", "UNSCHEDULED")
DOWNTIME_STATES = ("planned", "ongoing", "ended")


class Base(DeclarativeBase):
    """The registry's own tables."""

    type_annotation_map: ClassVar = {str: Text}


def one_of(column: str, values: tuple[str, ...]) -> str:
    """The SQL of a check that a column holds one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} in ({listed})"


# GOCDB gives sites, NGIs, projects and service groups ids of ONE sequence; its clients rely on that.
owned_entity_id = Sequence("owned_entity_id", metadata=Base.metadata)
service_id = Sequence("service_id", metadata=Base.metadata)
downtime_id = Sequence("downtime_id", metadata=Base.metadata)
