"""What all tables of accounting stand on."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase

NAME = String(255)


class Base(DeclarativeBase):
    """Tables of accounting."""
