"""One check's way out: connect, secure, ask, follow redirects, under one trace. Probes use nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from monitoring.findings import Fault
from monitoring.wire import sockets
from monitoring.wire.certificates import Presented, Trust, presented, sharpen, unverified_context
from monitoring.wire.http1 import MAX_BODY, Reply, read_reply, request_head
from monitoring.wire.journals import Journal
from monitoring.wire.trace import Trace, shown_headers

MAX_REDIRECTS = 5
USER_AGENT = "hanse-probe/0.1 OCCI/1.1"
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Streams:
    """An open connection; `tls` is None for plain TCP."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    tls: ssl.SSLObject | None


def _nothing(step: str) -> None:
    """Between two steps nothing happens."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a probe may use of the world: names, trust, our credential, the trace it writes to, and the journal of what
    it makes. `between` is called before each step of a life cycle (tests end a probe there)."""

    trace: Trace
    trust: Trust
    credential: tuple[Path, Path] | None = None
    resolve: sockets.Resolve = sockets.system_resolve
    journal: Journal | None = None
    between: Callable[[str], None] = _nothing

    @asynccontextmanager
    async def open(self, host: str, port: int, *, tls: bool, redirected: str = "") -> AsyncIterator[Streams]:
        """A connection for the block, verified TLS where asked. `redirected` names the address that a
        server sent us to: then private addresses are refused."""
        addresses = await sockets.lookup(host, port, self.trace, self.resolve)
        if redirected:
            sockets.refuse_private(addresses, redirected)
        context = self.trust.context(self.credential) if tls else None
        reader, writer = await sockets.connect(host, port, addresses, self.trace)
        try:
            secured = await self._secured(writer, host, port, context) if context else None
            yield Streams(reader, writer, secured)
        finally:
            writer.transport.abort()

    async def look(self, host: str, port: int) -> Presented:
        """The chain that a server shows, believed or not. Sends nothing."""
        addresses = await sockets.lookup(host, port, self.trace, self.resolve)
        _, writer = await sockets.connect(host, port, addresses, self.trace)
        try:
            return presented(await sockets.secure(writer, host, port, unverified_context(), self.trace))
        finally:
            writer.transport.abort()

    async def _secured(
        self, writer: asyncio.StreamWriter, host: str, port: int, context: ssl.SSLContext
    ) -> ssl.SSLObject:
        try:
            return await sockets.secure(writer, host, port, context, self.trace)
        except Fault as fault:
            if not fault.reason.startswith("tls-") or fault.reason == "tls-handshake":
                raise
            seen = await self.look(host, port)
            raise sharpen(fault, seen, self.trust.organisations(), host) from None

    async def ask(self, method: str, url: str, headers: Headers = (), cap: int = MAX_BODY) -> Reply:
        """One request, one answer, no redirects followed."""
        return await self._ask(method, url, headers, cap, redirected="")

    async def follow(self, url: str, headers: Headers = (), cap: int = MAX_BODY) -> Reply:
        """GET, with up to five redirects: never from https to http, never to a private address on another
        host.

        Faults redirect-loop, redirect-forbidden. No secrets may stand in `headers`."""
        here, seen = url, {url}
        while True:
            redirected = here if urlsplit(here).hostname != urlsplit(url).hostname else ""
            reply = await self._ask("GET", here, headers, cap, redirected)
            where = reply.header("location")
            if reply.status not in (301, 302, 303, 307, 308) or not where:
                return reply
            here = _next_address(here, where)
            if here in seen or len(seen) > MAX_REDIRECTS:
                raise Fault(
                    "redirect-loop",
                    f"The server redirects in a circle ({len(seen)} times, now to {here[:80]})",
                )
            seen.add(here)

    async def _ask(self, method: str, url: str, headers: Headers, cap: int, redirected: str) -> Reply:
        host, port, tls, path = address_parts(url)
        shown_host = urlsplit(url).netloc.rpartition("@")[2]
        sent: Headers = (*headers, ("User-Agent", USER_AGENT), ("Accept-Encoding", "identity"))
        async with self.open(host, port, tls=tls, redirected=redirected) as streams:
            with self.trace.phase("request") as step:
                streams.writer.write(request_head(method, path, shown_host, sent, 0))
                await _drained(streams.writer)
                step.seen = f"{method} {path}"
            reply = await read_reply(streams.reader, self.trace, method, cap)
        request = f"{method} {path} HTTP/1.1\n{shown_headers((('Host', shown_host), *sent))}"
        self.trace.exchanged(request, f"{reply.head()}\n{shown_headers(reply.headers)}", reply.body)
        return reply


def address_parts(url: str) -> tuple[str, int, bool, str]:
    """Host, port, TLS or not, and path with query of an http or https address; Fault bad-address
    otherwise."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Fault("bad-address", f"{url[:80]!r} is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c <= " " for c in url):
        raise Fault("bad-address", f"{url[:80]!r} is not an http or https address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port, parts.scheme == "https", path


def _next_address(here: str, where: str) -> str:
    try:
        there = urljoin(here, where)
    except ValueError:
        raise Fault("redirect-forbidden", f"The server redirects to {where[:80]!r}, no address") from None
    address_parts(there)
    if urlsplit(here).scheme == "https" and urlsplit(there).scheme != "https":
        raise Fault("redirect-forbidden", f"The server redirects from https to {there[:80]}")
    return there


async def _drained(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.drain()
    except ConnectionError:
        raise Fault("tcp-reset", "The server reset the connection before the request was sent") from None
