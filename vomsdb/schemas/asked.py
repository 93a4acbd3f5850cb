"""What members ask for, and who decides for groups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from vomsdb.schemas.fields import Fqan, Id, Line, Name, Pem, QueryModel, Reason, Text, Wire


class MemberRequestIn(Wire):
    """`fqan` for a group or a role, `certificate` (PEM) for a further one, neither for removal."""

    kind: Literal["group", "role", "certificate", "removal"]
    fqan: Fqan | None = None
    certificate: Pem | None = None
    motivation: Text = ""


class MemberRequestOut(BaseModel):
    """What a member asks for and where it stands."""

    id: int
    vo: str
    member: int
    name: str
    kind: str
    fqan: str | None
    subject: str | None
    issuer: str | None
    motivation: str
    challenge: str | None
    proved_at: datetime | None
    state: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    doubts: list[str] = []


class ProofIn(Wire):
    """What the key of the certificate made of the request's challenge (RSA or ECDSA with SHA-256), in base64.

    Empty for who signed in with the certificate itself.
    """

    signature: Annotated[str, Field(max_length=4096)] = ""


class ProofOut(BaseModel):
    """A certificate that was proved to be the member's."""

    id: int
    vo: str
    subject: str
    proved_at: datetime


class MemberRequestPage(BaseModel):
    """Requests, oldest first."""

    items: list[MemberRequestOut]
    next: str | None


class DecisionsIn(Wire):
    """One decision for many: requests to join, and things that members ask for."""

    decision: Literal["approve", "reject"]
    reason: Reason = ""
    requests: Annotated[list[Id], Field(default_factory=list, max_length=500)]
    member_requests: Annotated[list[Id], Field(default_factory=list, max_length=500)]


class DecidedOut(BaseModel):
    """One of them: decided, or why not."""

    kind: Literal["request", "member_request"]
    id: int
    decided: bool
    detail: str


class DecisionsOut(BaseModel):
    """What became of each."""

    items: list[DecidedOut]


class GroupManagerIn(Wire):
    """A manager of a group: the certificate in PEM, or the printed names of its subject and issuer."""

    group: Annotated[str, Field(min_length=2, max_length=500)]
    name: Name
    email: Line = ""
    certificate: Pem | None = None
    subject: Annotated[str, Field(max_length=1000)] | None = None
    issuer: Annotated[str, Field(max_length=1000)] | None = None


class GroupManagerOut(BaseModel):
    """A manager of a group and those below it."""

    path: str
    key: str
    name: str
    email: str
    subject: str
    issuer: str
    since: datetime


class GroupManagerQuery(QueryModel):
    """A manager of a group, by the key of the certificate."""

    group: Annotated[str, Field(min_length=2, max_length=500)]
    key: Annotated[str, Field(min_length=1, max_length=100)]
