"""A TLS side without processes of its own: the application behind `hanse.identity.tls`, as gunicorn would serve it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from hanse.identity.tls import TlsSettings, server_context


class _Handler(WSGIRequestHandler):
    """Hands the connection to the application under the name that gunicorn gives it."""

    def make_environ(self) -> dict[str, Any]:
        return {**super().make_environ(), "gunicorn.socket": self.connection}

    def log(self, type: str, message: str, *args: Any) -> None:
        """The application logs its requests itself."""


@contextmanager
def serving(app: Flask, tls: TlsSettings | None = None, port: int = 0) -> Iterator[str]:
    """The address of `app`, served on a free port of this machine until the block ends; `tls` = with TLS."""
    context = server_context(tls) if tls else None
    server = make_server("localhost", port, app, threaded=True, request_handler=_Handler, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
