"""How a simulated cloud describes what it has: machines, volumes, networks, and the links between them."""

from __future__ import annotations

from demo.cloud.dialects import Dialect, templates
from demo.cloud.things import Disk, Interface, Machine, Volume
from hanse.occi.model import (
    COMPUTE,
    COMPUTE_ACTION,
    IP_INTERFACE,
    IP_NETWORK,
    NETWORK,
    NETWORK_INTERFACE,
    STORAGE,
    STORAGE_LINK,
    ActionLink,
    Category,
    Document,
    Link,
    Value,
)

NETWORKS = {"public": "Public addresses", "private": "Addresses within the site"}


class Describer:
    """One server's descriptions. `base` is its address with a final slash."""

    def __init__(self, dialect: Dialect, base: str) -> None:
        self._dialect = dialect
        self._base = base

    def place(self, kind: str, number: str) -> str:
        """The address of an entity."""
        return f"{self._base}{self._dialect.place(kind)}/{number}"

    def machine(self, machine: Machine) -> Document:
        """A machine with its links, and the actions that are open to it."""
        place = self.place(COMPUTE, machine.id)
        root = self._base if self._dialect.absolute_kinds else "/"
        wanted = (self._dialect.image_scheme + machine.image, self._dialect.size_scheme + machine.size.term)
        mixins = [one for one in templates(self._dialect, root) if one.identifier in wanted]
        attributes: dict[str, Value] = {
            "occi.core.id": machine.id,
            "occi.core.title": machine.title,
            "occi.compute.architecture": "x64",
            "occi.compute.cores": machine.size.vcpu,
            "occi.compute.memory": machine.size.memory_mb // self._dialect.memory_unit_mb,
            "occi.compute.hostname": machine.hostname,
            "occi.compute.state": "active" if machine.active else "inactive",
        }
        verbs = ("stop", "restart", "suspend") if machine.active else ("start",)
        actions = tuple(ActionLink(f"{place}?action={verb}", COMPUTE_ACTION + verb) for verb in verbs)
        links = [self._network_link("public", one) for one in machine.interfaces]
        links.append(self._network_link("private", Interface(machine.id, machine.address)))
        links += [self._storage_link(one) for one in machine.disks]
        return Document((self._kind(COMPUTE), *mixins), attributes, tuple(links), actions)

    def volume(self, volume: Volume) -> Document:
        """A volume."""
        attributes: dict[str, Value] = {
            "occi.core.id": volume.id,
            "occi.core.title": volume.title,
            "occi.storage.size": volume.size_gb,
            "occi.storage.state": "online",
        }
        return Document((self._kind(STORAGE),), attributes)

    def network(self, name: str) -> Document:
        """One of the site's networks."""
        attributes: dict[str, Value] = {
            "occi.core.id": name,
            "occi.core.title": NETWORKS[name],
            "occi.network.state": "active",
        }
        return Document((self._kind(NETWORK), Category.of(IP_NETWORK, "mixin")), attributes)

    def interface(self, machine: Machine, interface: Interface, network: str) -> Document:
        """The link between a machine and a network."""
        target = self.place(NETWORK, network)
        attributes = self._ends(NETWORK_INTERFACE, interface.id, machine, target)
        attributes |= {
            "occi.networkinterface.address": interface.address,
            "occi.networkinterface.interface": "eth1" if network == "public" else "eth0",
            "occi.networkinterface.state": "active",
        }
        return Document((self._kind(NETWORK_INTERFACE), Category.of(IP_INTERFACE, "mixin")), attributes)

    def disk(self, machine: Machine, disk: Disk) -> Document:
        """The link between a machine and a volume."""
        attributes = self._ends(STORAGE_LINK, disk.id, machine, self.place(STORAGE, disk.volume))
        attributes |= {"occi.storagelink.deviceid": disk.device, "occi.storagelink.state": "active"}
        return Document((self._kind(STORAGE_LINK),), attributes)

    def _ends(self, kind: str, number: str, machine: Machine, target: str) -> dict[str, Value]:
        source = self.place(COMPUTE, machine.id)
        return {"occi.core.id": number, "occi.core.source": source, "occi.core.target": target}

    def _kind(self, identifier: str) -> Category:
        return self._dialect.kind(identifier, self._base)

    def _network_link(self, network: str, interface: Interface) -> Link:
        return Link(
            target=self.place(NETWORK, network),
            rel=(NETWORK,),
            location=self.place(NETWORK_INTERFACE, interface.id),
            categories=(NETWORK_INTERFACE,),
            attributes={
                "occi.networkinterface.address": interface.address,
                "occi.networkinterface.state": "active",
            },
        )

    def _storage_link(self, disk: Disk) -> Link:
        return Link(
            target=self.place(STORAGE, disk.volume),
            rel=(STORAGE,),
            location=self.place(STORAGE_LINK, disk.id),
            categories=(STORAGE_LINK,),
            attributes={"occi.storagelink.deviceid": disk.device, "occi.storagelink.state": "active"},
        )
