"""People, their identities, tokens and roles, on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from registry.models.role_names import ROLE_TYPES
from registry.schemas.fields import Email, EntityId, Line, Query, Reason, UtcTime, Wire


def _role_name(text: str) -> str:
    if text not in ROLE_TYPES:
        raise ValueError("must be one of " + ", ".join(ROLE_TYPES))
    return text


RoleName = Annotated[
    str,
    Field(max_length=100),
    AfterValidator(_role_name),
    WithJsonSchema({"type": "string", "enum": list(ROLE_TYPES)}),
]
ScopeText = Annotated[
    str,
    Field(
        max_length=270, pattern=r"^(federation|(project|ngi|site|servicegroup):[A-Za-z0-9_][A-Za-z0-9._-]*)$"
    ),
]


class MeIn(Wire):
    """Who I am; without a name the certificate's common name is taken."""

    name: Line | None = None
    email: Email | None = None


class IdentityOut(Wire):
    """A way in which a person signs in. Tokens have no subject."""

    id: str
    kind: Literal["x509", "token"]
    key: str
    name: str
    subject: str | None
    issuer: str | None
    created_at: UtcTime
    not_after: UtcTime | None


class RoleOut(Wire):
    """A role that a person holds."""

    id: str
    person: str
    person_name: str
    role: str
    scope: str
    granted_at: UtcTime
    granted_by: str


class PersonOut(Wire):
    """A person with identities and roles."""

    id: str
    name: str
    email: str | None
    identities: list[IdentityOut]
    roles: list[RoleOut]


class PersonPage(Wire):
    """People by name; `next` is the cursor of the page after."""

    items: list[PersonOut]
    next: str | None


class PersonQuery(Query):
    """Which people; `q` looks for a part of name or e-mail address."""

    q: Annotated[str, Field(max_length=255)] | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class RoleIn(Wire):
    """A role to grant."""

    person: EntityId
    role: RoleName
    scope: ScopeText
    reason: Reason = ""


class RoleRequestIn(Wire):
    """A role that somebody asks for, for oneself."""

    role: RoleName
    scope: ScopeText
    reason: Reason = ""


class DecisionIn(Wire):
    """Why a request is granted or rejected, a role revoked or laid down."""

    reason: Reason = ""


class RoleList(Wire):
    """Roles, the newest first."""

    items: list[RoleOut]


class RoleQuery(Query):
    """Which roles."""

    scope: ScopeText | None = None
    person: EntityId | None = None


class LinkOut(Wire):
    """A one-time code; show it with the certificate that is to be linked."""

    code: str
    valid_until: UtcTime


class LinkClaim(Wire):
    """The code of `POST /api/v1/me/links`."""

    code: Annotated[str, Field(min_length=8, max_length=100)]
