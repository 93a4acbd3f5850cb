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
from enum import Enum, auto

import structlog
from cryptography import x509

from hanse.identity.trust import TrustError
from vomsdb.attributes import Fault, bad_request
from vomsdb.protocols import voms_aa
from vomsdb.protocols.tls_stream import TlsStream

log = structlog.get_logger("vomsdb.aa")
_OUR_FAULT = "The attribute authority could not answer; its log says why. Tell the federation's operators."
_MOST_LEFTOVER = 64
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
        self._respond = respond
        self.context = context
        self.limits = limits
        self.pool = ThreadPoolExecutor(limits.threads, "aa")
        self.open: dict[Conversation, None] = {}

    async def serve(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then lets open connections end within their deadlines."""
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        accepting = asyncio.create_task(self._accept(loop))
        await stop.wait()
        accepting.cancel()
        ends = loop.time() + self.limits.timeout_s
        while self.open and loop.time() < ends:
            await asyncio.sleep(0.02)
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                connection, address = await loop.sock_accept(self._socket)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                remote = str(address[0])
                await loop.connect_accepted_socket(lambda: Conversation(self, remote), connection)  # noqa: B023
            except OSError as fault:  # out of file descriptors: those in use are freed by their deadlines
                log.error("connection not accepted", reason=str(fault))
                await asyncio.sleep(0.1)

    def add(self, conversation: Conversation) -> None:
        """One more is open; the oldest goes when there are too many."""
        if len(self.open) >= self.limits.connections:
            next(iter(self.open)).give_up("a newer connection took its place")
        self.open[conversation] = None

    def answer(self, call: voms_aa.Call, chain: list[x509.Certificate], remote: str) -> bytes:
        """The whole answer, a refusal in words where there is none; called in a thread."""
        try:
            return self._respond(call, chain)
        except Fault as fault:
            return refused(call.legacy, fault, remote)
        except Exception:
            log.exception("not answered", remote=remote)
            return voms_aa.refusal(call.legacy, Fault("InternalError", 500, 1006, _OUR_FAULT))


def refused(legacy: bool, fault: Fault, remote: str) -> bytes:
    """The answer to a request that is refused, which is logged."""
    log.info("refused", remote=remote, code=fault.code, message=fault.message)
    return voms_aa.refusal(legacy, fault)


class Part(Enum):
    """How far a conversation is."""

    HANDSHAKE = auto()
    REQUEST = auto()
    ANSWER = auto()
    GOODBYE = auto()


class Conversation(asyncio.Protocol):
    """One connection from its handshake to its end."""

    def __init__(self, listener: Listener, remote: str) -> None:
        self._listener, self._remote = listener, remote
        self._loop = asyncio.get_running_loop()
        self._part = Part.HANDSHAKE
        self._received = b""
        self._leftover = 0
        self._transport: asyncio.Transport
        self._tls: TlsStream
        self._deadline: asyncio.TimerHandle | None = None

    # --- what the loop tells ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._listener.add(self)
        self._allow()
        try:
            self._tls = TlsStream(self._listener.context())
        except TrustError as fault:
            self.give_up(str(fault))

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._part is Part.GOODBYE:
            # bytes of the client that we left unread would turn our answer into a reset
            self._leftover += 1
            if self._leftover > _MOST_LEFTOVER:
                self._transport.abort()
            return
        self._tls.receive(data)
        self._go_on()
        if self._part is Part.REQUEST:
            self._acknowledge()

    def eof_received(self) -> bool:
        """The client sends no more; whether we still answer."""
        if self._part is Part.GOODBYE:
            return False
        self._tls.receive(b"")
        self._go_on()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._listener.open.pop(self, None)
        if exc is not None:
            log.info("connection ended early", remote=self._remote, reason=str(exc))

    # --- the conversation ---------------------------------------------------------------------------------------

    def give_up(self, reason: str) -> None:
        """Ends it at once."""
        self._listener.open.pop(self, None)
        log.info("connection ended early", remote=self._remote, reason=reason)
        self._transport.abort()

    def _allow(self) -> None:
        """From now the client has the whole time again, for the next part."""
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = self._listener.limits.timeout_s
        self._deadline = self._loop.call_later(seconds, self.give_up, "the client was too slow")

    def _go_on(self) -> None:
        try:
            if self._part is Part.HANDSHAKE and self._tls.shake_hands():
                self._part = Part.REQUEST
                self._allow()
            if self._part is Part.REQUEST:
                self._read()
        except Fault as fault:
            self._send(refused(False, fault, self._remote))
        except ssl.SSLError as fault:
            log.info("connection ended early", remote=self._remote, reason=f"TLS: {fault.reason or fault}")
            self._part = Part.GOODBYE
            self._allow()
            self._flush()
            self._transport.write_eof()  # the client reads the alert first: closing now would reset what it sends
        else:
            self._flush()

    def _acknowledge(self) -> None:
        """The C++ client sends a byte and waits with the rest until it is acknowledged, usually 40 ms later."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_QUICKACK"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _read(self) -> None:
        while (part := self._tls.read()) is not None:
            self._received += part
            call = voms_aa.complete(self._received)
            if call is not None:
                self._ask(call)
                return
            if not part:
                raise bad_request("The connection ended before the request did.")

    def _ask(self, call: voms_aa.Call) -> None:
        self._part = Part.ANSWER
        self._transport.pause_reading()
        if self._deadline is not None:
            self._deadline.cancel()  # what follows is ours
        listener = self._listener
        answering = self._loop.run_in_executor(
            listener.pool, listener.answer, call, self._tls.chain(), self._remote
        )
        answering.add_done_callback(self._answered)

    def _answered(self, answering: asyncio.Future[bytes]) -> None:
        if answering.cancelled() or self._transport.is_closing():
            return
        self._transport.resume_reading()
        self._send(answering.result())

    def _send(self, answer: bytes) -> None:
        self._part = Part.GOODBYE
        self._allow()
        try:
            self._tls.write(answer)
            self._tls.say_goodbye()
        except ssl.SSLError as fault:
            log.info("connection ended early", remote=self._remote, reason=f"TLS: {fault.reason or fault}")
        self._flush()
        self._transport.write_eof()

    def _flush(self) -> None:
        content = self._tls.outgoing()
        if content and not self._transport.is_closing():
            self._transport.write(content)
