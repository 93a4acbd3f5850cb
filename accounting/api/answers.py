"""What goes over the wire about findings, events, replays of many, and remarks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from accounting.schemas import MONTH, RecordId

PLAIN = r"^[^\x00]*$"
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*[^\s\x00][^\x00]*$",
        description="Why; people read it.",
    ),
]
FindingState = Literal["open", "acknowledged", "accepted", "gone"]


class FindingOut(BaseModel):
    """One finding. `owner` mends it: `site:X`, `vo:X` or `federation`; `gone_at` is when it was found no longer."""

    id: int
    kind: str
    owner: str
    site: str
    vo: str
    subject: str
    month: str | None = Field(description="YYYY-MM.")
    sentence: str
    cpu_hours: float
    since: datetime
    seen_at: datetime
    gone_at: datetime | None
    told_at: datetime | None = Field(description="When the owner was written to.")
    state: FindingState
    reason: str
    decided_at: datetime | None
    decided_by: str


class CheckOut(BaseModel):
    """One check, who mends what it finds, and how many findings are in each state."""

    kind: str
    title: str
    mend: str
    open: int
    acknowledged: int
    accepted: int
    gone: int


class DecisionIn(BaseModel):
    """What is decided about a finding, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["acknowledged", "accepted"]
    reason: Reason


class EventOut(BaseModel):
    """One thing that was done to the figures."""

    id: int
    at: datetime
    kind: str
    site: str = Field(description='"" = the whole federation.')
    month: str | None = Field(description="YYYY-MM.")
    done_by: str
    sentence: str


class ReplayRunOut(BaseModel):
    """A replay of all refused records with one cause. `done` of `records` were judged again so far."""

    id: int
    code: str
    field: str | None
    month: str | None
    as_site: str | None
    state: Literal["waiting", "running", "done", "failed"]
    records: int
    done: int
    counted: int
    refused: int
    reason: str
    asked_at: datetime
    asked_by: str
    finished_at: datetime | None


class ReplayRunIn(BaseModel):
    """Which refused records to replay: all of one cause, and of a field and month where given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: str = Field(min_length=1, max_length=100, pattern=PLAIN)
    field: str | None = Field(None, max_length=255, pattern=PLAIN)
    month: Annotated[str, Field(pattern=MONTH)] | None = None
    as_site: str | None = Field(
        None, max_length=255, pattern=PLAIN, description="Judge them as if SiteName said this."
    )


class RecordsIn(BaseModel):
    """Refused records by their numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[RecordId] = Field(min_length=1, max_length=1000)


class TakenBackOut(BaseModel):
    """How many discarded records are refused ones again."""

    taken_back: int


class RemarkOut(BaseModel):
    """Something said about counted records of one message: how many it concerns, and the first of them."""

    message: int
    site: str
    code: str
    title: str
    field: str
    records: int
    record: int
    line: int | None
    reason: str
    received_at: datetime


class RepublishIn(BaseModel):
    """Why the month is taken out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Reason


class RepublishOut(BaseModel):
    """How many records of each kind were taken out."""

    site: str
    month: str
    records: dict[str, int]
    event: int = Field(description="Its number in the log, by which the month can be put back.")


class NothingIn(BaseModel):
    """Nothing has to be told."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PutBackOut(BaseModel):
    """How many records count again, how many messages could not be read again, and why the first of them."""

    counted: int
    unread: int
    reason: str


class PseudonymIn(BaseModel):
    """The name to replace, as records carry it (GlobalUserName)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user: str = Field(min_length=1, max_length=255, pattern=PLAIN)


class PseudonymOut(BaseModel):
    """What stands in the name's place, and in how many rows, messages and archive files it was replaced."""

    pseudonym: str
    rows: int
    messages: int
    archives: int
    closed: int = Field(description="Messages that could not be opened, and were not looked into.")
