"""The attribute authority on its port: Debian's clients get proxies that verify, and reasons they can show."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hanse.identity import voms
from hanse.identity.proxies import create_proxy
from hanse.identity.trust import TrustStore
from vomsdb import clients, groups, members
from vomsdb.protocols import voms_authority

VO = "training.egi.eu"


@dataclass
class Desk:
    """A running attribute authority, and the folders a client on this machine needs."""

    house: Any
    port: int
    folder: Path

    @property
    def vomses(self) -> Path:
        return self.folder / "vomses"

    @property
    def vomsdir(self) -> Path:
        return self.folder / "vomsdir"

    def init(self, program: str, name: str, *more: str, voms: str = VO) -> subprocess.CompletedProcess[str]:
        """voms-proxy-init of somebody of the cast; the proxy lands in `proxy`."""
        issued = self.house.cast[name]
        dash = "--" if program.endswith("3") else "-"
        options = {
            "voms": voms,
            "cert": issued.cert_path,
            "key": issued.key_path,
            "out": self.proxy,
            "vomses": self.vomses,
            "vomsdir": self.vomsdir,
            "certdir": self.house.settings.trust_dir,
        }
        command = [program, *(str(word) for pair in options.items() for word in (dash + pair[0], pair[1])), *more]
        return self.run(command)

    @property
    def proxy(self) -> Path:
        return self.folder / "proxy.pem"

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "X509_CERT_DIR": str(self.house.settings.trust_dir),
            "X509_VOMS_DIR": str(self.vomsdir),
        }
        return subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment, check=False)

    def chain(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.proxy.read_bytes())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def desk(house: Any, tmp_path: Path) -> Iterator[Desk]:
    port = _free_port()
    settings = house.settings.model_copy(update={"aa_port": port, "aa_processes": 1, "aa_timeout_s": 2.0})
    house.settings = settings
    child = os.fork()
    if child == 0:
        voms_authority.run(settings)
        os._exit(0)
    desk = Desk(house, port, tmp_path)
    _write_client_files(desk)
    _wait_for(port)
    yield desk
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)


def _write_client_files(desk: Desk) -> None:
    texts = clients.files(VO, desk.house.settings.aa_cert, "localhost", desk.port)
    (desk.vomsdir / VO).mkdir(parents=True)
    (desk.vomsdir / VO / "localhost.lsc").write_text(texts.lsc)
    desk.vomses.write_text(texts.vomses)
    desk.vomses.chmod(0o644)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the attribute authority did not start")


JAVA, CXX = "voms-proxy-init3", "voms-proxy-init2"
both = pytest.mark.parametrize(
    "program",
    [
        pytest.param(JAVA, marks=pytest.mark.peer("voms-clients-java")),
        pytest.param(CXX, marks=pytest.mark.peer("voms-clients")),
    ],
)


@both
def test_the_proxy_of_a_member_verifies_everywhere(desk: Desk, program: str) -> None:
    desk.house.join("Anna Lindqvist")
    done = desk.init(program, "Anna Lindqvist")
    assert done.returncode == 0, done.stdout + done.stderr
    chain = desk.chain()
    found = voms.from_proxy(
        chain[:1], chain[1], vomsdir=desk.vomsdir, trust=TrustStore(desk.house.settings.trust_dir)
    )
    assert [c.fqans for c in found] == [(f"/{VO}/Role=NULL/Capability=NULL",)]
    assert TrustStore(desk.house.settings.trust_dir).verify(chain).identity.subject_slash.endswith("/CN=Anna Lindqvist")
    checked = desk.run(
        ["openssl", "verify", "-allow_proxy_certs", "-CApath", str(desk.house.settings.trust_dir)]
        + ["-untrusted", str(desk.proxy), str(desk.proxy)]
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
