"""Identity cards of VOs, and their life."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from vomsdb.schemas.fields import Fqan, Line, LongText, Name, QueryModel, Reason, Text, VoName, Wire
from vomsdb.schemas.vos import VoOut

Scope = Literal["Global", "Regional", "Local"]
Middleware = Literal["ARC", "gLite", "UNICORE", "GLOBUS", "CLOUD_STORAGE", "CLOUD_COMPUTING"]


class ContactIn(Wire):
    """Somebody to write to; only public ones stand on the card that everybody sees."""

    role: Literal["manager", "deputy", "users", "security", "operations", "other"]
    name: Name
    email: Name
    dn: Line = ""
    public: bool = False


class AuthorityIn(Wire):
    """An attribute authority beside our own."""

    host: Name
    port: Annotated[int, Field(ge=1, le=65535)]
    dn: Name
    ca_dn: Name


class ResourcesIn(Wire):
    """What the VO's work needs at a site."""

    ram_per_core_mb: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    scratch_mb: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    max_cpu_minutes: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    max_wall_minutes: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    cores: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    storage_gb: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    other: Text = ""


class CardIn(Wire):
    """What the managers of a VO say of it; what is left out stays as it is."""

    description: Text | None = None
    discipline: Line | None = None
    scope: Scope | None = None
    homepage: Line | None = None
    alias: Line | None = None
    enrolment_url: Line | None = None
    support_unit: Line | None = None
    middleware: Annotated[list[Middleware], Field(max_length=6)] | None = None
    contacts: Annotated[list[ContactIn], Field(max_length=50)] | None = None
    authorities: Annotated[list[AuthorityIn], Field(max_length=20)] | None = None
    resources: ResourcesIn | None = None
    shares: dict[Fqan, Annotated[int, Field(ge=0, le=100)]] | None = None
    membership_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    ac_lifetime_s: Annotated[int, Field(ge=600, le=86400)] | None = None


class CardOut(VoOut):
    """The whole card."""

    number: int
    alias: str
    enrolment_url: str
    support_unit: str
    middleware: list[str]
    contacts: list[dict[str, object]]
    authorities: list[dict[str, object]]
    resources: dict[str, object]
    shares: dict[str, int]
    validated_at: datetime | None
    validated_by: str | None
    asked_at: datetime | None
    state_reason: str
    changed_at: datetime


class StateIn(Wire):
    """A supervisor's word on a VO."""

    state: Literal["production", "suspended", "closed"]
    reason: Reason


class ProposalIn(Wire):
    """A VO that somebody proposes, to be its first manager."""

    name: VoName
    description: Text
    aup_text: LongText
    email: Name
    discipline: Line = ""
    scope: Scope = "Global"
    homepage: Line = ""


class VoQuery(QueryModel):
    """Which VOs; `q` looks into name, alias, description and discipline."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(max_length=64)] | None = None
    q: Annotated[str, Field(max_length=200)] = ""
    scope: Scope | None = None
    discipline: Annotated[str, Field(max_length=200)] = ""
    state: Literal["new", "production", "suspended", "closed"] | None = None
