"""Tables of monitoring. Times are UTC; durations are seconds; states are the words of
`monitoring.algebra.State`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from hanse.database import GroundBase
from monitoring.models import figures, machines
from monitoring.models.base import STATES, Base, UtcTime


class Site(Base):
    """A site with monitored endpoints: its state now. One row is the lock under which a site is judged."""

    __tablename__ = "site"
    __table_args__ = (CheckConstraint(f"state in {STATES}", name="site_state"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(server_default="missing")
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))


class Endpoint(Base):
    """An endpoint of the registry as it is monitored: `judged` from its checks, `state` with downtimes laid
    over."""

    __tablename__ = "endpoint"
    __table_args__ = (
        CheckConstraint(f"state in {STATES} and judged in {STATES}", name="endpoint_state"),
        Index("endpoint_site", "site"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.name"))
    service_id: Mapped[str]
    service_type: Mapped[str]
    hostname: Mapped[str]
    url: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    judged: Mapped[str] = mapped_column(server_default="missing")
    state: Mapped[str] = mapped_column(server_default="missing")
    since: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    cause: Mapped[str] = mapped_column(server_default="")
    cause_check: Mapped[str] = mapped_column(server_default="")


class Check(Base):
    """A probe of an endpoint: when it is due, who has it, what it last measured, how it is judged.

    `judged_*` come from the last measurement that agreed with the judgement: the cause, while it lasts.
    `held_since` = not run, because a check that it needs fails. `missed` counts due times that nobody could
    serve."""

    __tablename__ = "probe_check"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "probe", name="check_once"),
        CheckConstraint(f"judged in {STATES}", name="check_judged"),
        CheckConstraint("period_s > 0 and retry_s > 0 and deadline_s > 0", name="check_times"),
        Index("check_due", "next_at", postgresql_where=text("active")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoint.id"))
    probe: Mapped[str]
    options: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'"))
    needs: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    host: Mapped[str]
    period_s: Mapped[float]
    retry_s: Mapped[float]
    deadline_s: Mapped[float]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    next_at: Mapped[datetime] = mapped_column(UtcTime)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    asked_at: Mapped[datetime | None] = mapped_column(UtcTime)
    asked_by: Mapped[str | None]
    missed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    held_since: Mapped[datetime | None] = mapped_column(UtcTime)
    measured: Mapped[str | None]
    measured_at: Mapped[datetime | None] = mapped_column(UtcTime)
    reason: Mapped[str] = mapped_column(server_default="")
    summary: Mapped[str] = mapped_column(server_default="")
    answered_at: Mapped[datetime | None] = mapped_column(UtcTime)
    good_at: Mapped[datetime | None] = mapped_column(UtcTime)
    good_summary: Mapped[str] = mapped_column(server_default="")
    judged: Mapped[str] = mapped_column(server_default="missing")
    judged_since: Mapped[datetime | None] = mapped_column(UtcTime)
    judged_reason: Mapped[str] = mapped_column(server_default="")
    judged_summary: Mapped[str] = mapped_column(server_default="")
    candidate: Mapped[str | None]
    candidate_since: Mapped[datetime | None] = mapped_column(UtcTime)
    candidate_count: Mapped[int] = mapped_column(server_default="0")


class StoredResult(Base):
    """One measurement. `due_at` is the time it was scheduled for; None = somebody asked for it now.

    `original_status` = what the probe said, where a rule of a thresholds profile (`threshold_rule`) said
    otherwise."""

    __tablename__ = "result"
    __table_args__ = (
        UniqueConstraint("check_id", "lease", name="result_once"),
        Index("result_by_check", "check_id", text("started_at desc")),
        Index("result_by_age", "started_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    check_id: Mapped[int] = mapped_column(ForeignKey("probe_check.id", ondelete="CASCADE"))
    lease: Mapped[str]
    due_at: Mapped[datetime | None] = mapped_column(UtcTime)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    took_s: Mapped[float]
    status: Mapped[str]
    reason: Mapped[str]
    summary: Mapped[str]
    figures: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    phases: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    asked_by: Mapped[str | None]
    worker: Mapped[str]
    original_status: Mapped[str | None]
    threshold_rule: Mapped[str | None]


class Answer(Base):
    """The last raw exchange of a check, secrets already taken out."""

    __tablename__ = "answer"

    check_id: Mapped[int] = mapped_column(ForeignKey("probe_check.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    request: Mapped[str]
    reply_head: Mapped[str]
    reply_body: Mapped[str]
    body_bytes: Mapped[int] = mapped_column(BigInteger)


class StatusChange(Base):
    """The timeline, append-only: from `at` on the subject was in `state`. Availability is computed from
    this alone."""

    __tablename__ = "status_change"
    __table_args__ = (
        CheckConstraint(f"state in {STATES}", name="status_change_state"),
        CheckConstraint("level in ('check', 'endpoint', 'site')", name="status_change_level"),
        Index("status_change_by_subject", "level", "subject", "at", "id"),
        Index(
            "status_change_late",
            "written_at",
            postgresql_where=text("written_at - at > interval '10 minutes'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    level: Mapped[str]
    subject: Mapped[str]
    at: Mapped[datetime] = mapped_column(UtcTime)
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    written_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))


class Incident(Base):
    """One outage (or degradation) with one cause, of one or more endpoints of a site.

    `site` is empty for the monitor's own: then it cannot reach anything. `told` = somebody was notified."""

    __tablename__ = "incident"
    __table_args__ = (
        CheckConstraint("severity in ('degraded', 'down', 'doubt')", name="incident_severity"),
        CheckConstraint("ended_at is null or ended_at >= began_at", name="incident_times"),
        Index("incident_open", "site", postgresql_where=text("ended_at is null")),
    )

    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    site: Mapped[str]
    host: Mapped[str]
    severity: Mapped[str]
    probe: Mapped[str]
    reason: Mapped[str]
    cause: Mapped[str]
    began_at: Mapped[datetime] = mapped_column(UtcTime)
    confirmed_at: Mapped[datetime] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)
    muted_by: Mapped[str | None]
    told: Mapped[bool] = mapped_column(server_default=text("false"))
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcTime)
    acknowledged_by: Mapped[str | None]
    assigned_to: Mapped[str | None]
    silenced_until: Mapped[datetime | None] = mapped_column(UtcTime)
    silenced_by: Mapped[str | None]
    flapping: Mapped[bool] = mapped_column(server_default=text("false"))
    reminded_at: Mapped[datetime | None] = mapped_column(UtcTime)
    escalated_at: Mapped[datetime | None] = mapped_column(UtcTime)


