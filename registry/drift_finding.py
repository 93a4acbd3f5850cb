"""How a site that publishes differs from what the registry declares of it: one finder for each kind of difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload, selectinload

from hanse.errors import FieldFault, Refused
from hanse.revisions import Change
from registry import cloudinfo, entities, services, sites
from registry.models import (
    CloudDocument,
    Downtime,
    DowntimeService,
    DriftDecision,
    Endpoint,
    Service,
    Site,
)
from registry.observed import same_address
from registry.renderings.glue21_json import CLOUD_INTERFACES
from registry.schemas.fields import iso
from registry.schemas.services import EndpointFields, ServiceIn
from registry.schemas.sites import VoShareIn

Accept = Callable[[Session, Change, Site], None]
_MB_IN_GB: Final = 1024
_SAME_SIZE: Final = 0.02  # memory is told in GB here and in MB there


@dataclass(frozen=True)
class Difference:
    """One difference. `accept` writes the observed side into the registry; None where only people can mend it."""

    fact: str
    kind: str
    sentence: str
    declared: Any
    observed: Any
    at: datetime
    accepting: str = ""
    accept: Accept | None = field(default=None, compare=False)
    decision: DriftDecision | None = field(default=None, compare=False)

    @property
    def ignored(self) -> bool:
        """Whether somebody found it to be in order, as it is now, and for now."""
        decision = self.decision
        if decision is None or decision.seen != self.seen:
            return False
        return decision.until is None or decision.until > datetime.now(UTC)

    @property
    def seen(self) -> dict[str, Any]:
        """Both sides, as a decision remembers them."""
        return {"declared": self.declared, "observed": self.observed}


@dataclass(frozen=True)
class _Look:
    """A site with what it publishes now, and what it has published that is no longer valid."""

    site: Site
    services: Sequence[Service]
    documents: Sequence[CloudDocument]
    stale: Sequence[CloudDocument]
    closed: frozenset[int]

    @cached_property
    def at(self) -> datetime:
        return max(document.created_at for document in self.documents)

    def clouds(self) -> Iterator[tuple[Service, Endpoint]]:
        """Endpoints of the registry that are clouds."""
        for service in self.services:
            for endpoint in service.endpoints:
                if {endpoint.interface_name, service.service_type} & set(CLOUD_INTERFACES):
                    yield service, endpoint

    def observed(self) -> Iterator[Mapping[str, Any]]:
        """Endpoints that are published."""
        for document in self.documents:
            yield from document.facts["endpoints"]


def differences(session: Session, sites: Sequence[Site], now: datetime) -> dict[int, list[Difference]]:
    """The differences of each of the sites by its id, in the order of their kinds, without decisions."""
    numbers = [site.id for site in sites]
    documents: dict[int, list[CloudDocument]] = {}
    for document in cloudinfo.current(session, sites[0].name if len(sites) == 1 else None):
        documents.setdefault(document.site_id, []).append(document)
    owned: dict[int, list[Service]] = {}
    clouds = select(Endpoint.service_id).where(Endpoint.interface_name.in_(CLOUD_INTERFACES))
    wanted = (
        select(Service)
        .where(
            Service.site_id.in_(numbers),
            Service.service_type.in_(CLOUD_INTERFACES) | Service.id.in_(clouds),
        )
        .options(lazyload(Service.properties), lazyload(Service.site))
        .options(selectinload(Service.endpoints).lazyload(Endpoint.properties))
        .order_by(Service.id)
    )
    for service in session.scalars(wanted):
        owned.setdefault(service.site_id, []).append(service)
    ongoing = select(DowntimeService.service_id).join(Downtime).where(Downtime.state == "ongoing")
    closed = frozenset(session.scalars(ongoing))
    found = {}
    for site in sites:
        published = documents.get(site.id, [])
        valid = [one for one in published if one.valid_until > now]
        stale = [one for one in published if one.valid_until <= now]
        found[site.id] = _found(_Look(site, owned.get(site.id, []), valid, stale, closed))
    return found


def _found(look: _Look) -> list[Difference]:
    found = [
        Difference(
            f"document {one.service}",
            "document",
            f"The last document of {one.service} held until {iso(one.valid_until)[:16]}Z; nothing newer came.",
            "a valid document",
            iso(one.valid_until),
            one.heard_at,
        )
        for one in look.stale
    ]
    if look.documents:
        for finder in (_endpoints, _interfaces, _status, _vos, _capacity, _images, _middleware):
            found += finder(look)
    return found


def _endpoints(look: _Look) -> Iterator[Difference]:
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


def _other_address(look: _Look, endpoint: Endpoint, one: Mapping[str, Any]) -> Difference:
    def accept(session: Session, change: Change, site: Site) -> None:
        fields = _checked(EndpointFields, {"name": endpoint.name, "url": one["url"]})
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


def _unregistered(look: _Look, one: Mapping[str, Any]) -> Difference:
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
                session, change, same[0], _checked(EndpointFields, {"name": name, "url": one["url"]})
            )
            return
        form = {"service_type": one["interface"], "hostname": host, "url": one["url"]}
        services.create(
            session,
            change,
            site,
            _checked(ServiceIn, {**form, "scopes": list(site.scopes)}),
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


def _pairs(look: _Look) -> Iterator[tuple[Service, Endpoint, Mapping[str, Any]]]:
    observed = {same_address(one["url"]): one for one in look.observed()}
    for service, endpoint in look.clouds():
        one = observed.get(same_address(endpoint.url))
        if one is not None:
            yield service, endpoint, one


def _interfaces(look: _Look) -> Iterator[Difference]:
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
        fields = _checked(
            EndpointFields, {"name": endpoint.name, "url": endpoint.url, "interface": interface}
        )
        services.apply_endpoint(session, change, service, endpoint, {"interface": fields.interface})

    return accept


def _status(look: _Look) -> Iterator[Difference]:
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


def _vos(look: _Look) -> Iterator[Difference]:
    observed: dict[str, int | None] = {}
    projects: dict[str, str | None] = {}
    for document in look.documents:
        for share in document.facts["shares"]:
            if share["vo"] is not None:
                known = observed.get(share["vo"])
                cores = share["cores"]
                observed[share["vo"]] = known if cores is None else (known or 0) + cores
                projects[share["vo"]] = projects.get(share["vo"]) or share["project"]
    declared = {share.vo: share.vcpu for share in look.site.shares}
    for vo, cores in sorted(observed.items()):
        room = "" if cores is None else f" with {cores} vCPU"
        if vo not in declared:
            yield Difference(
                f"vo {vo}",
                "vo",
                f"A share for {vo}{room} is published, and the registry does not say that the site supports it.",
                None,
                cores,
                look.at,
                f"Support {vo}{room}",
                _supporter(vo, cores, projects[vo]),
            )
        elif cores is not None and cores != declared[vo]:
            yield Difference(
                f"vo {vo} vcpu",
                "vo",
                f"{vo}: {_said(declared[vo])} vCPU declared, a quota of {cores} published.",
                declared[vo],
                cores,
                look.at,
                f"Declare {cores} vCPU for {vo}",
                _supporter(vo, cores, projects[vo]),
            )
    for vo in sorted(declared.keys() - observed.keys()):
        yield Difference(
            f"vo {vo} unpublished",
            "vo",
            f"The registry says that the site supports {vo}, and no share for it is published.",
            declared[vo] if declared[vo] is not None else "supported",
            None,
            look.at,
            f"Support {vo} no longer",
            _supporter(vo, None, None, remove=True),
        )


def _supporter(vo: str, vcpu: int | None, project: str | None, *, remove: bool = False) -> Accept:
    def accept(session: Session, change: Change, site: Site) -> None:
        shares = {share["vo"]: share for share in entities.site_body(site)["supports"]}
        if remove:
            shares.pop(vo, None)
        else:
            known = shares.get(vo, {"vo": vo, "project_id": project})
            shares[vo] = _checked(VoShareIn, {**known, "vcpu": vcpu}).model_dump()
        sites.apply(session, change, site, {"supports": list(shares.values())}, operator=False)

    return accept


def _said(value: float | None) -> str:
    return "no" if value is None else f"{value:g}"


def _capacity(look: _Look) -> Iterator[Difference]:
    cpus = [document.facts["vcpu"] for document in look.documents]
    if cpus and None not in cpus and sum(cpus) != look.site.vcpu:
        yield _capacity_difference(look, "vcpu", look.site.vcpu, sum(cpus), "vCPU")
    memory = [document.facts["ram_mb"] for document in look.documents]
    if memory and None not in memory:
        observed = round(sum(memory) / _MB_IN_GB, 1)
        observed = int(observed) if observed == int(observed) else observed
        declared = look.site.ram_gb
        if declared is None or abs(observed - declared) > _SAME_SIZE * max(declared, 1):
            yield _capacity_difference(look, "ram_gb", declared, observed, "GB RAM")


def _capacity_difference(
    look: _Look, name: str, declared: float | None, observed: float, unit: str
) -> Difference:
    def accept(session: Session, change: Change, site: Site) -> None:
        sites.apply(session, change, site, {"capacity": {name: observed}}, operator=False)

    return Difference(
        f"capacity {name}",
        "capacity",
        f"{_said(declared)} {unit} declared, {observed:g} published.",
        declared,
        observed,
        look.at,
        f"Declare {observed:g} {unit}",
        accept,
    )


def _images(look: _Look) -> Iterator[Difference]:
    """A VO that has a share but nothing to start: the registry cannot mend that, the site can."""
    for document in look.documents:
        with_images = {share for image in document.facts["images"] for share in image["shares"]}
        for share in document.facts["shares"]:
            if share["vo"] is not None and share["id"] not in with_images:
                yield Difference(
                    f"images {share['vo']} {document.service}",
                    "images",
                    f"{share['vo']} has a share and no image, so its members cannot start a machine."
                    " Publish its images, or give up the share.",
                    "at least one image",
                    "none",
                    look.at,
                )


def _middleware(look: _Look) -> Iterator[Difference]:
    told = sorted({document.facts["product"] for document in look.documents if document.facts["product"]})
    declared = look.site.middleware or ""
    missing = [product for product in told if product.lower() not in declared.lower()]
    if not missing:
        return
    observed = ", ".join(told)

    def accept(session: Session, change: Change, site: Site) -> None:
        sites.apply(session, change, site, {"middleware": observed[:255]}, operator=False)

    yield Difference(
        "middleware",
        "middleware",
        f"{declared or 'No middleware'} is declared, {observed} published.",
        look.site.middleware,
        observed,
        look.at,
        f"Declare {observed}",
        accept,
    )


def _checked(model: Any, values: Mapping[str, Any]) -> Any:
    """What a site publishes has to keep the rules of what people type. Raises Refused."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        faults = [
            FieldFault(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False)
        ]
        raise Refused("What is published cannot stand in the registry as it is.", *faults) from None
