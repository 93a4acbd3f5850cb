"""How a row reads as an entity of the revision log: the same body is audited, fed to the other services, and answered
by reads with `as_of`. Ids are text, times ISO 8601 UTC, a site is named by its name, a person by the id.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.identity import names
from hanse.revisions import Change
from registry import policy_entities
from registry.models import (
    ApiCredential,
    Contact,
    Credential,
    Downtime,
    DowntimePart,
    DriftDecision,
    Endpoint,
    ExtensionProperty,
    HostCertificate,
    Ngi,
    Role,
    Service,
    ServiceType,
    Site,
)
from registry.models.role_names import ROLE_TYPES
from registry.schemas.fields import iso

Body = dict[str, Any]


def extensions(properties: Iterable[ExtensionProperty]) -> dict[str, str]:
    """Extension properties as key and value."""
    return {row.key: row.value for row in properties}


def ngi_body(ngi: Ngi) -> Body:
    """An NGI."""
    return {
        "id": str(ngi.id),
        "name": ngi.name,
        "description": ngi.description,
        "email": ngi.email,
        "rod_email": ngi.rod_email,
        "helpdesk_email": ngi.helpdesk_email,
        "security_email": ngi.security_email,
        "ggus_su": ngi.ggus_su,
        "scopes": sorted(ngi.scopes),
    }


def service_type_body(kind: ServiceType) -> Body:
    """A service type."""
    return {
        "id": str(kind.id),
        "name": kind.name,
        "description": kind.description or "",
        "monitoring_exception": bool(kind.monitoring_exception),
    }


def site_body(site: Site) -> Body:
    """A site with its contacts, capacity and VO shares."""
    return {
        "id": str(site.id),
        "primary_key": site.primary_key,
        "name": site.name,
        "official_name": site.official_name,
        "description": site.description,
        "home_url": site.home_url,
        "ngi": site.ngi.name,
        "country": site.country,
        "country_code": site.country_code,
        "location": site.location,
        "timezone": site.timezone,
        "latitude": site.latitude,
        "longitude": site.longitude,
        "telephone": site.telephone,
        "domain": site.domain,
        "giis_url": site.giis_url,
        "middleware": site.middleware,
        "certification": site.certification,
        "certification_since": iso(site.certification_since),
        "infrastructure": site.infrastructure,
        "production": site.production,
        "notify": site.notify,
        "ip_range": site.ip_range,
        "ipv6_range": site.ipv6_range,
        "tier": site.tier,
        "sub_grid": site.sub_grid,
        "scopes": sorted(site.scopes),
        "capacity": capacity(site),
        "contacts": [contact(one) for one in site.contacts],
        "supports": [
            {"vo": share.vo, "vcpu": share.vcpu, "project_id": share.project_id}
            for share in sorted(site.shares, key=lambda s: s.vo)
        ],
        "agent_url": site.agent_url,
        "usage_site_names": list(site.usage_site_names),
        "extensions": extensions(site.properties),
    }


def contact(row: Contact) -> dict[str, str | None]:
    """Whom to reach at a site; the address or the number may be missing, never both."""
    return {"kind": row.kind, "name": row.name, "email": row.email, "telephone": row.telephone}


def capacity(site: Site) -> dict[str, int | float | None]:
    """What the site offers; whole numbers stay whole, so that 110 GB does not read as 110.0."""
    return {
        "vcpu": site.vcpu,
        "ram_gb": _plain(site.ram_gb),
        "storage_tb": _plain(site.storage_tb),
        "volumes": site.volumes,
        "public_ips": site.public_ips,
    }


def _plain(value: float | None) -> int | float | None:
    return int(value) if value is not None and value == int(value) else value


def endpoint_part(endpoint: Endpoint) -> Body:
    """An endpoint inside its service."""
    return {
        "id": str(endpoint.id),
        "name": endpoint.name,
        "url": endpoint.url,
        "interface": endpoint.interface_name,
        "monitored": endpoint.monitored,
        "description": endpoint.description,
        "email": endpoint.email,
        "extensions": extensions(endpoint.properties),
    }


def service_body(service: Service) -> Body:
    """A service with its endpoints."""
    return {
        "id": str(service.id),
        "primary_key": service.primary_key,
        "site": service.site.name,
        "service_type": service.service_type,
        "hostname": service.hostname,
        "url": service.url,
        "description": service.description,
        "host_dn": service.host_dn,
        "host_ip": service.host_ip,
        "host_ipv6": service.host_ipv6,
        "host_os": service.host_os,
        "host_arch": service.host_arch,
        "email": service.email,
        "beta": service.beta,
        "production": service.production,
        "monitored": service.monitored,
        "notify": service.notify,
        "scopes": sorted(service.scopes),
        "endpoints": [endpoint_part(endpoint) for endpoint in service.endpoints],
        "extensions": extensions(service.properties),
    }


def endpoint_body(endpoint: Endpoint, service: Service) -> Body:
    """An endpoint as monitoring follows it. It is watched only when its service is."""
    return {
        "id": str(endpoint.id),
        "name": endpoint.name,
        "site": service.site.name,
        "service_id": str(service.id),
        "service_type": service.service_type,
        "hostname": service.hostname,
        "url": endpoint.url,
        "interface": endpoint.interface_name,
        "monitored": endpoint.monitored and service.monitored,
        "production": service.production,
        "host_dn": service.host_dn,
        "extensions": extensions(endpoint.properties),
    }


def downtime_body(downtime: Downtime) -> Body:
    """A downtime; `state` says whether it is planned, ongoing or ended. `site` is the first of `sites`.

    `services` and `endpoints` list all that is affected; a service in `service_ends` ends before the downtime does.
    """
    return {
        "id": str(downtime.id),
        "primary_key": downtime.primary_key,
        "site": downtime.site.name,
        "sites": downtime.site_names,
        "whole_sites": [part.site.name for part in downtime.parts if part.whole],
        "severity": downtime.severity,
        "classification": downtime.classification,
        "start": iso(downtime.start_at),
        "end": iso(downtime.end_at),
        "description": downtime.description,
        "services": [str(link.service_id) for link in downtime.services],
        "endpoints": [str(link.endpoint_id) for link in downtime.endpoints],
        "service_ends": {str(one.service_id): iso(one.end_at) for one in downtime.services if one.end_at},
        "series": None if downtime.series is None else str(downtime.series),
        "state": downtime.state,
        "created_at": iso(downtime.created_at),
        "created_by": downtime.created_by,
    }


def host_certificate_body(certificate: HostCertificate) -> Body:
    """A host certificate and the time in which it may speak for its site."""
    return {
        "id": str(certificate.id),
        "site": certificate.site.name,
        "subject_der": base64.b64encode(certificate.subject_der).decode(),
        "issuer_der": base64.b64encode(certificate.issuer_der).decode(),
        "dn": names.slash(certificate.subject_der),
        "key": certificate.key,
        "not_before": iso(certificate.not_before),
        "not_after": iso(certificate.not_after),
        "pem": certificate.pem,
    }


def credential_body(credential: Credential, *, name: str, email: str | None, site: str | None) -> Body:
    """A way to sign in, as an `identity` of the feed: of a person (`person` is the id) or of a site's machines."""
    subject, issuer = credential.subject_der, credential.issuer_der
    return {
        "key": credential.key,
        "person": None if credential.person_id is None else str(credential.person_id),
        "site": site,
        "name": name,
        "email": email,
        "subject_slash": None if subject is None else names.slash(subject),
        "subject_der": None if subject is None else base64.b64encode(subject).decode(),
        "issuer_der": None if issuer is None else base64.b64encode(issuer).decode(),
        "oidc_issuer": credential.oidc_issuer or None,
        "oidc_subject": credential.oidc_subject or None,
        "not_after": None if credential.not_after is None else iso(credential.not_after),
    }


