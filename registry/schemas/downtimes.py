"""Downtimes on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from registry.schemas.fields import AsOf, EntityId, LongDescription, Query, Reason, SiteName, UtcTime, Wire

Severity = Literal["OUTAGE", "WARNING"]
State = Literal["planned", "ongoing", "ended"]
Ids = Annotated[list[EntityId], Field(min_length=1, max_length=1000)]


class DowntimeIn(Wire):
    """A downtime to declare. Without `start` it begins now; without `services` it takes the whole site.

    Without `endpoints` every endpoint of the services is affected. The class is computed, never given.
    """

    site: SiteName
    severity: Severity
    description: LongDescription
    start: UtcTime | None = None
    end: UtcTime
    services: Ids | None = None
    endpoints: Ids | None = None
    reason: Reason = ""


class DowntimeEdit(Wire):
    """What to change; only the keys that are there (rules: reference 2.2)."""

    severity: Severity | None = None
    description: LongDescription | None = None
    start: UtcTime | None = None
    end: UtcTime | None = None
    services: Ids | None = None
    endpoints: Ids | None = None
    reason: Reason = ""


class ReasonIn(Wire):
    """Why; may be left out."""

    reason: Reason = ""


class DowntimeOut(Wire):
    """A downtime as it stands at `revision`; `id` and `revision` are None for one that was only tried."""

    id: str | None
    primary_key: str | None
    site: str
    severity: str
    classification: str
    start: UtcTime
    end: UtcTime
    description: str
    services: list[str]
    endpoints: list[str]
    state: str
    created_at: UtcTime
    created_by: str
    revision: int | None
    updated_at: UtcTime | None


class DowntimePage(Wire):
    """Downtimes, the latest start first; `next` is the cursor of the page after."""

    items: list[DowntimeOut]
    next: str | None


class DowntimeQuery(Query):
    """Which downtimes. `since` and `until` give those that overlap the time between them."""

    site: SiteName | None = None
    state: State | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class DryRunQuery(Query):
    """`dry_run=true`: check everything, tell what it would be, keep nothing."""

    dry_run: bool = False
