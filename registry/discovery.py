"""What a Prometheus may watch: the registry's endpoints as targets, by what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from hanse.revisions import current
from registry.schemas.discovery import TargetsQuery

_PORTS = {"https": 443, "http": 80, "ldap": 389, "ldaps": 636}


@dataclass(frozen=True)
class Target:
    """One address with its labels, all texts."""

    address: str
    labels: dict[str, str]


def targets(session: Session, query: TargetsQuery) -> list[Target]:
    """Endpoints that match, by site, host and name."""
    sites = {str(body["name"]): body for body in current(session, "site").values()}
    services = current(session, "service")
    found = [
        _target(site, service, endpoint, query)
        for service in services.values()
        if (site := sites.get(str(service["site"]))) is not None and _wanted(site, service, query)
        for endpoint in _endpoints(service, query)
    ]
    return sorted(found, key=lambda one: (one.labels["__meta_hanse_site"], one.address, str(one.labels)))


def _wanted(site: dict[str, Any], service: dict[str, Any], query: TargetsQuery) -> bool:
    supports = {str(share["vo"]) for share in site["supports"]}
    conditions = (
        (query.scope, service["scopes"]),
        (query.type, [service["service_type"]]),
        (query.site, [site["name"]]),
        (query.ngi, [site["ngi"]]),
        (query.certification, [site["certification"]]),
        (query.infrastructure, [site.get("infrastructure")]),
        (query.vo, supports),
    )
    if query.monitored is not None and service["monitored"] != query.monitored:
        return False
    if query.production is not None and service["production"] != query.production:
        return False
    return all(not wanted or set(wanted) & set(given) for wanted, given in conditions)


def _endpoints(service: dict[str, Any], query: TargetsQuery) -> Iterator[dict[str, Any]]:
    """Each endpoint that is watched where only watched ones are asked for; the host alone without any."""
    for endpoint in service["endpoints"]:
        if query.monitored is None or (endpoint["monitored"] and service["monitored"]) == query.monitored:
            yield endpoint
    if not service["endpoints"]:
        yield {"name": "", "url": service["url"] or "", "interface": service["service_type"], "id": ""}


def _target(
    site: dict[str, Any], service: dict[str, Any], endpoint: dict[str, Any], query: TargetsQuery
) -> Target:
    url = str(endpoint["url"] or "")
    place = _place(url, str(service["hostname"]))
    told = {
        "site": site["name"],
        "ngi": site["ngi"],
        "country": site["country_code"],
        "certification": site["certification"],
        "infrastructure": site.get("infrastructure") or "",
        "middleware": site["middleware"] or "",
        "service_id": service["id"],
        "service_type": service["service_type"],
        "hostname": service["hostname"],
        "production": str(service["production"]).lower(),
        "monitored": str(service["monitored"]).lower(),
        "endpoint_id": endpoint["id"],
        "endpoint": endpoint["name"],
        "interface": endpoint["interface"],
        "url": url,
        "scheme": urlsplit(url).scheme,
        # with commas at both ends, so that ",EGI," matches a whole scope and no part of one
        "scopes": "".join([",", *(f"{scope}," for scope in service["scopes"])]),
        "vos": "".join([",", *(f"{share['vo']}," for share in site["supports"])]),
    }
    labels = {f"__meta_hanse_{name}": str(value) for name, value in told.items()}
    return Target(url if query.address == "url" and url else place, labels)


def _place(url: str, hostname: str) -> str:
    """Host and port of an address; the host alone where no port is known."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    host = parts.hostname or hostname
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host
