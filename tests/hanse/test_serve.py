"""Serving as the command does it: two listeners of one import, their lives and deaths."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.ca import CertificateAuthority, Issued

PROGRAM = Path(__file__).with_name("tiny_service.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """The tiny service as a process; `who` asks it over HTTP or, with `tls`, HTTPS."""

    def __init__(self, directory: Path, ca: CertificateAuthority, settings: dict[str, Any]) -> None:
        self.directory = directory
        self.settings = settings
        self._bundle = str(ca.bundle)
        (directory / "settings.json").write_text(json.dumps(settings, default=str))
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, PROGRAM, directory], stderr=log, stdout=log)

    def url(self, path: str, *, tls: bool = False) -> str:
        scheme, port = ("https", "tls_port") if tls else ("http", "port")
        return f"{scheme}://localhost:{self.settings[port]}{path}"

    def who(self, *, tls: bool = False, cert: Issued | None = None, **headers: str) -> dict[str, Any]:
        answer = requests.get(
            self.url("/who", tls=tls),
            headers=headers,
            verify=self._bundle,
            cert=(str(cert.cert_path), str(cert.key_path)) if cert else None,
            timeout=10,
        )
        answer.raise_for_status()
        return dict(answer.json())

    def until_up(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.who()
                if self.settings["tls_port"]:
                    self.who(tls=True)
                return
            except requests.RequestException:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def family(self) -> set[int]:
        """All processes of the service, by the program's folder in their command lines."""
        return {
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and str(self.directory).encode() in _command_line(entry)
        }

    def wait_until_gone(self, seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while self.family():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def settings(tmp_path: Path, ca: CertificateAuthority, cast: Any, trust_dir: Path) -> dict[str, Any]:
    host = cast.local()
    return {
        "service": "tiny",
        "database_url": "postgresql://postgres@/nothing",
        "secret_key": "a secret of the tests alone",
        "port": free_port(),
        "tls_port": free_port(),
        "trust_dir": trust_dir,
        "tls_cert": host.cert_path,
        "tls_key": host.key_path,
        "data_dir": tmp_path,
        "workers": 1,
        "threads": 4,
    }


@pytest.fixture
def start(
    tmp_path: Path, ca: CertificateAuthority, settings: dict[str, Any]
) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def make(**changes: Any) -> Served:
        directory = tmp_path / f"tiny{len(started)}"
        directory.mkdir()
        started.append(Served(directory, ca, {**settings, **changes}))
        return started[-1]

    yield make
    for each in started:
        each.process.kill()
        each.process.wait(10)
        each.wait_until_gone()


@pytest.fixture
def served(start: Callable[..., Served]) -> Served:
    up = start()
    up.until_up()
    return up


def test_both_listeners_serve_one_import(served: Served) -> None:
    plain, tls = served.who(), served.who(tls=True)
    assert (plain["scheme"], tls["scheme"]) == ("http", "https")
    assert plain["listener"] != tls["listener"]
    assert (served.directory / "imports").read_text().split() == [str(served.process.pid)]


def test_a_client_certificate_is_welcome_and_not_required(served: Served, cast: Any) -> None:
    assert served.who(tls=True)["names"] == []
    names = served.who(tls=True, cert=cast["Ingrid Holm"])["names"]
    assert names[0] == "CN=Ingrid Holm,OU=People,O=Hanse Demo,C=EU"


def test_a_revoked_certificate_is_refused_as_soon_as_the_list_says_so(
    served: Served, ca: CertificateAuthority
) -> None:
    thief = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=A Thief")
    assert served.who(tls=True, cert=thief)["names"]
    ca.revoke(thief.cert)
    own = Path(served.settings["trust_dir"]) / ca.crl_path.name
    own.with_suffix(".new").write_bytes(ca.crl_path.read_bytes())
    own.with_suffix(".new").rename(own)
    with pytest.raises(requests.RequestException):
        served.who(tls=True, cert=thief)
    assert served.who(tls=True)["names"] == []


def test_headers_of_a_client_change_neither_scheme_nor_address_nor_path(served: Served) -> None:
    forged = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "10.0.0.1",
        "SCRIPT_NAME": "/evil",
        "Script-Name": "/x",
    }
    told = served.who(**forged)
    assert (told["scheme"], told["remote"], told["root"]) == ("http", "127.0.0.1", "")


