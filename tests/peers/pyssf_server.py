"""pyssf 0.4.7 as a process: `pyssf_server.py FOLDER PORT`, its own demonstration service on loopback.

pyssf was written for Python 2. What it misses in Python 3 is lent to it in memory: a StringIO module that takes bytes,
bodies as bytes, one Content-Length instead of two, and the demonstration's single print statement.
"""

import io
import re
import sys
import types
import wsgiref.simple_server
import wsgiref.validate
from pathlib import Path
from socketserver import ThreadingMixIn

FOLDER, PORT = Path(sys.argv[1]), int(sys.argv[2])


class EitherStringIO(io.StringIO):
    """Python 2's StringIO took text and bytes alike."""

    def __init__(self, first="", *rest):
        super().__init__(first.decode("utf-8", "replace") if isinstance(first, bytes) else first, *rest)


class ThreadedServer(ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class SilentHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


def as_python_3(app):
    """The application with bytes for bodies and no header twice."""

    def adapted(environ, start):
        def start_once(status, headers, *exc):
            last = {name.lower(): (name, value) for name, value in headers}
            return start(status, list(last.values()), *exc)

        return [part.encode() if isinstance(part, str) else part for part in app(environ, start_once)]

    return adapted


def serve_here(_host, _port, app, **_kwargs):
    return original(
        "127.0.0.1", PORT, as_python_3(app), server_class=ThreadedServer, handler_class=SilentHandler
    )


original = wsgiref.simple_server.make_server
wsgiref.simple_server.make_server = serve_here
wsgiref.validate.validator = lambda app: app
sys.modules["StringIO"] = types.SimpleNamespace(StringIO=EitherStringIO)
sys.path.insert(0, str(FOLDER))
demonstration = FOLDER / "misc" / "run_iaas_wsgi_service.py"
source = re.sub(r"^(\s*)print (\w.*)$", r"\1print(\2)", demonstration.read_text(encoding="utf-8"), flags=re.M)
exec(compile(source, str(demonstration), "exec"), {"__name__": "__main__"})
