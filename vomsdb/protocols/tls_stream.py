"""TLS of one connection, the server's side, apart from its socket: bytes come in, bytes go out.

asyncio's own TLS drops the alert of a handshake that fails, and the alert is what tells a client that its certificate
was revoked or has expired; so the few lines that move the bytes stand here.
"""

from __future__ import annotations

import contextlib
import ssl

from cryptography import x509

from hanse.identity.tls import peer_chain

_CHUNK = 16384


class TlsStream:
    """One connection. Send on what `outgoing` gives after every call, also after one that raised."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)

    def receive(self, part: bytes) -> None:
        """What came from the client; none = it sends no more."""
        if part:
            self._received.write(part)
        else:
            self._received.write_eof()

    def outgoing(self) -> bytes:
        """What is to be sent to the client now."""
        return self._to_send.read()

    def shake_hands(self) -> bool:
        """Whether the handshake is complete; more must come in before. Raises ssl.SSLError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def read(self) -> bytes | None:
        """Some bytes of the client; none at the end, None when more must come in before. Raises ssl.SSLError."""
        try:
            return self._tls.read(_CHUNK)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def write(self, content: bytes) -> None:
        """All of the bytes. Raises ssl.SSLError."""
        view = memoryview(content)
        while view:
            view = view[self._tls.write(view) :]

    def say_goodbye(self) -> None:
        """Says that no more follows; the peer's own goodbye is not waited for."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            self._tls.unwrap()  # said, and not yet answered

    def chain(self) -> list[x509.Certificate]:
        """The client's verified certificates, leaf first; empty without one."""
        return peer_chain(self._tls)
