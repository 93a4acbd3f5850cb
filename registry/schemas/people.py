"""People, their identities, tokens and roles, on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from registry.models.role_names import ROLE_TYPES
from registry.schemas.fields import (
    AsOf,
    Email,
    EntityId,
    Line,
    Query,
    Reason,
    Telephone,
    UtcTime,
    Wire,
    one_line,
)

TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


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
    forename: Annotated[str, Field(max_length=255), AfterValidator(one_line)] = ""
    surname: Annotated[str, Field(max_length=255), AfterValidator(one_line)] = ""
    title: Annotated[str, Field(max_length=50), AfterValidator(one_line)] = ""
    email: Email | None = None
    telephone: Telephone | Literal[""] = ""
    works_from: TimeOfDay | Literal[""] = ""
    works_until: TimeOfDay | Literal[""] = ""


class IdentityOut(Wire):
    """A way in which a person signs in. Tokens have no subject."""

    id: str
    kind: Literal["x509", "oidc", "token"]
    realm: str
    key: str
    name: str
    subject: str | None
    issuer: str | None
    created_at: UtcTime
    not_after: UtcTime | None
    last_used_at: UtcTime | None
    suspended_at: UtcTime | None
    suspended_reason: str


class RoleOut(Wire):
    """A role that a person holds."""

    id: str
    person: str
    person_name: str
    role: str
    role_name: str
    scope: str
    status: Literal["PENDING", "GRANTED"]
    requested_at: UtcTime
    requested_by: str
    request_reason: str
    granted_at: UtcTime | None
    granted_by: str | None


class PersonOut(Wire):
    """A person with identities and roles."""

    id: str
    name: str
    forename: str
    surname: str
    title: str
    email: str | None
    telephone: str
    works_from: str
    works_until: str
    last_login_at: UtcTime | None
    identities: list[IdentityOut]
    roles: list[RoleOut]
    requests: list[RoleOut]


class PersonPage(Wire):
    """People by name; `next` is the cursor of the page after."""

    items: list[PersonOut]
    next: str | None


class PersonQuery(Query):
    """Which people; `q` looks for a part of name or e-mail address, `as_of` gives them as the log knew them."""

    as_of: AsOf | None = None
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
    """Roles, in one piece."""

    items: list[RoleOut]


class RolePage(RoleList):
    """Roles, the newest first; `next` is the cursor of the page after."""

    next: str | None


class RoleActionOut(Wire):
    """What was done with a role or a request for one."""

    id: str
    at: UtcTime
    action: Literal["requested", "granted", "rejected", "revoked", "laid down"]
    role: str
    role_name: str
    scope: str
    person: str | None
    person_name: str
    by: str
    old_status: str
    new_status: str
    reason: str


class RoleActionList(Wire):
    """Decisions, the newest first; `next` is the cursor of the page after."""

    items: list[RoleActionOut]
    next: str | None


class ReadOut(Wire):
    """Somebody read about a person."""

    id: str
    at: UtcTime
    by: str
    what: str


class ReadList(Wire):
    """Reads, the newest first; `next` is the cursor of the page after."""

    items: list[ReadOut]
    next: str | None


class ReadQuery(Query):
    """Which page."""

    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None


class RoleActionQuery(ReadQuery):
    """Which decisions; `as_of` gives those that had been made by then."""

    as_of: AsOf | None = None
    scope: ScopeText | None = None
    person: EntityId | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ErasedOut(Wire):
    """Under which name the person stands in the log now, and the sites that lost them as a contact."""

    stands_as: str
    sites: list[str]


class RoleQuery(Query):
    """Which roles; `as_of` gives those that were held, or asked for, then."""

    as_of: AsOf | None = None

    status: Literal["PENDING", "GRANTED"] = "GRANTED"
    scope: ScopeText | None = None
    person: EntityId | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class LinkOut(Wire):
    """A one-time code; show it with the certificate that is to be linked."""

    code: str
    valid_until: UtcTime


class JoinIn(Wire):
    """The e-mail address of the person whom the caller's certificate is to join."""

    email: Email


class OidcLinkIn(Wire):
    """A subject of an identity provider, as its tokens spell it in `sub`."""

    realm: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(one_line)]
    subject: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s\x00-\x1f]+$")]


class Said(Wire):
    """A sentence for whoever asked."""

    detail: str


class LinkClaim(Wire):
    """The code of `POST /api/v1/me/links`."""

    code: Annotated[str, Field(min_length=8, max_length=100)]
