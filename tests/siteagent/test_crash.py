"""SIGKILL at every step of an apply leaves the old state or the new one, and the next run finishes the
work.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from siteagent.atomic import replace_file

from .conftest import member

OLD = [member("Anna Lindqvist"), member("Tomás Vidal")]
NEW = [member("Tomás Vidal"), member("Marta Kowalska")]
STEPS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "fchmod")


def _killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that kills itself just before its `step`th file operation; False when it had
    fewer.
    """
    child = os.fork()
    if child == 0:
        taken = 0

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def operation(*arguments: object, **options: object) -> object:
                nonlocal taken
                taken += 1
                if taken > step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return operation

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_kill_at_every_step_leaves_old_or_new(site, federation) -> None:
    federation.publish(OLD, seq=1)
    site.agent().pull()
    old = [(site.state / name).read_bytes() for name in ("grid-mapfile", "mapping.json")]
    seen: set[tuple[bool, bool]] = set()
    sha256 = federation.publish(NEW, seq=2)
    new: list[bytes] = []
    backup = _copy(site.state)
    for step in range(200):
        _restore(site.state, backup)
        killed = _killed_at(step, lambda: site.agent().pull())
        files = [(site.state / name).read_bytes() for name in ("grid-mapfile", "mapping.json")]
        site.agent().pull()
        finished = [(site.state / name).read_bytes() for name in ("grid-mapfile", "mapping.json")]
        new = new or finished
        assert finished == new
        assert all(one in (before, after) for one, before, after in zip(files, old, new, strict=True))
        assert federation.acks[-1]["sha256"] == sha256
        assert federation.acks[-1]["errors"] == []
        seen.add((files[0] == new[0], files[1] == new[1]))
        if not killed:
            break
    else:
        pytest.fail("the apply never ended")
    # The kills did fall before, between and after the two files.
    assert seen == {(False, False), (True, False), (True, True)}


def _copy(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _restore(folder: Path, backup: dict[str, bytes]) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for name, content in backup.items():
        (folder / name).write_bytes(content)


WRITER = """
import sys
from pathlib import Path
from siteagent.atomic import replace_file
path, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    replace_file(path, (b"A" if turn % 2 else b"B") * 300_000)
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_reader_never_sees_half_a_file_whenever_the_writer_is_killed(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "grid-mapfile"
    replace_file(path, b"A" * 300_000)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(random.Random(seed).uniform(0.01, 0.2))
        writer.send_signal(signal.SIGKILL)
    content = path.read_bytes()
    assert content in (b"A" * 300_000, b"B" * 300_000)
    replace_file(path, b"C")
    assert path.read_bytes() == b"C"
    assert os.listdir(tmp_path) == ["grid-mapfile"]
