"""Starts the OCCI servers that are not ours, for tests: `with ooi() as url:`."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent.parent / ".peers"


@contextmanager
def pyssf() -> Iterator[str]:
    """The address of a fresh pyssf, for the block."""
    (folder,) = PEERS.glob("pyssf-*")
    port = free_port()
    with _running([sys.executable, "-W", "ignore", HERE / "pyssf_server.py", folder, str(port)]) as server:
        yield _answering(f"http://127.0.0.1:{port}/", server)


@contextmanager
def ooi(build_s: float = 0.3, images: int = 2) -> Iterator[str]:
    """The address of a fresh ooi whose machines build for `build_s` seconds, for the block."""
    port = free_port()
    command = [
        PEERS / "venv/bin/python",
        "-W",
        "ignore",
        HERE / "ooi_server.py",
        str(port),
        str(build_s),
        str(images),
    ]
    with _running(command) as server:
        yield _answering(f"http://127.0.0.1:{port}/ooi/", server)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[object]) -> Iterator[subprocess.Popen[bytes]]:
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


def _answering(url: str, server: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        if server.poll() is not None:
            _, said = server.communicate()
            raise RuntimeError(f"the peer at {url} ended: {said.decode(errors='replace')[-2000:]}")
        try:
            urllib.request.urlopen(f"{url}-/", timeout=5).close()
        except urllib.error.HTTPError:
            return url
        except OSError:
            time.sleep(0.1)
        else:
            return url
    raise RuntimeError(f"the peer at {url} does not answer")