def machine_identity_body(certificate: HostCertificate) -> Body:
    """The identity of a site's machine: the same for all certificates that share the subject and the issuer."""
    return {
        "key": certificate.key,
        "person": None,
        "site": certificate.site.name,
        "name": names.common_name(certificate.subject_der) or names.slash(certificate.subject_der),
        "email": None,
        "subject_slash": names.slash(certificate.subject_der),
        "subject_der": base64.b64encode(certificate.subject_der).decode(),
        "issuer_der": base64.b64encode(certificate.issuer_der).decode(),
        "not_after": None,
    }


def role_grant_body(role: Role) -> Body:
    """What a person's role allows; every identity of the person shares it."""
    return _grant(f"person:{role.person_id}", role.role, role.scope, role.person.name)


def role_request_body(role: Role) -> Body:
    """A role that was asked for; it allows nothing yet."""
    return {
        "id": str(role.id),
        "person": str(role.person_id),
        "name": role.person.name,
        "role": role.role,
        "scope": role.scope,
        "requested_at": iso(role.requested_at),
    }


def machine_grant_body(certificate: HostCertificate) -> Body:
    """A host certificate may speak for its site while it is valid."""
    return _grant(
        certificate.key,
        "site_machine",
        f"site:{certificate.site.name}",
        names.common_name(certificate.subject_der) or certificate.site.name,
        not_before=iso(certificate.not_before),
        not_after=iso(certificate.not_after),
    )


