"""Requests to join, and members."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from vomsdb.schemas.fields import Fqan, Id, Line, Name, QueryModel, Reason, Text, Wire


class RequestIn(Wire):
    """A request to join."""

    name: Name
    email: Name
    institution: Line = ""
    motivation: Text = ""
    aup_version: Annotated[int, Field(ge=1, le=1_000_000)]
    aup_accepted: bool


class RequestOut(BaseModel):
    """A request to join and where it stands."""

    id: int
    vo: str
    state: str
    name: str
    email: str
    institution: str
    motivation: str
    known_by: Literal["certificate", "sign_in"]
    subject: str
    issuer: str
    aup_version: int
    created_at: datetime
    expires_at: datetime
    confirmed_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    member: int | None
    doubts: list[str] = []


class ConfirmationIn(Wire):
    """The token from the mail."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


class ConfirmationOut(BaseModel):
    """The request that is confirmed now."""

    id: int
    vo: str
    state: str


class DecisionIn(Wire):
    """A manager's decision; a rejection needs a reason."""

    decision: Literal["approve", "reject"]
    reason: Reason = ""


class RequestPage(BaseModel):
    """Requests, oldest first."""

    items: list[RequestOut]
    next: str | None


class CertificateOut(BaseModel):
    """A certificate of a member."""

    id: int
    key: str
    subject: str
    issuer: str
    state: str
    reason: str | None


class SubjectOut(BaseModel):
    """A subject of an identity provider by which a member signs in."""

    id: int
    issuer: str
    subject: str
    added_at: datetime


class SuspensionOut(BaseModel):
    """Why a member is suspended."""

    code: str
    reason: str | None
    at: datetime | None
    by: str | None


class MemberOut(BaseModel):
    """A member of a VO."""

    id: int
    vo: str
    person: int
    name: str
    email: str
    institution: str
    kind: str
    owner: int | None
    purpose: str
    state: str
    suspension: SuspensionOut | None
    since: datetime
    until: datetime
    aup_version: int
    aup_signed_at: datetime
    aup_due: datetime | None
    aup_signed_by: str | None
    certificates: list[CertificateOut]
    subjects: list[SubjectOut]
    fqans: list[str]


class SuspensionIn(Wire):
    """A suspension; with `certificate` only that one is suspended and the code does not count."""

    code: Literal["SECURITY_INCIDENT", "HR_DB_VALIDATION", "OTHER"] = "OTHER"
    reason: Reason
    certificate: Id | None = None


class FqanIn(Wire):
    """A group, or a role in a group."""

    fqan: Fqan


class FqanQuery(QueryModel):
    """A group, or a role in a group."""

    fqan: Fqan


class RemovalQuery(QueryModel):
    """Why a membership ends."""

    reason: Annotated[str, Field(max_length=512)] = ""


class MemberPage(BaseModel):
    """Members in the order in which they joined."""

    items: list[MemberOut]
    next: str | None
