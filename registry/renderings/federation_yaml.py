"""`federation.yaml`: the whole federation as one text that people keep under version control."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from registry.renderings.plain_yaml import dump, parse_as
from registry.schemas.fields import (
    Description,
    DistinguishedName,
    Email,
    EmailList,
    Line,
    Pem,
    ProjectName,
    ProviderSubject,
    Scope,
    ServiceGroupName,
    ServiceTypeName,
    WebUrl,
    Wire,
    one_line,
)
from registry.schemas.people import RoleName, ScopeText, TimeOfDay
from registry.schemas.services import EndpointFields, ServiceFields
from registry.schemas.sites import Certification, Extensions, NgiIn, Scopes, SiteFields

MAX_CHARACTERS: Final = 5_000_000

Part = Annotated[str, Field(max_length=255), AfterValidator(one_line)]


class NgiDoc(NgiIn):
    """An NGI in the file."""


class ServiceTypeDoc(Wire):
    """A service type in the file."""

    name: ServiceTypeName
    description: Description = ""
    monitoring_exception: bool = False


class ServiceDoc(ServiceFields):
    """A service in the file; type and host name say which it is."""

    type: ServiceTypeName
    hostname: Line
    endpoints: list[EndpointFields] = Field(default=[], max_length=100)


class SiteDoc(SiteFields):
    """A site in the file; keys that are not there keep what the registry has."""

    name: Line
    ngi: Line
    certification: Certification = "Candidate"
    services: list[ServiceDoc] = Field(default=[], max_length=10_000)
    host_certificates: list[Pem] = Field(default=[], max_length=1000)


class ScopeDoc(Wire):
    """A scope in the file."""

    name: Scope
    description: Description = ""
    reserved: bool = False


class ProjectDoc(Wire):
    """A project in the file, with the names of its NGIs."""

    name: ProjectName
    description: Description = ""
    ngis: list[Line] = Field(default=[], max_length=1000)


class GroupMemberDoc(Wire):
    """A service in a group; `nth` counts those of one type on one host of the site, in the order of their ids."""

    site: Line
    type: ServiceTypeName
    hostname: Line
    nth: int = Field(default=1, ge=1, le=1000)


class GroupDoc(Wire):
    """A service group in the file."""

    name: ServiceGroupName
    description: Description = ""
    monitored: bool = True
    email: EmailList | None = None
    scopes: Scopes = Field(default=["EGI"])
    services: list[GroupMemberDoc] = Field(default=[], max_length=10_000)
    extensions: Extensions = Field(default={})


class IdentityDoc(Wire):
    """An X.509 identity: subject and issuer in slash form, or a certificate, or both names as DER in base64.

    Or a subject of an identity provider: `provider`, the issuer's address, and its `provider_subject`.
    """

    subject: DistinguishedName | None = None
    issuer: DistinguishedName | None = None
    certificate: Pem | None = None
    subject_der: str | None = Field(default=None, max_length=20_000)
    issuer_der: str | None = Field(default=None, max_length=20_000)
    provider: WebUrl | None = None
    provider_subject: ProviderSubject | None = None
    realm: Line | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [
            self.subject is not None and self.issuer is not None,
            self.certificate is not None,
            self.subject_der is not None and self.issuer_der is not None,
            self.provider is not None and self.provider_subject is not None,
        ]
        if sum(forms) != 1:
            raise ValueError("needs subject and issuer, or certificate, or provider and provider_subject")
        return self


class RoleDoc(Wire):
    """A role of a person in the file."""

    role: RoleName
    scope: ScopeText


class PersonDoc(Wire):
    """A person in the file, found again by any of the identities, or by the name where there is none."""

    name: Line
    forename: Part = ""
    surname: Part = ""
    title: Part = ""
    email: Email | None = None
    telephone: Part = ""
    works_from: TimeOfDay | Literal[""] = ""
    works_until: TimeOfDay | Literal[""] = ""
    identities: list[IdentityDoc] = Field(default=[], max_length=100)
    roles: list[RoleDoc] = Field(default=[], max_length=1000)


class FederationDoc(Wire):
    """The whole file. Downtimes are events and stay out: a file that is applied later would declare what is over."""

    service_types: list[ServiceTypeDoc] = Field(default=[], max_length=10_000)
    scopes: list[ScopeDoc] = Field(default=[], max_length=10_000)
    ngis: list[NgiDoc] = Field(default=[], max_length=10_000)
    projects: list[ProjectDoc] = Field(default=[], max_length=10_000)
    sites: list[SiteDoc] = Field(default=[], max_length=10_000)
    service_groups: list[GroupDoc] = Field(default=[], max_length=10_000)
    people: list[PersonDoc] = Field(default=[], max_length=100_000)

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for section in ("service_types", "scopes", "ngis", "projects", "sites", "service_groups"):
            names = [entry.name for entry in getattr(self, section)]
            twice = (
                sorted({name for name in names if names.count(name) > 1})
                if len(set(names)) != len(names)
                else []
            )
            if twice:
                raise ValueError(f"{section}: {twice[0]} stands there twice")
        return self


def parse(text: str) -> FederationDoc:
    """Read a federation file. Raises TooLarge, or Refused with the line or the field of every fault."""
    return parse_as(FederationDoc, text, MAX_CHARACTERS)


def write(document: FederationDoc) -> str:
    """The file for a document; reading it gives the same document."""
    return dump(document.model_dump(mode="json", exclude_unset=True))
