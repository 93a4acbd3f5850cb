"""API credentials of a site on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from registry.schemas.fields import Query, Reason, UtcTime, Wire, one_line

Identifier = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(one_line)]


class ApiCredentialIn(Wire):
    """A certificate's subject (slash form or RFC 2253), or a subject of an identity provider, as it spells it."""

    kind: Literal["x509", "oidc"]
    identifier: Identifier
    realm: Annotated[str, Field(max_length=255)] = ""
    allow_write: bool = False
    reason: Reason = ""


class ApiCredentialChange(Wire):
    """What may change; `renew` and `take_over` are done, not stored."""

    allow_write: bool | None = None
    renew: bool = False
    take_over: bool = False
    reason: Reason = ""


class ApiCredentialOut(Wire):
    """An API credential. `deleted_on` is the day on which it goes unless it is used or renewed; null = it stays."""

    id: str
    site: str
    kind: Literal["x509", "oidc"]
    identifier: str
    realm: str
    allow_write: bool
    owner: str
    owner_name: str
    created_at: UtcTime
    renewed_at: UtcTime
    last_used_at: UtcTime | None
    warned_at: UtcTime | None
    deleted_on: UtcTime | None


class ApiCredentialList(Wire):
    """API credentials of a site by id."""

    items: list[ApiCredentialOut]


class MailOut(Wire):
    """A mail and what became of it, without its text."""

    id: str
    recipient: str
    subject: str
    about: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    last_answer: str
    created_at: UtcTime
    next_attempt_at: UtcTime
    delivered_at: UtcTime | None


class MailPage(Wire):
    """Mails, the newest first; `counts` by state of all; `next` is the cursor of the page after."""

    items: list[MailOut]
    counts: dict[str, int]
    next: str | None


class MailQuery(Query):
    """Which mails; `about` as `role:5`, `downtime:7`."""

    state: Literal["pending", "delivered", "failed"] | None = None
    about: Annotated[str, Field(max_length=100)] | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
