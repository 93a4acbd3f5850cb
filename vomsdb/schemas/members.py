"""What is done with members: certificates, robots, owners, the end of memberships."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from vomsdb.schemas.fields import Id, Issuer, Line, Name, Pem, Reason, SubjectName, Text, Wire


class CertificateIn(Wire):
    """A certificate in PEM, or the printed names of its subject and issuer."""

    certificate: Pem | None = None
    subject: Annotated[str, Field(max_length=1000)] | None = None
    issuer: Annotated[str, Field(max_length=1000)] | None = None


class SubjectIn(Wire):
    """A subject of an identity provider, as its tokens spell `iss` and `sub`."""

    issuer: Issuer
    subject: SubjectName


class LinkIn(CertificateIn):
    """Any certificate of the other person, and how it is known that both are one."""

    reason: Reason


class RobotIn(CertificateIn):
    """A robot or a service, and the number of the member who owns it."""

    kind: Literal["robot", "service"] = "robot"
    name: Name
    purpose: Text = ""
    owner: Id


class OwnerIn(Wire):
    """The number of the member who owns a robot from now on."""

    owner: Id
    reason: Reason


class ProlongIn(Wire):
    """The new end; null = the VO's usual days more."""

    until: AwareDatetime | None = None


class ProlongAllIn(ProlongIn):
    """Whose memberships."""

    members: Annotated[list[Id], Field(min_length=1, max_length=500)]


class RefusalOut(BaseModel):
    """One that was refused, and why."""

    id: int
    detail: str


class DoneOut(BaseModel):
    """The numbers of those that were done, and those that were refused."""

    done: list[int]
    refused: list[RefusalOut]


class SignatureForIn(Wire):
    """A signature in the place of a robot's owner."""

    version: Annotated[int, Field(ge=1, le=1_000_000)]
    reason: Reason


class AskAgainIn(Wire):
    """Whom to ask to sign again; null = all."""

    member: Id | None = None
    days: Annotated[int, Field(ge=0, le=365)] = 15


class AskAgainOut(BaseModel):
    """How many were asked."""

    asked: int


class AttributeIn(Wire):
    """A new generic attribute; with `distinct_values` each value may stand with one member only."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Text = ""
    distinct_values: bool = False


class AttributeOut(BaseModel):
    """A generic attribute."""

    name: str
    description: str
    distinct_values: bool


class ValueIn(Wire):
    """A value for a member, or for a group or a role in a group; one of the two."""

    attribute: Annotated[str, Field(min_length=1, max_length=64)]
    value: Line
    member: Id | None = None
    fqan: Annotated[str, Field(max_length=500)] | None = None


class ValueOut(BaseModel):
    """A value, and whose it is."""

    id: int
    attribute: str
    value: str
    member: int | None
    fqan: str | None


class PersonalOut(BaseModel):
    """Everything that the service holds of a person."""

    made_at: datetime
    data: dict[str, object]


class ErasedOut(BaseModel):
    """The name that stands in the log for whoever was erased."""

    stands_as: str


class ErasureIn(Wire):
    """Why somebody's data are erased; stays in the log, so it must not name the person."""

    reason: Reason
