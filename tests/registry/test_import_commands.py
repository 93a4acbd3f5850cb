"""`hanse registry import ...`: on the machine, and over the API; a plan first, a report at the end."""

from __future__ import annotations

import base64
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from hanse.cli import main
from hanse.errors import Refused, TooLarge
from hanse.identity import names
from registry.importing import archive
from registry.importing.issuers import Issuer, identity_of, read_policies

from .conftest import ISSUER, Registry

GOCDB = Path(__file__).with_name("samples") / "gocdb"
FEDCLOUD = Path(__file__).with_name("samples") / "fedcloud"


@pytest.fixture
def url(registry: Registry) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, registry.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def machine(registry: Registry, tmp_path: Path) -> list[str]:
    """`hanse --config` as on the registry's own machine."""
    config = tmp_path / "hanse.toml"
    config.write_text(
        f'[registry]\ndatabase_url = "{registry.db.url}"\nsecret_key = "a secret of the tests alone"\n'
    )
    return ["--config", str(config), "registry", "import"]


def run(*arguments: str, expect: int = 0, typed: str | None = None) -> str:
    result = CliRunner().invoke(main, list(arguments), input=typed, standalone_mode=True)
    assert result.exit_code == expect, f"{result.exception!r} {result.output[-1500:]}"
    return result.output


def test_on_the_machine_a_plan_is_shown_asked_for_and_carried_out(
    registry: Registry, machine: list[str], tmp_path: Path
) -> None:
    told = run(*machine, "gocdb", str(GOCDB), "--plan")
    assert "ALFA-CLOUD" in told
    assert "26 to add" in told
    assert "not read: access_test.xml" in told
    assert [one["name"] for one in registry.get("/api/v1/sites")["items"]] == ["BIFI", "CESNET", "UKIM"]
    run(*machine, "gocdb", str(GOCDB), expect=1)  # nobody says yes
    report = tmp_path / "report.json"
    told = run(
        *machine, "gocdb", str(GOCDB), "--source-name", "goc.example.org", "--yes", "--json", str(report)
    )
    assert "Imported: revisions" in told
    assert len(registry.get("/api/v1/sites")["items"]) == 7
    found = json.loads(report.read_text())
    assert found["counts"]["add"] == 26
    assert found["revisions"]
    (event,) = registry.get("/api/v1/history?kind=site&site=ALFA-CLOUD")["items"]
    assert event["actor_name"] == "the command on the machine"
    assert "to add" not in run(*machine, "gocdb", str(GOCDB), "--source-name", "goc.example.org", "--yes")


def test_over_the_api_it_is_the_same(registry: Registry, url: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(registry.tokens["Ingrid Holm"])
    who = ["--url", url, "--token-file", str(token)]
    told = run("registry", "import", "gocdb", str(GOCDB), "--plan", *who)
    assert "26 to add" in told
    assert "Imported: revisions" in run("registry", "import", "gocdb", str(GOCDB), "--yes", *who)
    assert len(registry.get("/api/v1/sites")["items"]) == 7
    told = run("registry", "import", "fedcloud", str(FEDCLOUD), "--yes", *who)
    assert "CESNET-MCCG2" in told
    assert "Imported: revisions" in told
    assert registry.get("/api/v1/sites/BIFI")["supports"][0]["project_id"]


def test_a_running_gocdb_is_read_by_its_address(
    registry: Registry, url: str, machine: list[str], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(registry.tokens["Ingrid Holm"])
    told = run(*machine, "gocdb", url, "--gocdb-token-file", str(token), "--json", "-", "--plan")
    report = json.loads(told[told.index("{\n") :])
    assert report["unread"] == []
    assert {one["action"] for one in report["findings"]} <= {"keep", "same"}  # it is read into itself


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["gocdb", "no/such/folder"], "neither an address nor a file"),
        (["gocdb", "ftp://goc.example/"], "no address"),
        (["gocdb", "http://127.0.0.1:9/"], "cannot be read"),
        (["gocdb", str(FEDCLOUD)], "no answer of a GOCDB"),
        (["fedcloud", str(GOCDB)], "no site file"),
        (["gocdb", str(GOCDB), "--issuers", str(GOCDB)], "no signing policy"),
    ],
)
def test_faults_are_sentences(machine: list[str], arguments: list[str], why: str) -> None:
    result = CliRunner().invoke(main, [*machine, *arguments])
    assert result.exit_code != 0
    assert why in result.output.replace("\n", " ")


