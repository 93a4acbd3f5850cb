"""The federation file, its plan, the log and the overview, on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from registry.schemas.fields import Reason, UtcTime, Wire
from registry.schemas.history import EventOut


class FileIn(Wire):
    """A federation file as text. With `prune` what the file does not name is removed."""

    document: Annotated[str, Field(max_length=5_000_000)]
    prune: bool = False


class ApplyIn(FileIn):
    """`plan` is the fingerprint of the plan that was looked at: nothing is done when the steps are others by now."""

    plan: Annotated[str, Field(max_length=64)] | None = None
    reason: Reason = ""


class StepOut(Wire):
    """One difference; `changes` gives old and new value by field."""

    action: str
    kind: str
    name: str
    changes: dict[str, list[Any]]
    sentence: str


class PlanOut(Wire):
    """What is, or was, to do; `revision` is None when nothing was written."""

    plan: str
    sentence: str
    steps: list[StepOut]
    revision: int | None


class OverviewOut(Wire):
    """The registry's part of the operator's page."""

    generated_at: UtcTime
    revision: int
    sites: dict[str, int]
    services: int
    endpoints: int
    downtimes_today: list[dict[str, Any]]
    changes_today: int
    changes: list[EventOut]
