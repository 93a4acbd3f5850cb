"""How a row reads as an entity of the revision log: the same body is audited, fed to the other services, and answered
by reads with `as_of`. Ids are text, times ISO 8601 UTC, a site is named by its name, a person by the id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from registry.models import (
    Contact,
    Downtime,
    DriftDecision,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Service,
    ServiceType,
    Site,
)
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
