"""One simulated cloud on a free port, with a member whom the site's mapping knows."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.ca import CertificateAuthority, Issued
from demo.cloud.admission import Doorman
from demo.cloud.dialects import DIALECTS
from demo.cloud.faults import FaultFile
from demo.cloud.listener import Listener, TlsFiles
from demo.cloud.machines import Machines
from demo.cloud.occi import OcciServer
from demo.cloud.things import Capacity
from demo.descendants import descendants_of
from demo.layout import Layout, State
from demo.ports import free
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import create_proxy
from hanse.identity.voms import SigningAuthority, proxy_extension
from hanse.identity.vomsdir import write_lsc
from hanse.occi.client import OcciClient

VO = "training.egi.eu"
CAPACITIES = {
    "CESNET": ("rocci", Capacity(vcpu=64, ram_gb=110, storage_tb=1)),
    "BIFI": ("ooi", Capacity(vcpu=50, ram_gb=50, volumes=50, public_ips=50)),
}


@pytest.fixture(scope="session")
def authority(ca: CertificateAuthority) -> SigningAuthority:
    issued = ca.issue("/C=EU/O=Hanse Demo/OU=Federation/CN=voms.hanse.example", host="127.0.0.1")
    return SigningAuthority([issued.cert], issued.key, "localhost", 15001)


@pytest.fixture(scope="session")
def cloud_host(ca: CertificateAuthority) -> Issued:
    return ca.issue("/C=EU/O=Hanse Demo/OU=CESNET/CN=occi.cesnet.example", host="127.0.0.1")


@pytest.fixture(scope="session")
def expired_host(ca: CertificateAuthority) -> Issued:
    subject = "/C=EU/O=Hanse Demo/OU=CESNET/CN=occi.cesnet.example"
    return ca.issue(subject, host="127.0.0.1", days=-1, file_name="expired")


def mapped(issued: Issued, vo: str = VO, account: str = "training001", hours: float = 1) -> dict[str, Any]:
    """An entry of the mapping as the site agent writes it."""
    identity = X509Identity.from_certificate(issued.cert)
    until = datetime.now(UTC) + timedelta(hours=hours)
    return {
        "vo": vo,
        "member": "1",
        "subject_der": base64.b64encode(identity.subject_der).decode(),
        "issuer_der": base64.b64encode(identity.issuer_der).decode(),
        "dn": identity.subject_slash,
        "dn_rfc2253": "",
        "account": account,
        "fqans": [f"/{vo}"],
        "not_after": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@dataclass
class Cloud:
    """A cloud that is served, and what its site has put beside it."""

    url: str
    folder: Path
    ca: CertificateAuthority
    authority: SigningAuthority
    tmp: Path
    reopen: Callable[[], Machines]

    @property
    def fault(self) -> FaultFile:
        return FaultFile(self.folder)

    def map(self, *entries: dict[str, Any]) -> None:
        document = {"format": "hanse-mapping", "version": 1, "identities": list(entries)}
        (self.folder / "mapping.json").write_text(json.dumps(document))

    def attributes(self, issued: Issued, vo: str = VO) -> bytes:
        now = datetime.now(UTC)
        lifetime = (now - timedelta(minutes=5), now + timedelta(hours=1))
        return self.authority.issue(issued.cert, vo, [f"/{vo}"], lifetime)

    def proxy(self, issued: Issued, *certificates: bytes, limited: bool = False) -> tuple[Path, Path]:
        extensions = [proxy_extension(certificates)] if certificates else []
        path = self.tmp / f"proxy-{time.monotonic_ns()}.pem"
        path.write_bytes(create_proxy(issued.cert, issued.key, limited=limited, extensions=extensions))
        return path, path

    def client(self, cert: tuple[Path, Path] | None) -> OcciClient:
        return OcciClient(self.url, cert=cert, ca=self.ca.bundle, deadline_s=5)

    def member(self, issued: Issued) -> OcciClient:
        """A client of somebody who is mapped here and has a VOMS proxy."""
        return self.client(self.proxy(issued, self.attributes(issued)))


def _await_listener(port: int) -> None:
    """Until a cloud listens; its thread binds the port when its turn comes."""
    ends = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return


@pytest.fixture(params=sorted(CAPACITIES))
def cloud(
    request: pytest.FixtureRequest,
    ca: CertificateAuthority,
    authority: SigningAuthority,
    cloud_host: Issued,
    expired_host: Issued,
    tmp_path: Path,
) -> Iterator[Cloud]:
    dialect_name, capacity = CAPACITIES[request.param]
    dialect = DIALECTS[dialect_name](request.param)
    folder = tmp_path / "cloud"
    folder.mkdir()
    lsc = tmp_path / "vomsdir" / VO / "localhost.lsc"
    lsc.parent.mkdir(parents=True)
    lsc.write_text(write_lsc(authority.chain))
    port = free()
    url = f"https://127.0.0.1:{port}/ooi/"

    def reopen() -> Machines:
        return Machines(folder / "machines.jsonl", capacity, "192.0.2", time.time)

    doorman = Doorman(ca.trust_dir, tmp_path / "vomsdir", folder / "mapping.json", "127.0.0.1")
    server = OcciServer(dialect, url, doorman, reopen())
    good = TlsFiles(ca.trust_dir, cloud_host.cert_path, cloud_host.key_path)
    bad = TlsFiles(ca.trust_dir, expired_host.cert_path, expired_host.key_path)
    stop = threading.Event()
    listener = Listener(port, dialect.server, server.answer, FaultFile(folder), good, bad)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    _await_listener(port)
    yield Cloud(url, folder, ca, authority, tmp_path, reopen)
    stop.set()
    thread.join()


class Federation:
    """A demo that is up in a folder of its own, worked by its commands."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def hanse(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """`hanse demo WORDS --data ...`."""
        command = [sys.executable, "-m", "hanse.cli", "demo", *words, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    @property
    def supervisor(self) -> int:
        return int((self.data / "run" / "supervisor.pid").read_text())

    @property
    def layout(self) -> Layout:
        state = State.read(self.data)
        assert state is not None
        return Layout(self.data, state.ports)

    def processes(self) -> set[int]:
        """Every process of the demo."""
        return {self.supervisor} | descendants_of(self.supervisor)


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    """Up on free ports; down, and its folder gone, at the end. PostgreSQL's user must be able to enter it."""
    folder = Path(tempfile.mkdtemp(prefix="hanse-demo-"))
    folder.chmod(0o755)
    demo = Federation(folder / "demo")
    try:
        up = demo.hanse("up", "--detach", "--ports", "free")
        assert up.returncode == 0, up.stdout + up.stderr
        yield demo
    finally:
        demo.hanse("down")
        shutil.rmtree(folder, ignore_errors=True)