class IncidentEndpoint(Base):
    """An endpoint that an incident hits, and until when."""

    __tablename__ = "incident_endpoint"

    number: Mapped[int] = mapped_column(ForeignKey("incident.number", ondelete="CASCADE"), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoint.id"), primary_key=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)


class IncidentNote(Base):
    """A line of an incident's story: what happened, or what a person said (`by`)."""

    __tablename__ = "incident_note"
    __table_args__ = (Index("incident_note_of", "number", "at", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    number: Mapped[int] = mapped_column(ForeignKey("incident.number", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UtcTime)
    kind: Mapped[str]
    text: Mapped[str]
    by: Mapped[str | None]


class Notification(Base):
    """A message to send, once. `key` names what it says and to whom: the same is never queued twice."""

    __tablename__ = "notification"
    __table_args__ = (
        CheckConstraint("outcome in ('sent', 'given up')", name="notification_outcome"),
        Index("notification_due", "next_at", postgresql_where=text("outcome is null")),
        Index("notification_of", "number"),
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(ForeignKey("incident.number", ondelete="CASCADE"))
    event: Mapped[str]
    notifier: Mapped[str]
    recipient: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    next_at: Mapped[datetime] = mapped_column(UtcTime, server_default=text("clock_timestamp()"))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    attempts: Mapped[int] = mapped_column(server_default="0")
    outcome: Mapped[str | None]
    done_at: Mapped[datetime | None] = mapped_column(UtcTime)
    detail: Mapped[str] = mapped_column(server_default="")


class Worker(Base):
    """A probe worker that lives, or lived: what it does and what it could not do."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
    running: Mapped[int] = mapped_column(server_default="0")
    done: Mapped[int] = mapped_column(BigInteger, server_default="0")
    dropped: Mapped[int] = mapped_column(BigInteger, server_default="0")


__all__ = [
    "Answer",
    "Base",
    "Check",
    "Endpoint",
    "Incident",
    "IncidentEndpoint",
    "IncidentNote",
    "Notification",
    "Site",
    "StatusChange",
    "StoredResult",
    "Worker",
    "figures",
    "machines",
    "metadatas",
]

metadatas = (Base.metadata, GroundBase.metadata)
