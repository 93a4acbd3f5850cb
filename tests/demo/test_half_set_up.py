"""An `up` that was killed while the federation was being set up is completed by the next one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.descendants import descendants_of, is_alive

from .conftest import Federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hanse-demo-"))
    made.chmod(0o755)
    yield made / "demo"
    shutil.rmtree(made, ignore_errors=True)


def test_the_next_up_completes_what_was_begun(folder: Path) -> None:
    command = [sys.executable, "-m", "hanse.cli", "demo", "up", "--ports", "free", "--data", str(folder)]
    for line in ("the operator applied", "people registered", "VOs created"):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
            assert up.stdout is not None
            below: set[int] = set()
            for said in up.stdout:
                if line in said:
                    below = descendants_of(up.pid)
                    os.kill(up.pid, signal.SIGKILL)
            assert below, f"{line!r} was never said"
        deadline = time.monotonic() + 30
        while any(is_alive(pid) for pid in below):
            assert time.monotonic() < deadline, "a process outlived the supervisor"
            time.sleep(0.1)
    demo = Federation(folder)
    try:
        done = demo.hanse("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        story = demo.hanse("story", "--seed", "1")
        assert story.returncode == 0, story.stdout + story.stderr
    finally:
        demo.hanse("down")
