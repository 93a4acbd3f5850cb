"""Child processes that are kept alive: started, watched, started again, and ended without leaving anybody
behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hanse.children import die_with_parent

_BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0
_HOPELESS = 5


@dataclass(frozen=True)
class Program:
    """What to run. `may_start` is asked before each start; `deadly` is what the kernel sends when we die."""

    name: str
    command: Sequence[str]
    may_start: Callable[[], bool] = lambda: True
    deadly: signal.Signals = signal.SIGKILL
    patience_s: float = 12.0
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One program and its present process. All methods are for the main thread: the kernel's signal at the
    parent's death follows the thread that started the child.
    """

    def __init__(self, program: Program, run: Path, logs: Path) -> None:
        self.program = program
        self._pid_file = run / f"{program.name}.pid"
        self._log = logs / f"{program.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._failures = 0
        self._due = 0.0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def hopeless(self) -> str | None:
        """What it said last, when it has ended at its start again and again."""
        return self._last_words() if self._failures >= _HOPELESS else None

    def look(self) -> str | None:
        """Start it when it does not run and is due; a sentence when it was found dead."""
        now = time.monotonic()
        said = None
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return None
            self._process = None
            self._failures = 0 if now - self._began > _STEADY_S else self._failures + 1
            pause = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]
            self._due = now + pause
            said = f"{self.program.name} ended ({_how(code)}); starting it again in {pause:g} s"
            if code > 0:
                said += f"; it said: {self._last_words()}"
        if now >= self._due and self.program.may_start():
            self._start(now)
        return said

    def _start(self, now: float) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal is for the supervisor, which ends its children in order.
                start_new_session=True,
                preexec_fn=die_with_parent(self.program.deadly),  # noqa: PLW1509 - it only calls prctl and getppid
                env={**os.environ, **self.program.environment},
            )
        self._began = now
        self._pid_file.write_text(f"{self._process.pid}\n")

    def _last_words(self) -> str:
        """The last line of its log."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 2000))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "nothing"

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def end(self, deadline: float) -> bool:
        """Wait until `deadline` (monotonic), then kill it with its whole session; False when it had to be
        killed.
        """
        process, self._process = self._process, None
        self._pid_file.unlink(missing_ok=True)
        if process is None:
            return True
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
            return True
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            process.wait()
            return False


def kill_group(pid: int) -> None:
    """SIGKILL to a process group, gone or not."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
