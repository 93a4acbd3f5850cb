"""API credentials of a site on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from registry.schemas.fields import EntityId, Reason, UtcTime, Wire, one_line

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
    owner: EntityId
    owner_name: str
    created_at: UtcTime
    renewed_at: UtcTime
    last_used_at: UtcTime | None
    warned_at: UtcTime | None
    deleted_on: UtcTime | None


class ApiCredentialList(Wire):
    """API credentials of a site by id."""

    items: list[ApiCredentialOut]
