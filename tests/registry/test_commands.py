"""`hanse registry ...` against a running registry, and what the machine itself may do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from hanse.identity.authority import Authority
from hanse.migrations import differences, heads
from registry.cli import group
from registry.jobs import jobs
from registry.models import metadatas
from registry.operators import add_operator

from .conftest import Cast, Registry


@pytest.fixture
def url(registry: Registry) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, registry.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str, expect: int = 0) -> str:
    result = CliRunner().invoke(group, list(arguments), standalone_mode=True)
    assert result.exit_code == expect, result.output
    return result.output


def test_a_file_is_exported_changed_planned_and_applied(registry: Registry, url: str, tmp_path: Path) -> None:
    token, file = tmp_path / "token", tmp_path / "federation.yaml"
    token.write_text(registry.tokens["Ingrid Holm"] + "\n")
    who = ("--url", url, "--token-file", str(token))
    run("export", str(file), *who)
    assert "Nothing to change" in run("plan", str(file), *who)
    file.write_text(file.read_text().replace("vcpu: 50", "vcpu: 80"))
    told = run("plan", str(file), *who, expect=2)
    assert "change site BIFI" in told
    assert "1 to change." in told
    run("apply", str(file), *who, expect=1)  # nobody says yes
    assert registry.get("/api/v1/sites/BIFI")["capacity"]["vcpu"] == 50
    assert "Applied as revision" in run("apply", str(file), "--yes", "--reason", "new racks", *who)
    assert registry.get("/api/v1/sites/BIFI")["capacity"]["vcpu"] == 80
    assert registry.get("/api/v1/history?limit=1")["items"][0]["reason"] == "new racks"
    assert run("export", "-", *who).count("vcpu: 80") == 1


def test_faults_are_sentences(registry: Registry, url: str, tmp_path: Path) -> None:
    token, file = tmp_path / "token", tmp_path / "federation.yaml"
    token.write_text(registry.tokens["Laura Gil"])
    file.write_text("sites: []\n")
    who = ("--url", url, "--token-file", str(token))
    assert "Only a federation operator may" in run("plan", str(file), *who, expect=1)
    token.write_text(registry.tokens["Ingrid Holm"])
    file.write_text("sites:\n  - {name: A, colour: red}\n")
    assert "sites.1.colour: no such key" in run("plan", str(file), *who, expect=1)
    assert "Say who you are" in run("plan", str(file), "--url", url, expect=2)
    silent = ("--url", "http://127.0.0.1:9", "--token-file", str(token))
    assert "127.0.0.1:9" in run("plan", str(file), *silent, expect=1)
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in run("plan", str(file), *who, expect=1)


def test_the_first_operator_is_made_on_the_machine_and_again(empty_registry: Registry, cast: Cast) -> None:
    db = empty_registry.db
    key = add_operator(db, cast["Eliška Malá"].cert, "")
    assert add_operator(db, cast["Eliška Malá"].cert, "Other") == key
    principal = Authority(db, {}).for_key(key)
    assert principal.has("federation_operator", "federation")
    assert principal.name == "Eliška Malá"
    assert len(empty_registry.get("/api/v1/people")["items"]) == 2


def test_models_and_migrations_agree_with_one_head(registry: Registry) -> None:
    assert differences("registry", registry.db.url, *metadatas) == []
    assert len(heads("registry")) == 1


def test_the_jobs_run_and_say_what_they_did(registry: Registry) -> None:
    said = {job.name: job.run() for job in jobs(registry.settings, registry.db)}
    expected = {"downtimes": "No downtime began or ended.", "tokens": "No token ended."}
    assert expected.items() <= said.items()
    assert {name: words for name, words in said.items() if not words.endswith(".")} == {}
    follows = registry.settings.model_copy(update={"vomsdb_url": "http://127.0.0.1:9"})
    assert [job.name for job in jobs(follows, registry.db)][-1] == "follow vomsdb"


def test_figures_for_prometheus_come_from_the_database(registry: Registry) -> None:
    told = registry.ask("GET", "/metrics", None).text
    assert 'hanse_registry_sites{certification="Certified"} 3.0' in told
    assert "hanse_registry_services 3.0" in told
    assert registry.ask("GET", "/readyz", None).status_code == 200