def token_grant_body(credential: Credential, site: Site) -> Body:
    """A site token may speak for its site until it ends."""
    return _grant(
        credential.key,
        "site_machine",
        f"site:{site.name}",
        credential.name,
        not_before=iso(credential.created_at),
        not_after=None if credential.not_after is None else iso(credential.not_after),
    )


def _grant(
    principal: str,
    role: str,
    scope: str,
    name: str,
    *,
    not_before: str | None = None,
    not_after: str | None = None,
) -> Body:
    return {
        "principal": principal,
        "role": role,
        "scope": scope,
        "name": name,
        "not_before": not_before,
        "not_after": not_after,
    }


def put_site(change: Change, site: Site) -> None:
    """Record the site as it now is."""
    change.put("site", str(site.id), site_body(site))


def put_service(change: Change, service: Service) -> None:
    """Record the service and its endpoints as they now are."""
    change.put("service", str(service.id), service_body(service))
    for endpoint in service.endpoints:
        change.put("endpoint", str(endpoint.id), endpoint_body(endpoint, service))


def put_downtime(change: Change, downtime: Downtime) -> None:
    """Record the downtime as it now is."""
    change.put("downtime", str(downtime.id), downtime_body(downtime))


def put_role(change: Change, role: Role) -> None:
    """Record what the role allows, also under the name that the other services ask for; a request allows nothing."""
    if role.status != "GRANTED":
        change.put("role_request", str(role.id), role_request_body(role))
        return
    change.delete("role_request", str(role.id))
    change.put("grant", f"role:{role.id}", role_grant_body(role))
    implied = ROLE_TYPES[role.role].implies
    if implied is not None:
        body = {**role_grant_body(role), "role": implied}
        change.put("grant", f"role:{role.id}:implied", body)


def delete_role(change: Change, role_id: int) -> None:
    """Record that the role allows nothing any more, or that the request is no more."""
    change.delete("role_request", str(role_id))
    change.delete("grant", f"role:{role_id}")
    change.delete("grant", f"role:{role_id}:implied")


def put_host_certificate(change: Change, certificate: HostCertificate) -> None:
    """Record the certificate, its owner and what it may do."""
    change.put("host_certificate", str(certificate.id), host_certificate_body(certificate))
    change.put("identity", certificate.key, machine_identity_body(certificate))
    change.put("grant", f"host_certificate:{certificate.id}", machine_grant_body(certificate))


def put_site_token(change: Change, credential: Credential, site: Site) -> None:
    """Record a site's token and what it may do."""
    change.put(
        "identity",
        credential.key,
        credential_body(credential, name=credential.name, email=None, site=site.name),
    )
    change.put("grant", f"token:{credential.id}", token_grant_body(credential, site))


