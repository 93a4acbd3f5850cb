"""The registry as a federation document, in an order that does not depend on ids, so that two exports compare."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity import names
from hanse.identity.principals import X509Identity
from registry.bodies import extensions, site_body
from registry.models import (
    Credential,
    HostCertificate,
    Ngi,
    Person,
    Project,
    Scope,
    Service,
    ServiceGroup,
    ServiceType,
    Site,
)
from registry.renderings.federation_yaml import (
    FederationDoc,
    GroupDoc,
    IdentityDoc,
    NgiDoc,
    PersonDoc,
    ProjectDoc,
    RoleDoc,
    ScopeDoc,
    ServiceDoc,
    ServiceTypeDoc,
    SiteDoc,
)
from registry.schemas.services import EndpointFields

Values = dict[str, Any]
# what the registry gives a site, and a file cannot say
_NOT_IN_FILES = frozenset({"id", "primary_key", "certification_since"})


def document_of(session: Session) -> FederationDoc:
    """Everything that a federation file can hold."""
    services: dict[int, list[Service]] = {}
    for service in session.scalars(
        select(Service).order_by(Service.service_type.collate("C"), Service.hostname.collate("C"), Service.id)
    ):
        services.setdefault(service.site_id, []).append(service)
    certificates: dict[int, list[HostCertificate]] = {}
    for certificate in session.scalars(select(HostCertificate).order_by(HostCertificate.fingerprint)):
        certificates.setdefault(certificate.site_id, []).append(certificate)
    return FederationDoc(
        service_types=[
            ServiceTypeDoc(
                name=kind.name, description=kind.description, monitoring_exception=kind.monitoring_exception
            )
            for kind in session.scalars(select(ServiceType).order_by(ServiceType.name.collate("C")))
        ],
        scopes=[
            ScopeDoc(**scope_values(scope))
            for scope in session.scalars(select(Scope).order_by(Scope.name.collate("C")))
        ],
        projects=[
            ProjectDoc(**project_values(project))
            for project in session.scalars(select(Project).order_by(Project.name.collate("C")))
        ],
        service_groups=[
            GroupDoc.model_validate(group_values(group))
            for group in session.scalars(select(ServiceGroup).order_by(ServiceGroup.name.collate("C")))
        ],
        ngis=[ngi_doc(ngi) for ngi in session.scalars(select(Ngi).order_by(Ngi.name.collate("C")))],
        sites=[
            _site_doc(site, services.get(site.id, []), certificates.get(site.id, []))
            for site in session.scalars(select(Site).order_by(Site.name.collate("C")))
        ],
        people=_people(session),
    )


def ngi_doc(ngi: Ngi) -> NgiDoc:
    """An NGI as the file has it."""
    return NgiDoc(
        name=ngi.name,
        description=ngi.description,
        email=ngi.email,
        rod_email=ngi.rod_email,
        helpdesk_email=ngi.helpdesk_email,
        security_email=ngi.security_email,
        ggus_su=ngi.ggus_su,
        scopes=sorted(ngi.scopes),
    )


def scope_values(scope: Scope) -> Values:
    """A scope as the file has it."""
    return {"name": scope.name, "description": scope.description, "reserved": scope.reserved}


def project_values(project: Project) -> Values:
    """A project as the file has it."""
    names = sorted(ngi.name for ngi in project.ngis)
    return {"name": project.name, "description": project.description, "ngis": names}


def group_values(group: ServiceGroup) -> Values:
    """A service group as the file has it, its services by site, type, host and number."""
    return {
        "name": group.name,
        "description": group.description,
        "monitored": group.monitored,
        "email": group.email,
        "scopes": sorted(group.scopes),
        "services": sorted(
            (_member(service) for service in group.services),
            key=lambda one: (one["site"], one["type"], one["hostname"], one["nth"]),
        ),
        "extensions": extensions(group.properties),
    }


def _member(service: Service) -> Values:
    twins = sorted(
        one.id
        for one in service.site.services
        if (one.service_type, one.hostname) == (service.service_type, service.hostname)
    )
    return {
        "site": service.site.name,
        "type": service.service_type,
        "hostname": service.hostname,
        "nth": twins.index(service.id) + 1,
    }


def site_values(site: Site) -> Values:
    """The fields of a site as the file has them, without services and certificates."""
    return {name: value for name, value in site_body(site).items() if name not in _NOT_IN_FILES}


def _site_doc(site: Site, services: Iterable[Service], certificates: Iterable[HostCertificate]) -> SiteDoc:
    return SiteDoc.model_validate(
        {
            **site_values(site),
            "services": [service_doc(service).model_dump() for service in services],
            "host_certificates": [certificate.pem for certificate in certificates],
        }
    )


def service_doc(service: Service) -> ServiceDoc:
    """A service as the file has it, endpoints by name."""
    return ServiceDoc(
        type=service.service_type,
        hostname=service.hostname,
        url=service.url,
        description=service.description,
        host_dn=service.host_dn,
        host_ip=service.host_ip,
        host_ipv6=service.host_ipv6,
        host_os=service.host_os,
        host_arch=service.host_arch,
        email=service.email,
        beta=service.beta,
        production=service.production,
        monitored=service.monitored,
        notify=service.notify,
        scopes=sorted(service.scopes),
        extensions=extensions(service.properties),
        endpoints=[
            EndpointFields(
                name=endpoint.name,
                url=endpoint.url,
                interface=endpoint.interface_name,
                monitored=endpoint.monitored,
                description=endpoint.description,
                email=endpoint.email,
                extensions=extensions(endpoint.properties),
            )
            for endpoint in sorted(service.endpoints, key=lambda one: one.name)
        ],
    )


def _people(session: Session) -> list[PersonDoc]:
    entries = [_person_doc(person) for person in session.scalars(select(Person).order_by(Person.id))]
    return sorted(entries, key=lambda entry: (entry.name, entry.model_dump_json()))


def _person_doc(person: Person) -> PersonDoc:
    identities = [identity_doc(identity_of(one)) for one in person.credentials if one.kind == "x509"]
    identities += [
        IdentityDoc(provider=one.oidc_issuer, provider_subject=one.oidc_subject, realm=one.realm or None)
        for one in person.credentials
        if one.kind == "oidc"
    ]
    roles = sorted((role.role, role.scope) for role in person.roles)
    return PersonDoc(
        **personal_values(person),
        identities=sorted(identities, key=lambda one: one.model_dump_json()),
        roles=[RoleDoc.model_validate({"role": role, "scope": scope}) for role, scope in roles],
    )


def personal_values(person: Person) -> Values:
    """What the file has of a person beside identities and roles."""
    return {
        "name": person.name,
        "forename": person.forename,
        "surname": person.surname,
        "title": person.title,
        "email": person.email,
        "telephone": person.telephone,
        "works_from": person.works_from,
        "works_until": person.works_until,
    }


def identity_of(credential: Credential) -> X509Identity:
    """The X.509 identity of a certificate credential."""
    assert credential.subject_der is not None
    assert credential.issuer_der is not None
    return X509Identity(credential.subject_der, credential.issuer_der)


def identity_doc(identity: X509Identity) -> IdentityDoc:
    """An identity in slash form where that can be read back exactly, else as DER."""
    try:
        written = X509Identity(names.parse(identity.subject_slash), names.parse(identity.issuer_slash))
        if written == identity:
            return IdentityDoc(subject=identity.subject_slash, issuer=identity.issuer_slash)
    except (
        ValueError
    ):  # a name that the slash form cannot carry (pydantic's and names' faults are ValueErrors)
        pass
    return IdentityDoc(
        subject_der=base64.b64encode(identity.subject_der).decode(),
        issuer_der=base64.b64encode(identity.issuer_der).decode(),
    )
