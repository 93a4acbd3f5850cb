"""Runs one simulated cloud in the foreground until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from demo.cloud.admission import Doorman
from demo.cloud.configuration import CloudConfiguration
from demo.cloud.dialects import DIALECTS
from demo.cloud.faults import FaultFile
from demo.cloud.information import Informer
from demo.cloud.listener import Listener, TlsFiles
from demo.cloud.machines import Machines
from demo.cloud.messages import Request, Response
from demo.cloud.occi import OcciServer
from demo.cloud.outbox import Outbox, Sender
from demo.cloud.reporting import Reporter


def main() -> int:
    """Read the configuration and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.cloud", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see demo.cloud.configuration")
    configuration = CloudConfiguration.read(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    threading.excepthook = _end
    stop = threading.Event()
    for deadly in (signal.SIGTERM, signal.SIGINT):
        signal.signal(deadly, lambda *_: stop.set())
    run(configuration, stop)
    return 0


def _end(failure: threading.ExceptHookArgs) -> None:
    """A thread that reports or sends must not end unseen: the process ends, and the supervisor starts it
    again.
    """
    logging.critical("thread %s failed", failure.thread and failure.thread.name, exc_info=failure.exc_value)
    os._exit(1)


def run(configuration: CloudConfiguration, stop: threading.Event) -> None:
    """Serve one cloud until `stop`."""
    configuration.folder.mkdir(parents=True, exist_ok=True)
    dialect = DIALECTS[configuration.dialect](configuration.site)
    machines = Machines(
        configuration.folder / "machines.jsonl", configuration.capacity, configuration.network, time.time
    )
    doorman = Doorman(configuration.trust_dir, configuration.vomsdir, configuration.mapping, "127.0.0.1")
    occi = OcciServer(dialect, configuration.base, doorman, machines)
    changed, waiting, other = threading.Event(), threading.Event(), threading.Event()

    def answer(request: Request) -> Response:
        response = occi.answer(request)
        if request.method in ("POST", "DELETE") and response.status < 300:
            changed.set()
            other.set()
        return response

    outbox = Outbox(configuration.folder)
    reporter = Reporter(configuration, machines, outbox)
    sender = Sender(
        outbox, configuration.ams_url, configuration.ams_token, configuration.ca, configuration.site
    )
    threads = [
        threading.Thread(target=reporter.run, args=(stop, changed, waiting.set), name="report", daemon=True),
        threading.Thread(target=sender.run, args=(stop, waiting), name="send", daemon=True),
    ]
    if configuration.registry_url:
        informer = Informer(configuration, dialect, machines)
        threads.append(threading.Thread(target=informer.run, args=(stop, other), name="inform", daemon=True))
    for thread in threads:
        thread.start()
    good = TlsFiles(configuration.trust_dir, configuration.tls_cert, configuration.tls_key)
    bad = TlsFiles(configuration.trust_dir, configuration.expired_cert, configuration.expired_key)
    fault = FaultFile(configuration.folder)
    Listener(configuration.port, dialect.server, answer, fault, good, bad).run(stop)
    changed.set()
    waiting.set()
    other.set()


if __name__ == "__main__":
    sys.exit(main())
