"""Keeps the processes of a demo federation alive, and ends every one of them."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.children import Child, Program
from demo.descendants import adopt_orphans, kill_all_below, reap

_LOOK_S = 0.1
Say = Callable[[str], None]


class AlreadyUp(Exception):
    """Another supervisor works on the folder; the sentence says which."""


class Supervisor:
    """The children of one demo, in stages: those of the first stage end last. Use it from the main thread."""

    def __init__(self, run: Path, logs: Path, say: Say) -> None:
        self._run, self._logs, self._say = run, logs, say
        self._stages: list[list[Child]] = []
        self._lock: int | None = None
        self.stop = threading.Event()

    def begin(self) -> None:
        """Claim the folder and listen to SIGTERM and SIGINT. Raises AlreadyUp."""
        for folder in (self._run, self._logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._claim()
        adopt_orphans()
        for deadly in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(deadly, lambda *_: self.stop.set())

    def _claim(self) -> None:
        path = self._run / "supervisor.pid"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise AlreadyUp(
                f"A demo is up in {self._run.parent} already (process {running(self._run)})."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def add(self, programs: Sequence[Program]) -> None:
        """Start a further stage."""
        stage = [Child(program, self._run, self._logs) for program in programs]
        self._stages.append(stage)
        self.look()

    def look(self) -> None:
        """Start what has to be started, and say what was found dead."""
        children = [child for stage in self._stages for child in stage]
        for child in children:
            said = child.look()
            if said is not None:
                self._say(said)
        reap([child.pid for child in children if child.pid is not None])

    def hopeless(self) -> str | None:
        """A sentence about a program that ends at its start again and again; None when there is none."""
        for child in (child for stage in self._stages for child in stage):
            if child.hopeless is not None:
                return f"{child.program.name} does not stay up; it says: {child.hopeless}"
        return None

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Keep everything alive until `until` is true or the demo is to stop."""
        while not self.stop.is_set() and not until():
            self.look()
            self.stop.wait(_LOOK_S)

    def end(self) -> None:
        """End the stages, the last first, each at once; whatever does not end in time is killed."""
        for stage in reversed(self._stages):
            for child in stage:
                child.ask_to_end()
            begun = time.monotonic()
            for child in stage:
                if not child.end(begun + child.program.patience_s):
                    self._say(f"{child.program.name} did not end in time and was killed")
        kill_all_below()
        (self._run / "ready").unlink(missing_ok=True)
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)


def running(run: Path) -> int | None:
    """The process id of the supervisor that works on this folder; None when there is none."""
    path = run / "supervisor.pid"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Who holds the lock lives: a number in a file alone might belong to somebody else by now.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        word = os.read(descriptor, 32).strip()
        return int(word) if word.isdigit() else None
    finally:
        os.close(descriptor)
    return None
