"""What a simulated cloud answers to an OCCI request; no sockets here.

Who may: the query interface for any certificate of the federation's CAs, everything else for guests (`admission`), each
their own things only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from demo.cloud import wanted
from demo.cloud.admission import Doorman, Guest, NotAdmitted
from demo.cloud.descriptions import NETWORKS, Describer
from demo.cloud.dialects import ACTIONS, Dialect, model
from demo.cloud.machines import Machines
from demo.cloud.messages import Problem, Request, Response, done, text
from demo.cloud.things import CapacityExceeded, Disk, Interface, InUse, Machine, Volume
from hanse.identity.trust import VerifiedChain
from hanse.occi.model import (
    COMPUTE,
    COMPUTE_ACTION,
    NETWORK,
    NETWORK_INTERFACE,
    STORAGE,
    STORAGE_LINK,
    Document,
)
from hanse.occi.renderings import JSON, OCCI, PLAIN, URI_LIST, RenderingError, choose, read, write

QUERY = ("-/", ".well-known/org/ogf/occi/-/")
T = TypeVar("T")
KINDS = (COMPUTE, STORAGE, NETWORK, STORAGE_LINK, NETWORK_INTERFACE)


@dataclass(frozen=True)
class Asked:
    """A request that was let in: for an entity of a kind ("" = the whole collection), the guest, the rendering."""

    request: Request
    kind: str
    item: str
    query: dict[str, list[str]]
    guest: Guest
    media: str

    def document(self, dialect: Dialect) -> Document:
        """What the request says; it must name its kind."""
        document = read(self.request.headers, self.request.body)
        if document.find(self.kind) is None:
            raise Problem(dialect.malformed, f"The request names no kind {self.kind.rpartition('#')[2]}.")
        return document


class OcciServer:
    """One cloud's answers. `base` is its address with a final slash, as clients know it."""

    def __init__(self, dialect: Dialect, base: str, doorman: Doorman, machines: Machines) -> None:
        self._dialect = dialect
        self._base = base
        self._path = urlsplit(base).path
        self._doorman = doorman
        self._machines = machines
        self._describe = Describer(dialect, base)
        self._places = {dialect.place(kind): kind for kind in KINDS}
        self._listing: dict[str, Callable[[Guest], list[str]]] = {
            COMPUTE: lambda guest: [one.id for one in self._own(guest)],
            STORAGE: lambda guest: [one.id for one in self._own_volumes(guest)],
            NETWORK: lambda guest: list(NETWORKS),
            STORAGE_LINK: lambda guest: [disk.id for _, disk in self._disks(guest)],
            NETWORK_INTERFACE: lambda guest: [one.id for _, one in self._interfaces(guest)],
        }
        self._making: dict[str, Callable[[Asked], str]] = {
            COMPUTE: self._create_machine,
            STORAGE: self._create_volume,
            STORAGE_LINK: self._link_volume,
            NETWORK_INTERFACE: self._link_network,
        }
        self._one: dict[str, Callable[[Asked], Response]] = {
            COMPUTE: self._machine,
            STORAGE: self._volume,
            NETWORK: self._network,
            STORAGE_LINK: self._disk,
            NETWORK_INTERFACE: self._interface,
        }

    def answer(self, request: Request) -> Response:
        """The answer to any request; errors are text/plain sentences."""
        try:
            return self._route(request)
        except Problem as problem:
            return text(problem.status, str(problem))
        except NotAdmitted as refusal:
            return text(403, str(refusal))
        except CapacityExceeded as refusal:
            return text(self._dialect.no_room, str(refusal))
        except InUse as refusal:
            return text(409, str(refusal))
        except RenderingError as error:
            return text(self._dialect.malformed, f"The request is not OCCI: {error}")

    def _route(self, request: Request) -> Response:
        split = urlsplit(request.target)
        if split.path == "/" != self._path or (split.path == self._path and request.method == "GET"):
            return text(200, "A simulated cloud of the Hanse demo. Its OCCI query interface is at -/.")
        caller = self._identify(request)
        media = self._media(request)
        path = split.path.removeprefix(self._path)
        if not split.path.startswith(self._path):
            raise Problem(404, "There is nothing here.")
        if path in QUERY and request.method == "GET":
            return self._said(200, model(self._dialect, self._base), media)
        collection, _, item = path.partition("/")
        kind = self._places.get(collection)
        if kind is None:
            raise Problem(404, "There is nothing here.")
        asked = Asked(request, kind, item, parse_qs(split.query), self._doorman.admit(caller), media)
        return self._one[kind](asked) if item else self._collection(asked)

    def _identify(self, request: Request) -> VerifiedChain:
        if not request.chain:
            raise Problem(401, "Show a certificate of a CA that this federation trusts.")
        return self._doorman.identify(request.chain)

    def _media(self, request: Request) -> str:
        accept = request.header("accept")
        if accept.strip() == "*/*" and not self._dialect.answers_wildcard:
            raise Problem(406, f"Ask for {PLAIN}, {OCCI}, {JSON} or {URI_LIST}.")
        media = choose(accept)
        if media is None:
            raise Problem(406, f"Ask for {PLAIN}, {OCCI}, {JSON} or {URI_LIST}.")
        return media

    def _collection(self, asked: Asked) -> Response:
        if asked.request.method == "GET":
            numbers = self._listing[asked.kind](asked.guest)
            return self._listed(tuple(self._describe.place(asked.kind, one) for one in numbers), asked.media)
        make = self._making.get(asked.kind)
        if asked.request.method != "POST" or make is None:
            raise Problem(405, "All of them at once cannot be changed here; name one.")
        place = self._describe.place(asked.kind, make(asked))
        if asked.media == OCCI:
            headers = (("Content-Type", OCCI), (self._dialect.location_header, place))
            return Response(self._dialect.created, headers)
        message = write(Document(locations=(place,)), asked.media)
        return Response(self._dialect.created, message.headers, message.body)

    def _create_machine(self, asked: Asked) -> str:
        document = asked.document(self._dialect)
        machine = wanted.machine(document, self._dialect, asked.guest)
        public = self._describe.place(NETWORK, "public")
        links = [urlsplit(link.target).path for link in document.links]
        return self._machines.create(machine, links.count(urlsplit(public).path)).id

    def _create_volume(self, asked: Asked) -> str:
        volume = wanted.volume(asked.document(self._dialect), self._dialect, asked.guest)
        return self._machines.create_volume(volume).id

    def _link_volume(self, asked: Asked) -> str:
        document = asked.document(self._dialect)
        machine = self._source(document, asked.guest)
        number = wanted.end_of(document, "occi.core.target", "storage", self._dialect)
        self._owned_volume(number, asked.guest)
        device = wanted.said(document, "occi.storagelink.deviceid")
        disk = self._machines.attach(machine.id, number, device[:60])
        return _still_there(disk).id

    def _link_network(self, asked: Asked) -> str:
        document = asked.document(self._dialect)
        machine = self._source(document, asked.guest)
        name = wanted.end_of(document, "occi.core.target", "network", self._dialect)
        if name not in NETWORKS:
            raise Problem(404, f"There is no network {name!r}.")
        if name != "public":
            raise Problem(409, "Every machine is in the private network already.")
        return _still_there(self._machines.connect(machine.id)).id

    def _source(self, document: Document, guest: Guest) -> Machine:
        return self._owned(wanted.end_of(document, "occi.core.source", "compute", self._dialect), guest)

    def _machine(self, asked: Asked) -> Response:
        machine = self._owned(asked.item, asked.guest)
        if asked.request.method == "POST" and "action" in asked.query:
            return self._act(asked.request, machine, asked.query["action"][0])
        return self._looked_at(
            asked, self._describe.machine(machine), lambda: self._machines.delete(machine.id)
        )

    def _volume(self, asked: Asked) -> Response:
        volume = self._owned_volume(asked.item, asked.guest)
        return self._looked_at(
            asked, self._describe.volume(volume), lambda: self._machines.delete_volume(volume.id)
        )

    def _network(self, asked: Asked) -> Response:
        if asked.item not in NETWORKS:
            raise Problem(404, "There is no such network.")
        return self._looked_at(asked, self._describe.network(asked.item))

    def _disk(self, asked: Asked) -> Response:
        for machine, disk in self._disks(asked.guest):
            if disk.id == asked.item:
                return self._link(asked, machine, self._describe.disk(machine, disk))
        raise Problem(404, "There is no such link, or it is not yours.")

    def _interface(self, asked: Asked) -> Response:
        for machine, one in self._interfaces(asked.guest):
            if one.id == asked.item:
                return self._link(asked, machine, self._describe.interface(machine, one, "public"))
        for machine in self._own(asked.guest):
            if machine.id == asked.item:  # the private address has the machine's own number, and stays
                private = Interface(machine.id, machine.address)
                return self._looked_at(asked, self._describe.interface(machine, private, "private"))
        raise Problem(404, "There is no such link, or it is not yours.")

    def _link(self, asked: Asked, machine: Machine, document: Document) -> Response:
        return self._looked_at(asked, document, lambda: self._machines.unlink(machine.id, asked.item))

    def _looked_at(
        self, asked: Asked, document: Document, delete: Callable[[], None] | None = None
    ) -> Response:
        if asked.request.method == "GET":
            return self._said(200, document, asked.media)
        if asked.request.method == "DELETE" and delete is not None:
            delete()
            return done()
        raise Problem(405, f"{asked.request.method} is not possible here.")

    def _act(self, request: Request, machine: Machine, verb: str) -> Response:
        named = read(request.headers, request.body).actions
        if verb not in ACTIONS or (named and named[0].identifier != COMPUTE_ACTION + verb):
            raise Problem(400, f"There is no action {verb[:40]!r} on a machine.")
        self._machines.switch(machine.id, active=verb in ("start", "restart"))
        return done()

    def _own(self, guest: Guest) -> list[Machine]:
        return [one for one in self._machines.all() if one.account == guest.account]

    def _own_volumes(self, guest: Guest) -> list[Volume]:
        return [one for one in self._machines.volumes() if one.account == guest.account]

    def _disks(self, guest: Guest) -> list[tuple[Machine, Disk]]:
        return [(machine, disk) for machine in self._own(guest) for disk in machine.disks]

    def _interfaces(self, guest: Guest) -> list[tuple[Machine, Interface]]:
        return [(machine, one) for machine in self._own(guest) for one in machine.interfaces]

    def _owned(self, number: str, guest: Guest) -> Machine:
        machine = self._machines.get(number)
        if machine is None or machine.account != guest.account:
            raise Problem(404, "There is no such machine, or it is not yours.")
        return machine

    def _owned_volume(self, number: str, guest: Guest) -> Volume:
        for volume in self._own_volumes(guest):
            if volume.id == number:
                return volume
        raise Problem(404, "There is no such volume, or it is not yours.")

    def _listed(self, places: tuple[str, ...], media: str) -> Response:
        if not places:
            none = b'{"resources": []}' if media == JSON and self._dialect.empty_list == 200 else b""
            return Response(self._dialect.empty_list, (("Content-Type", media),), none)
        return self._said(200, Document(locations=places), media)

    def _said(self, status: int, document: Document, media: str) -> Response:
        if media == URI_LIST and not document.locations:
            raise Problem(406, f"One thing is not a list; ask for {PLAIN}, {OCCI} or {JSON}.")
        message = write(document, media)
        return Response(status, message.headers, message.body)


def _still_there(made: T | None) -> T:
    if made is None:
        raise Problem(404, "The machine or the volume is gone.")
    return made
