"""What a cross-check gives: what it found, and about what it could not judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy.orm import Session

from accounting.crosschecks.known import Known

FEDERATION = "federation"


@dataclass(frozen=True)
class Found:
    """One difference. `fact` names it within its kind for as long as it lasts; `owner` mends it (`site:X`, `vo:X`,
    `federation`); `cpu_s` is the usage that it concerns, in CPU seconds.
    """

    fact: str
    owner: str
    sentence: str
    site: str
    vo: str = ""
    subject: str = ""
    month: date | None = None
    cpu_s: int = 0


@dataclass(frozen=True)
class Looked:
    """The findings of one look. `blind` says what could not be judged, by the VO (or "" = everything) that it concerns:
    findings there stay as they were.
    """

    found: list[Found] = field(default_factory=list)
    blind: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """What a check looks at: the database, what is followed, the moment, the first month, and after how many days a
    running machine counts as silent.
    """

    session: Session
    known: Known
    now: datetime
    first: date
    silent_days: int
