"""The attribute authority's own TLS listener: one loop for all connections, a few threads that read and sign.

Handshakes and slow readers wait in the loop and hold no thread, so a hundred clients that say nothing leave the next
one unhindered. Each connection has a deadline for its handshake, its request and its answer, and the newest replaces
the oldest when there are too many.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from cryptography import x509

from hanse.identity.trust import TrustError
from vomsdb.attributes import Fault, bad_request
from vomsdb.protocols import voms_aa
from vomsdb.protocols.tls_stream import TlsStream

log = structlog.get_logger("vomsdb.aa")
_OUR_FAULT = "The attribute authority could not answer; its log says why. Tell the federation's operators."
#: Answers a call of the owner of a certificate chain (leaf first, may be empty); raises Fault.
Respond = Callable[[voms_aa.Call, list[x509.Certificate]], bytes]
#: The context for the next connection; asked each time, since CAs and revocation lists change.
Context = Callable[[], ssl.SSLContext]


@dataclass(frozen=True)
class Limits:
    """Threads that answer, connections that may be open, seconds for each part of a connection."""

    threads: int
    connections: int
    timeout_s: float


class Listener:
    """Accepts on `bound` until it is stopped."""

    def __init__(self, bound: socket.socket, context: Context, respond: Respond, limits: Limits) -> None:
        self._socket = bound
        self._context = context
        self._respond = respond
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.threads, "aa")
        self._open: dict[asyncio.Task[None], None] = {}

    async def serve(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then lets open connections end within their deadlines."""
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        accepting = asyncio.create_task(self._accept(loop))
        await stop.wait()
        accepting.cancel()
        if self._open:
            await asyncio.wait(list(self._open), timeout=self._limits.timeout_s)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                connection, address = await loop.sock_accept(self._socket)
            except OSError as fault:  # out of file descriptors: those in use are freed by their deadlines
                log.error("connection not accepted", reason=str(fault))
                await asyncio.sleep(0.1)
                continue
            if len(self._open) >= self._limits.connections:
                next(iter(self._open)).cancel()
            task = loop.create_task(self._converse(connection, str(address[0])))
            self._open[task] = None
            task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _converse(self, connection: socket.socket, remote: str) -> None:
        limit = self._limits.timeout_s
        with connection:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = TlsStream(connection, self._context())
                await asyncio.wait_for(stream.shake_hands(), limit)
                answer = await self._answer(stream, remote)
                await asyncio.wait_for(stream.write(answer), limit)
                await asyncio.wait_for(stream.say_goodbye(), limit)
                await asyncio.wait_for(_drained(connection), limit)
            except (OSError, TrustError, TimeoutError) as fault:  # an ssl.SSLError is an OSError
                log.info("connection ended early", remote=remote, reason=_sentence(fault))

    async def _answer(self, stream: TlsStream, remote: str) -> bytes:
        legacy = False
        try:
            call = await asyncio.wait_for(_request(stream), self._limits.timeout_s)
            legacy = call.legacy
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._respond, call, stream.chain())
        except Fault as fault:
            log.info("refused", remote=remote, code=fault.code, message=fault.message)
            return voms_aa.refusal(legacy, fault)
        except (OSError, TimeoutError):
            raise
        except Exception:
            log.exception("not answered", remote=remote)
            return voms_aa.refusal(legacy, Fault("InternalError", 500, 1006, _OUR_FAULT))


async def _request(stream: TlsStream) -> voms_aa.Call:
    received = b""
    while True:
        part = await stream.read()
        received += part
        call = voms_aa.complete(received)
        if call is not None:
            return call
        if not part:
            raise bad_request("The connection ended before the request did.")


async def _drained(connection: socket.socket) -> None:
    """Waits for the client to close: bytes of its own that we left unread would turn our answer into a reset."""
    connection.shutdown(socket.SHUT_WR)
    loop = asyncio.get_running_loop()
    for _ in range(64):
        if not await loop.sock_recv(connection, 65536):
            return


def _sentence(fault: Exception) -> str:
    if isinstance(fault, TimeoutError):
        return "the client was too slow"
    if isinstance(fault, ssl.SSLError):
        return f"TLS: {fault.reason or fault}"
    return str(fault)
