"""Letters of a VO on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from vomsdb.schemas.fields import Wire


class LetterIn(Wire):
    """Subject and text with placeholders in braces."""

    subject: Annotated[str, Field(min_length=1, max_length=200)]
    body: Annotated[str, Field(min_length=1, max_length=5000)]


class LetterOut(BaseModel):
    """A letter: when it is sent, what may and what must be put in, and the VO's own words, if any."""

    name: str
    when: str
    placeholders: list[str]
    needed: list[str]
    subject: str | None
    body: str | None
    changed_by: str | None
    changed_at: datetime | None
