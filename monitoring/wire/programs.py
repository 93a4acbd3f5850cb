"""Programs that are not ours, run for a probe: no shell, a bounded output, and an end together with the check."""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from monitoring.findings import Fault, Status

MOST_OUTPUT = 262_144
# Nothing of the worker's own environment: it may hold secrets.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended (negative = by a signal) and what it said, at most 256 KB of each."""

    code: int
    out: str
    err: str


async def run_program(words: Sequence[str]) -> Ended:
    """Run a program to its end; when the check's time is up it is killed with all that it started.

    Raises Fault bad-option (UNKNOWN) when there is no such program."""
    if not words or shutil.which(words[0], path=_ENVIRONMENT["PATH"]) is None:
        raise Fault(
            "bad-option", f"There is no program {' '.join(words[:1]) or 'named'!r} here", Status.UNKNOWN
        )
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_ENVIRONMENT,
        start_new_session=True,
        limit=MOST_OUTPUT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        out, err = await asyncio.gather(_read(process.stdout), _read(process.stderr))
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):  # its whole session, so that no child goes on
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return Ended(code, out, err)


async def _read(stream: asyncio.StreamReader) -> str:
    """All of it; what is too much is read and dropped, so that the program does not hang on a full pipe."""
    kept = b""
    while chunk := await stream.read(65_536):
        kept += chunk[: max(0, MOST_OUTPUT - len(kept))]
    return kept.decode("utf-8", "replace")
