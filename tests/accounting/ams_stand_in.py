"""An AMS of the tests' own: one project with topics and subscriptions in the shapes of argo-messaging.

Numbers in requests are strings, offsets count, an acknowledgement moves the offset, one that comes too late is 408 and
the messages are given out again.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from hanse.identity.tls import TlsSettings, server_context

TOKEN = "s3cr3t-of-the-stand-in"
SUBSCRIPTION = "hanse"
Answer = tuple[int, dict[str, Any]]


def fault(code: int, message: str, status: str) -> Answer:
    return code, {"error": {"code": code, "message": message, "status": status}}


@dataclass
class StandIn:
    """What the server holds. `ack_deadline_s`: how long a pull may go without its acknowledgement.

    `before` is asked at each request with the call's name (`pull`, `acknowledge`, `publish`) and may answer instead.
    """

    project: str = "accounting"
    ack_deadline_s: float = 10
    messages: list[dict[str, Any]] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    offset: int = 0
    pulled_at: float = 0.0
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], Answer | None] = lambda _call: None
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def put(self, content: bytes, empaid: str | None = None) -> None:
        """A message that waits to be pulled."""
        attributes = {} if empaid is None else {"empaid": empaid}
        self.messages.append({"attributes": attributes, "data": base64.b64encode(content).decode()})

    @property
    def waiting(self) -> int:
        """How many messages are not acknowledged."""
        return len(self.messages) - self.offset

    def answer(self, path: str, token: str | None, body: bytes) -> Answer:
        """One request, as argo-messaging answers it."""
        if token != TOKEN:
            return fault(401, "Unauthorized", "UNAUTHORIZED")
        place, _, call = path.rpartition(":")
        prefix = f"/v1/projects/{self.project}/"
        if not place.startswith(prefix):
            return fault(404, "ProjectUUID doesn't exist", "NOT_FOUND")
        kind, _, name = place.removeprefix(prefix).partition("/")
        self.calls.append(call)
        instead = self.before(call)
        if instead is not None:
            return instead
        try:
            asked = json.loads(body)
        except ValueError:
            return fault(400, "Invalid Message Arguments", "INVALID_ARGUMENT")
        if kind == "topics" and call == "publish":
            return self._publish(asked)
        if kind != "subscriptions" or name != SUBSCRIPTION:
            return fault(404, "Subscription doesn't exist", "NOT_FOUND")
        return self._pull(name, asked) if call == "pull" else self._acknowledge(name, asked)

    def _publish(self, asked: dict[str, Any]) -> Answer:
        with self.lock:
            first = len(self.published)
            self.published += asked["messages"]
            return 200, {"messageIds": [str(first + n) for n in range(len(asked["messages"]))]}

    def _pull(self, name: str, asked: dict[str, Any]) -> Answer:
        if not isinstance(asked.get("maxMessages"), str) or asked.get("returnImmediately") not in (
            "true",
            "false",
        ):
            return fault(400, "Invalid Request Body", "BAD_REQUEST")
        with self.lock:
            self.pulled_at = time.monotonic()
            some = self.messages[self.offset : self.offset + int(asked["maxMessages"])]
            received = [
                {
                    "ackId": f"projects/{self.project}/subscriptions/{name}:{number}",
                    "message": {
                        **message, "messageId": str(number), "publishTime": "2026-11-22T08:00:00.000000000Z",
                    },
                }
                for number, message in enumerate(some, self.offset)
            ]  # fmt: skip
        return 200, {"receivedMessages": received}

    def _acknowledge(self, name: str, asked: dict[str, Any]) -> Answer:
        numbers = [int(each.rpartition(":")[2]) for each in asked["ackIds"]]
        with self.lock:
            if time.monotonic() - self.pulled_at > self.ack_deadline_s:
                return fault(408, "ack timeout", "TIMEOUT")
            if not numbers or max(numbers) >= len(self.messages) or min(numbers) < self.offset:
                return fault(400, "Invalid ack id", "INVALID_ARGUMENT")
            self.offset = max(numbers) + 1
        return 200, {}


@contextmanager
def serving_ams(stand_in: StandIn, tls: TlsSettings | None = None) -> Iterator[StandIn]:
    """The server on a free port of this machine until the block ends; `tls` = with TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            code, content = stand_in.answer(urlsplit(self.path).path, self.headers.get("x-api-key"), body)
            text = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Tests look at `calls`."""

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = server_context(tls).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    stand_in.url = f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
