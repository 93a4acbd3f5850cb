"""What people paste and run: the commands of /me in a real shell, and `hanse vomsdb`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hanse.cli import main
from tests.tls import serving
from tests.vomsdb.desks import Desk, free_port
from tests.vomsdb.test_attribute_authority import desk  # noqa: F401 - a fixture
from vomsdb import clients
from vomsdb.cli import group

VO = "training.egi.eu"


@pytest.mark.parametrize(
    "client",
    [
        pytest.param("java", marks=pytest.mark.peer("voms-clients-java")),
        pytest.param("cxx", marks=pytest.mark.peer("voms-clients")),
    ],
)
def test_the_commands_shown_to_a_member_give_a_proxy(desk: Desk, client: str, tmp_path: Path) -> None:  # noqa: F811
    desk.house.join("Anna Lindqvist")
    home = tmp_path / "home"
    (home / ".globus").mkdir(parents=True)
    anna = desk.house.cast["Anna Lindqvist"]
    (home / ".globus/usercert.pem").write_bytes(anna.cert_path.read_bytes())
    (home / ".globus/userkey.pem").write_bytes(anna.key_path.read_bytes())
    (home / ".globus/userkey.pem").chmod(0o400)
    proxy = home / "proxy"
    with serving(desk.house.app) as url:
        shown = clients.commands(VO, url, client, str(desk.house.settings.trust_dir))
        script = f"set -e\n{shown.once}\n{shown.daily}\n{shown.check}\n"
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "X509_USER_PROXY": str(proxy)}
        done = subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=90, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in shown.answer.splitlines():
        assert line in done.stdout


def _configured(house: Any, tmp_path: Path, **changes: Any) -> Path:
    settings = house.settings
    values = {
        "database_url": settings.database_url,
        "secret_key": settings.secret_key.get_secret_value(),
        "data_dir": str(settings.data_dir),
        "trust_dir": str(settings.trust_dir),
        "federation": settings.federation,
        "aa_host": "localhost",
        "aa_cert": str(settings.aa_cert),
        "aa_key": str(settings.aa_key),
        **changes,
    }
    path = tmp_path / "hanse.toml"
    lines = (
        f"{name} = {value!r}" if isinstance(value, int) else f'{name} = "{value}"'
        for name, value in values.items()
    )
    path.write_text("[vomsdb]\n" + "\n".join(lines) + "\n")
    return path


def test_replicate_tells_what_it_did_and_fails_when_sites_stay_behind(house: Any, tmp_path: Path) -> None:
    config = _configured(house, tmp_path)
    runner = CliRunner()
    done = runner.invoke(main, ["--config", str(config), "vomsdb", "replicate"])
    assert done.exit_code == 0, done.output
    assert "3 manifests signed for 2 sites; 0 agents took them, 0 did not." in done.output
    waited = runner.invoke(main, ["--config", str(config), "vomsdb", "replicate", "--wait", "0.1"])
    assert waited.exit_code == 1
    assert f"BIFI {VO}: no agent has joined" in waited.output
    unknown = runner.invoke(main, ["--config", str(config), "vomsdb", "replicate", "--site", "NOWHERE"])
    assert unknown.exit_code == 1
    assert "NOWHERE is not a site" in unknown.output
    assert {"serve", "jobs", "migrate", "operator", "aa", "replicate"} <= set(group.commands)


def test_the_attribute_authority_survives_its_workers_and_ends_when_told(house: Any, tmp_path: Path) -> None:
    port = free_port()
    config = _configured(house, tmp_path, aa_port=port, aa_processes=1)
    hanse = Path(sys.executable).with_name("hanse")
    running = subprocess.Popen([hanse, "--config", str(config), "vomsdb", "aa"], stderr=subprocess.PIPE)
    try:
        (worker,) = _children(running.pid, port)
        os.kill(worker, signal.SIGKILL)
        (other,) = _children(running.pid, port, without=worker)
        assert other != worker
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=15)
    assert running.returncode == 0
    assert not Path(f"/proc/{other}").exists()


def _children(parent: int, port: int, without: int = 0) -> list[int]:
    """The worker processes, when the port answers and they are there."""
    for _ in range(200):
        path = Path(f"/proc/{parent}/task/{parent}/children")
        found = [int(pid) for pid in path.read_text().split() if int(pid) != without] if path.exists() else []
        with socket.socket() as probe:
            if found and probe.connect_ex(("127.0.0.1", port)) == 0:
                return found
        time.sleep(0.1)
    raise AssertionError("no worker came up")


def test_the_authority_does_not_start_with_a_key_of_another_certificate(house: Any, tmp_path: Path) -> None:
    config = _configured(house, tmp_path, aa_key=str(house.cast["Anna Lindqvist"].key_path))
    done = CliRunner().invoke(main, ["--config", str(config), "vomsdb", "aa"])
    assert done.exit_code == 1
    assert "does not belong to its certificate" in done.output
