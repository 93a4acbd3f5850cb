"""The command: settings found, errors as sentences, jobs that end in time, the first operator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hanse.database import Database
from hanse.follow import followed
from hanse.identity.authority import Authority
from hanse.jobs import INTERRUPTED, last_runs
from hanse.service import LOCAL

PROGRAM = Path(__file__).with_name("cities.py")


class Cities:
    """The command line of the small service, with a settings file of its own."""

    def __init__(self, directory: Path, url: str, **more: object) -> None:
        self.directory = directory
        self.config = directory / "hanse.toml"
        lines = [f'database_url = "{url}"', 'secret_key = "sixteen characters"', f'data_dir = "{directory}"']
        lines += [f"{key} = {value}" for key, value in more.items()]
        self.config.write_text("[cities]\n" + "\n".join(lines) + "\n")

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, str(PROGRAM), "--config", str(self.config), "cities", *map(str, arguments)]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=60
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*arguments), stderr=subprocess.PIPE, text=True)


@pytest.fixture
def cities(tmp_path: Path, ground: Database) -> Cities:
    return Cities(tmp_path, ground.url)


def test_a_command_finds_its_settings_and_database(cities: Cities, ground: Database) -> None:
    ran = cities.run("where")
    assert ran.stdout.split() == [ground.url, "7"]


def test_the_environment_names_the_file_too(cities: Cities, ground: Database) -> None:
    environment = {**os.environ, "HANSE_CONFIG": str(cities.config)}
    command = [sys.executable, str(PROGRAM), "cities", "where"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.startswith(ground.url)


@pytest.mark.parametrize(
    ("change", "command", "said"),
    [
        (("database_url", "database_uri"), "where", "cities needs the setting database_url"),
        (("", ""), "refuse", "Lübeck is full. (vcpu: 64 of 64 are taken)"),
        (("?host=", "?host=/nowhere"), "where", "The database cannot be reached"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_1(
    cities: Cities, change: tuple[str, str], command: str, said: str
) -> None:
    cities.config.write_text(cities.config.read_text().replace(*change))
    ran = cities.run(command)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_installed_command_lists_the_services_without_importing_them() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hanse.cli", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for service in ("registry", "accounting", "monitoring", "vomsdb", "demo"):
        assert f"  {service} " in ran.stdout
        assert f" {service}.cli" not in ran.stderr


# --- jobs ---


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_jobs_run_and_end_at_sigterm(cities: Cities, ground: Database) -> None:
    process = cities.start("jobs")
    wait_for(cities.directory / "started")
    process.terminate()
    _, log = process.communicate(timeout=15)
    assert process.returncode == 0
    assert '"event": "jobs started"' in log
    with ground.transaction() as session:
        (run,) = last_runs(session)
    assert (run.job, run.outcome) == ("count", "ok")


def test_a_job_that_does_not_end_is_cut_off_after_ten_seconds_and_known_as_interrupted(
    tmp_path: Path, ground: Database
) -> None:
    cities = Cities(tmp_path, ground.url, slow_s=300)
    process = cities.start("jobs")
    wait_for(tmp_path / "started")
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert 5 < time.monotonic() - began < 11
    (tmp_path / "started").unlink()
    again = Cities(tmp_path, ground.url).start("jobs")
    wait_for(tmp_path / "started")
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=20)
    with ground.transaction() as session:
        first = session.execute(text("select outcome, detail from job_run order by id limit 1")).one()
    assert tuple(first) == ("failed", INTERRUPTED)


# --- the first operator ---


def test_the_holder_of_a_certificate_becomes_operator_on_this_machine(
    cities: Cities, ground: Database, cast: Any
) -> None:
    ingrid = cast["Ingrid Holm"]
    for _ in range(2):  # repeatable
        ran = cities.run("operator", "add", "--cert", ingrid.cert_path)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("Ingrid Holm is a federation operator of cities (x509:")
    principal = Authority(ground).for_certificate_chain([ingrid.cert])
    assert principal.has("federation_operator", "federation")
    assert principal.name == "Ingrid Holm"
    assert not Authority(ground).for_certificate_chain([cast["Laura Gil"].cert]).grants
    with ground.transaction() as session:
        assert len(followed(session, LOCAL, "grant")) == 1


def test_the_operators_name_may_be_given(cities: Cities, cast: Any) -> None:
    ran = cities.run(
        "operator", "add", "--cert", cast["Ingrid Holm"].cert_path, "--name", "The operator on duty"
    )
    assert ran.stdout.startswith("The operator on duty is")


def test_what_is_no_certificate_is_told(cities: Cities, cast: Any) -> None:
    key = cities.run("operator", "add", "--cert", cast["Ingrid Holm"].key_path)
    assert (key.returncode, "is not a certificate in PEM form" in key.stderr) == (1, True)
    nothing = cities.run("operator", "add", "--cert", "/nowhere.pem")
    assert (nothing.returncode, "cannot be read" in nothing.stderr) == (1, True)


def test_a_package_without_migrations_is_not_said_to_be_migrated(cities: Cities) -> None:
    ran = cities.run("migrate")
    assert ran.returncode != 0
    assert "up to date" not in ran.stdout
