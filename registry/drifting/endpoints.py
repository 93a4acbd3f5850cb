"""Differences of endpoints: addresses, interfaces, and whether they are in production or closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from hanse.revisions import Change
from registry import services
from registry.drifting.difference import Accept, Difference, Look, checked
from registry.models import Endpoint, Service, Site
from registry.observed import same_address
from registry.schemas.services import EndpointFields, ServiceIn


def endpoints(look: Look) -> Iterator[Difference]:
    """Addresses that are published and not registered, and the other way round."""
    declared = {same_address(endpoint.url): (service, endpoint) for service, endpoint in look.clouds()}
    observed = {same_address(one["url"]): one for one in look.observed()}
    unknown = [one for address, one in observed.items() if address not in declared]
    silent = [pair for address, pair in declared.items() if address not in observed]
    for one in unknown:
        moved = next((pair for pair in silent if _moved(pair[1], one)), None)
        if moved is None:
            yield _unregistered(look, one)
        else:
            silent.remove(moved)
            yield _other_address(look, moved[1], one)
    for service, endpoint in silent:
        yield Difference(
            f"endpoint {endpoint.id} unpublished",
            "endpoint",
            f"{endpoint.url} is registered, and the site does not publish it.",
            endpoint.url,
            None,
            look.at,
            f"Remove endpoint {endpoint.name}",
            _remover(service, endpoint),
        )


def _moved(endpoint: Endpoint, one: Mapping[str, Any]) -> bool:
    """Whether it may be the same endpoint at another address: same host, or the same interface."""
    there = (urlsplit(endpoint.url).hostname or "").lower()
    return there == same_address(one["url"])[1] or endpoint.interface_name == one["interface"]


def _other_address(look: Look, endpoint: Endpoint, one: Mapping[str, Any]) -> Difference:
    def accept(session: Session, change: Change, site: Site) -> None:
        fields = checked(EndpointFields, {"name": endpoint.name, "url": one["url"]})
        services.apply_endpoint(session, change, endpoint.service, endpoint, {"url": fields.url})

    return Difference(
        f"endpoint {endpoint.id} address",
        "endpoint",
        f"{endpoint.name} is registered at {endpoint.url}, and published at {one['url']}.",
        endpoint.url,
        one["url"],
        look.at,
        f"Register {one['url']}",
        accept,
    )


def _unregistered(look: Look, one: Mapping[str, Any]) -> Difference:
    host = same_address(one["url"])[1]

    def accept(session: Session, change: Change, site: Site) -> None:
        same = [
            each for each in look.services if (each.hostname, each.service_type) == (host, one["interface"])
        ]
        if same:
            taken = {endpoint.name for endpoint in same[0].endpoints}
            name = next(
                f"published-{at}" for at in range(1, len(taken) + 2) if f"published-{at}" not in taken
            )
            services.append_endpoint(
                session, change, same[0], checked(EndpointFields, {"name": name, "url": one["url"]})
            )
            return
        form = {"service_type": one["interface"], "hostname": host, "url": one["url"]}
        services.create(
            session,
            change,
            site,
            checked(ServiceIn, {**form, "scopes": list(site.scopes)}),
            operator=True,  # the scopes are those that the site has
        )

    return Difference(
        f"endpoint {one['url']}",
        "endpoint",
        f"{one['url']} is published, and no endpoint of the registry has this address.",
        None,
        one["url"],
        look.at,
        f"Register {one['interface']} on {host}",
        accept,
    )


def _remover(service: Service, endpoint: Endpoint) -> Accept:
    def accept(session: Session, change: Change, site: Site) -> None:
        services.delete_endpoint(session, change, service, endpoint)

    return accept


def _pairs(look: Look) -> Iterator[tuple[Service, Endpoint, Mapping[str, Any]]]:
    observed = {same_address(one["url"]): one for one in look.observed()}
    for service, endpoint in look.clouds():
        one = observed.get(same_address(endpoint.url))
        if one is not None:
            yield service, endpoint, one


def interfaces(look: Look) -> Iterator[Difference]:
    for service, endpoint, one in _pairs(look):
        if one["interface"] == endpoint.interface_name:
            continue
        yield Difference(
            f"endpoint {endpoint.id} interface",
            "interface",
            f"{endpoint.url} is registered as {endpoint.interface_name}, and published as {one['interface']}.",
            endpoint.interface_name,
            one["interface"],
            look.at,
            f"Set the interface to {one['interface']}",
            _setter(service, endpoint, one["interface"]),
        )


def _setter(service: Service, endpoint: Endpoint, interface: str) -> Accept:
    def accept(session: Session, change: Change, site: Site) -> None:
        fields = checked(EndpointFields, {"name": endpoint.name, "url": endpoint.url, "interface": interface})
        services.apply_endpoint(session, change, service, endpoint, {"interface": fields.interface})

    return accept


def status(look: Look) -> Iterator[Difference]:
    for service, endpoint, one in _pairs(look):
        in_production = one["quality"] == "production"
        if in_production != service.production:
            words = ("in production", "not in production")
            yield Difference(
                f"endpoint {endpoint.id} quality",
                "status",
                f"{endpoint.url} is registered as {words[not service.production]}, and published as {one['quality']}.",
                service.production,
                one["quality"],
                look.at,
                f"Set the service to {words[not in_production]}",
                _production(service, in_production),
            )
        if one["serving"] in ("closed", "draining") and service.id not in look.closed:
            yield Difference(
                f"endpoint {endpoint.id} serving",
                "status",
                f"{endpoint.url} is published as {one['serving']}, and no downtime is declared. Declare one.",
                "no downtime",
                one["serving"],
                look.at,
            )


def _production(service: Service, production: bool) -> Accept:
    def accept(session: Session, change: Change, site: Site) -> None:
        services.apply(session, change, service, {"production": production})

    return accept