def test_without_a_tls_port_there_is_one_listener(start: Callable[..., Served]) -> None:
    plain = start(tls_port=0)
    plain.until_up()
    assert len(plain.family()) == 3  # the watch, the listener, its worker


def test_the_tls_side_listens_at_further_addresses_too(start: Callable[..., Served], cast: Any) -> None:
    ports = [free_port(), free_port()]
    up = start(listen_extra=[f"127.0.0.1:{port}" for port in ports])
    up.until_up()
    listeners = set()
    for port in ports:
        up.settings["tls_port"] = port
        told = up.who(tls=True, cert=cast["Ingrid Holm"])
        assert told["scheme"] == "https"
        assert told["names"]
        listeners.add(told["listener"])
    assert len(listeners) == 1


def test_a_worker_that_is_killed_is_replaced(served: Served) -> None:
    for tls in (False, True):
        before = served.who(tls=tls)
        os.kill(before["pid"], signal.SIGKILL)
        after = _ask_until_answered(served, tls=tls)
        assert after["pid"] != before["pid"]
        assert after["listener"] == before["listener"]


def test_a_listener_that_is_killed_is_started_again_and_its_workers_do_not_stay(served: Served) -> None:
    time.sleep(2.1)  # one that dies within two seconds of its start is not tried again
    for tls in (False, True):
        before = served.who(tls=tls)
        os.kill(before["listener"], signal.SIGKILL)
        deadline = time.monotonic() + 15
        while _ask_until_answered(served, tls=tls)["pid"] == before["pid"]:
            assert time.monotonic() < deadline, "the orphaned worker goes on serving"
            time.sleep(0.1)
        assert _ask_until_answered(served, tls=tls)["listener"] != before["listener"]
        assert before["pid"] not in served.family()
    assert len((served.directory / "imports").read_text().split()) == 1


def _ask_until_answered(served: Served, *, tls: bool) -> dict[str, Any]:
    deadline = time.monotonic() + 15
    while True:
        try:
            return served.who(tls=tls)
        except requests.RequestException:
            assert time.monotonic() < deadline, served.log.read_text()
            time.sleep(0.05)


def test_sigterm_ends_all_and_lets_requests_under_way_finish(served: Served) -> None:
    answers: list[str] = []
    asking = threading.Thread(
        target=lambda: answers.append(requests.get(served.url("/slow?s=1.5"), timeout=20).text)
    )
    asking.start()
    time.sleep(0.5)
    began = time.monotonic()
    served.process.terminate()
    assert served.process.wait(15) == 0
    assert time.monotonic() - began < 10
    asking.join(10)
    assert answers == ["done"]
    assert served.family() == set()


def test_sigterm_takes_ten_seconds_at_most(served: Served) -> None:
    def ask() -> None:
        with pytest.raises(requests.RequestException):
            requests.get(served.url("/slow?s=60"), timeout=30)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    began = time.monotonic()
    served.process.terminate()
    served.process.wait(15)
    assert time.monotonic() - began < 10.5
    asking.join(10)
    served.wait_until_gone(2)


def test_ctrl_c_ends_all(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(15) == 0
    assert served.family() == set()


def test_a_killed_watch_takes_everybody_along(served: Served) -> None:
    assert len(served.family()) == 5
    served.process.kill()
    served.process.wait(10)
    served.wait_until_gone()


def test_it_can_be_killed_and_started_on_the_same_ports_at_once(
    served: Served, start: Callable[..., Served]
) -> None:
    served.process.kill()
    served.process.wait(10)
    served.wait_until_gone()
    start().until_up()


def test_a_port_that_is_taken_is_one_sentence(served: Served, start: Callable[..., Served]) -> None:
    second = start()
    assert second.process.wait(20) == 1
    said = second.log.read_text().strip()
    assert said == f"127.0.0.1 port {served.settings['port']} cannot be listened on: Address already in use."


def test_tls_files_that_cannot_be_used_are_one_sentence(start: Callable[..., Served]) -> None:
    without = start(tls_cert="/nowhere/hostcert.pem")
    assert without.process.wait(20) == 1
    assert "/nowhere/hostcert.pem" in without.log.read_text()
    assert "Traceback" not in without.log.read_text()


def test_every_line_of_the_log_is_json_and_no_control_socket_is_made(served: Served, tmp_path: Path) -> None:
    served.process.terminate()
    served.process.wait(15)
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert {"serving", "Using worker: gthread"} <= {line["event"] for line in lines}
    assert not [line for line in lines if "ontrol" in line["event"]]
