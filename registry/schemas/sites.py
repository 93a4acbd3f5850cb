"""Sites, NGIs and what machines of a site sign in with, on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from registry.schemas.fields import (
    Amount,
    AsOf,
    CountryCode,
    Description,
    Domain,
    Email,
    Ipv4Range,
    Ipv6Range,
    LdapUrl,
    Line,
    NgiName,
    Pem,
    PropertyKey,
    PropertyValue,
    Query,
    Reason,
    Scope,
    SiteName,
    Size,
    Telephone,
    TimeZone,
    UtcTime,
    VoName,
    WebUrl,
    Wire,
)

Certification = Literal["Candidate", "Uncertified", "Certified", "Suspended", "Closed"]
Infrastructure = Literal["Production", "Test", "SC", "PPS"]
ContactKind = Literal["admin", "security", "alarm", "helpdesk", "operations", "emergency"]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=50)]
Extensions = Annotated[dict[PropertyKey, PropertyValue], Field(max_length=20)]


Form = TypeVar("Form", bound=Wire)


def once(form: Form, field: str) -> Form:
    """The form, unless a list of it names something twice."""
    values = getattr(form, field)
    if values is not None and len(set(values)) != len(values):
        raise ValueError(f"{field} names the same thing twice")
    return form


class Capacity(Wire):
    """What a site offers; None = not said. Memory in GB, storage in TB."""

    vcpu: Amount | None = None
    ram_gb: Size | None = None
    storage_tb: Size | None = None
    volumes: Amount | None = None
    public_ips: Amount | None = None


class ContactIn(Wire):
    """Whom to reach, for what, and how: by mail, by telephone, or both."""

    kind: ContactKind
    name: Line
    email: Email | None = None
    telephone: Telephone | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.email is None and self.telephone is None:
            raise ValueError(f"{self.kind} {self.name} needs an e-mail address or a telephone number")
        return self


class VoShareIn(Wire):
    """A VO that the site supports, the virtual processors declared for it, and the cloud's own project for it.

    A project id that is not sent stays as it is.
    """

    vo: VoName
    vcpu: Amount | None = None
    project_id: Line | None = None


class SiteFields(Wire):
    """Everything of a site that its administrator may change. What is left out keeps its value, or its default.

    `production` says that the infrastructure is Production; either may be sent, and both where they agree.
    """

    official_name: Line | None = None
    description: Description = ""
    home_url: WebUrl | None = None
    telephone: Telephone | None = None
    domain: Domain | None = None
    giis_url: LdapUrl | None = None
    country: Line | None = None
    country_code: CountryCode | None = None
    location: Line | None = None
    timezone: TimeZone | None = None
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    middleware: Line | None = None
    infrastructure: Infrastructure | None = None
    production: bool = True
    notify: bool = True
    ip_range: Ipv4Range | None = None
    ipv6_range: Ipv6Range | None = None
    tier: Line | None = None
    sub_grid: Line | None = None
    scopes: Scopes = Field(default=["EGI"])
    capacity: Capacity = Capacity()
    contacts: Annotated[list[ContactIn], Field(max_length=100)] = Field(default=[])
    supports: Annotated[list[VoShareIn], Field(max_length=1000)] = Field(default=[])
    agent_url: WebUrl | None = None
    usage_site_names: Annotated[list[Line], Field(max_length=100)] = Field(default=[])
    extensions: Extensions = Field(default={})

    @model_validator(mode="after")
    def _no_repetitions(self) -> Self:
        _infrastructure_agrees(self)
        vos = [share.vo for share in self.supports]
        if len(set(vos)) != len(vos):
            raise ValueError("supports names the same thing twice")
        return once(once(self, "scopes"), "usage_site_names")

    def named(self) -> dict[str, Any]:
        """The fields that were given, each whole."""
        whole = self.model_dump(exclude={"reason"})
        return {field: value for field, value in whole.items() if field in self.model_fields_set}


def _infrastructure_agrees(form: SiteFields) -> None:
    if form.infrastructure is None or "production" not in form.model_fields_set:
        return
    if form.production != (form.infrastructure == "Production"):
        raise ValueError(
            f"production is {str(form.production).lower()}, but the infrastructure {form.infrastructure}"
        )


class SiteIn(SiteFields):
    """A new site. `certification` other than Candidate needs a federation operator."""

    name: SiteName
    ngi: NgiName
    official_name: Line
    country: Line
    country_code: CountryCode
    certification: Certification = "Candidate"
    reason: Reason = ""


class SiteEdit(SiteFields):
    """What to change; only the keys that are there. A new name or NGI needs a federation operator."""

    name: SiteName | None = None
    ngi: NgiName | None = None
    reason: Reason = ""


class CertificationIn(Wire):
    """A step of certification, with its reason (GOCDB: at most 300 characters)."""

    status: Certification
    reason: Annotated[Reason, Field(min_length=1)]


class SiteOut(Wire):
    """A site as it stands at `revision`. E-mail addresses are left out for visitors who are not signed in."""

    id: str
    primary_key: str
    name: str
    official_name: str
    description: str
    home_url: str | None
    ngi: str
    country: str
    country_code: str
    location: str | None
    timezone: str | None
    latitude: float | None
    longitude: float | None
    telephone: str | None
    domain: str | None
    giis_url: str | None
    middleware: str | None
    certification: str
    certification_since: str
    infrastructure: str
    production: bool
    notify: bool
    ip_range: str | None
    ipv6_range: str | None
    tier: str | None
    sub_grid: str | None
    scopes: list[str]
    capacity: dict[str, float | int | None]
    contacts: list[dict[str, str | None]]
    supports: list[dict[str, str | int | None]]
    agent_url: str | None
    usage_site_names: list[str]
    extensions: dict[str, str]
    revision: int
    updated_at: UtcTime


class SitePage(Wire):
    """Sites by name; `next` is the cursor of the page after, None on the last."""

    items: list[SiteOut]
    next: str | None


class SiteQuery(Query):
    """Which sites. Filters are exact; `q` looks for a part of name, official name, place or host."""

    q: Annotated[str, Field(max_length=255)] | None = None
    country_code: CountryCode | None = None
    ngi: NgiName | None = None
    middleware: Line | None = None
    certification: Certification | None = None
    infrastructure: Infrastructure | None = None
    scope: Scope | None = None
    vo: VoName | None = None
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=255)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class OneQuery(Query):
    """`as_of` gives the thing as it was."""

    as_of: AsOf | None = None


class NgiIn(Wire):
    """A new NGI, or a whole one to put in its place."""

    name: NgiName
    description: Description = ""
    email: Email | None = None
    rod_email: Email | None = None
    helpdesk_email: Email | None = None
    security_email: Email | None = None
    ggus_su: Line | None = None
    scopes: Scopes = Field(default=["EGI"])
    reason: Reason = ""

    @model_validator(mode="after")
    def _scopes_once(self) -> Self:
        return once(self, "scopes")


class NgiEdit(NgiIn):
    """What to change; only the keys that are there. A new name or other scopes need a federation operator."""

    name: NgiName | None = None  # type: ignore[assignment]  # an edit names only what changes


class NgiOut(Wire):
    """An NGI as it stands at `revision`. E-mail addresses are left out for visitors who are not signed in."""

    id: str
    name: str
    description: str
    email: str | None
    rod_email: str | None
    helpdesk_email: str | None
    security_email: str | None
    ggus_su: str | None
    scopes: list[str]
    revision: int
    updated_at: UtcTime


class NgiPage(Wire):
    """NGIs by name; `next` is the cursor of the page after, None on the last."""

    items: list[NgiOut]
    next: str | None


class HostCertificateIn(Wire):
    """A host certificate in PEM that may speak for the site."""

    pem: Pem
    reason: Reason = ""


class HostCertificateOut(Wire):
    """A host certificate. `subject_der` and `issuer_der` are base64."""

    id: str
    site: str
    dn: str
    key: str
    subject_der: str
    issuer_der: str
    not_before: UtcTime
    not_after: UtcTime


class HostCertificateList(Wire):
    """All host certificates of a site, the one that ends last first."""

    items: list[HostCertificateOut]


class TokenIn(Wire):
    """A token to make: what it is for, and for how long."""

    name: Line
    valid_days: Annotated[int, Field(ge=1, le=400)] = 365
    reason: Reason = ""


class TokenOut(Wire):
    """A token without its secret."""

    id: str
    name: str
    key: str
    created_at: UtcTime
    not_after: UtcTime


class TokenMade(TokenOut):
    """A token just made. `token` is shown this once."""

    token: str


class TokenList(Wire):
    """Tokens, the newest first."""

    items: list[TokenOut]