def test_a_person_is_linked_where_a_signing_policy_says_who_issued(
    registry: Registry, machine: list[str], tmp_path: Path
) -> None:
    policy = tmp_path / "Demo.signing_policy"
    policy.write_text(
        "access_id_CA X509 '/DC=org/DC=example/CN=Example CA'\n"
        "pos_rights globus CA:sign\n"
        'cond_subjects globus \'"/DC=org/DC=example/*" "/DC=net/*"\'\n'
    )
    run(*machine, "gocdb", str(GOCDB), "--issuers", str(tmp_path), "--yes")
    (ada,) = registry.get("/api/v1/people?q=Ada")["items"]
    (identity,) = ada["identities"]
    assert identity["subject"] == "/DC=org/DC=example/CN=Ada Test"
    assert identity["issuer"] == "/DC=org/DC=example/CN=Example CA"


def test_people_can_stay_out(registry: Registry, machine: list[str]) -> None:
    run(*machine, "gocdb", str(GOCDB), "--without-people", "--yes")
    assert registry.get("/api/v1/people?q=Ada")["items"] == []


def test_two_cas_that_claim_a_subject_link_nobody() -> None:
    issuers = [Issuer("/CN=A", ("/C=EU/*",)), Issuer("/CN=B", ("/C=EU/CN=*",))]
    assert "several CAs" in str(identity_of("/C=EU/CN=Ada", issuers))
    assert "no signing policy" in str(identity_of("/C=NO/CN=Ada", issuers))
    found = identity_of("/C=EU/O=x/CN=Ada", issuers)
    assert not isinstance(found, str)
    assert found.issuer_slash == "/CN=A"
    assert names.parse(ISSUER)


def test_a_policy_may_name_several_cas(tmp_path: Path) -> None:
    (tmp_path / "x.signing_policy").write_text(
        "access_id_CA X509 '/CN=A'\ncond_subjects globus '\"/C=A/*\"'\n"
        "access_id_CA X509 '/CN=B'\n cond_subjects  globus  '/C=B/*'\n"
    )
    assert read_policies(tmp_path) == [Issuer("/CN=A", ("/C=A/*",)), Issuer("/CN=B", ("/C=B/*",))]


def packed(**members: bytes) -> str:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(f"{name}.xml", content)
    return base64.b64encode(held.getvalue()).decode()


def test_an_archive_comes_back_as_it_went_in() -> None:
    documents = {"get_site": [b"<results/>", b"<results></results>"], "get_ngi": [b"<results/>"]}
    assert archive.unpack(archive.pack(documents)) == (documents, [])


@pytest.mark.parametrize("text", ["", "!!!", "aGFsbG8=", packed(get_site=b"<r/>" * 99)[:-60]])
def test_what_is_no_archive_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        archive.unpack(text)


def test_a_bomb_is_not_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 100_000)
    with pytest.raises(TooLarge):
        archive.unpack(packed(get_site=b" " * 60_000, get_ngi=b" " * 60_000))


def test_the_api_refuses_hostile_answers_with_the_line(registry: Registry) -> None:
    body: dict[str, Any] = {
        "source": "goc.example.org",
        "archive": packed(get_site=b'<!DOCTYPE r [<!ENTITY a "x">]>\n<results>&a;</results>'),
    }
    for path in ("plan", "apply"):
        told = registry.send("POST", f"/api/v1/import/gocdb/{path}", body, status=422)
        assert told["errors"][0]["field"] == "get_site, line 1"
        registry.send("POST", f"/api/v1/import/gocdb/{path}", body, "Laura Gil", status=403)
