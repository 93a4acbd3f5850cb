"""`federation.yaml`: the whole federation as one text that people keep under version control."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from registry.renderings.plain_yaml import dump, parse_as
from registry.schemas.fields import Description, DistinguishedName, Email, Line, Pem, ServiceTypeName, Wire
from registry.schemas.people import RoleName, ScopeText
from registry.schemas.services import EndpointFields, ServiceFields
from registry.schemas.sites import Certification, NgiIn, SiteFields

MAX_CHARACTERS: Final = 5_000_000


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


class IdentityDoc(Wire):
    """An X.509 identity: subject and issuer in slash form, or a certificate, or both names as DER in base64."""

    subject: DistinguishedName | None = None
    issuer: DistinguishedName | None = None
    certificate: Pem | None = None
    subject_der: str | None = Field(default=None, max_length=20_000)
    issuer_der: str | None = Field(default=None, max_length=20_000)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [
            self.subject is not None and self.issuer is not None,
            self.certificate is not None,
            self.subject_der is not None and self.issuer_der is not None,
        ]
        if sum(forms) != 1:
            raise ValueError("needs subject and issuer, or certificate")
        return self


class RoleDoc(Wire):
    """A role of a person in the file."""

    role: RoleName
    scope: ScopeText


class PersonDoc(Wire):
    """A person in the file, found again by any of the identities, or by the name where there is none."""

    name: Line
    email: Email | None = None
    identities: list[IdentityDoc] = Field(default=[], max_length=100)
    roles: list[RoleDoc] = Field(default=[], max_length=1000)


class FederationDoc(Wire):
    """The whole file."""

    service_types: list[ServiceTypeDoc] = Field(default=[], max_length=10_000)
    ngis: list[NgiDoc] = Field(default=[], max_length=10_000)
    sites: list[SiteDoc] = Field(default=[], max_length=10_000)
    people: list[PersonDoc] = Field(default=[], max_length=100_000)

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for section in ("service_types", "ngis", "sites"):
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
