"""The supervisor: starts again what died, ends all of it, and takes everybody along when it is killed
itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.descendants import descendants_of, is_alive

SUPERVISED = """
import sys
from pathlib import Path
from demo.children import Program
from demo.supervisor import Supervisor

folder = Path(sys.argv[1])
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
STUBBORN += " print('up', flush=True); time.sleep(600)"
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
PARENT += " start_new_session=True); time.sleep(600)"
supervisor = Supervisor(folder / "run", folder / "logs", lambda line: print(line, flush=True))
supervisor.begin()
plain = [sys.executable, "-c", "import time; time.sleep(600)"]
supervisor.add([Program("first", plain, patience_s=2)])
supervisor.add([
    Program("stubborn", [sys.executable, "-c", STUBBORN], patience_s=0.5),
    Program("parent", [sys.executable, "-c", PARENT], patience_s=2),
    Program("later", plain, may_start=(folder / "now").exists, patience_s=2),
])
print("ready", flush=True)
try:
    supervisor.watch()
finally:
    supervisor.end()
print("ended", flush=True)
"""


def eventually(check: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def pid_of(folder: Path, name: str) -> int:
    return int((folder / "run" / f"{name}.pid").read_text())


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SUPERVISED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # the child of `parent` is a session of its own
        eventually(lambda: len(descendants_of(process.pid)) == 4)
        eventually(lambda: (tmp_path / "logs" / "stubborn.log").read_text() == "up\n")
        yield process
        process.kill()


def test_sigterm_ends_everybody_also_who_does_not_listen(supervisor, tmp_path: Path) -> None:
    below = descendants_of(supervisor.pid)
    supervisor.send_signal(signal.SIGTERM)
    said, _ = supervisor.communicate(timeout=20)
    assert "stubborn did not end in time and was killed" in said
    assert said.endswith("ended\n")
    assert not [pid for pid in below if is_alive(pid)]
    assert list((tmp_path / "run").glob("*.pid")) == [tmp_path / "run" / "supervisor.pid"]


@pytest.mark.parametrize("deadly", [signal.SIGINT, signal.SIGKILL])
def test_nobody_is_left_behind(supervisor, deadly: signal.Signals, tmp_path: Path) -> None:
    below = descendants_of(supervisor.pid) - {0}
    stray = descendants_of(pid_of(tmp_path, "parent"))
    assert len(stray) == 1
    supervisor.send_signal(deadly)
    supervisor.wait(timeout=20)
    # A grandchild in a session of its own has nobody to adopt it after SIGKILL; the services mark theirs
    # themselves.
    promised = below - stray if deadly == signal.SIGKILL else below
    eventually(lambda: not [pid for pid in promised if is_alive(pid)])
    for pid in filter(is_alive, stray):
        os.kill(pid, signal.SIGKILL)


def test_who_dies_is_started_again(supervisor, tmp_path: Path) -> None:
    before = pid_of(tmp_path, "first")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: pid_of(tmp_path, "first") != before and is_alive(pid_of(tmp_path, "first")))
    assert supervisor.stdout.readline().startswith("first ended (signal SIGKILL); starting it again")


def test_a_program_starts_when_it_may(supervisor, tmp_path: Path) -> None:
    assert not (tmp_path / "run" / "later.pid").exists()
    (tmp_path / "now").touch()
    eventually((tmp_path / "run" / "later.pid").exists)


def test_a_folder_has_one_supervisor(supervisor, tmp_path: Path) -> None:
    from demo.supervisor import AlreadyUp, Supervisor, running

    assert running(tmp_path / "run") == supervisor.pid
    with pytest.raises(AlreadyUp, match=f"process {supervisor.pid}"):
        Supervisor(tmp_path / "run", tmp_path / "logs", print).begin()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.wait(timeout=20)
    assert running(tmp_path / "run") is None


def test_a_program_that_never_stays_up_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    from demo.children import Child, Program

    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-S", "-c", "import sys; sys.exit('no luck today')"]
    child = Child(Program("unlucky", command), tmp_path / "run", tmp_path / "logs")
    begun = time.monotonic()
    while child.hopeless is None:
        assert time.monotonic() - begun < 30
        child.look()
        time.sleep(0.02)
    assert child.hopeless == "no luck today"
