"""TLS over a socket in an event loop, the server's side.

asyncio's own TLS drops the alert of a handshake that fails, and the alert is what tells a client that its certificate
was revoked or has expired; so the few lines that move the bytes stand here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from cryptography import x509

from hanse.identity.tls import peer_chain

R = TypeVar("R")
_CHUNK = 16384


class TlsStream:
    """One connection. Every call may wait for ever: put a deadline around it."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._socket = connection
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)

    async def shake_hands(self) -> None:
        """Raises ssl.SSLError, after the alert was sent, or OSError."""
        await self._drive(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Some bytes; none at the end. Raises ssl.SSLError or OSError."""
        try:
            return await self._drive(lambda: self._tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, content: bytes) -> None:
        """All of the bytes. Raises ssl.SSLError or OSError."""
        view = memoryview(content)
        while view:
            written = await self._drive(lambda rest=view: self._tls.write(rest))  # type: ignore[misc]
            view = view[written:]

    async def say_goodbye(self) -> None:
        """Says that no more follows; the peer's own goodbye is not waited for."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            self._tls.unwrap()  # said, and not yet answered
        await self._flush()

    def chain(self) -> list[x509.Certificate]:
        """The client's verified certificates, leaf first; empty without one."""
        return peer_chain(self._tls)

    async def _drive(self, step: Callable[[], R]) -> R:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError:
                await self._flush()
                raise
            else:
                await self._flush()
                return result

    async def _receive(self) -> None:
        part = await asyncio.get_running_loop().sock_recv(self._socket, _CHUNK)
        if part:
            self._received.write(part)
        else:
            self._received.write_eof()

    async def _flush(self) -> None:
        if self._to_send.pending:
            await asyncio.get_running_loop().sock_sendall(self._socket, self._to_send.read())
