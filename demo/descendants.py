"""Processes below this one: orphans are adopted, so that none can outlive the demo unseen."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on, a grandchild whose parent dies becomes our child (Linux; elsewhere nothing happens)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(pid: int) -> set[int]:
    """Process ids of the direct children of a process; empty where /proc does not tell."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.update(int(word) for word in task.read_text().split())
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants_of(pid: int) -> set[int]:
    """Process ids of everything below a process."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = children_of(waiting.pop()) - found
        found |= new
        waiting.extend(new)
    return found


def reap(known: Collection[int]) -> None:
    """Take the exit codes of adopted children that ended; `known` ones are left to who started them."""
    for pid in children_of(os.getpid()) - set(known):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue


def kill_all_below(patience_s: float = 5.0) -> int:
    """SIGKILL to every process below this one until there is none; returns how many were met."""
    met: set[int] = set()
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        alive = descendants_of(os.getpid())
        if not alive:
            break
        met |= alive
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        reap(())
        time.sleep(0.02)
    return len(met)
