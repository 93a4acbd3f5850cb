"""What drift and the search for a cloud read of a published document: endpoints, shares, sizes, images, capacity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from registry.renderings.glue20_entity import vos_of

Facts = dict[str, Any]
_PORTS = {"http": 80, "https": 443}


def facts_of(document: Mapping[str, Sequence[Mapping[str, Any]]]) -> Facts:
    """The facts of a document; memory in MB, disk in GB, numbers that were not told None."""
    service = document["CloudComputingService"][0]
    managers = document.get("CloudComputingManager") or ()
    manager: Mapping[str, Any] = managers[0] if managers else {}
    accelerators = {one["ID"]: one for one in document.get("CloudComputingVirtualAccelerator") or ()}
    named = (service.get("OtherInfo") or {}).get("gocdb_id")
    return {
        "gocdb_id": None if named is None else str(named),
        "quality": service.get("QualityLevel") or "production",
        "product": manager.get("ProductName"),
        "vcpu": manager.get("TotalCPUs"),
        "ram_mb": manager.get("TotalRAM"),
        "endpoints": [_endpoint(one) for one in document["CloudComputingEndpoint"]],
        "shares": [_share(one, document["MappingPolicy"]) for one in document["Share"]],
        "sizes": [_size(one, accelerators) for one in document["CloudComputingInstanceType"]],
        "images": [_image(one) for one in document["CloudComputingImage"]],
    }


def _endpoint(one: Mapping[str, Any]) -> Facts:
    return {
        "id": one["ID"],
        "url": one["URL"],
        "interface": one["InterfaceName"],
        "version": one.get("InterfaceVersion"),
        "quality": one.get("QualityLevel") or "production",
        "serving": one.get("ServingState") or "production",
        "health": one.get("HealthState") or "unknown",
        "product": one.get("ImplementationName") or one.get("Implementor"),
    }


def vo_of(share: str, policies: Iterable[Mapping[str, Any]]) -> str | None:
    """The VO of a share: the first user domain of the first policy that maps it (cloud-info-api)."""
    for policy in policies:
        if share in linked(policy, "Share"):
            return next(iter(vos_of(policy)), None)
    return None


def _share(one: Mapping[str, Any], policies: Iterable[Mapping[str, Any]]) -> Facts:
    about = one.get("OtherInfo") or {}
    quotas = about.get("quotas")
    quotas = quotas if isinstance(quotas, dict) else {}
    used = about.get("used")
    used = used if isinstance(used, dict) else {}
    return {
        "id": one["ID"],
        "vo": vo_of(one["ID"], policies),
        "project": one.get("ProjectID"),
        "project_name": about.get("project_name"),
        "endpoints": linked(one, "CloudComputingEndpoint"),
        "cores": _whole(quotas.get("cores")),
        "ram_mb": _whole(quotas.get("ram")),
        "machines": _whole(quotas.get("instances"), one.get("MaxVM")),
        "used_cores": _whole(used.get("cores")),
        "total": _whole(one.get("TotalVM")),
        "running": _whole(one.get("RunningVM")),
        "network": one.get("DefaultNetworkType"),
    }


def _size(one: Mapping[str, Any], accelerators: Mapping[str, Mapping[str, Any]]) -> Facts:
    found = [
        accelerators[number]
        for number in linked(one, "CloudComputingVirtualAccelerator")
        if number in accelerators
    ]
    return {
        "id": one["ID"],
        "name": one.get("Name") or one["ID"],
        "vcpu": one["CPU"],
        "ram_mb": one["RAM"],
        "disk_gb": one.get("Disk"),
        "shares": linked(one, "Share"),
        "gpu": _gpu(found[0]) if found else None,
    }


def _gpu(one: Mapping[str, Any]) -> str:
    memory = one.get("Memory")
    words = [
        f"{one.get('Number') or 1} x",
        one.get("Vendor"),
        one.get("Model") or one.get("Type"),
        f"{memory / 1024:.0f} GB" if memory else None,
    ]
    return " ".join(str(word) for word in words if word)


def _image(one: Mapping[str, Any]) -> Facts:
    about = one.get("OtherInfo") or {}
    return {
        "id": one["ID"],
        "name": one.get("Name") or one["ID"],
        "os": one.get("OSName") or "",
        "version": one.get("OSVersion") or "",
        "reference": str(about.get("eu.egi.cloud.image_ref") or one.get("MarketplaceURL") or ""),
        "place": str(one.get("MarketplaceURL") or ""),
        "tag": str(about.get("eu.egi.cloud.tag") or ""),
        "shares": linked(one, "Share"),
    }


def linked(one: Mapping[str, Any], kind: str) -> list[str]:
    """Ids of a kind that an object is associated with."""
    found = (one.get("Associations") or {}).get(kind) or []
    return list(found) if isinstance(found, list) else [found]


def _whole(*values: object) -> int | None:
    """The first whole number that limits anything; OpenStack writes -1 for "no limit"."""
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


@lru_cache(maxsize=65_536)
def same_address(url: str) -> tuple[str, str, int | None, str]:
    """What two addresses of one service share: scheme, host, port, and the path without its outer slashes."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return "", url, None, ""
    return parts.scheme.lower(), (parts.hostname or "").lower(), port, parts.path.strip("/")
