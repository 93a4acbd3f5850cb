"""Clouds as GLUE 2.1 JSON, the form that cloud-info-provider writes and cloud tools read: one object for each cloud
service, its keys are classes, its values lists of objects. Published documents have it already; from what the registry
declares it is made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Body = Mapping[str, Any]
Document = dict[str, list[dict[str, Any]]]

OCCI: Final = "eu.egi.cloud.vm-management.occi"
NOVA: Final = "org.openstack.nova"
OPENNEBULA: Final = "org.opennebula.compute"
CLOUD_INTERFACES: Final = (NOVA, OCCI, OPENNEBULA)
CLASSES: Final = (
    "CloudComputingService",
    "CloudComputingManager",
    "CloudComputingEndpoint",
    "Share",
    "CloudComputingImage",
    "CloudComputingInstanceType",
    "CloudComputingVirtualAccelerator",
    "MappingPolicy",
    "AccessPolicy",
)
VO_RULE: Final = "VO:"
SCHEME: Final = "org.glite.standard"


def is_cloud(service: Body) -> bool:
    """Whether a service of the registry is a cloud: by its type, or by the interface of an endpoint."""
    kinds = {service["service_type"], *(endpoint["interface"] for endpoint in service["endpoints"])}
    return not kinds.isdisjoint(CLOUD_INTERFACES)


def declared(site: Body, service: Body, created: str, closed: bool) -> Document:
    """The cloud `service` of `site` as the registry knows it: endpoints, VO shares, no images and no sizes.

    `created` (ISO 8601) is when it was last changed; `closed` says that an outage is declared and going on.
    """
    number = f"{service['primary_key']}_cloud.compute"
    quality = "production" if service["production"] else "pre-production" if service["beta"] else "testing"
    endpoints = [
        _endpoint(site, service, each, quality, created, closed, number) for each in service["endpoints"]
    ]
    names = [one["ID"] for one in endpoints]
    vos = [share["vo"] for share in site["supports"]]
    shares = [_share(share, number, names, created) for share in site["supports"]]
    return {
        "CloudComputingService": [
            {
                **_head(number, created, f"Cloud Compute service at {site['name']}"),
                "OtherInfo": {"gocdb_id": service["primary_key"], "site_name": site["name"]},
                "Associations": {"AdminDomain": [site["name"]]},
                "Type": "org.cloud.iaas",
                "QualityLevel": quality,
                "Complexity": f"endpointType={len(endpoints)},share={len(shares)}",
                "Capability": ["executionmanagement.dynamicvmdeploy"],
            }
        ],
        "CloudComputingManager": [_manager(site, number, created)],
        "CloudComputingEndpoint": endpoints,
        "Share": shares,
        "CloudComputingImage": [],
        "CloudComputingInstanceType": [],
        "MappingPolicy": [_mapping(share["ID"], vo, created) for share, vo in zip(shares, vos, strict=True)],
        "AccessPolicy": [_access(name, vos, created) for name in names if vos],
    }


def merged(documents: Iterable[Mapping[str, Sequence[Any]]]) -> Document:
    """Several documents of one site as one, every class a list."""
    whole: Document = {name: [] for name in CLASSES}
    for document in documents:
        for name in CLASSES:
            whole[name].extend(document.get(name) or ())
    if not whole["CloudComputingVirtualAccelerator"]:
        del whole["CloudComputingVirtualAccelerator"]
    return whole


def _head(number: str, created: str, name: str = "") -> dict[str, Any]:
    return {"ID": number, "CreationTime": created, **({"Name": name} if name else {})}


def _endpoint(
    site: Body, service: Body, endpoint: Body, quality: str, created: str, closed: bool, owner: str
) -> dict[str, Any]:
    return {
        **_head(f"{service['primary_key']}_{endpoint['id']}", created, endpoint["name"]),
        "Associations": {"CloudComputingService": [owner]},
        "URL": endpoint["url"],
        "InterfaceName": endpoint["interface"],
        "Capability": ["executionmanagement.dynamicvmdeploy"],
        "QualityLevel": quality,
        "HealthState": "downtime" if closed else "unknown",
        "ServingState": "closed" if closed else "production",
        **({"Implementor": site["middleware"]} if site["middleware"] else {}),
    }


def _manager(site: Body, owner: str, created: str) -> dict[str, Any]:
    offers = site["capacity"]
    ram_mb = None if offers["ram_gb"] is None else round(offers["ram_gb"] * 1024)
    sizes = {"TotalCPUs": offers["vcpu"], "TotalRAM": ram_mb}
    return {
        **_head(f"{owner}_manager", created),
        "Associations": {"CloudComputingService": [owner]},
        "ProductName": site["middleware"] or "unknown",
        **{name: value for name, value in sizes.items() if value is not None},
    }


def _share(share: Body, owner: str, endpoints: Sequence[str], created: str) -> dict[str, Any]:
    quotas = {} if share["vcpu"] is None else {"OtherInfo": {"quotas": {"cores": share["vcpu"]}}}
    return {
        **_head(f"{owner}_share_{share['vo']}", created, f"{share['vo']} share"),
        "Associations": {"CloudComputingService": [owner], "CloudComputingEndpoint": list(endpoints)},
        **({"ProjectID": share["project_id"]} if share.get("project_id") else {}),
        **quotas,
    }


def _mapping(share: str, vo: str, created: str) -> dict[str, Any]:
    return {
        **_head(f"{share}_Policy", created),
        "Associations": {"Share": [share], "PolicyUserDomain": [vo]},
        "Scheme": SCHEME,
        "Rule": [VO_RULE + vo],
    }


def _access(endpoint: str, vos: Sequence[str], created: str) -> dict[str, Any]:
    return {
        **_head(f"{endpoint}_policy", created),
        "Associations": {"CloudComputingEndpoint": [endpoint]},
        "Scheme": SCHEME,
        "Rule": [VO_RULE + vo for vo in vos],
    }
