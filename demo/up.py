"""Brings a demo federation up, and keeps it up until it is told to end."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import psycopg

from demo import credentials, ports, programs, settings_file
from demo.bootstrap import Bootstrap, Say
from demo.calls import Untrue
from demo.cast import SERVICES
from demo.layout import Layout, State
from demo.supervisor import Supervisor
from hanse.http import HttpError, fetch

_PATIENCE_S = 120.0


class NotUp(Exception):
    """The demo could not be brought up; the sentence says where to look."""


def prepare(data: Path, how: str, say: Say) -> Layout:
    """Folder, ports, certificates and settings of the demo in `data`; what is there is kept."""
    data.mkdir(parents=True, exist_ok=True)
    state = State.read(data)
    if state is None:
        state = State(ports.chosen(how))
        state.write(data)
        moved = [name for name, port in ports.DEFAULT.items() if state.ports[name] != port]
        if how == "default" and moved:
            say(f"some default ports are taken; others are used for {', '.join(moved)}")
    layout = Layout(data, state.ports)
    for folder in (
        layout.run,
        layout.logs,
        layout.mail,
        layout.vomsdir,
        layout.postgres,
        *_service_folders(layout),
    ):
        folder.mkdir(parents=True, exist_ok=True)
    return layout


def _service_folders(layout: Layout) -> list[Path]:
    return [layout.data / "services" / name for name in SERVICES]


class Demo:
    """One run of the supervisor over a demo federation."""

    def __init__(self, layout: Layout, say: Say) -> None:
        self.layout = layout
        self._say = say
        self.supervisor = Supervisor(layout.run, layout.logs, say)

    def start(self) -> bool:
        """Start everything and set the federation up; False when told to stop meanwhile. Raises NotUp."""
        supervisor, layout = self.supervisor, self.layout
        settings_file.write(layout)
        supervisor.add([programs.postgres(layout)])
        supervisor.add([programs.sinks(layout)])
        # The keys take seconds of one processor; the database starts meanwhile on the other.
        self._in_background(lambda: credentials.prepare(layout), "certificates made")
        self._in_background(self._databases_up, "PostgreSQL is up")
        self._in_background(self._migrate, "databases migrated")
        if supervisor.stop.is_set():
            return False
        supervisor.add(programs.servers(layout))
        supervisor.add(programs.clouds(layout))
        supervisor.add(programs.agents(layout))
        # The services follow one another's feeds in their jobs: setting up needs these too.
        supervisor.add(programs.workers(layout))
        self._in_background(self._set_up, "the federation is set up")
        self._in_background(self._services_ready, "all services are ready")
        return not supervisor.stop.is_set()

    def _in_background(self, work: object, done: str) -> None:
        """Do `work` in a thread while the main thread keeps the children alive. Raises NotUp for what it
        raised.
        """
        assert callable(work)
        failures: list[Exception] = []

        def run() -> None:
            try:
                work()
            except (Untrue, NotUp, OSError, HttpError, psycopg.Error, subprocess.SubprocessError) as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.supervisor.watch(until=lambda: not thread.is_alive() or self.supervisor.hopeless() is not None)
        if self.supervisor.stop.is_set():
            return
        hopeless = self.supervisor.hopeless()
        if hopeless is not None:
            failures.insert(0, NotUp(hopeless))
        if failures:
            raise NotUp(f"{failures[0]} (logs are in {self.layout.logs})")
        self._say(done)

    def _databases_up(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        for service in SERVICES:
            while not _connects(settings_file.database_url(self.layout, service)):
                if time.monotonic() > deadline or self.supervisor.stop.is_set():
                    raise NotUp("PostgreSQL did not come up")
                time.sleep(0.1)

    def _migrate(self) -> None:
        run_once(programs.migrations(self.layout), self.layout.logs / "migrate.log")

    def _set_up(self) -> None:
        state = State.read(self.layout.data)
        assert state is not None
        if not state.set_up:
            bootstrap = Bootstrap(self.layout, self._say)
            bootstrap.add_operator()
            bootstrap.run()
            state.set_up = True
            state.write(self.layout.data)

    def _services_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        waiting = list(SERVICES)
        while waiting and not self.supervisor.stop.is_set():
            for name in [name for name in waiting if _ready(self.layout.url(name))]:
                self._say(f"{name} is ready")
                waiting.remove(name)
            if waiting and time.monotonic() > deadline:
                raise NotUp(f"{', '.join(waiting)} did not become ready")
            time.sleep(0.1 if waiting else 0)

    def mark_ready(self) -> None:
        """Tell `up --detach` that the demo is up."""
        (self.layout.run / "ready").write_text(f"{os.getpid()}\n")


def run_once(command: list[str], log: Path) -> None:
    """Run a command to its end; raises NotUp with what it said last when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    log.write_text(done.stdout)
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines() or ["nothing was said"]
        raise NotUp(f"{' '.join(command[1:3])} failed: {lines[-1]}")


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def _ready(url: str) -> bool:
    try:
        return fetch("GET", f"{url}/readyz", deadline_s=5).status == 200
    except HttpError:
        return False
