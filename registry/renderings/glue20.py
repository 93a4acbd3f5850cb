"""Sites as entities of GLUE 2.0 (GFD.147), which LDIF and XML both write: what hangs where, in which words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from registry.renderings.glue20_clouds import cloud as entities_of_cloud
from registry.renderings.glue20_entity import Body, Entity, place

RESOURCE: Final = "resource"
_CONTACT_TYPES: Final = {"security": "security", "admin": "sysadmin", "helpdesk": "usersupport"}


@dataclass(frozen=True)
class Site:
    """What is rendered of a site: its body, its contacts when they may be shown, its clouds, its other services."""

    body: Body
    clouds: Sequence[Mapping[str, Sequence[Body]]] = ()
    services: Sequence[tuple[Body, bool]] = ()
    contacts: Sequence[Body] = ()


def entities(site: Site) -> list[Entity]:
    """The entities of a site, each after what it hangs below."""
    name = site.body["name"]
    domain = Entity("AdminDomain", name)
    group = Entity("Group", RESOURCE, parent=domain)
    below: list[Entity] = []
    services: list[str] = []
    for service, closed in site.services:
        found = list(_plain_service(service, closed, group, name))
        below += found
        services.append(found[0].id)
    for cloud in site.clouds:
        for entity in entities_of_cloud(cloud, group, name):
            below.append(entity)
            if entity.kind == "ComputingService":
                services.append(entity.id)
    places = list(_location(site.body, domain))
    contacts = list(_contacts(site.contacts, domain))
    return [_domain(site.body, services, places, contacts), *places, *contacts, group, *_once(below)]


def _once(found: Iterable[Entity]) -> Iterator[Entity]:
    seen: set[tuple[str, ...]] = set()
    for entity in found:
        # a directory takes names that differ in case or in spaces for the same
        path = tuple(" ".join(step.split()).casefold() for step in place(entity))
        if path not in seen:
            seen.add(path)
            yield entity


def _domain(body: Body, services: list[str], places: Sequence[Entity], contacts: Sequence[Entity]) -> Entity:
    about = [f"EGI_NGI={body['ngi']}", f"CertificationStatus={body['certification']}"]
    return Entity(
        "AdminDomain",
        body["name"],
        {
            "Name": body["official_name"],
            "OtherInfo": [*about, *(f"Scope={scope}" for scope in body["scopes"])],
            "Description": body["description"],
            "WWW": body["home_url"],
            "Distributed": False,
            "Owner": body["ngi"],
        },
        {
            "ServiceID": services,
            "ContactID": [one.id for one in contacts],
            "LocationID": [one.id for one in places],
        },
    )


def _location(body: Body, domain: Entity) -> Iterator[Entity]:
    fields = {
        "Place": body["location"],
        "Country": body["country"],
        "Latitude": body["latitude"],
        "Longitude": body["longitude"],
    }
    yield Entity(
        "Location",
        f"location.{domain.id}",
        fields,
        {"DomainID": [domain.id]},
        domain,
        {"GLUE2LocationDomainForeignKey": [domain.id]},
    )


def _contacts(contacts: Sequence[Body], domain: Entity) -> Iterator[Entity]:
    for number, contact in enumerate(contacts, start=1):
        fields = {
            "Name": contact["name"],
            "Detail": f"mailto:{contact['email']}",
            "Type": _CONTACT_TYPES.get(contact["kind"], "general"),
            "OtherInfo": [] if contact["kind"] in _CONTACT_TYPES else [f"Kind={contact['kind']}"],
        }
        yield Entity(
            "Contact",
            f"{contact['kind']}.{number}.{domain.id}",
            fields,
            {"DomainID": [domain.id]},
            domain,
            {"GLUE2ContactDomainForeignKey": [domain.id]},
        )


def _plain_service(body: Body, closed: bool, group: Entity, site: str) -> Iterator[Entity]:
    number = f"{body['primary_key']}_{body['service_type']}"
    quality = "production" if body["production"] else "pre-production" if body["beta"] else "testing"
    points = [f"{body['primary_key']}_{endpoint['id']}" for endpoint in body["endpoints"]]
    service = Entity(
        "Service",
        number,
        {
            "Name": f"{body['service_type']} on {body['hostname']}",
            "OtherInfo": [f"gocdb_id={body['primary_key']}", f"HostName={body['hostname']}"],
            "Type": body["service_type"],
            "QualityLevel": quality,
        },
        {"EndpointID": points},
        group,
        {"GLUE2ServiceAdminDomainForeignKey": [site]},
    )
    yield service
    for endpoint, point in zip(body["endpoints"], points, strict=True):
        fields = {
            "Name": endpoint["name"],
            "URL": endpoint["url"],
            "InterfaceName": endpoint["interface"],
            "QualityLevel": quality,
            "HealthState": "unknown",
            "ServingState": "closed" if closed else "production",
        }
        keys = {"GLUE2EndpointServiceForeignKey": [number]}
        yield Entity("Endpoint", point, fields, {"ServiceID": [number]}, service, keys)
