"""Child processes that end when their parent does, however the parent ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(deadly: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` (or the first call in a forked child): `deadly` comes when the parent dies, also by
    SIGKILL.

    Linux only, a no-op elsewhere. "Parent" is the thread that forked: use one that stays. A change of
    user clears it, so call it after that (`subprocess` runs `preexec_fn` last).
    """
    parent = os.getpid()
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded here: little is safe between fork and exec

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(deadly), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), deadly)

    return ask
