"""`hanse monitoring probe` as Nagios runs it, and `hanse monitoring worker` as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hanse.migrations import differences
from monitoring.findings import Figure, Result, Status
from monitoring.models import metadatas
from monitoring.nagios import plugin_output
from tests.monitoring.federation import Federation
from tests.monitoring.hostile import http, saying, serving
from tests.monitoring.test_failures import MODEL, PLAIN
from tests.peers.occi import free_port, ooi, pyssf

HANSE = [sys.executable, "-c", "from hanse.cli import main; main()"]


def plugin(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*HANSE, "monitoring", "probe", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


@pytest.mark.peer("ooi", "pyssf")
def test_the_plugin_on_servers_that_are_not_ours() -> None:
    for start in (ooi, pyssf):
        with start() as url:
            code, line = plugin("occi-categories", "--endpoint", url)
        assert code == 0, line
        assert line.startswith("OCCI-CATEGORIES OK - ")
        assert " | time=" in line


def test_the_plugins_exit_codes() -> None:
    with serving(saying(http("200 OK", MODEL, PLAIN))) as port:
        address = f"http://127.0.0.1:{port}/"
        assert plugin("tcp", "--endpoint", address)[0] == 0
        assert plugin("http", "--endpoint", address, "--option", "statuses=500")[0] == 2
        code, line = plugin("occi-categories", "--endpoint", address, "--option", "kinds=quantum")
        assert (code, line.partition(" | ")[0]) == (
            2,
            "OCCI-CATEGORIES CRITICAL - The OCCI server does not offer quantum",
        )
    assert plugin("tcp", "--endpoint", f"http://127.0.0.1:{free_port()}/")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("tcp", "--endpoint", "nonsense"),
        ("tcp", "--endpoint", "http://x.example/", "--option", "kinds=compute"),
        ("tcp", "--endpoint", "http://x.example/", "--option", "nonsense"),
        ("tcp",),
        ("ping", "--endpoint", "http://x.example/"),
        ("tcp", "--endpoint", "http://x.example/", "--timeout", "soon"),
    ],
)
def test_wrong_use_is_unknown_as_nagios_wants_it(arguments: tuple[str, ...]) -> None:
    code, line = plugin(*arguments)
    assert code == 3
    assert "UNKNOWN - " in line
    assert "\n" not in line


def test_the_whole_result_as_json(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a secret token\n")
    with serving(saying(http("200 OK", MODEL, PLAIN))) as port:
        address = f"http://127.0.0.1:{port}/"
        code, text = plugin("occi-categories", "--endpoint", address, "--json", "--token-file", str(token))
    result = json.loads(text)
    assert (code, result["status"], result["reason"]) == (0, "ok", "")
    assert [phase["name"] for phase in result["phases"]][:2] == ["lookup", "connect"]
    assert "a secret token" not in text


def test_perfdata_is_quoted_where_it_must_be() -> None:
    figures = (
        Figure("days left", 12.5, "", "30:", "0:"),
        Figure("time", None, "s"),
        Figure("a=b'c", 1234567.0, "B"),
    )
    line = plugin_output("x", Result(Status.WARNING, "so\nand|so", "", 0.0, figures))
    assert line == "X WARNING - so and¦so | 'days left'=12.5;30:;0: time=U 'a=bc'=1.23457e+06B"


def test_a_worker_process_probes_and_ends_when_it_is_told(federation: Federation, tmp_path: Path) -> None:
    with serving(saying(http("200 OK", MODEL, PLAIN))) as port:
        federation.endpoint("CESNET", f"http://127.0.0.1:{port}/")
        federation.adopt()
        federation.due_all()
        environment = {
            **os.environ,
            "HANSE_MONITORING_DATABASE_URL": federation.settings.database_url,
            "HANSE_SECRET_KEY": "a secret of the tests alone",
            "HANSE_MONITORING_TRUST_DIR": str(tmp_path),
        }
        worker = subprocess.Popen([*HANSE, "monitoring", "worker"], env=environment, stderr=subprocess.PIPE)
        try:
            ends = time.monotonic() + 40
            while federation.state("cesnet") != "ok" and time.monotonic() < ends:
                assert worker.poll() is None
                time.sleep(0.2)
            assert federation.state("cesnet") == "ok"
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=15)
        finally:
            worker.kill()
    assert worker.returncode == 0
    assert b"worker stopped" in said


def test_models_and_migrations_agree(federation: Federation) -> None:
    assert differences("monitoring", federation.settings.database_url, *metadatas) == []
