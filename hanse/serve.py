"""Serving: one process imports the application, then forks a gunicorn for plain HTTP and one that ends TLS.

gunicorn does TLS for all of its sockets or for none, so there are two; forked from one import they share its
memory. Above both stands a small watch: it holds the listening sockets, starts a listener that died again,
and ends all within 10 seconds of SIGTERM. Whoever dies by SIGKILL takes those below along.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from hanse.children import die_with_parent
from hanse.errors import Unavailable
from hanse.identity.tls import gunicorn_hook, server_context
from hanse.settings import ServiceSettings

GRACE_S = 8
STOP_S = 10
SILENT_WORKER_S = 60
_QUICK_DEATH_S = 2.0
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - for gunicorn's heartbeats, which must never wait for a disk
log = structlog.get_logger(__name__)


class _JsonLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's own lines go the way of all others (hanse.logs)."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True


class _Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """gunicorn with an application that is there already and options of ours."""

    def __init__(self, app: Flask, options: dict[str, Any]) -> None:
        self._app = app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._app


@dataclass
class _Listener:
    """One gunicorn: its name in the logs, the sockets it listens on, and its process."""

    name: str
    sockets: list[socket.socket]
    options: dict[str, Any]
    pid: int = 0
    began: float = 0.0


def serve(name: str, settings: ServiceSettings, create_app: Callable[[], Flask]) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code.

    Raises Unavailable with a sentence when an address is taken, and TrustError when TLS has no usable files.
    """
    listeners = [_Listener("http", [_listen(settings.host, settings.port)], _options(settings))]
    places = _tls_places(settings)
    if places:
        server_context(settings)  # unusable files are said here, once, and not at each connection
        tls = {**_options(settings), **_tls_options(settings)}
        listeners.append(_Listener("https", [_listen(host, port) for host, port in places], tls))
    app = create_app()
    return _Watch(name, app, listeners).run()


def _tls_places(settings: ServiceSettings) -> list[tuple[str, int]]:
    """Hosts and ports of the TLS side: its own, and the further ones."""
    own = [(settings.host, settings.tls_port)] if settings.tls_port else []
    further = [each.rpartition(":") for each in settings.listen_extra]
    return own + [(host.strip("[]"), int(port)) for host, _, port in further]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        raise Unavailable(f"{host} port {port} cannot be listened on: {error.strerror}.") from error
    return listening


def _options(settings: ServiceSettings) -> dict[str, Any]:
    return {
        "worker_class": "gthread",
        "workers": settings.workers,
        "threads": settings.threads,
        "preload_app": True,
        "timeout": SILENT_WORKER_S,
        "graceful_timeout": GRACE_S,
        "keepalive": 5,
        "control_socket_disable": True,
        "logger_class": _JsonLogger,
        "accesslog": None,
        "worker_tmp_dir": str(_IN_MEMORY) if _IN_MEMORY.is_dir() else None,
        # a header says nothing about who or where the caller is: addresses come from the settings
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "post_fork": _after_worker_fork,
    }


def _tls_options(settings: ServiceSettings) -> dict[str, Any]:
    hook = gunicorn_hook(settings)
    return {
        # naming the files is what makes gunicorn end TLS; the context is the hook's
        "certfile": str(settings.tls_cert),
        "keyfile": str(settings.tls_key),
        "ssl_context": hook,
        "do_handshake_on_connect": False,
    }


# set in each listener, before it forks its workers
_worker_follows_parent: Callable[[], None] = lambda: None  # noqa: E731


def _after_worker_fork(_arbiter: Any, _worker: Any) -> None:
    _worker_follows_parent()


class _Watch:
    """Keeps the listeners alive and ends them."""

    def __init__(self, name: str, app: Flask, listeners: list[_Listener]) -> None:
        self._name = name
        self._app = app
        self._listeners = listeners
        self._stopping = False

    def run(self) -> int:
        for deadly in (signal.SIGTERM, signal.SIGINT):
            signal.signal(deadly, self._stop)
        for listener in self._listeners:
            self._fork(listener)
        addresses = {each.name: ", ".join(map(_address, each.sockets)) for each in self._listeners}
        log.info("serving", addresses=addresses, pid=os.getpid())
        code = 0
        while not self._stopping:
            died = self._one_that_died()
            if died is None:
                time.sleep(0.1)  # a signal cuts it short
            elif time.monotonic() - died.began < _QUICK_DEATH_S:
                log.error("listener ended at its start; giving up", listener=died.name)
                code = 1
                break
            else:
                log.warning("listener died; starting it again", listener=died.name)
                self._fork(died)
        self._end_all()
        return code

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _fork(self, listener: _Listener) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        listener.began = time.monotonic()
        follow_me = die_with_parent(signal.SIGTERM)
        listener.pid = os.fork()
        if listener.pid == 0:
            for deadly in (signal.SIGTERM, signal.SIGINT):
                signal.signal(deadly, signal.SIG_DFL)
            follow_me()
            self._run_listener(listener)

    def _run_listener(self, listener: _Listener) -> None:
        """In the child: never returns, so that nothing of the parent's stack runs twice."""
        global _worker_follows_parent
        code = 1
        try:
            os.setsid()  # Ctrl-C at the terminal is for the watch, which ends us in order
            _worker_follows_parent = die_with_parent(signal.SIGTERM)
            # gunicorn closes the numbers that it is given, and the watch needs its own for the next start
            bind = [f"fd://{os.dup(each.fileno())}" for each in listener.sockets]
            _Gunicorn(self._app, {**listener.options, "bind": bind, "proc_name": self._name}).run()
            code = 0
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 1
        except BaseException:  # it has to end here, whatever it is, and be said
            log.exception("listener failed", listener=listener.name)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _one_that_died(self) -> _Listener | None:
        for listener in self._listeners:
            if listener.pid:
                pid, _status = os.waitpid(listener.pid, os.WNOHANG)
                if pid:
                    listener.pid = 0
                    return listener
        return None

    def _end_all(self) -> None:
        for listener in self._listeners:
            _send(listener.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S - 1
        while any(listener.pid for listener in self._listeners):
            if self._one_that_died() is None:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        for listener in self._listeners:
            if listener.pid:
                log.warning("listener did not end in time; killing it", listener=listener.name)
                _send(listener.pid, signal.SIGKILL)
                os.waitpid(listener.pid, 0)
            for each in listener.sockets:
                each.close()


def _address(listening: socket.socket) -> str:
    return "{}:{}".format(*listening.getsockname()[:2])


def _send(pid: int, deadly: signal.Signals) -> None:
    if pid:
        try:
            os.kill(pid, deadly)
        except ProcessLookupError:
            return
