"""What a downtime affects: sites, services, endpoints; and what becomes of it when these come and go.

"The whole site" and "the whole service" are meant for as long as the downtime lasts: a service or an endpoint that is
registered meanwhile is affected as well. The rows always list each service and endpoint, so that a reader needs no
more than the lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Forbidden, NotFound
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import entities
from registry.models import (
    Downtime,
    DowntimeEndpoint,
    DowntimePart,
    DowntimeService,
    Endpoint,
    Service,
    Site,
)
from registry.rights import DECLARE_DOWNTIME, check_site, may_site


@dataclass(frozen=True)
class Affected:
    """A site of a downtime, with the services and endpoints taken; a service maps to whether it is taken whole."""

    site: Site
    whole: bool
    services: Mapping[int, bool]
    endpoints: frozenset[int]


def lock_sites(session: Session, names: Iterable[str]) -> list[Site]:
    """The sites in the order of `names`, locked against other writers. Raises NotFound.

    The locks are taken in the order of the ids, so that two downtimes of the same sites cannot wait for each other.
    """
    wanted = list(dict.fromkeys(names))
    locked = session.scalars(
        select(Site).where(Site.name.in_(wanted)).order_by(Site.id).with_for_update(of=Site)
    )
    found = {site.name: site for site in locked}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise NotFound(f"There is no site {', '.join(missing)}.")
    return [found[name] for name in wanted]


def check_rights(principal: Principal, sites: Sequence[Site]) -> None:
    """Raise Forbidden, or Unauthorised, unless the principal may declare at each of the sites."""
    barred = [site for site in sites if not may_site(principal, DECLARE_DOWNTIME, site)]
    if barred and len(sites) > 1 and principal.signed_in:
        names = ", ".join(site.name for site in barred)
        raise Forbidden(
            f"A downtime of several sites needs the right to declare at each; you have none at {names}."
            " Leave them out, or ask their administrators to declare theirs."
        )
    for site in barred:
        check_site(principal, DECLARE_DOWNTIME, site)


def resolve(
    session: Session,
    sites: Sequence[Site],
    services: Sequence[int] | None,
    endpoints: Sequence[int] | None,
) -> tuple[list[Affected], list[FieldFault]]:
    """What is meant at each site, and what is wrong with it.

    A site without a named service is taken whole, unless endpoints of it are named: then their services are meant. A
    service without a named endpoint is taken whole.
    """
    of_site, of_service = _owned(session, sites)
    named, single = set(services or ()), set(endpoints or ())
    found = [_at(site, of_site[site.id], of_service, named, single) for site in sites]
    called = " and ".join(site.name for site in sites)
    faults = [
        FieldFault("services", f"{one} is not a service of {called}")
        for one in sorted(named - {one for owned in of_site.values() for one in owned})
    ]
    taken = {one for part in found for one in part.services}
    faults += [
        FieldFault("endpoints", f"{one} does not belong to the services that the downtime affects")
        for one in sorted(single - {end for one in taken for end in of_service[one]})
    ]
    if not faults:
        faults = [
            FieldFault("services", f"{part.site.name} has no service; register one first")
            for part in found
            if not part.services
        ]
    return found, faults


def _owned(session: Session, sites: Sequence[Site]) -> tuple[dict[int, list[int]], dict[int, frozenset[int]]]:
    of_site: dict[int, list[int]] = {site.id: [] for site in sites}
    for service, site in session.execute(
        select(Service.id, Service.site_id).where(Service.site_id.in_(of_site)).order_by(Service.id)
    ):
        of_site[site].append(service)
    of_service: dict[int, set[int]] = {one: set() for owned in of_site.values() for one in owned}
    for endpoint, service in session.execute(
        select(Endpoint.id, Endpoint.service_id).where(Endpoint.service_id.in_(of_service))
    ):
        of_service[service].add(endpoint)
    return of_site, {one: frozenset(owned) for one, owned in of_service.items()}


def _at(
    site: Site,
    owned: Sequence[int],
    of_service: Mapping[int, frozenset[int]],
    named: set[int],
    single: set[int],
) -> Affected:
    chosen = [one for one in owned if one in named] or [one for one in owned if of_service[one] & single]
    whole = not chosen
    services = {one: not of_service[one] & single for one in chosen or owned}
    endpoints = frozenset(
        end for one, all_of_it in services.items() for end in of_service[one] if all_of_it or end in single
    )
    return Affected(site, whole, services, endpoints)


def set_parts(downtime: Downtime, parts: Sequence[Affected]) -> None:
    """Make `parts` what the downtime affects; a service that stays keeps its own end."""
    kept_parts = {part.site_id: part for part in downtime.parts}
    kept_services = {link.service_id: link for link in downtime.services}
    kept_endpoints = {link.endpoint_id: link for link in downtime.endpoints}
    downtime.site = parts[0].site
    downtime.parts = [
        kept_parts.get(one.site.id) or DowntimePart(site=one.site, site_id=one.site.id) for one in parts
    ]
    for position, (part, one) in enumerate(zip(downtime.parts, parts, strict=True)):
        part.position, part.whole = position, one.whole
    services = {number: whole for one in parts for number, whole in one.services.items()}
    downtime.services = [
        kept_services.get(number) or DowntimeService(service_id=number) for number in sorted(services)
    ]
    for link in downtime.services:
        link.whole = services[link.service_id]
    endpoints = sorted({number for one in parts for number in one.endpoints})
    downtime.endpoints = [
        kept_endpoints.get(number) or DowntimeEndpoint(endpoint_id=number) for number in endpoints
    ]


def sites_of(session: Session, services: Iterable[int]) -> dict[int, str]:
    """The name of the site of each of the services."""
    rows = session.execute(
        select(Service.id, Site.name).join(Site).where(Service.id.in_(list(services))).order_by(Service.id)
    )
    return {number: name for number, name in rows}


def take_in_service(session: Session, change: Change, service: Service, now: datetime) -> None:
    """A new service of a locked site is affected by the downtimes of the whole site that have not ended."""
    touched = _unended(
        session,
        select(DowntimePart.downtime_id).where(
            DowntimePart.site_id == service.site_id, DowntimePart.whole.is_(True)
        ),
        now,
    )
    for downtime in touched:
        downtime.services.append(DowntimeService(service_id=service.id, whole=True))
        downtime.endpoints += [DowntimeEndpoint(endpoint_id=one.id) for one in service.endpoints]
        _record(session, change, downtime)


def take_in_endpoints(session: Session, change: Change, service: Service, now: datetime) -> None:
    """Endpoints that a service of a locked site got meanwhile are affected where the whole service is."""
    links = select(DowntimeService.downtime_id).where(
        DowntimeService.service_id == service.id, DowntimeService.whole.is_(True)
    )
    for downtime in _unended(session, links, now):
        known = {link.endpoint_id for link in downtime.endpoints}
        new = [DowntimeEndpoint(endpoint_id=one.id) for one in service.endpoints if one.id not in known]
        if new:
            downtime.endpoints += new
            _record(session, change, downtime)


def take_out_site(session: Session, change: Change, site: Site) -> None:
    """Downtimes of several sites go on without a locked site that is to be removed."""
    numbers = select(DowntimePart.downtime_id).where(DowntimePart.site_id == site.id)
    services = set(session.scalars(select(Service.id).where(Service.site_id == site.id)))
    endpoints = set(session.scalars(select(Endpoint.id).where(Endpoint.service_id.in_(services))))
    for downtime in _locked(session, select(Downtime).where(Downtime.id.in_(numbers))):
        left = [part for part in downtime.parts if part.site_id != site.id]
        if not left:
            continue
        downtime.site = left[0].site
        downtime.parts = left
        for position, part in enumerate(left):
            part.position = position
        downtime.services = [link for link in downtime.services if link.service_id not in services]
        downtime.endpoints = [link for link in downtime.endpoints if link.endpoint_id not in endpoints]
        _record(session, change, downtime)


def record_again(session: Session, change: Change, numbers: Iterable[int]) -> None:
    """Record downtimes anew that lost a service or an endpoint by cascade."""
    for downtime in _locked(session, select(Downtime).where(Downtime.id.in_(list(numbers)))):
        session.refresh(downtime, ["services", "endpoints"])
        entities.put_downtime(change, downtime)


def _unended(session: Session, numbers: Select[int], now: datetime) -> list[Downtime]:
    return _locked(session, select(Downtime).where(Downtime.id.in_(numbers), Downtime.end_at > now))


def _locked(session: Session, wanted: Select[Downtime]) -> list[Downtime]:
    statement = wanted.order_by(Downtime.id).with_for_update(of=Downtime)
    return list(session.scalars(statement.execution_options(populate_existing=True)))


def _record(session: Session, change: Change, downtime: Downtime) -> None:
    session.flush()
    session.refresh(downtime, ["parts", "services", "endpoints"])
    entities.put_downtime(change, downtime)
