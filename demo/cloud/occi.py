"""What a simulated cloud answers to an OCCI request; no sockets here.

Who may: the query interface for any certificate of the federation's CAs, everything else for guests
(`admission`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

from demo.cloud.admission import Doorman, Guest, NotAdmitted
from demo.cloud.dialects import ACTIONS, IMAGES, SIZES, Dialect, description, model
from demo.cloud.machines import CapacityExceeded, Machine, Machines, Size
from hanse.identity.trust import VerifiedChain
from hanse.occi.model import COMPUTE, COMPUTE_ACTION, Document
from hanse.occi.renderings import JSON, OCCI, PLAIN, URI_LIST, RenderingError, choose, read, write

QUERY = ("-/", ".well-known/org/ogf/occi/-/")
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """One request as it came; `chain` is what the client showed in the TLS handshake, leaf first."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    chain: Sequence[x509.Certificate] = ()

    def header(self, name: str) -> str:
        """The first header of this name, empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True)
class Response:
    """Status, headers without Content-Length, and body."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Problem(Exception):
    """An answer that is not what the client hoped for: status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class OcciServer:
    """One cloud's answers. `base` is its address with a final slash, as clients know it."""

    def __init__(self, dialect: Dialect, base: str, doorman: Doorman, machines: Machines) -> None:
        self._dialect = dialect
        self._base = base
        self._path = urlsplit(base).path
        self._doorman = doorman
        self._machines = machines

    def answer(self, request: Request) -> Response:
        """The answer to any request; errors are text/plain sentences."""
        try:
            return self._route(request)
        except Problem as problem:
            return _text(problem.status, str(problem))
        except NotAdmitted as refusal:
            return _text(403, str(refusal))
        except RenderingError as error:
            return _text(self._dialect.malformed, f"The request is not OCCI: {error}")

    def _route(self, request: Request) -> Response:
        split = urlsplit(request.target)
        if split.path == "/" != self._path or (split.path == self._path and request.method == "GET"):
            return _text(200, "A simulated cloud of the Hanse demo. Its OCCI query interface is at -/.")
        caller = self._identify(request)
        media = self._media(request)
        path = split.path.removeprefix(self._path)
        if not split.path.startswith(self._path):
            raise Problem(404, "There is nothing here.")
        if path in QUERY and request.method == "GET":
            return self._said(200, model(self._dialect, self._base), media)
        collection, _, item = path.partition("/")
        if collection in ("network", "storage") and not item:
            return self._listed((), media)
        if collection != "compute":
            raise Problem(404, "There is nothing here.")
        guest = self._doorman.admit(caller)
        if item:
            return self._machine(request, item, parse_qs(split.query), guest, media)
        return self._collection(request, guest, media)

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

    def _collection(self, request: Request, guest: Guest, media: str) -> Response:
        if request.method == "GET":
            own = [one for one in self._machines.all() if one.account == guest.account]
            return self._listed(tuple(self._place(one) for one in own), media)
        if request.method == "POST":
            return self._create(request, guest, media)
        raise Problem(405, "All machines at once cannot be changed here; name one.")

    def _create(self, request: Request, guest: Guest, media: str) -> Response:
        wanted = read(request.headers, request.body)
        if wanted.find(COMPUTE) is None:
            raise Problem(self._dialect.malformed, "The request names no kind compute.")
        try:
            machine = self._machines.create(self._wanted(wanted, guest))
        except CapacityExceeded as refusal:
            raise Problem(self._dialect.no_room, str(refusal)) from refusal
        place = self._place(machine)
        if media == OCCI:
            return Response(self._dialect.created, (("Content-Type", OCCI), (self._location_name, place)))
        message = write(Document(locations=(place,)), media)
        return Response(self._dialect.created, message.headers, message.body)

    @property
    def _location_name(self) -> str:
        return self._dialect.location_header

    def _wanted(self, wanted: Document, guest: Guest) -> Machine:
        given = str(wanted.attributes.get("occi.core.id", ""))
        if self._dialect.needs_id and not given:
            raise Problem(500, "The attribute occi.core.id is missing.")
        title = str(wanted.attributes.get("occi.core.title", "") or "untitled")
        return Machine(
            id=str(uuid.uuid4()),
            title=title,
            hostname=str(wanted.attributes.get("occi.compute.hostname", "") or "localhost"),
            account=guest.account,
            dn=guest.dn,
            vo=guest.vo,
            fqan=guest.fqan,
            image=self._image(wanted),
            size=self._size(wanted),
            address="",
            created=0.0,
            changed=0.0,
        )

    def _image(self, wanted: Document) -> str:
        for category in wanted.categories:
            if category.scheme == self._dialect.image_scheme:
                if category.term not in IMAGES:
                    raise Problem(404, f"There is no image {category.term!r}.")
                return category.term
        raise Problem(self._dialect.malformed, "The request names no os_tpl.")

    def _size(self, wanted: Document) -> Size:
        for category in wanted.categories:
            if category.scheme == self._dialect.size_scheme:
                for size in SIZES:
                    if size.term == category.term:
                        return size
                raise Problem(404, f"There is no size {category.term!r}.")
        raise Problem(self._dialect.malformed, "The request names no resource_tpl.")

    def _machine(
        self, request: Request, item: str, query: dict[str, list[str]], guest: Guest, media: str
    ) -> Response:
        machine = self._machines.get(item)
        if machine is None or machine.account != guest.account:
            raise Problem(404, "There is no such machine, or it is not yours.")
        if request.method == "GET":
            return self._said(200, description(self._dialect, machine, self._base), media)
        if request.method == "DELETE":
            self._machines.delete(item)
            return Response(204, (("Content-Type", PLAIN),))
        if request.method == "POST" and "action" in query:
            return self._act(request, machine, query["action"][0])
        raise Problem(405, "A machine takes GET, DELETE, and POST with ?action=.")

    def _act(self, request: Request, machine: Machine, verb: str) -> Response:
        named = read(request.headers, request.body).actions
        if verb not in ACTIONS or (named and named[0].identifier != COMPUTE_ACTION + verb):
            raise Problem(400, f"There is no action {verb[:40]!r} on a machine.")
        self._machines.switch(machine.id, active=verb in ("start", "restart"))
        return Response(204, (("Content-Type", PLAIN),))

    def _place(self, machine: Machine) -> str:
        return f"{self._base}compute/{machine.id}"

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


def _text(status: int, sentence: str) -> Response:
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), sentence.encode() + b"\n")
