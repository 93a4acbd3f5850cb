"""Fields, addresses and queries that the others are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST = 2**53


def _printable(text: str) -> str:
    if any(ord(char) < 32 and char not in "\n\t" for char in text):
        raise ValueError("must not contain control characters")
    return text


Line = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
Reason = Annotated[str, Field(max_length=512), AfterValidator(_printable)]
LongText = Annotated[str, Field(max_length=100_000), AfterValidator(_printable)]
Pem = Annotated[str, Field(max_length=20_000)]
VoName = Annotated[str, Field(max_length=64)]
Fqan = Annotated[str, Field(min_length=2, max_length=500, examples=["/training.egi.eu/Role=operator"])]
Issuer = Annotated[str, Field(max_length=255, pattern=r"^https?://[!-~]+$")]
SubjectName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[ -~]+$")]
Id = Annotated[int, Field(ge=1, le=MOST)]


class Wire(BaseModel):
    """A JSON body: unknown fields are refused, and a string is not taken for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class QueryModel(BaseModel):
    """Parameters after the `?`."""

    model_config = ConfigDict(extra="forbid")


class PathModel(BaseModel):
    """Arguments in the path."""

    model_config = ConfigDict(extra="forbid")


class CursorQuery(QueryModel):
    """`limit` rows after `cursor`, which is the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(max_length=1000)] | None = None


class VoPath(PathModel):
    """A VO."""

    vo: VoName


class RequestPath(VoPath):
    """A request to join a VO."""

    request: Id


class ManagerPath(VoPath):
    """A manager of a VO, by the key of the certificate."""

    key: Annotated[str, Field(max_length=100)]


class AupPath(VoPath):
    """A version of a VO's AUP."""

    version: Annotated[int, Field(ge=1, le=1_000_000)]


class MemberPath(PathModel):
    """A member of a VO."""

    member: Id


class PersonPath(PathModel):
    """A person, by the number that stands with each of their memberships."""

    person: Id


class CertificatePath(MemberPath):
    """A certificate of a member."""

    certificate: Id


class SubjectPath(MemberPath):
    """A sign-in of a member."""

    subject: Id


class AttributePath(VoPath):
    """A generic attribute of a VO."""

    attribute: Annotated[str, Field(max_length=64)]


class LetterPath(VoPath):
    """A letter of a VO, by the name of its template."""

    letter: Annotated[str, Field(max_length=64)]


class ValuePath(VoPath):
    """A value of a generic attribute."""

    value: Id


class SitePath(PathModel):
    """A site."""

    site: Annotated[str, Field(max_length=100)]


class SearchQuery(CursorQuery):
    """Words to look for."""

    q: Annotated[str, Field(max_length=200)] = ""


class RequestQuery(CursorQuery):
    """Which requests."""

    state: Literal["submitted", "pending", "approved", "rejected", "withdrawn", "expired"] | None = None


class AskedQuery(CursorQuery):
    """Which of the things that members ask for."""

    state: Literal["pending", "approved", "rejected", "withdrawn", "expired"] | None = None


class MemberQuery(SearchQuery):
    """Which members."""

    state: Literal["active", "suspended", "expired", "removed"] | None = None
    kind: Literal["person", "robot", "service"] | None = None
    group: Annotated[str, Field(max_length=500)] = ""


class ValueQuery(QueryModel):
    """Whose values."""

    member: Id | None = None


class PairQuery(QueryModel):
    """Which pairs of site and VO."""

    site: Annotated[str, Field(max_length=100)] | None = None
    vo: VoName | None = None


class AcknowledgementQuery(CursorQuery):
    """Of which site or VO."""

    site: Annotated[str, Field(max_length=100)] | None = None
    vo: VoName | None = None


class MailQuery(QueryModel):
    """Which mails."""

    state: Literal["pending", "delivered", "failed"] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class SentQuery(CursorQuery):
    """Which mails of a VO."""

    state: Literal["pending", "delivered", "failed"] | None = None


class RestoreQuery(QueryModel):
    """Why a suspension ends; `certificate` for that one alone."""

    reason: Annotated[str, Field(max_length=512)] = ""
    certificate: Id | None = None
