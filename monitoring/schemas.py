"""What goes over the wire in /api/v1. Times are ISO 8601 UTC, durations seconds, availability percent."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

BIGGEST = 2**63 - 1
Kind = Literal["ok", "degraded", "down", "downtime", "unknown"]
Number = Annotated[int, Field(ge=1, le=BIGGEST)]
ProbeName = Annotated[str, Field(max_length=60, pattern=r"^[a-z][a-z0-9-]*$")]


class Contact(BaseModel):
    """Whom a site wants to be told."""

    kind: str
    name: str
    email: str


class DayOut(BaseModel):
    """A UTC day: the worst that lasted ("none" = no result), and seconds by state."""

    day: date
    state: Literal["ok", "degraded", "down", "downtime", "none"]
    seconds: dict[str, int]


class EndpointState(BaseModel):
    """An endpoint now: `state` with downtimes laid over, since when, and why it is not in order."""

    id: str
    site: str
    service_type: str
    url: str
    state: Kind
    since: datetime
    cause: str
    incident: int | None
    measured_at: datetime | None = Field(
        None, description="The latest check; only for one site with days=true."
    )
    availability_30d: float | None = Field(None, description="The same.")
    days: list[DayOut] = Field([], description="The last 90 days, oldest first; the same.")


class SiteState(BaseModel):
    """A site now, and availability and reliability of the last 30 days (null = nothing is known)."""

    site: str
    place: str
    state: Kind
    since: datetime
    cause: str
    availability_30d: float | None
    reliability_30d: float | None
    endpoints: list[EndpointState]
    days: list[DayOut] = Field(description="The last 90 days, oldest first; empty unless days=true.")


class Counts(BaseModel):
    """Sites by state."""

    in_order: int
    degraded: int
    down: int
    downtime: int
    unknown: int
    total: int


class StatusOut(BaseModel):
    """The federation now, worst site first."""

    generated_at: datetime
    sentence: str
    counts: Counts
    sites: list[SiteState]


class Failing(BaseModel):
    """An endpoint that needs somebody."""

    site: str
    endpoint_id: str
    url: str
    state: Kind
    cause: str
    since: datetime
    incident: int | None
    acknowledged_by: str | None
    contacts: list[Contact]


class OverviewOut(BaseModel):
    """For the operator's page."""

    generated_at: datetime
    failing: list[Failing]
    sites: Counts
    endpoints_total: int
    incidents_open: int
    doubting: bool = Field(description="The monitor reaches nothing and accuses nobody.")


class CheckOut(BaseModel):
    """A check of an endpoint: what it last measured, how it is judged, when it is next due.

    `held` = not run, because a check that it needs fails."""

    probe: str
    title: str
    state: Kind
    since: datetime | None
    measured: Literal["ok", "warning", "critical", "unknown"] | None
    measured_at: datetime | None
    reason: str
    summary: str
    held: bool
    needs: list[str]
    period_s: float
    next_at: datetime
    missed: int


class EndpointOut(EndpointState):
    """An endpoint with its checks."""

    judged: Kind = Field(description="From the checks alone, without downtimes.")
    availability_30d: float | None
    reliability_30d: float | None
    contacts: list[Contact]
    checks: list[CheckOut]


class EndpointsOut(BaseModel):
    """Monitored endpoints, worst first."""

    items: list[EndpointState]


class ResultOut(BaseModel):
    """One measurement. `due_at` null = it was only asked for, and is not counted."""

    id: int
    probe: str
    due_at: datetime | None
    started_at: datetime
    took_s: float
    status: Literal["ok", "warning", "critical", "unknown"]
    reason: str
    summary: str
    figures: list[dict[str, Any]]
    phases: list[dict[str, Any]]
    asked_by: str | None
    worker: str


class RawAnswerOut(BaseModel):
    """The last exchange of a check; secrets are replaced, the body is cut at 32 KB."""

    at: datetime
    request: str
    reply_head: str
    reply_body: str
    body_bytes: int


class ProbeNowOut(BaseModel):
    """How many checks were put first in the queue."""

    asked: int


class NoteOut(BaseModel):
    """A line of an incident's story."""

    at: datetime
    kind: str
    text: str
    by: str | None


class NotificationOut(BaseModel):
    """A message about it: a webhook is shown by its host alone."""

    event: str
    notifier: str
    recipient: str
    created_at: datetime
    outcome: Literal["waiting", "sent", "given up"]
    done_at: datetime | None
    attempts: int
    detail: str


class IncidentOut(BaseModel):
    """An incident. `site` is empty when the monitor doubts its own network."""

    number: int
    site: str
    severity: Literal["degraded", "down", "doubt"]
    title: str
    probe: str
    reason: str
    cause: str
    began_at: datetime
    confirmed_at: datetime
    ended_at: datetime | None
    muted_by: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    assigned_to: str | None
    silenced_until: datetime | None
    escalated_at: datetime | None
    flapping: bool


class TriedOut(BaseModel):
    """Where a test message was sent, and what became of it."""

    notifier: str
    recipient: str
    outcome: str


class TriedOutAll(BaseModel):
    """One entry an address; none = no address is set up."""

    items: list[TriedOut]


class IncidentDetail(IncidentOut):
    """With its endpoints and story; who was told and what people said, for those who are signed in."""

    endpoints: list[EndpointState]
    notes: list[NoteOut]
    notifications: list[NotificationOut]
    contacts: list[Contact]


class ProbeOut(BaseModel):
    """A probe as it is built in."""

    name: str
    title: str
    period_s: float
    retry_s: float
    deadline_s: float
    needs: list[str]
    options: list[str]
    checks: int


class WorkerOut(BaseModel):
    """A probe worker; alive when it was seen in the last 30 seconds."""

    name: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    running: int
    done: int
    dropped: int


class ProbesOut(BaseModel):
    """The probes and who runs them."""

    probes: list[ProbeOut]
    workers: list[WorkerOut]
    latest_result_at: datetime | None
    overdue: int
    missed: int
