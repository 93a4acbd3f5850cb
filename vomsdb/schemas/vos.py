"""VOs, their managers, policies, groups and roles."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from vomsdb.schemas.fields import Line, LongText, Name, Pem, Text, VoName, Wire


class ManagerIn(Wire):
    """A manager: the certificate in PEM, or the printed names of its subject and issuer."""

    name: Name
    email: Line = ""
    certificate: Pem | None = None
    subject: Annotated[str, Field(max_length=1000)] | None = None
    issuer: Annotated[str, Field(max_length=1000)] | None = None


class VoIn(Wire):
    """A new VO."""

    name: VoName
    description: Text
    aup_text: LongText
    managers: Annotated[list[ManagerIn], Field(max_length=50)]
    discipline: Line = ""
    scope: Literal["Global", "Regional", "Local"] = "Global"
    homepage: Line = ""
    membership_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    ac_lifetime_s: Annotated[int, Field(ge=600, le=86400)] = 43200


class VoOut(BaseModel):
    """A VO's identity card."""

    name: str
    description: str
    discipline: str
    scope: str
    homepage: str
    state: str
    aup_version: int
    membership_days: int
    ac_lifetime_s: int
    members: int | None = None
    managers: list[str] = []
    created_at: datetime


class ManagerOut(BaseModel):
    """A manager of a VO."""

    key: str
    name: str
    email: str
    subject: str
    issuer: str
    since: datetime


class HostOut(BaseModel):
    """One host of the attribute authority: its vomses line and its .lsc text."""

    host: str
    port: int
    vomses: str
    lsc: str


class ClientOut(HostOut):
    """What a client of the attribute authority needs to know: the usual host, all vomses lines, and every host."""

    vo: str
    hosts: list[HostOut]


class AupIn(Wire):
    """A new version of the AUP."""

    text: LongText
    days_to_sign: Annotated[int, Field(ge=0, le=365)] = 15


class AupOut(BaseModel):
    """A version of the AUP."""

    vo: str
    version: int
    text: str
    days_to_sign: int
    published_at: datetime
    published_by: str


class SignatureIn(Wire):
    """The version that is signed."""

    version: Annotated[int, Field(ge=1, le=1_000_000)]


class GroupIn(Wire):
    """A new group."""

    path: Annotated[str, Field(min_length=2, max_length=500, examples=["/training.egi.eu/students"])]
    description: Text = ""


class GroupOut(BaseModel):
    """A group."""

    path: str
    description: str
    members: int


class RoleIn(Wire):
    """A new role."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Text = ""


class RoleOut(BaseModel):
    """A role."""

    name: str
    description: str


class VoPage(BaseModel):
    """VOs by name."""

    items: list[VoOut]
    next: str | None
