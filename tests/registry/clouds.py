"""Cloud-info documents of the fixed cast, made anew for each test."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

Document = dict[str, list[dict[str, Any]]]
OCCI = "eu.egi.cloud.vm-management.occi"
SIZES = (("small", 1, 2048, 10), ("medium", 4, 8192, 40), ("gpu.large", 8, 32768, 80))


def cloud_document(
    site: str = "CESNET",
    *,
    vos: tuple[str, ...] = ("training.egi.eu",),
    url: str | None = None,
    interface: str = OCCI,
    age: timedelta = timedelta(minutes=5),
    validity_s: int = 43_200,
    cores: int = 16,
    gocdb_id: str | None = None,
) -> Document:
    """What the site's cloud publishes: a share for each VO, three sizes, one with a GPU, and two images."""
    url = url or f"https://occi.{site.lower()}.example:11443/"
    service, endpoint = f"{url}_cloud.compute", f"{url}_OCCI_1.2_voms"
    shares = [f"{endpoint}_share_{vo}_p{number}" for number, vo in enumerate(vos, start=1)]
    made = {
        "CreationTime": (datetime.now(UTC) - age).isoformat(),
        "Validity": validity_s,
    }
    every = {"Share": shares, "CloudComputingEndpoint": [endpoint]}
    document: Document = {
        "CloudComputingService": [
            {
                "ID": service,
                **made,
                "Associations": {"AdminDomain": [site]},
                "Type": "org.cloud.iaas",
                "QualityLevel": "production",
                "Capability": ["executionmanagement.dynamicvmdeploy"],
                "TotalVM": 3,
                "RunningVM": 2,
            }
        ],
        "CloudComputingManager": [
            {
                "ID": f"{service}_manager",
                **made,
                "Associations": {"CloudComputingService": [service]},
                "ProductName": "OpenNebula",
                "TotalCPUs": 64,
                "TotalRAM": 112_640,
            }
        ],
        "CloudComputingEndpoint": [
            {
                "ID": endpoint,
                **made,
                "Name": "OCCI",
                "Associations": {"CloudComputingService": [service]},
                "URL": url,
                "InterfaceName": interface,
                "InterfaceVersion": "1.2",
                "QualityLevel": "production",
                "HealthState": "ok",
                "ServingState": "production",
                "Capability": [],
                "TrustedCA": ["/C=EU/O=Hanse Demo/CN=Hanse Demo CA"],
            }
        ],
        "Share": [
            {
                "ID": share,
                **made,
                "Name": f"{vo} share",
                "Associations": {
                    "CloudComputingService": [service],
                    "CloudComputingEndpoint": [endpoint],
                },
                "ProjectID": f"p{number}",
                "MaxVM": 10,
                "TotalVM": 3,
                "RunningVM": 2,
                "OtherInfo": {"quotas": {"cores": cores, "ram": 32_768, "instances": 10}},
            }
            for number, (share, vo) in enumerate(zip(shares, vos, strict=True), start=1)
        ],
        "MappingPolicy": [
            {
                "ID": f"{share}_Policy",
                **made,
                "Associations": {"Share": [share], "PolicyUserDomain": [vo]},
                "Scheme": "org.glite.standard",
                "Rule": [f"VO:{vo}"],
            }
            for share, vo in zip(shares, vos, strict=True)
        ],
        "AccessPolicy": [
            {
                "ID": f"{endpoint}_policy",
                **made,
                "Associations": {"CloudComputingEndpoint": [endpoint]},
                "Scheme": "org.glite.standard",
                "Rule": [f"VO:{vo}" for vo in vos],
            }
        ],
        "CloudComputingImage": [
            {
                "ID": f"http://schemas.{site.lower()}.example/os_tpl#debian13",
                **made,
                "Name": "Debian 13",
                "Associations": every,
                "OSName": "debian",
                "OSVersion": "13",
                "AccessInfo": "none",
            },
            {
                "ID": "bbbb0000-0000-4000-8000-000000000001",
                **made,
                "Name": "Image for Ubuntu 24.04 [Ubuntu/24.04/KVM]",
                "Associations": {**every, "Share": shares[:1]},
                "MarketplaceURL": "registry.egi.eu/egi_vm_images/ubuntu:24.04",
                "OSName": "ubuntu",
                "OSVersion": "24.04",
                "OtherInfo": {
                    "eu.egi.cloud.image_ref": "egi_vm_images/ubuntu:24.04",
                    "eu.egi.cloud.tag": "2026-09-04",
                },
            },
        ],
        "CloudComputingInstanceType": [
            {
                "ID": name,
                **made,
                "Name": name,
                "Associations": {
                    **every,
                    **({"CloudComputingVirtualAccelerator": [f"{name}_gpu"]} if "gpu" in name else {}),
                },
                "Platform": "amd64",
                "CPU": vcpu,
                "RAM": ram,
                "Disk": disk,
                "NetworkIn": "UNKNOWN",
                "NetworkOut": True,
            }
            for name, vcpu, ram, disk in SIZES
        ],
        "CloudComputingVirtualAccelerator": [
            {
                "ID": "gpu.large_gpu",
                **made,
                "Associations": {"CloudComputingInstanceType": ["gpu.large"]},
                "Type": "GPU",
                "Number": 1,
                "Vendor": "NVIDIA",
                "Model": "A100",
                "Memory": 40_960,
            }
        ],
    }
    if gocdb_id is not None:
        document["CloudComputingService"][0]["OtherInfo"] = {"gocdb_id": gocdb_id, "site_name": site}
    return copy.deepcopy(document)


def encoded(document: Document) -> bytes:
    """The document as it is sent."""
    return json.dumps(document).encode()
