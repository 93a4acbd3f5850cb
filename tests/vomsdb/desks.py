"""The attribute authority on a port of its own, Debian's clients before it, and bytes over TLS."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hanse.identity import voms
from vomsdb import clients, groups
from vomsdb.protocols import voms_authority

VO = "training.egi.eu"
Done = subprocess.CompletedProcess[str]
JAVA, CXX = "voms-proxy-init3", "voms-proxy-init2"


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

    def init(
        self,
        program: str,
        name: str,
        *more: str,
        voms: str = VO,
        shown: Any = None,
        certificates: Path | None = None,
    ) -> Done:
        """voms-proxy-init of somebody of the cast; the proxy lands in `proxy`. `certificates`: its CAs."""
        issued = shown or self.house.cast[name]
        dash = "--" if program.endswith("3") else "-"
        options = {
            "voms": voms,
            "cert": issued.cert_path,
            "key": issued.key_path,
            "out": self.proxy,
            "vomses": self.vomses,
            "certdir": certificates or self.house.settings.trust_dir,
        }
        if program == JAVA:
            options["vomsdir"] = self.vomsdir
        command = [
            program,
            *(str(word) for pair in options.items() for word in (dash + pair[0], pair[1])),
            *more,
        ]
        return self.run(command)

    @property
    def proxy(self) -> Path:
        return self.folder / "proxy.pem"

    def run(self, command: list[str]) -> Done:
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "X509_CERT_DIR": str(self.house.settings.trust_dir),
            "X509_VOMS_DIR": str(self.vomsdir),
        }
        return subprocess.run(
            command, capture_output=True, text=True, timeout=90, env=environment, check=False
        )

    def chain(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.proxy.read_bytes())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(house: Any, folder: Path, **more: Any) -> Iterator[Desk]:
    """An authority with one process, and its clients' files, until the block ends."""
    port = free_port()
    given = {"aa_port": port, "aa_processes": 1, "aa_timeout_s": 2.0, **more}
    house.settings = settings = house.settings.model_copy(update=given)
    child = os.fork()
    if child == 0:
        voms_authority.run(settings)
        os._exit(0)
    try:
        desk = Desk(house, port, folder)
        write_client_files(desk)
        _wait_for(port)
        yield desk
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def write_client_files(desk: Desk) -> None:
    """vomses and .lsc files as the service tells them now."""
    texts = clients.all_files(VO, desk.house.settings)
    (desk.vomsdir / VO).mkdir(parents=True, exist_ok=True)
    for one in texts:
        (desk.vomsdir / VO / f"{one.host}.lsc").write_text(one.lsc)
    desk.vomses.write_text("".join(one.vomses for one in texts))
    desk.vomses.chmod(0o644)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the attribute authority did not start")


both = pytest.mark.parametrize(
    "program",
    [
        pytest.param(JAVA, marks=pytest.mark.peer("voms-clients-java")),
        pytest.param(CXX, marks=pytest.mark.peer("voms-clients")),
    ],
)


def fqans_of(desk: Desk) -> list[tuple[str, ...]]:
    """The FQANs of each attribute certificate in the proxy."""
    return [c.fqans for c in voms.extract(desk.chain()[0])]


def equip(desk: Desk, member: Any, *fqans: str) -> None:
    """Groups, roles and the member's share in them, by the VO's manager."""
    by = desk.house.principal("Marta Kowalska")
    with desk.house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/students", "", by)
    with desk.house.db.transaction() as session:
        groups.create_role(session, VO, "operator", "", by)
    for fqan in fqans:
        with desk.house.db.transaction() as session:
            groups.give(session, member.id, fqan, by)


def speak(desk: Desk, sent: bytes, name: str | None = "Anna Lindqvist", *, files: Any = None) -> bytes:
    """What the authority answers, to the end of the connection, to bytes over TLS."""
    context = ssl.create_default_context(cafile=str(desk.house.settings.trust_dir / ca_file(desk)))
    if files is not None:
        context.load_cert_chain(*files)
    elif name is not None:
        issued = desk.house.cast[name]
        context.load_cert_chain(issued.cert_path, issued.key_path)
    with (
        socket.create_connection(("127.0.0.1", desk.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(sent)
        received = b""
        while part := tls.recv(65536):
            received += part
        return received


def ca_file(desk: Desk) -> str:
    return next(p.name for p in desk.house.settings.trust_dir.glob("*.pem"))


def rest(path: str) -> bytes:
    return f"GET {path} HTTP/1.0\nUser-Agent: voms APIs 2.0\nHost: localhost\n\n".encode()


def refused_with(desk: Desk, files: tuple[Path, ...], words: str) -> None:
    """Asks until alert or answer has the words: the authority looks at its trust folder once a second."""
    told = ""
    for _ in range(100):
        told = refusal(desk, files).lower()
        if words in told:
            return
        time.sleep(0.1)
    raise AssertionError(f"{words!r} is not in {told!r}")


def refusal(desk: Desk, files: tuple[Path, ...]) -> str:
    """The alert of the handshake, or the answer."""
    try:
        return speak(desk, rest(f"/generate-ac?fqans=/{VO}"), files=files).decode()
    except ssl.SSLError as alert:
        return str(alert)
