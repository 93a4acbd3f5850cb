"""`hanse doctor` finds each planted fault, says what to do, and says nothing bad of what is in order."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from hanse.cli import main
from hanse.database import Database
from hanse.doctor import files, network
from hanse.doctor.advice import Advice, Level, Patient
from hanse.doctor.databases import database
from hanse.doctor.rounds import CHECKS, configured
from hanse.settings import ServiceSettings
from tests.peers.occi import free_port

PatientFor = Callable[..., Patient]
# True of the tests' own PostgreSQL, which lives in memory.
FORGETFUL = "It acknowledges what is not on the disk yet."


@pytest.fixture
def db(database_for: Callable[[str], Database]) -> Database:
    """The registry's database, as its migrations make it."""
    return database_for("registry")


@pytest.fixture
def patient_for(settings_for: Callable[..., Any], db: Database) -> PatientFor:
    """`patient_for(smtp_port=1)`: a registry with these settings."""

    def make(**changes: Any) -> Patient:
        return Patient("registry", "registry", settings_for(ServiceSettings, "registry", db, **changes))

    return make


class Neighbour(ThreadingHTTPServer):
    """Something that answers /healthz."""

    daemon_threads = True

    def __init__(self, name: str, date: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said = json.dumps({"status": "ok", "service": name}).encode()
        self.date = date
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    server: Neighbour

    def do_GET(self) -> None:
        self.send_response_only(200)
        if self.server.date:
            self.send_header("Date", self.server.date)
        self.send_header("Content-Length", str(len(self.server.said)))
        self.end_headers()
        self.wfile.write(self.server.said)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def neighbour() -> Iterator[Callable[..., Neighbour]]:
    """`neighbour("accounting")`: started, and stopped at the end."""
    running: list[tuple[Neighbour, threading.Thread]] = []

    def start(name: str, date: str = "") -> Neighbour:
        server = Neighbour(name, date)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def worst(advice: Iterator[Advice]) -> Advice:
    """The worst of what was said; what is not good says what to do."""
    found = [one for one in advice if one.said != FORGETFUL]
    assert all(one.do for one in found if one.level is not Level.GOOD)
    return max(found, key=lambda one: one.level)


# --- in order ---


def test_a_healthy_service_has_nothing_bad(
    patient_for: PatientFor, neighbour: Callable[..., Neighbour]
) -> None:
    itself, other = neighbour("registry"), neighbour("accounting")
    patient = patient_for(port=itself.port, accounting_url=other.url)
    found = [one for check in CHECKS for one in check(patient)]
    assert [one.said for one in found if one.level is Level.BAD] == [FORGETFUL]
    parts = {one.part for one in found if one.level is Level.GOOD}
    assert parts >= {"database", "clock", "migrations", "secrets", "trust_dir", "port", "accounting_url"}


# --- planted faults ---


def test_a_database_that_is_away(patient_for: PatientFor) -> None:
    told = worst(database(patient_for(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")))
    assert (told.level, told.part) == (Level.BAD, "database")
    assert "cannot be reached" in told.said


def test_tables_of_another_version(patient_for: PatientFor, db: Database) -> None:
    with db.transaction() as session:
        session.execute(text("update alembic_version set version_num = '0000'"))
    told = worst(database(patient_for()))
    assert (told.level, told.part) == (Level.BAD, "migrations")
    assert "hanse registry migrate" in told.do


def test_a_database_that_only_reads(patient_for: PatientFor, db: Database) -> None:
    name = db.engine.url.database
    with db.transaction() as session:
        session.execute(text(f'alter database "{name}" set default_transaction_read_only = on'))
    told = worst(database(patient_for()))
    assert "only reads" in told.said


def test_a_certificate_that_has_ended(patient_for: PatientFor, ca: Any) -> None:
    ended = ca.issue("/C=EU/O=Hanse Demo/OU=Hosts/CN=ended", host="127.0.0.1", days=-1, file_name="ended")
    patient = patient_for(tls_port=1, tls_cert=ended.cert_path, tls_key=ended.key_path)
    told = worst(files.certificates(patient))
    assert (told.level, told.part) == (Level.BAD, "tls_cert")
    assert "held until" in told.said


def test_a_certificate_that_ends_soon_is_noted(patient_for: PatientFor, ca: Any) -> None:
    soon = ca.issue("/C=EU/O=Hanse Demo/OU=Hosts/CN=soon", host="127.0.0.1", days=10, file_name="soon")
    patient = patient_for(tls_port=1, tls_cert=soon.cert_path, tls_key=soon.key_path)
    assert worst(files.certificates(patient)).level is Level.NOTE


def test_a_key_of_another_certificate(patient_for: PatientFor, cast: Any) -> None:
    told = worst(files.certificates(patient_for(tls_port=1, tls_key=cast["Anna Lindqvist"].key_path)))
    assert "belongs to another certificate" in told.said


def test_a_certificate_for_another_host(patient_for: PatientFor) -> None:
    told = worst(files.certificates(patient_for(tls_port=1, tls_url="https://registry.example.org:7011")))
    assert "is not for registry.example.org" in told.said


@pytest.mark.parametrize("content", [None, b"not a certificate"])
def test_a_certificate_that_is_none(patient_for: PatientFor, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "host.pem"
    if content is not None:
        path.write_bytes(content)
    assert worst(files.certificates(patient_for(tls_port=1, tls_cert=path))).level is Level.BAD


def test_a_key_that_others_can_read(patient_for: PatientFor, tmp_path: Path, cast: Any) -> None:
    key = tmp_path / "key.pem"
    shutil.copy(cast.local().key_path, key)
    key.chmod(0o644)
    told = worst(files.secrets(patient_for(tls_key=key)))
    assert (told.level, told.part, told.do) == (Level.BAD, "tls_key", f"chmod 600 {key}")


def test_a_revocation_list_that_has_ended(patient_for: PatientFor, tmp_path: Path, trust_dir: Path) -> None:
    from demo.ca import CertificateAuthority

    old = CertificateAuthority.create(tmp_path / "old", "An old CA")
    old.write_crl(-5)
    told = worst(files.trust(patient_for(trust_dir=old.trust_dir)))
    assert (told.level, told.part) == (Level.BAD, "trust_dir")
    assert "hanse trust refresh" in told.do
    old.write_crl(5)
    assert worst(files.trust(patient_for(trust_dir=old.trust_dir))).level is Level.NOTE


def test_no_ca_at_all(patient_for: PatientFor, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no CA" in worst(files.trust(patient_for(trust_dir=empty))).said
    assert "cannot be read" in worst(files.trust(patient_for(trust_dir=tmp_path / "none"))).said


def test_a_disk_that_is_full(patient_for: PatientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = patient_for()
    monkeypatch.setattr("hanse.doctor.files.LEAST_FREE_BYTES", 10**18)
    assert "Make room" in worst(files.disk(patient)).do


def test_a_folder_that_is_not_there(patient_for: PatientFor, tmp_path: Path) -> None:
    assert "is not there" in worst(files.disk(patient_for(data_dir=tmp_path / "none"))).said


def test_a_port_that_something_else_has(patient_for: PatientFor, neighbour: Callable[..., Neighbour]) -> None:
    told = worst(network.ports(patient_for(port=neighbour("something").port)))
    assert (told.level, told.part) == (Level.BAD, "port")
    assert "Something else listens" in told.said
    assert worst(network.ports(patient_for(port=free_port()))).level is Level.NOTE


def test_a_port_that_is_silent_is_taken_too(patient_for: PatientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanse.doctor.network.ANSWER_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        patient = patient_for(tls_port=silent.getsockname()[1], tls_url="https://127.0.0.1")
        assert "Something else listens" in worst(network.ports(patient)).said


def test_a_neighbour_that_is_another_and_one_that_is_away(
    patient_for: PatientFor, neighbour: Callable[..., Neighbour]
) -> None:
    wrong = worst(network.neighbours(patient_for(vomsdb_url=neighbour("accounting").url)))
    assert (wrong.level, wrong.part) == (Level.BAD, "vomsdb_url")
    away = worst(network.neighbours(patient_for(vomsdb_url=f"http://127.0.0.1:{free_port()}")))
    assert away.level is Level.NOTE


def test_clocks_that_are_apart(patient_for: PatientFor, neighbour: Callable[..., Neighbour]) -> None:
    late = neighbour("accounting", "Tue, 01 Jan 2030 00:00:00 GMT")
    told = worst(network.neighbours(patient_for(accounting_url=late.url)))
    assert (told.level, told.part) == (Level.BAD, "clock")


def test_a_mail_relay_that_is_away(patient_for: PatientFor) -> None:
    told = worst(network.mail(patient_for(smtp_host="127.0.0.1", smtp_port=free_port())))
    assert (told.level, told.part) == (Level.BAD, "smtp_host")
    assert worst(network.mail(patient_for())).level is Level.NOTE


def test_few_files(patient_for: PatientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanse.doctor.network.FEW_FILES", 10**9)
    assert worst(network.machine(patient_for())).part == "files"


# --- the command ---


def test_the_command_says_it_and_ends_with_1(tmp_path: Path, ground: Database, trust_dir: Path) -> None:
    config = tmp_path / "hanse.toml"
    config.write_text(
        f'[registry]\ndatabase_url = "{ground.url}"\nsecret_key = "sixteen characters"\nport = {free_port()}\n'
        f'data_dir = "{tmp_path}"\ntrust_dir = "{trust_dir}"\ntls_port = 0\n'
    )
    assert configured(config, {}) == ["registry"]
    ran = CliRunner().invoke(main, ["--config", str(config), "doctor"])
    assert ran.exit_code == 1
    assert "BAD   migrations: The tables are not those of this version." in ran.output
    assert "hanse registry migrate" in ran.output
    assert "  ok  " not in ran.output
    everything = CliRunner().invoke(main, ["--config", str(config), "doctor", "registry", "--all", "--json"])
    rows = json.loads(everything.output)["registry"]
    assert {row["level"] for row in rows} == {"good", "note", "bad"}


def test_settings_that_cannot_be_used_are_the_first_fault(tmp_path: Path) -> None:
    config = tmp_path / "hanse.toml"
    config.write_text('[accounting]\ndatabase_url = "mysql://x"\nsecret_key = "sixteen characters"\n')
    ran = CliRunner().invoke(main, ["--config", str(config), "doctor"])
    assert ran.exit_code == 1
    assert "accounting: 0 in order, 0 to note, 1 bad" in ran.output
    assert "database_url" in ran.output
    unknown = CliRunner().invoke(main, ["doctor", "mailman"])
    assert unknown.exit_code == 2
    assert "There is no service mailman" in unknown.output


def test_which_services_are_looked_at(tmp_path: Path) -> None:
    assert configured(None, {}) == ["accounting", "monitoring", "registry", "vomsdb"]
    assert configured(None, {"HANSE_MONITORING_DATABASE_URL": "postgresql://x"}) == ["monitoring"]
    assert configured(tmp_path / "none", {}) == ["accounting", "monitoring", "registry", "vomsdb"]
