"""The agent as a service: polls the server, and takes manifests that are pushed to `POST /hanse/manifests`.

A push needs no login: the documents are signed, and what is not signed by a pinned key is refused before
anything is fetched. The listener stays on the loopback unless the site says otherwise.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import random
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

from siteagent import __version__
from siteagent.agent import Agent
from siteagent.errors import AgentError, Refused
from siteagent.reporting import Report
from siteagent.server import Offer

log = logging.getLogger("hanse-siteagent")
_MAX_BODY = 1024 * 1024
_QUEUE = 64


class PushListener(ThreadingHTTPServer):
    """Puts pushed manifests that verify into `inbox`."""

    daemon_threads = True

    def __init__(self, host: str, port: int, agent: Agent) -> None:
        super().__init__((host, port), _PushHandler)
        self.agent = agent
        self.inbox: queue.Queue[Optional[Offer]] = queue.Queue(_QUEUE)

    def waits(self, offer: Offer) -> bool:
        """Whether the same push waits already: following it twice would tell nothing new."""
        with self.inbox.mutex:
            return offer in self.inbox.queue


class _PushHandler(BaseHTTPRequestHandler):
    server: PushListener
    server_version = f"hanse-siteagent/{__version__}"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, {"status": "ok"})
        else:
            self._problem(404, "This is a site agent; it takes POST /hanse/manifests.")

    def do_POST(self) -> None:
        if self.path != "/hanse/manifests":
            self._problem(404, "This is a site agent; it takes POST /hanse/manifests.")
            return
        try:
            offer = self._offer()
            self.server.agent.check(offer)
        except Refused as error:
            self._problem(403, str(error))
        except ValueError as error:
            self._problem(400, str(error))
        else:
            self._enqueue(offer)

    def _offer(self) -> Offer:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= _MAX_BODY:
            raise ValueError(f"The body must have between 1 and {_MAX_BODY} bytes.")
        return Offer.parse(json.loads(self.rfile.read(length)))

    def _enqueue(self, offer: Offer) -> None:
        try:
            if not self.server.waits(offer):
                self.server.inbox.put_nowait(offer)
        except queue.Full:
            self._problem(503, "Too many pushes are waiting; the next poll will bring the newest state.")
        else:
            self._answer(202, {"accepted": len(offer.manifests)})

    def _problem(self, status: int, detail: str) -> None:
        self._answer(status, {"status": status, "detail": detail}, "application/problem+json")

    def _answer(self, status: int, body: dict[str, Any], media_type: str = "application/json") -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        log.info("push: %s", format % args)


def serve(agent: Agent, listener: PushListener, interval_s: float) -> None:
    """Run until SIGTERM or SIGINT: a poll every `interval_s` seconds, and sooner after a failure."""
    stop = threading.Event()

    def finish(_signal: int, _frame: object) -> None:
        stop.set()
        # Wakes the loop below; a full queue wakes it anyway.
        if not listener.inbox.full():
            listener.inbox.put_nowait(None)

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    threading.Thread(target=listener.serve_forever, name="push", daemon=True).start()
    log.info("listening on %s port %d, polling every %g s", *listener.server_address[:2], interval_s)
    poll_loop(agent, listener.inbox, stop, interval_s)
    listener.shutdown()
    listener.server_close()


def poll_loop(
    agent: Agent, inbox: queue.Queue[Optional[Offer]], stop: threading.Event, interval_s: float
) -> None:
    """Follow pushes as they come, and poll whenever that is due, however many pushes wait, until `stop`."""
    failures = 0
    due = time.monotonic()
    while not stop.is_set():
        pause = due - time.monotonic()
        if pause <= 0:
            report = _logged(agent, None)
            failures = failures + 1 if report is None or report.problems else 0
            due = time.monotonic() + _pause(interval_s, failures)
            continue
        with contextlib.suppress(queue.Empty):
            pushed = inbox.get(timeout=pause)
            if pushed is not None:
                _logged(agent, pushed)


def _pause(interval_s: float, failures: int) -> float:
    """Seconds to the next poll. After a failure it comes sooner, after many as rarely as ever."""
    pause = interval_s if not failures else min(interval_s, 2.0**failures)
    return pause * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, no secret


def _logged(agent: Agent, pushed: Optional[Offer]) -> Optional[Report]:
    """One run, its outcome in the log; None when it could not be done, because of the agent's own folder or a fault
    of the agent: the next one is tried all the same.
    """
    try:
        report = agent.pull() if pushed is None else agent.receive(pushed)
    except (AgentError, OSError) as error:
        log.error("%s", error)
        return None
    except Exception:
        log.exception("this run failed; the next one is tried in its time")
        return None
    for vo in report.applied:
        log.info("applied %s", vo)
    for vo in report.acknowledged:
        log.info("acknowledged %s", vo)
    for sentence in report.sentences:
        log.warning("%s", sentence)
    return report
