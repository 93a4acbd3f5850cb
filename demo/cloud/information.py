"""What a simulated cloud says of itself: a cloud-info document (GLUE 2.1 JSON), as cloud-info-provider writes it.

It is sent to the registry with the site's host certificate, every minute and soon after a machine came or went, so that
people find free room and the registry sees where it differs from what is there.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import Any

from demo.cloud.configuration import CloudConfiguration
from demo.cloud.dialects import IMAGES, SIZES, Dialect
from demo.cloud.machines import Machines
from demo.cloud.things import Machine, Size
from hanse.http import HttpError, fetch

log = logging.getLogger("demo.cloud")
EVERY_S = 60.0
VALIDITY_S = 1800
OCCI = "eu.egi.cloud.vm-management.occi"
Object = dict[str, Any]


class Informer:
    """Publishes what one cloud offers."""

    def __init__(self, configuration: CloudConfiguration, dialect: Dialect, machines: Machines) -> None:
        self._configuration = configuration
        self._dialect = dialect
        self._machines = machines

    def run(self, stop: threading.Event, changed: threading.Event) -> None:
        """Publish until `stop`; a registry that is away or does not know the site yet is tried again soon."""
        while not stop.is_set():
            told = self._publish()
            changed.wait(EVERY_S if told else 5.0)
            changed.clear()

    def _publish(self) -> bool:
        known = self._configuration
        body = json.dumps(document(known, self._dialect, self._machines.all(), datetime.now(UTC))).encode()
        try:
            answer = fetch(
                "PUT",
                f"{known.registry_url}/v1/sites/{known.site}/cloudinfo",
                body=body,
                cert=(known.cert, known.key),
                ca=known.ca,
                deadline_s=10,
            )
        except HttpError as error:
            log.warning("what %s offers is not published yet: %s", known.site, error)
            return False
        if not answer.ok:
            log.warning("what %s offers was answered %s: %s", known.site, answer.status, answer.text[:300])
        return answer.ok


def document(
    known: CloudConfiguration, dialect: Dialect, machines: list[Machine], now: datetime
) -> dict[str, list[Object]]:
    """The document of one moment: a share for each VO with its quota and what its machines take of it."""
    service = f"{known.base}_cloud.compute"
    endpoint = f"{known.base}_OCCI_1.2_VOMS"
    shares = {vo: f"{endpoint}_share_{vo}_{vo}" for vo in known.quotas}
    made: Object = {"CreationTime": now.isoformat(), "Validity": VALIDITY_S}
    of_all = {"Share": list(shares.values()), "CloudComputingEndpoint": [endpoint]}
    return {
        "CloudComputingService": [made | _service(known, service, machines)],
        "CloudComputingManager": [made | _manager(known, service)],
        "CloudComputingEndpoint": [made | _endpoint(known, endpoint, service)],
        "Share": [
            made | _share(vo, number, service, endpoint, known.quotas[vo], machines)
            for vo, number in shares.items()
        ],
        "MappingPolicy": [made | _mapping(vo, number) for vo, number in shares.items()],
        "AccessPolicy": [made | _access(endpoint, list(shares))],
        "CloudComputingImage": [
            made | _image(dialect, term, title, of_all) for term, title in IMAGES.items()
        ],
        "CloudComputingInstanceType": [made | _size(dialect, size, of_all) for size in SIZES],
    }


def _service(known: CloudConfiguration, service: str, machines: list[Machine]) -> Object:
    return {
        "ID": service,
        "Name": f"Cloud Compute service at {known.site}",
        "OtherInfo": {"site_name": known.site},
        "Associations": {"AdminDomain": [known.site]},
        "Type": "org.cloud.iaas",
        "QualityLevel": "production",
        "Complexity": f"endpointType=1,share={len(known.quotas)}",
        "Capability": ["executionmanagement.dynamicvmdeploy", "security.accounting"],
        **_counts(machines),
    }


def _manager(known: CloudConfiguration, service: str) -> Object:
    return {
        "ID": f"{service}_manager",
        "Associations": {"CloudComputingService": [service]},
        "ProductName": known.cloud_type,
        "TotalCPUs": known.capacity.vcpu,
        "TotalRAM": known.capacity.ram_gb * 1024,
    }


def _endpoint(known: CloudConfiguration, endpoint: str, service: str) -> Object:
    return {
        "ID": endpoint,
        "Name": f"OCCI of {known.site}",
        "Associations": {"CloudComputingService": [service]},
        "URL": known.base,
        "InterfaceName": OCCI,
        "InterfaceVersion": "1.2",
        "Implementor": known.cloud_type,
        "ImplementationName": known.cloud_type,
        "QualityLevel": "production",
        "HealthState": "ok",
        "ServingState": "production",
        "Technology": "webservice",
        "Authentication": "VOMS",
        "Capability": [],
    }


def _mapping(vo: str, share: str) -> Object:
    return {
        "ID": f"{share}_Policy",
        "Associations": {"Share": [share], "PolicyUserDomain": [vo]},
        "Scheme": "org.glite.standard",
        "Rule": [f"VO:{vo}"],
    }


def _access(endpoint: str, vos: list[str]) -> Object:
    return {
        "ID": f"{endpoint}_policy",
        "Associations": {"CloudComputingEndpoint": [endpoint]},
        "Scheme": "org.glite.standard",
        "Rule": [f"VO:{vo}" for vo in vos],
    }


def _image(dialect: Dialect, term: str, title: str, of_all: Object) -> Object:
    name, _, version = title.rpartition(" ")
    return {
        "ID": dialect.image_scheme + term,
        "Name": title,
        "Associations": of_all,
        "OSPlatform": "x86_64",
        "OSName": name,
        "OSVersion": version,
        "AccessInfo": "none",
    }


def _size(dialect: Dialect, size: Size, of_all: Object) -> Object:
    return {
        "ID": dialect.size_scheme + size.term,
        "Name": f"{size.term}: {size.title}",
        "Associations": of_all,
        "Platform": "amd64",
        "CPU": size.vcpu,
        "RAM": size.memory_mb,
        "Disk": size.disk_gb,
        "NetworkIn": True,
        "NetworkOut": True,
    }


def _share(vo: str, number: str, service: str, endpoint: str, quota: int, machines: list[Machine]) -> Object:
    own = [machine for machine in machines if machine.vo == vo]
    return {
        "ID": number,
        "Name": f"{vo} share",
        "Associations": {"CloudComputingService": [service], "CloudComputingEndpoint": [endpoint]},
        "ProjectID": vo,
        "OtherInfo": {
            "quotas": {"cores": quota},
            "used": {"cores": sum(machine.size.vcpu for machine in own)},
        },
        **_counts(own),
    }


def _counts(machines: list[Machine]) -> Object:
    running = sum(machine.active for machine in machines)
    return {"TotalVM": len(machines), "RunningVM": running, "HaltedVM": len(machines) - running}
