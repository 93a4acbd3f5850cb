"""Sites as entities of GLUE 2.0 (GFD.147), which LDIF and XML both write: what hangs where, in which words.

GLUE 2.0 has no clouds: a cloud service is a ComputingService, a VO's allocation a ComputingShare with a MappingPolicy,
a flavour an ExecutionEnvironment, an image an ApplicationEnvironment. The clouds come as GLUE 2.1 documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Body = Mapping[str, Any]
Value = str | int | float | bool
Fields = dict[str, Any]

RESOURCE: Final = "resource"
_CONTACT_TYPES: Final = {"security": "security", "admin": "sysadmin", "helpdesk": "usersupport"}
_HEALTH: Final = frozenset({"critical", "ok", "other", "unknown", "warning"})
_SERVING: Final = frozenset({"closed", "draining", "production", "queueing"})
# fields that may have several values in both renderings (GFD.147)
_MANY: Final = frozenset(
    {"OtherInfo", "Capability", "StatusInfo", "Semantics", "TrustedCA", "Rule", "Owner", "WWW"}
)
_QUALITY: Final = frozenset({"development", "pre-production", "production", "testing"})


@dataclass(frozen=True)
class Entity:
    """An entity: `fields` by their XML names (None and empty are left out), `links` to other entities by XML names.

    `parent` is what it hangs below in the LDAP tree; `keys` are its foreign keys there, by LDAP names.
    """

    kind: str
    id: str
    fields: Fields = field(default_factory=dict)
    links: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parent: Entity | None = None
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    created: str = ""
    validity_s: int | None = None

    def values(self, name: str) -> list[Value]:
        """The values of a field: plain ones alone, none of them empty, at most one where GLUE has one."""
        value = self.fields.get(name)
        many = value if isinstance(value, list | tuple) else [value]
        plain = [one for one in many if isinstance(one, str | int | float) and str(one).strip()]
        return plain if name in _MANY else plain[:1]


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
        for entity in _cloud(cloud, group, name):
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


def place(entity: Entity) -> tuple[str, ...]:
    """Kind and id of the entity and of all above it: where it stands, and which it is."""
    above = place(entity.parent) if entity.parent else ()
    return (*above, entity.kind, entity.id)


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


def _cloud(document: Mapping[str, Sequence[Body]], group: Entity, site: str) -> Iterator[Entity]:
    """A cloud's GLUE 2.1 document in the words of 2.0."""
    for service in document["CloudComputingService"]:
        yield from _Cloud(document, service, group, site).entities()


def local_share_id(share: Body) -> str:
    """GLUE 2.0 wants a local id of letters, digits and `-_.:` for a share (XSD: LocalID_t)."""
    return "share_" + re.sub(r"[^A-Za-z0-9_.:-]", "_", str(share["ID"]).rpartition("_share_")[2])


