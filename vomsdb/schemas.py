"""What goes over the wire."""

from __future__ import annotations

from datetime import datetime
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


class VoPage(BaseModel):
    """VOs by name."""

    items: list[VoOut]
    next: str | None


class RequestPage(BaseModel):
    """Requests, oldest first."""

    items: list[RequestOut]
    next: str | None


class MemberPage(BaseModel):
    """Members in the order in which they joined."""

    items: list[MemberOut]
    next: str | None


# --- addresses ----------------------------------------------------------------------------------------------------


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


class SitePath(PathModel):
    """A site."""

    site: Annotated[str, Field(max_length=100)]


class SearchQuery(CursorQuery):
    """Words to look for."""

    q: Annotated[str, Field(max_length=200)] = ""


class RequestQuery(CursorQuery):
    """Which requests."""

    state: Literal["submitted", "pending", "approved", "rejected", "withdrawn", "expired"] | None = None


class MemberQuery(SearchQuery):
    """Which members."""

    state: Literal["active", "suspended", "expired", "removed"] | None = None
    group: Annotated[str, Field(max_length=500)] = ""


class PairQuery(QueryModel):
    """Which pairs of site and VO."""

    site: Annotated[str, Field(max_length=100)] | None = None
    vo: VoName | None = None


class MailQuery(QueryModel):
    """Which mails."""

    state: Literal["pending", "delivered", "failed"] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class RestoreQuery(QueryModel):
    """Why a suspension ends; `certificate` for that one alone."""

    reason: Annotated[str, Field(max_length=512)] = ""
    certificate: Id | None = None


# --- VOs ----------------------------------------------------------------------------------------------------------


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


class ClientOut(BaseModel):
    """What a client of the attribute authority needs to know."""

    host: str
    port: int
    vo: str
    vomses: str
    lsc: str


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


# --- requests -----------------------------------------------------------------------------------------------------


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


# --- members ------------------------------------------------------------------------------------------------------


class CertificateOut(BaseModel):
    """A certificate of a member."""

    id: int
    key: str
    subject: str
    issuer: str
    state: str
    reason: str | None


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
    name: str
    email: str
    institution: str
    state: str
    suspension: SuspensionOut | None
    since: datetime
    until: datetime
    aup_version: int
    aup_signed_at: datetime
    aup_due: datetime | None
    certificates: list[CertificateOut]
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


# --- replication --------------------------------------------------------------------------------------------------


class JoinCodeOut(BaseModel):
    """A code, shown this once, with which the site's agent joins."""

    site: str
    code: str
    expires_at: datetime


class State(BaseModel):
    """A state of a VO by its number and hash."""

    seq: int | None
    sha256: str | None


class PairOut(BaseModel):
    """A VO at a site."""

    site: str
    vo: str
    state: Literal["in_step", "behind", "late", "breach"]
    age_s: int | None
    why: str
    missing: int
    expected: State
    held: State
    since: datetime
    acked_at: datetime | None
    applied_at: datetime | None
    valid_until: datetime | None
    counts: dict[str, int]
    errors: list[str]
    agent_version: str | None
    heard_at: datetime | None


class ReplicationOut(BaseModel):
    """All pairs, and the promise over seven days in seconds."""

    generated_at: datetime
    in_step: int
    pairs: list[PairOut]
    median_s: int | None
    p99_s: int | None
    promise_s: float


class RunIn(Wire):
    """Which sites to tell; null = all."""

    sites: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=5000)] | None = None


class RunOut(BaseModel):
    """How many were told."""

    sites: int
    pairs: int


class AttemptOut(BaseModel):
    """A contact with a site."""

    at: datetime
    vo: str | None
    way: str
    good: bool
    answer: str


class LateOut(BaseModel):
    """A pair past the warning."""

    site: str
    vo: str
    age_s: int
    state: str


class OverviewOut(BaseModel):
    """The membership service in a few figures."""

    generated_at: datetime
    late: list[LateOut]
    pairs_total: int
    in_step: int
    pending_requests: int
    members: int


class MailOut(BaseModel):
    """A mail and what became of it; its text, which may hold a token, is not shown."""

    id: int
    recipient: str
    subject: str
    about: str
    state: str
    attempts: int
    last_answer: str
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None


# --- the agents' protocol -----------------------------------------------------------------------------------------


class JoinIn(Wire):
    """An agent asks to be let in."""

    site: Annotated[str, Field(max_length=100)]
    code: Annotated[str, Field(max_length=200)]
    agent_version: Annotated[str, Field(max_length=100)]
    agent_url: Annotated[str, Field(max_length=500, pattern="^https?://")] | None = None


class AckIn(Wire):
    """What a site holds of a VO now."""

    vo: VoName
    seq: Annotated[int, Field(ge=0, le=MOST)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$|^$")]
    applied_at: datetime
    counts: dict[str, Annotated[int, Field(ge=0, le=MOST)]] = {}
    errors: Annotated[list[Annotated[str, Field(max_length=2000)]], Field(max_length=100)] = []
    agent_version: Annotated[str, Field(max_length=100)] = ""
