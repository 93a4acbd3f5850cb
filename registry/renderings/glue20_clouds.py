"""A cloud's GLUE 2.1 document in the words of GLUE 2.0, which has no clouds.

A cloud service is a ComputingService, a VO's allocation a ComputingShare with a MappingPolicy, a flavour an
ExecutionEnvironment, an image an ApplicationEnvironment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from registry.renderings.glue20_entity import Body, Entity, Value, linked, vos_of

_HEALTH: Final = frozenset({"critical", "ok", "other", "unknown", "warning"})
_SERVING: Final = frozenset({"closed", "draining", "production", "queueing"})
_QUALITY: Final = frozenset({"development", "pre-production", "production", "testing"})


def cloud(document: Mapping[str, Sequence[Body]], group: Entity, site: str) -> Iterator[Entity]:
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
        return [one for one in found if self._id in linked(one, "CloudComputingService")]

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
            if endpoint["ID"] in linked(one, "CloudComputingEndpoint") and vos_of(one)
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
                    if endpoint["ID"] in linked(one, "CloudComputingEndpoint")
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
            if share["ID"] in linked(one, "Share") and vos_of(one)
        ]
        endpoints = linked(share, "CloudComputingEndpoint")
        sizes = [one["ID"] for one in self._sizes if share["ID"] in linked(one, "Share")]
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
        shares = [local_share_id(one) for one in self._shares if one["ID"] in linked(size, "Share")]
        accelerators = linked(size, "CloudComputingVirtualAccelerator")
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
