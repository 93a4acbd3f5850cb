"""The state of VOs at sites, what agents send, and the service in figures."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from vomsdb.schemas.fields import MOST, VoName, Wire


class JoinCodeOut(BaseModel):
    """A code, shown this once, with which the site's agent joins."""

    site: str
    code: str
    expires_at: datetime


class State(BaseModel):
    """A state of a VO by its number and hash."""

    seq: int | None
    sha256: str | None


class PairOut(BaseModel):
    """A VO at a site."""

    site: str
    vo: str
    state: Literal["in_step", "behind", "late", "breach"]
    age_s: int | None
    why: str
    missing: int
    expected: State
    held: State
    since: datetime
    acked_at: datetime | None
    applied_at: datetime | None
    valid_until: datetime | None
    counts: dict[str, int]
    errors: list[str]
    agent_version: str | None
    heard_at: datetime | None
    clock_off_s: int | None


class ReplicationOut(BaseModel):
    """All pairs, and the promise over seven days in seconds."""

    generated_at: datetime
    in_step: int
    pairs: list[PairOut]
    median_s: int | None
    p99_s: int | None
    promise_s: float


class AcknowledgementOut(BaseModel):
    """Changes that a site confirmed with one acknowledgement; `took_s` is the age of the oldest of them."""

    id: int
    site: str
    vo: str
    at: datetime
    sha256: str
    changes: int
    oldest_change_at: datetime
    took_s: int


class RunIn(Wire):
    """Which sites to tell; null = all."""

    sites: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=5000)] | None = None


class RunOut(BaseModel):
    """How many were told."""

    sites: int
    pairs: int


class AttemptOut(BaseModel):
    """A contact with a site."""

    at: datetime
    vo: str | None
    way: str
    good: bool
    answer: str


class LateOut(BaseModel):
    """A pair past the warning."""

    site: str
    vo: str
    age_s: int
    state: str


class OverviewOut(BaseModel):
    """The membership service in a few figures."""

    generated_at: datetime
    late: list[LateOut]
    pairs_total: int
    in_step: int
    pending_requests: int
    members: int


class MailOut(BaseModel):
    """A mail and what became of it; its text, which may hold a token, is not shown."""

    id: int
    recipient: str
    subject: str
    about: str
    state: str
    attempts: int
    last_answer: str
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None


class MailPage(BaseModel):
    """Mails, newest first."""

    items: list[MailOut]
    next: str | None


class JoinIn(Wire):
    """An agent asks to be let in."""

    site: Annotated[str, Field(max_length=100)]
    code: Annotated[str, Field(max_length=200)]
    agent_version: Annotated[str, Field(max_length=100)]
    agent_url: Annotated[str, Field(max_length=500, pattern="^https?://")] | None = None


class AckIn(Wire):
    """What a site holds of a VO now."""

    vo: VoName
    seq: Annotated[int, Field(ge=0, le=MOST)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$|^$")]
    applied_at: datetime
    counts: dict[str, Annotated[int, Field(ge=0, le=MOST)]] = Field(default_factory=dict)
    errors: list[Annotated[str, Field(max_length=2000)]] = Field(default_factory=list, max_length=100)
    agent_version: Annotated[str, Field(max_length=100)] = ""


class AcksIn(Wire):
    """What a site holds of many VOs now, and what its clock says."""

    acks: Annotated[list[AckIn], Field(min_length=1, max_length=1000)]
    sent_at: datetime | None = None
