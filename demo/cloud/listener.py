"""The TLS listener of a simulated cloud: a thread a connection, and the faults that a cloud can be told
to have.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509

from demo.cloud.faults import FaultFile
from demo.cloud.messages import Request, Response
from hanse.identity.tls import peer_chain, server_context

log = logging.getLogger("demo.cloud")
_MAX_BODY = 1024 * 1024
_LOOK_S = 0.1
Answer = Callable[[Request], Response]


@dataclass(frozen=True)
class TlsFiles:
    """Trusted CAs, and the certificate that the server shows."""

    trust_dir: Path
    tls_cert: Path
    tls_key: Path


class _Server(ThreadingHTTPServer):
    """Handshakes happen in the connection's own thread, so that a silent client holds up nobody."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, port: int, server_name: str, answer: Answer, fault: FaultFile, good: TlsFiles, bad: TlsFiles
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.shown_name = server_name
        self.answer = answer
        self.fault = fault
        self._good, self._bad = good, bad

    def finish_request(self, request: Any, client_address: Any) -> None:
        word = self.fault.now()
        if word == "hang":
            self._hang(request)
            return
        request.settimeout(15)
        context = server_context(self._bad if word == "tls" else self._good)
        try:
            with context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except (ssl.SSLError, ConnectionError, TimeoutError) as error:
            log.info("connection from %s ended: %s", client_address[0], error)

    def _hang(self, connection: socket.socket) -> None:
        connection.settimeout(_LOOK_S)
        while self.fault.now() == "hang":
            try:
                if not connection.recv(4096):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("a request of %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 30

    def version_string(self) -> str:
        return self.server.shown_name

    def _handle(self) -> None:
        if self.server.fault.now() == "error":
            self._send(Response(500, (("Content-Type", "text/plain"),), b"Told to fail by the demo.\n"))
            return
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= _MAX_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._send(Response(413, (("Content-Type", "text/plain"),), b"The body is too large.\n"))
            return
        chain: Sequence[x509.Certificate] = peer_chain(self.connection)
        request = Request(
            self.command, self.path, tuple(self.headers.items()), self.rfile.read(length), chain
        )
        self._send(self.server.answer(request))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:
        log.info("%s %s", self.client_address[0], format % args)


class Listener:
    """Keeps the port open, and closed while the fault says `refuse`."""

    def __init__(
        self, port: int, name: str, answer: Answer, fault: FaultFile, good: TlsFiles, bad: TlsFiles
    ) -> None:
        self._arguments = (port, name, answer, fault, good, bad)
        self._fault = fault

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`."""
        while not stop.is_set():
            if self._fault.now() == "refuse":
                time.sleep(_LOOK_S)
            else:
                self._serve(stop)

    def _serve(self, stop: threading.Event) -> None:
        with _Server(*self._arguments) as server:
            thread = threading.Thread(target=server.serve_forever, args=(_LOOK_S,), daemon=True)
            thread.start()
            while not stop.wait(_LOOK_S) and self._fault.now() != "refuse":
                pass
            server.shutdown()
            thread.join()