def api_credential_body(credential: ApiCredential) -> Body:
    """What a program may act with for a site; when it was last used is no part of the log."""
    return {
        "id": str(credential.id),
        "site": credential.site.name,
        "kind": credential.kind,
        "identifier": credential.identifier,
        "realm": credential.realm,
        "allow_write": credential.allow_write,
        "owner": str(credential.owner_id),
        "renewed_at": iso(credential.renewed_at),
    }


def put_api_credential(change: Change, credential: ApiCredential) -> None:
    """Record an API credential of a site."""
    change.put("api_credential", str(credential.id), api_credential_body(credential))


def put_whole_site(session: Session, change: Change, site: Site) -> None:
    """Record all that names the site: needed when its name changes."""
    put_site(change, site)
    for service in session.scalars(select(Service).where(Service.site_id == site.id)):
        put_service(change, service)
    parts = select(DowntimePart.downtime_id).where(DowntimePart.site_id == site.id)
    held = select(Downtime).where(Downtime.id.in_(parts)).order_by(Downtime.id).with_for_update(of=Downtime)
    for downtime in session.scalars(held.execution_options(populate_existing=True)):
        put_downtime(change, downtime)
    for certificate in session.scalars(select(HostCertificate).where(HostCertificate.site_id == site.id)):
        put_host_certificate(change, certificate)
    for credential in session.scalars(select(Credential).where(Credential.site_id == site.id)):
        put_site_token(change, credential, site)
    for program in session.scalars(select(ApiCredential).where(ApiCredential.site_id == site.id)):
        put_api_credential(change, program)
    for role in session.scalars(select(Role).where(Role.site_id == site.id)):
        put_role(change, role)
    for decision in session.scalars(select(DriftDecision).where(DriftDecision.site_id == site.id)):
        change.put("drift", drift_id(decision), drift_body(decision, site))
    policy_entities.put_of_site(session, change, site)


def delete_service(change: Change, service: Service) -> None:
    """Record that the service and its endpoints are no more."""
    for endpoint in service.endpoints:
        change.delete("endpoint", str(endpoint.id))
    change.delete("service", str(service.id))


def drift_id(decision: DriftDecision) -> str:
    """The id of a decision about a difference between the registry and what a site publishes."""
    return f"{decision.site_id} {decision.fact}"


def drift_body(decision: DriftDecision, site: Site) -> Body:
    """Which difference somebody found to be in order, as both sides were then."""
    return {
        "site": site.name,
        "name": decision.fact,
        "declared": decision.seen["declared"],
        "observed": decision.seen["observed"],
        "reason": decision.reason,
        "until": None if decision.until is None else iso(decision.until),
        "by": decision.by_name,
    }


def delete_whole_site(session: Session, change: Change, site: Site) -> None:
    """Record that the site and all that hangs on it are no more; downtimes of several sites have left it before."""
    for service in session.scalars(select(Service).where(Service.site_id == site.id)):
        delete_service(change, service)
    for downtime in session.scalars(select(Downtime.id).where(Downtime.site_id == site.id)):
        change.delete("downtime", str(downtime))
    for certificate in session.scalars(select(HostCertificate).where(HostCertificate.site_id == site.id)):
        change.delete("host_certificate", str(certificate.id))
        change.delete("grant", f"host_certificate:{certificate.id}")
        change.delete("identity", certificate.key)
    for credential in session.scalars(select(Credential).where(Credential.site_id == site.id)):
        change.delete("identity", credential.key)
        change.delete("grant", f"token:{credential.id}")
    for program in session.scalars(select(ApiCredential.id).where(ApiCredential.site_id == site.id)):
        change.delete("api_credential", str(program))
    for decision in session.scalars(select(DriftDecision).where(DriftDecision.site_id == site.id)):
        change.delete("drift", drift_id(decision))
    policy_entities.delete_of_site(session, change, site)
    for role in session.scalars(select(Role.id).where(Role.site_id == site.id)):
        delete_role(change, role)
    change.delete("site", str(site.id))
