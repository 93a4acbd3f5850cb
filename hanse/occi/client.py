"""An OCCI client that works on servers as they are (pyssf, ooi, rOCCI-server, our demo clouds).

    with OcciClient("https://cloud.example:8787/ooi", token=...) as cloud:
        model = cloud.query()
        where = cloud.create(COMPUTE, mixins=[image, size], attributes={"occi.core.title": "mine"})

What a server returns as a location is never trusted with a secret: an address on another host keeps only
its path. Only single entities can be deleted; DELETE on a collection would take every machine of the
tenant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

from hanse.http import Answer, Client, HttpError
from hanse.occi.keystone import Login, LoginError, Token, login_address
from hanse.occi.logins import fetch_token, is_fitting
from hanse.occi.model import ActionLink, Category, Document, Link, Value
from hanse.occi.renderings import OCCI, PLAIN, RenderingError, read, write
from hanse.occi.text import excerpt

QUERY, WELL_KNOWN = "-/", ".well-known/org/ogf/occi/-/"
USER_AGENT = "hanse/0.1 OCCI/1.1"


class OcciError(Exception):
    """The cloud did not do it. A sentence; `status` is its HTTP status, 0 when there was no answer.

    `login` is the address to log in at, where the cloud named one."""

    def __init__(self, sentence: str, status: int = 0, login: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.login = login


@dataclass
class OcciClient:
    """One cloud. `token` goes as X-Auth-Token, `cert` (certificate or proxy, key) as TLS client certificate.

    `login` is how to get a token where the cloud asks for one and names its Keystone: on the host of the cloud, or at
    `keystone`, no other; `project` is the one to work in ("" = the first that the cloud takes).
    `accept` is the rendering asked for, `send` the one used for requests; where a server refuses the
    request as unreadable (400, 415) it is said once more as text/occi, as ooi on Python 3 needs. `server` is
    what the cloud calls itself, once it has answered."""

    url: str
    token: str = field(default="", repr=False)
    cert: tuple[Path, Path] | None = None
    ca: Path | None = None
    accept: str = PLAIN
    send: str = PLAIN
    deadline_s: float = 30
    login: Login | None = field(default=None, repr=False)
    keystone: str = ""
    project: str = ""
    server: str = field(default="", init=False)
    _model: Document | None = field(default=None, init=False, repr=False)
    _scoped: Token | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/") + "/"
        headers = {"User-Agent": USER_AGENT, "Accept": self.accept}
        if self.token:
            headers["X-Auth-Token"] = self.token
        self._http = Client(self.url, cert=self.cert, ca=self.ca, headers=headers, deadline_s=self.deadline_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._http.close()

    def query(self) -> Document:
        """What the cloud offers: kinds, mixins, actions. Kept for this client's life. Raises OcciError."""
        if self._model is None:
            answer = self._ask("GET", self.url + QUERY, refuse=False)
            if answer.status == HTTPStatus.NOT_FOUND:
                answer = self._ask("GET", self.url + WELL_KNOWN, refuse=False)
            model = _document(_accepted(answer, self.url))
            if not model.kinds:
                raise OcciError(f"The query interface of {self.url} lists no kind.", answer.status)
            self._model = model
        return self._model

    def list(self, kind: str) -> tuple[str, ...]:
        """Addresses of the entities of a kind (its identifier or its term), on this cloud's own origin."""
        document = _document(self._ask("GET", self.collection(kind)))
        ids = (str(member.attributes.get("occi.core.id", "")) for member in document.members)
        below = (self.collection(kind) + known.rpartition("/")[2] for known in ids if known)
        return (*map(self.resolve, document.locations), *below)

    def create(
        self,
        kind: str,
        *,
        mixins: Sequence[str] = (),
        attributes: Mapping[str, Value] | None = None,
        links: Sequence[Link] = (),
    ) -> str:
        """Make an entity; its address. Raises OcciError, also when the cloud does not say where it is."""
        wanted = [self._category(kind, "kind"), *(self._category(mixin, "mixin") for mixin in mixins)]
        request = Document(tuple(wanted), dict(attributes or {}), tuple(links))
        answer = self._send(self.collection(kind), request)
        location = _header(answer, "location") or _header(answer, "x-occi-location")
        if not location:
            location = self._location_in(_document(answer), kind)
        return self.resolve(location)

    def link(self, kind: str, source: str, target: str, attributes: Mapping[str, Value] | None = None) -> str:
        """Link two entities (a storagelink or a networkinterface); the link's address. Raises OcciError."""
        ends: dict[str, Value] = {
            "occi.core.source": self.resolve(source),
            "occi.core.target": self.resolve(target),
        }
        return self.create(kind, attributes={**(attributes or {}), **ends})

    def describe(self, location: str) -> Document:
        """An entity as it is now. OcciError with status 404 or 410 when it is gone."""
        return _document(self._ask("GET", self.resolve(location)))

    def act(self, location: str, action: str, attributes: Mapping[str, Value] | None = None) -> None:
        """Ask for an action by its identifier, such as COMPUTE_ACTION + "stop". Raises OcciError."""
        category = Category.of(action, "action")
        address = f"{self.resolve(location)}?action={category.term}"
        self._send(address, Document((category,), dict(attributes or {})))

    def delete(self, location: str) -> bool:
        """Delete one entity; False when it was gone already. Raises OcciError, ValueError for a collection; what is
        one the cloud says, so nothing is deleted on a cloud that does not."""
        address = self.resolve(location)
        self._refuse_collection(address)
        if self._model is None:
            self.query()
            self._refuse_collection(address)
        answer = self._ask("DELETE", address, refuse=False)
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return False
        _accepted(answer, address)
        return True

    def actions(self, entity: Document, location: str) -> tuple[ActionLink, ...]:
        """The actions open to an entity now, their targets made whole on this cloud's origin."""
        here = self.resolve(location)
        return tuple(
            ActionLink(
                here + link.target if link.target.startswith("?") else self.resolve(link.target), link.action
            )
            for link in entity.action_links
        )

    def collection(self, kind: str) -> str:
        """The address of a kind's collection: as the query interface says, else by the kind's term."""
        identifier = self._category(kind, "kind").identifier
        known = self._model.find(identifier) if self._model is not None else None
        location = known.location if known is not None and known.location else identifier.rpartition("#")[2]
        return self.resolve(location).rstrip("/") + "/"

    def resolve(self, location: str) -> str:
        """An address on this cloud for whatever a server gives: whole, from the root, or below the endpoint.

        An address elsewhere keeps its path only: no token leaves the origin."""
        parts, base = urlsplit(location), urlsplit(self.url)
        if (parts.scheme, parts.netloc) == (base.scheme, base.netloc):
            return location
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        below = path if path.startswith(base.path) else base.path + path.lstrip("/")
        return urljoin(self.url, below)

    def _category(self, name: str, kind_of: str) -> Category:
        if "#" in name:
            return Category.of(name, kind_of)
        found = [
            c for c in (self._model or self.query()).categories if c.term == name and c.kind_of == kind_of
        ]
        if len(found) != 1:
            raise OcciError(f"The cloud offers {len(found)} categories called {name}; give scheme#term.")
        return Category(found[0].term, found[0].scheme, kind_of)

    def _refuse_collection(self, address: str) -> None:
        path = urlsplit(address).path
        known = {urlsplit(self.resolve(c.location)).path.rstrip("/") for c in self._known() if c.location}
        terms = {"compute", "storage", "network", "storagelink", "networkinterface", "networklink", ""}
        below = path.removeprefix(urlsplit(self.url).path).strip("/")
        if path.endswith("/") or path in known or below in terms:
            raise ValueError(f"{address} is a collection; deleting it would delete everything in it.")

    def _known(self) -> tuple[Category, ...]:
        return self._model.categories if self._model is not None else ()

    def _location_in(self, document: Document, kind: str) -> str:
        if document.locations:
            return document.locations[0]
        for entity in (document, *document.members):
            if "occi.core.id" in entity.attributes:
                return self.collection(kind) + str(entity.attributes["occi.core.id"]).rpartition("/")[2]
        raise OcciError("The cloud accepted the request and did not say where the new entity is.")

    def _send(self, address: str, request: Document) -> Answer:
        answer = self._say(address, request, self.send)
        unread = answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if unread and self.send != OCCI:
            answer = self._say(address, request, OCCI)
        return _accepted(answer, address)

    def _say(self, address: str, request: Document, media: str) -> Answer:
        message = write(request, media, joined=True)
        body = b"" if media == OCCI else message.body
        # pyssf knows the bare type alone, without a charset
        headers = {**dict(message.headers), "Content-Type": media}
        return self._ask("POST", address, headers, body, refuse=False)

    def _fetch(
        self, method: str, address: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> Answer:
        secret = {"X-Auth-Token": self._scoped.id} if self._scoped is not None else {}
        try:
            return self._http.fetch(method, address, headers={**(headers or {}), **secret}, body=body)
        except HttpError as fault:
            raise OcciError(str(fault)) from None

    def _log_in(self, refusal: Answer) -> bool:
        """Whether there is a new token now. A token that was fetched and is refused is not fetched again."""
        address = login_address(_header(refusal, "www-authenticate"))
        if self.login is None or address is None or self._scoped is not None:
            return False
        if not is_fitting(address, self.url, self.keystone):
            sentence = f"The cloud sends us to log in at {address}, which is elsewhere; name that Keystone to go there."
            raise OcciError(sentence, 401, address)
        try:
            self._scoped = fetch_token(
                address, self.login, self.project, cert=self.cert, ca=self.ca, deadline_s=self.deadline_s
            )
        except LoginError as fault:
            raise OcciError(f"The login failed: {fault}", 401, address) from None
        return True

    def _ask(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        refuse: bool = True,
    ) -> Answer:
        if self._scoped is not None and not self._scoped.holds(datetime.now(UTC)):
            self._scoped = None
        answer = self._fetch(method, address, headers, body)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._log_in(answer):
            answer = self._fetch(method, address, headers, body)
        self.server = _header(answer, "server") or self.server
        return _accepted(answer, address) if refuse else answer


def _accepted(answer: Answer, address: str) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    login = login_address(_header(answer, "www-authenticate"))
    said = excerpt(answer.body[:400].decode("utf-8", "replace").strip(), 160)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        where = f" at {login}" if login else ""
        raise OcciError(f"{address} asks for a login{where} (401).", 401, login)
    raise OcciError(f"{address} answered {answer.status}: {said or 'nothing more'}", answer.status)


def _document(answer: Answer) -> Document:
    if answer.status == HTTPStatus.NO_CONTENT:
        return Document()
    try:
        return read(tuple(answer.headers.items()), answer.body)
    except RenderingError as fault:
        raise OcciError(f"The cloud's answer is not OCCI: {fault}", answer.status) from None


def _header(answer: Answer, name: str) -> str:
    return next((value.strip() for key, value in answer.headers.items() if key.lower() == name), "")