class _Cloud:
    def __init__(
        self, document: Mapping[str, Sequence[Body]], service: Body, group: Entity, site: str
    ) -> None:
        self._document = document
        self._site = site
        self._id = service["ID"]
        self._endpoints = self._of_service("CloudComputingEndpoint")
        self._shares = self._of_service("Share")
        self._managers = self._of_service("CloudComputingManager") or [
            {"ID": f"{self._id}_manager", "ProductName": "unknown"}
        ]
        self._sizes = document.get("CloudComputingInstanceType") or ()
        self._images = document.get("CloudComputingImage") or ()
        self._manager = self._managers[0]["ID"]
        self._service = self._service_entity(service, group)

    def _of_service(self, kind: str) -> list[Body]:
        found = self._document.get(kind) or ()
        return [one for one in found if self._id in _linked(one, "CloudComputingService")]

    def entities(self) -> Iterator[Entity]:
        yield self._service
        for endpoint in self._endpoints:
            yield from self._endpoint(endpoint)
        for share in self._shares:
            yield from self._share(share)
        for manager in self._managers:
            yield self._manager_entity(manager)
        for size in self._sizes:
            yield self._size(size)
        for image in self._images:
            yield self._image(image)

    def _service_entity(self, service: Body, group: Entity) -> Entity:
        fields = {
            "Name": service.get("Name"),
            "OtherInfo": _other(service, "gocdb_id", "site_name"),
            "Capability": service.get("Capability"),
            "Type": service.get("Type") or "org.cloud.iaas",
            "QualityLevel": _one_of(service.get("QualityLevel"), _QUALITY, "production"),
            "StatusInfo": service.get("StatusInfo"),
            "Complexity": service.get("Complexity"),
        }
        links = {
            "EndpointID": [one["ID"] for one in self._endpoints],
            "ShareID": [local_share_id(one) for one in self._shares],
            "ManagerID": [one["ID"] for one in self._managers],
        }
        keys = {"GLUE2ServiceAdminDomainForeignKey": [self._site]}
        return Entity("ComputingService", self._id, fields, links, group, keys, **_times(service))

    def _endpoint(self, endpoint: Body) -> Iterator[Entity]:
        policies = [
            one
            for one in self._document.get("AccessPolicy") or ()
            if endpoint["ID"] in _linked(one, "CloudComputingEndpoint") and vos_of(one)
        ]
        authn = endpoint.get("Authentication")
        made = Entity(
            "ComputingEndpoint",
            endpoint["ID"],
            {
                "Name": endpoint.get("Name"),
                "OtherInfo": [f"Authn={authn}"] if authn else [],
                "URL": endpoint["URL"],
                "Capability": endpoint.get("Capability"),
                "Technology": endpoint.get("Technology"),
                "InterfaceName": endpoint["InterfaceName"],
                "InterfaceVersion": endpoint.get("InterfaceVersion"),
                "Semantics": endpoint.get("Semantics"),
                "Implementor": endpoint.get("Implementor"),
                "ImplementationName": endpoint.get("ImplementationName"),
                "ImplementationVersion": endpoint.get("ImplementationVersion"),
                "QualityLevel": _one_of(endpoint.get("QualityLevel"), _QUALITY, "production"),
                "HealthState": _one_of(endpoint.get("HealthState"), _HEALTH, "other"),
                "HealthStateInfo": endpoint.get("HealthStateInfo"),
                "ServingState": _one_of(endpoint.get("ServingState"), _SERVING, "production"),
                "IssuerCA": endpoint.get("IssuerCA"),
                "TrustedCA": endpoint.get("TrustedCA"),
                "DowntimeInfo": endpoint.get("DowntimeInfo"),
            },
            {
                "ServiceID": [self._id],
                "ShareID": [
                    local_share_id(one)
                    for one in self._shares
                    if endpoint["ID"] in _linked(one, "CloudComputingEndpoint")
                ],
                "PolicyID": [one["ID"] for one in policies],
            },
            self._service,
            {
                "GLUE2EndpointServiceForeignKey": [self._id],
                "GLUE2ComputingEndpointComputingServiceForeignKey": [self._id],
            },
            **_times(endpoint),
        )
        yield made
        for policy in policies:
            yield _policy("AccessPolicy", policy, made, "EndpointID", "GLUE2AccessPolicyEndpointForeignKey")

    def _share(self, share: Body) -> Iterator[Entity]:
        policies = [
            one
            for one in self._document.get("MappingPolicy") or ()
            if share["ID"] in _linked(one, "Share") and vos_of(one)
        ]
        endpoints = _linked(share, "CloudComputingEndpoint")
        sizes = [one["ID"] for one in self._sizes if share["ID"] in _linked(one, "Share")]
        made = Entity(
            "ComputingShare",
            local_share_id(share),
            {
                "Name": share.get("Name"),
                "OtherInfo": _share_info(share),
                "ServingState": "production",
            },
            {
                "EndpointID": endpoints,
                "ResourceID": sizes,
                "ServiceID": [self._id],
                "PolicyID": [one["ID"] for one in policies],
            },
            self._service,
            {
                "GLUE2ShareServiceForeignKey": [self._id],
                "GLUE2ShareEndpointForeignKey": endpoints,
                "GLUE2ShareResourceForeignKey": sizes,
            },
            **_times(share),
        )
        yield made
        for policy in policies:
            yield _policy("MappingPolicy", policy, made, "ShareID", "GLUE2MappingPolicyShareForeignKey")

    def _manager_entity(self, manager: Body) -> Entity:
        ram = manager.get("TotalRAM")
        hypervisor = manager.get("HypervisorName")
        fields = {
            "OtherInfo": [
                *([f"TotalRAM={ram}"] if ram is not None else []),
                *([f"HypervisorName={hypervisor}"] if hypervisor else []),
            ],
            "ProductName": manager.get("ProductName") or "unknown",
            "ProductVersion": manager.get("ProductVersion"),
            "TotalLogicalCPUs": manager.get("TotalCPUs"),
        }
        links = {"ServiceID": [self._id], "ResourceID": [one["ID"] for one in self._sizes]}
        keys = {
            "GLUE2ManagerServiceForeignKey": [self._id],
            "GLUE2ComputingManagerComputingServiceForeignKey": [self._id],
        }
        return Entity(
            "ComputingManager", manager["ID"], fields, links, self._service, keys, **_times(manager)
        )

    def _size(self, size: Body) -> Entity:
        shares = [local_share_id(one) for one in self._shares if one["ID"] in _linked(size, "Share")]
        accelerators = _linked(size, "CloudComputingVirtualAccelerator")
        disk = size.get("Disk")
        fields = {
            "Name": size.get("Name"),
            "OtherInfo": [
                *([f"disk={disk}"] if disk is not None else []),
                *(f"Accelerator={one}" for one in accelerators),
            ],
            "Platform": size.get("Platform") or "UNKNOWN",
            "VirtualMachine": True,
            "LogicalCPUs": size.get("CPU"),
            "MainMemorySize": size.get("RAM") or 0,
            "OSFamily": "linux",
            "ConnectivityIn": _extended(size.get("NetworkIn")),
            "ConnectivityOut": _extended(size.get("NetworkOut")),
        }
        links = {"ManagerID": [self._manager], "ShareID": shares}
        keys = {
            "GLUE2ResourceManagerForeignKey": [self._manager],
            "GLUE2ExecutionEnvironmentComputingManagerForeignKey": [self._manager],
        }
        return Entity("ExecutionEnvironment", size["ID"], fields, links, self._service, keys, **_times(size))

    def _image(self, image: Body) -> Entity:
        fields = {
            "Name": image.get("Name"),
            "OtherInfo": _other(image, "eu.egi.cloud.image_ref", "eu.egi.cloud.tag", "base_mpuri"),
            "AppName": image.get("OSName") or image.get("Name") or image["ID"],
            "AppVersion": image.get("OSVersion"),
            "Repository": image.get("MarketplaceURL"),
            "Description": image.get("Description"),
        }
        keys = {"GLUE2ApplicationEnvironmentComputingManagerForeignKey": [self._manager]}
        links = {"ManagerID": [self._manager]}
        return Entity(
            "ApplicationEnvironment", image["ID"], fields, links, self._service, keys, **_times(image)
        )


