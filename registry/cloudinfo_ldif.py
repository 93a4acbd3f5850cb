"""LDIF of clouds, as cloud-info-provider up to 0.13 wrote it, as a GLUE 2.1 document.

2.1 has classes of its own for clouds (`GLUE2CloudComputingService` ..). 2.0 speaks of computing services, keeps disk
and quota in OtherInfo, and may know no shares: then what is said of the endpoint's policies holds for one share a VO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from registry.ldif import Entry, LdifError, name_of

LDIF_20: Final = "ldif2.0"
LDIF_21: Final = "ldif2.1"
DEFAULT_VALIDITY_S: Final = 43_200
_INTERFACES: Final = {
    "occi": "eu.egi.cloud.vm-management.occi",
    "openstack": "org.openstack.nova",
    "opennebula": "org.opennebula.compute",
}
Object = dict[str, Any]


def document_of(entries: Sequence[Entry]) -> tuple[dict[str, list[Object]], str]:
    """The document, and which of the two forms it came in. Raises LdifError."""
    if any(_is(entry, "GLUE2CloudComputingService") for entry in entries):
        return _Reader(entries, "GLUE2CloudComputing").document(), LDIF_21
    if any(_is(entry, "GLUE2ComputingService") for entry in entries):
        return _Reader(entries, "GLUE2Computing").document(), LDIF_20
    raise LdifError("there is no GLUE2CloudComputingService and no GLUE2ComputingService in it")


def _is(entry: Entry, kind: str) -> bool:
    return kind.lower() in {name.lower() for name in _all(entry, "objectClass")}


def _all(entry: Entry, name: str) -> list[str]:
    lowered = name.lower()
    return [value for key, values in entry.attributes.items() if key.lower() == lowered for value in values]


def _one(entry: Entry, *names: str) -> str | None:
    for name in names:
        for value in _all(entry, name):
            if value not in ("", "UNKNOWN", "None"):
                return value
    return None


def _number(entry: Entry, *names: str) -> int | str | None:
    text = _one(entry, *names)
    if text is None:
        return None
    # what is no number stays as it is, so that the fault is told under its own name
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else text


def _info(entry: Entry) -> dict[str, str]:
    pairs = (value.partition("=") for value in _all(entry, "GLUE2EntityOtherInfo"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


class _Reader:
    """One LDIF. `prefix` begins the names of the classes that differ between 2.0 and 2.1."""

    def __init__(self, entries: Sequence[Entry], prefix: str) -> None:
        self._entries = entries
        self._prefix = prefix
        self._found: dict[str, dict[str, Object]] = {}

    def document(self) -> dict[str, list[Object]]:
        """All classes as lists; an object that came once for each share carries the shares of all."""
        steps: list[tuple[str, str, Callable[[Entry], Object]]] = [
            ("CloudComputingService", f"{self._prefix}Service", self._service),
            ("CloudComputingManager", f"{self._prefix}Manager", self._manager),
            ("CloudComputingEndpoint", f"{self._prefix}Endpoint", self._endpoint),
            ("Share", f"{self._prefix}Share", self._share),
            ("MappingPolicy", "GLUE2MappingPolicy", self._mapping),
            ("AccessPolicy", "GLUE2AccessPolicy", self._access),
            ("CloudComputingImage", "GLUE2CloudComputingImage", self._image_21),
            ("CloudComputingImage", "GLUE2ApplicationEnvironment", self._image_20),
            ("CloudComputingInstanceType", "GLUE2CloudComputingInstanceType", self._size_21),
            ("CloudComputingInstanceType", "GLUE2ExecutionEnvironment", self._size_20),
        ]
        for name, kind, make in steps:
            found = self._found.setdefault(name, {})
            for entry in self._entries:
                if _is(entry, kind):
                    _join(found, make(entry))
        self._share_for_each_vo()
        return {name: list(objects.values()) for name, objects in self._found.items()}

    def _head(self, entry: Entry, number: str | None, **links: list[str]) -> Object:
        validity = _number(entry, "GLUE2EntityValidity")
        made: Object = {
            "ID": number if number is not None else "",
            "CreationTime": _one(entry, "GLUE2EntityCreationTime"),
            "Validity": validity,
            "Name": _one(entry, "GLUE2EntityName"),
            "Associations": {name: values for name, values in links.items() if values},
        }
        return _told(made)

    def _service(self, entry: Entry) -> Object:
        made = self._head(
            entry,
            _one(entry, "GLUE2ServiceID"),
            AdminDomain=_all(entry, "GLUE2ServiceAdminDomainForeignKey") or _domain_of(entry),
        )
        # the providers of that time wrote neither into GLUE 2.0: what arrives was made just now
        made.setdefault("CreationTime", datetime.now(UTC).isoformat())
        made.setdefault("Validity", DEFAULT_VALIDITY_S)
        about = {key: value for key, value in _info(entry).items() if key in ("gocdb_id", "site_name")}
        return _told(
            {
                **made,
                "OtherInfo": about or None,
                "Type": "org.cloud.iaas",
                "QualityLevel": _one(entry, "GLUE2ServiceQualityLevel"),
                "StatusInfo": _one(entry, "GLUE2ServiceStatusInfo"),
                "Complexity": _one(entry, "GLUE2ServiceComplexity"),
                "Capability": _all(entry, "GLUE2ServiceCapability"),
                "TotalVM": _number(entry, "GLUE2CloudComputingServiceTotalVM"),
                "RunningVM": _number(entry, "GLUE2CloudComputingServiceRunningVM"),
                "SuspendedVM": _number(entry, "GLUE2CloudComputingServiceSuspendedVM"),
                "HaltedVM": _number(entry, "GLUE2CloudComputingServiceHaltedVM"),
            }
        )

    def _manager(self, entry: Entry) -> Object:
        own = f"{self._prefix}Manager"
        return _told(
            {
                **self._head(
                    entry,
                    _one(entry, "GLUE2ManagerID"),
                    CloudComputingService=_all(entry, "GLUE2ManagerServiceForeignKey"),
                ),
                "ProductName": _one(entry, "GLUE2ManagerProductName"),
                "ProductVersion": _one(entry, "GLUE2ManagerProductVersion"),
                "HypervisorName": _one(entry, f"{own}HypervisorName"),
                "TotalCPUs": _number(entry, f"{own}TotalCPUs", f"{own}TotalLogicalCPUs"),
                "TotalRAM": _number(entry, f"{own}TotalRAM"),
                "InstanceMaxCPU": _number(entry, f"{own}InstanceMaxCPU"),
                "InstanceMaxRAM": _number(entry, f"{own}InstanceMaxRAM"),
            }
        )

    def _endpoint(self, entry: Entry) -> Object:
        interface = _one(entry, "GLUE2EndpointInterfaceName") or ""
        return _told(
            {
                **self._head(
                    entry,
                    _one(entry, "GLUE2EndpointID"),
                    CloudComputingService=_all(entry, "GLUE2EndpointServiceForeignKey"),
                ),
                "URL": _one(entry, "GLUE2EndpointURL"),
                "InterfaceName": _INTERFACES.get(interface.lower(), interface),
                "InterfaceVersion": _one(entry, "GLUE2EndpointInterfaceVersion"),
                "Capability": _all(entry, "GLUE2EndpointCapability"),
                "QualityLevel": _one(entry, "GLUE2EndpointQualityLevel"),
                "HealthState": _one(entry, "GLUE2EndpointHealthState"),
                "ServingState": _one(entry, "GLUE2EndpointServingState"),
                "Technology": _one(entry, "GLUE2EndpointTechnology"),
                "Implementor": _one(entry, "GLUE2EndpointImplementor"),
                "ImplementationName": _one(entry, "GLUE2EndpointImplementationName"),
                "ImplementationVersion": _one(entry, "GLUE2EndpointImplementationVersion"),
                "Authentication": _one(entry, "GLUE2EndpointAuthentication") or _info(entry).get("Authn"),
                "IssuerCA": _one(entry, "GLUE2EndpointIssuerCA"),
                "TrustedCA": _all(entry, "GLUE2EndpointTrustedCA"),
            }
        )

    def _share(self, entry: Entry) -> Object:
        own, about = f"{self._prefix}Share", _info(entry)
        quotas = {
            key.removeprefix("quota_"): int(value)
            for key, value in about.items()
            if key.startswith("quota_") and value.isascii() and value.isdigit() and len(value) < 18
        }
        rest = {key: about[key] for key in ("project_name", "project_domain_name") if key in about}
        maximum = _number(entry, f"{own}MaxVM")
        return _told(
            {
                **self._head(
                    entry,
                    _one(entry, "GLUE2ShareID"),
                    CloudComputingService=_all(entry, "GLUE2ShareServiceForeignKey"),
                    CloudComputingEndpoint=_all(entry, "GLUE2ShareEndpointForeignKey"),
                ),
                "OtherInfo": {**rest, **({"quotas": quotas} if quotas else {})} or None,
                "ProjectID": _one(entry, f"{own}ProjectID") or about.get("ProjectID"),
                "MaxVM": maximum if maximum is not None else _digits(about.get("MaxVM")),
                "TotalVM": _or(_number(entry, f"{own}TotalVM"), _digits(about.get("TotalVM"))),
                "RunningVM": _or(_number(entry, f"{own}RunningVM"), _digits(about.get("RunningVM"))),
                "SLA": _one(entry, f"{own}SLA"),
                "DefaultNetworkType": _one(entry, f"{own}DefaultNetworkType"),
                "PublicNetworkName": _one(entry, f"{own}PublicNetworkName"),
            }
        )

    def _mapping(self, entry: Entry) -> Object:
        made = self._head(
            entry,
            _one(entry, "GLUE2PolicyID"),
            Share=_all(entry, "GLUE2MappingPolicyShareForeignKey"),
            PolicyUserDomain=_all(entry, "GLUE2PolicyUserDomainForeignKey"),
        )
        return {**made, "Scheme": _one(entry, "GLUE2PolicyScheme"), "Rule": _all(entry, "GLUE2PolicyRule")}

    def _access(self, entry: Entry) -> Object:
        made = self._head(
            entry,
            _one(entry, "GLUE2PolicyID"),
            CloudComputingEndpoint=_all(entry, "GLUE2AccessPolicyEndpointForeignKey"),
        )
        return {**made, "Scheme": _one(entry, "GLUE2PolicyScheme"), "Rule": _all(entry, "GLUE2PolicyRule")}

    def _image_21(self, entry: Entry) -> Object:
        own = "GLUE2CloudComputingImage"
        made = self._head(
            entry,
            _one(entry, f"{own}ID", f"{own}TemplateID"),
            Share=_all(entry, f"{own}CloudComputingShareForeignKey"),
            CloudComputingEndpoint=_all(entry, f"{own}CloudComputingEndpointForeignKey"),
            CloudComputingManager=_all(entry, f"{own}CloudComputingManagerForeignKey"),
        )
        return _told(
            {
                **made,
                "MarketplaceURL": _one(entry, f"{own}MarketPlaceURL"),
                "OSPlatform": _one(entry, f"{own}OSPlatform"),
                "OSName": _one(entry, f"{own}OSName"),
                "OSVersion": _one(entry, f"{own}OSVersion"),
                "Description": _one(entry, f"{own}Description"),
                "AccessInfo": _one(entry, f"{own}AccessInfo"),
                "OtherInfo": _info(entry) or None,
            }
        )

    def _image_20(self, entry: Entry) -> Object:
        own = "GLUE2ApplicationEnvironment"
        made = self._head(
            entry,
            _one(entry, f"{own}ID"),
            Share=self._shares(),
            CloudComputingManager=_all(entry, f"{own}ComputingManagerForeignKey"),
        )
        return _told(
            {
                **made,
                "MarketplaceURL": _one(entry, f"{own}Repository"),
                "OSName": _one(entry, f"{own}AppName"),
                "OSVersion": _one(entry, f"{own}AppVersion"),
                "Description": _one(entry, f"{own}Description"),
            }
        )

    def _size_21(self, entry: Entry) -> Object:
        own = "GLUE2CloudComputingInstanceType"
        made = self._head(
            entry,
            _one(entry, "GLUE2ResourceID"),
            Share=_all(entry, f"{own}CloudComputingShareForeignKey"),
            CloudComputingEndpoint=_all(entry, f"{own}CloudComputingEndpointForeignKey"),
            CloudComputingManager=_all(entry, "GLUE2ResourceManagerForeignKey"),
        )
        return _told(
            {
                **made,
                "Platform": _one(entry, f"{own}Platform"),
                "CPU": _number(entry, f"{own}CPU"),
                "RAM": _number(entry, f"{own}RAM"),
                "Disk": _number(entry, f"{own}Disk"),
                "NetworkIn": _yes_no(_one(entry, f"{own}NetworkIn")),
                "NetworkOut": _yes_no(_one(entry, f"{own}NetworkOut")),
            }
        )

    def _size_20(self, entry: Entry) -> Object:
        own = "GLUE2ExecutionEnvironment"
        made = self._head(
            entry,
            _one(entry, "GLUE2ResourceID"),
            Share=self._shares_with(_one(entry, "GLUE2ResourceID") or ""),
            CloudComputingManager=_all(entry, "GLUE2ResourceManagerForeignKey"),
        )
        return _told(
            {
                **made,
                "Platform": _one(entry, f"{own}Platform"),
                "CPU": _number(entry, f"{own}LogicalCPUs", f"{own}PhysicalCPUs"),
                "RAM": _number(entry, f"{own}MainMemorySize"),
                "Disk": _digits(_info(entry).get("disk")),
                "NetworkIn": _yes_no(_one(entry, f"{own}ConnectivityIn")),
                "NetworkOut": _yes_no(_one(entry, f"{own}ConnectivityOut")),
            }
        )

    def _shares(self) -> list[str]:
        return list(self._found.get("Share", {}))

    def _shares_with(self, size: str) -> list[str]:
        told = [
            share
            for entry in self._entries
            if _is(entry, f"{self._prefix}Share")
            and size in _all(entry, "GLUE2ShareResourceForeignKey")
            and (share := _one(entry, "GLUE2ShareID"))
        ]
        return told or self._shares()

    def _share_for_each_vo(self) -> None:
        """Without shares, one for each VO that an endpoint admits: all sizes and images are theirs."""
        if self._found["Share"]:
            return
        vos = dict.fromkeys(
            rule.removeprefix("VO:")
            for policy in self._found["AccessPolicy"].values()
            for rule in policy["Rule"]
            if rule.startswith("VO:")
        )
        service = next(iter(self._found["CloudComputingService"]), "")
        endpoints = list(self._found["CloudComputingEndpoint"])
        for vo in vos:
            number = f"{service}_share_{vo}"
            links = {"CloudComputingService": [service], "CloudComputingEndpoint": endpoints}
            self._found["Share"][number] = {"ID": number, "Name": f"{vo} share", "Associations": links}
            self._found["MappingPolicy"][f"{number}_Policy"] = {
                "ID": f"{number}_Policy",
                "Associations": {"Share": [number], "PolicyUserDomain": [vo]},
                "Rule": [f"VO:{vo}"],
            }
        for kind in ("CloudComputingImage", "CloudComputingInstanceType"):
            for one in self._found[kind].values():
                one["Associations"]["Share"] = self._shares()


def _join(found: dict[str, Object], one: Object) -> None:
    known = found.setdefault(one["ID"], one)
    if known is one:
        return
    for kind, linked in one["Associations"].items():
        present = known["Associations"].setdefault(kind, [])
        present += [each for each in linked if each not in present]
    known["Rule"] = list(dict.fromkeys([*known.get("Rule", []), *one.get("Rule", [])]))


def _told(one: Object) -> Object:
    return {key: value for key, value in one.items() if value is not None}


def _domain_of(entry: Entry) -> list[str]:
    return [value for attribute, value in name_of(entry.dn) if attribute == "glue2domainid"][:1]


def _digits(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else None


def _or(first: int | str | None, second: int | None) -> int | str | None:
    return second if first is None else first


def _yes_no(text: str | None) -> bool | str | None:
    return None if text is None else {"true": True, "false": False}.get(text.lower(), "UNKNOWN")
