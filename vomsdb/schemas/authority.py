"""What is told of the attribute authority."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class SeatOut(BaseModel):
    """A certificate of the attribute authority: names in slash form, serial in hexadecimal, when it signs."""

    host: str
    port: int
    state: str
    subject: str
    issuer: str
    serial: str
    not_after: datetime | None
    signs_from: datetime | None
    signs_until: datetime | None
    fault: str