def vos_of(policy: Body) -> list[str]:
    """The VOs that a policy names, in its rules and its user domains."""
    rules = [str(rule) for rule in policy.get("Rule") or ()]
    named = [rule.removeprefix("VO:") for rule in rules if rule.startswith("VO:")]
    return list(dict.fromkeys([*_linked(policy, "PolicyUserDomain"), *named]))


def _policy(kind: str, policy: Body, parent: Entity, link: str, key: str) -> Entity:
    vos = vos_of(policy)
    return Entity(
        kind,
        policy["ID"],
        {
            "Scheme": policy.get("Scheme") or "org.glite.standard",
            "Rule": list(policy.get("Rule") or ()) or [f"VO:{vo}" for vo in vos],
        },
        {link: [parent.id], "DomainID": vos},
        parent,
        {key: [parent.id], "GLUE2PolicyUserDomainForeignKey": vos},
        **_times(policy),
    )


def _linked(one: Body, kind: str) -> list[str]:
    found = (one.get("Associations") or {}).get(kind) or []
    return [str(each) for each in found] if isinstance(found, list) else [str(found)]


def _times(one: Body) -> dict[str, Any]:
    return {"created": str(one.get("CreationTime") or ""), "validity_s": one.get("Validity")}


def _other(one: Body, *names: str) -> list[str]:
    about = one.get("OtherInfo") or {}
    return [f"{name}={about[name]}" for name in names if about.get(name) not in (None, "")]


def _share_info(share: Body) -> list[str]:
    told = {name: share.get(name) for name in ("ProjectID", "MaxVM", "TotalVM", "RunningVM")}
    quotas = (share.get("OtherInfo") or {}).get("quotas") or {}
    told |= {f"quota_{name}": quotas.get(name) for name in ("cores", "ram", "instances", "floating_ips")}
    return [f"{name}={value}" for name, value in told.items() if value not in (None, "")]


def _one_of(value: object, allowed: frozenset[str], otherwise: str) -> str:
    return str(value) if value in allowed else otherwise


def _extended(value: object) -> Value:
    return value if isinstance(value, bool) else "undefined"
