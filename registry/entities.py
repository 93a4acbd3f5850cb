"""Putting rows into the revision log, each with all that follows from it: a service with its endpoints, a role with
what it allows, a site with all that names it. What is put: `registry.bodies`, `registry.identity_bodies`.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.revisions import Change
from registry import policy_entities
from registry.bodies import downtime_body, drift_body, drift_id, endpoint_body, service_body, site_body
from registry.identity_bodies import (
    api_credential_body,
    credential_body,
    host_certificate_body,
    machine_grant_body,
    machine_identity_body,
    role_grant_body,
    role_request_body,
    token_grant_body,
)
from registry.models import (
    ApiCredential,
    Credential,
    Downtime,
    DowntimePart,
    DriftDecision,
    HostCertificate,
    Role,
    Service,
    Site,
)
from registry.models.role_names import ROLE_TYPES


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
