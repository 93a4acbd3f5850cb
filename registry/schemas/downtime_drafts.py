"""Drafts of downtimes on the wire: what was typed, as it was typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from registry.schemas.fields import UtcTime, Wire, printable

Text = Annotated[str, Field(max_length=8000), AfterValidator(printable)]
Texts = Annotated[
    list[Annotated[str, Field(max_length=255), AfterValidator(printable)]], Field(max_length=1000)
]


class DraftIn(Wire):
    """A downtime that is not complete or not right yet: nothing is checked but the length."""

    sites: Texts = Field(default_factory=list)
    services: Texts = Field(default_factory=list)
    endpoints: Texts = Field(default_factory=list)
    severity: Text = ""
    description: Text = ""
    start: Text = ""
    end: Text = ""
    every: Text = ""
    times: Text = ""


class DraftOut(Wire):
    """A draft; `kind` is own for what somebody typed, proposal for an outage that monitoring found."""

    key: str
    kind: Literal["own", "proposal"]
    reason: str
    draft: DraftIn
    changed_at: UtcTime
    kept_until: UtcTime


class DraftPage(Wire):
    """One's own drafts and the proposals for one's sites, the latest first."""

    items: list[DraftOut]
