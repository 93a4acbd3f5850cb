"""`hanse init` sets up what can be started: on a PostgreSQL that is there already, for any subset of the services."""

from __future__ import annotations

import grp
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from hanse.cli import main
from hanse.database import Database
from hanse.doctor.rounds import configured
from hanse.doctor.rounds import services as installed
from hanse.errors import Refused
from hanse.installing.answers import SERVICES, Answers, ask, read
from hanse.installing.writing import secret, settings_text
from hanse.migrations import is_current
from hanse.postgres import PrivatePostgres


@pytest.fixture
def admin(postgres: PrivatePostgres) -> Iterator[str]:
    """The address of somebody who may make databases; what was made is gone at the end."""
    address = postgres.dsn("postgres")
    yield address
    db = Database(address)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in SERVICES:
            connection.execute(text(f"drop database if exists hanse_{name} with (force)"))
            connection.execute(text(f"drop role if exists hanse_{name}"))
    db.close()


def answers_file(folder: Path, admin: str, cast: Any, trust_dir: Path, **changes: object) -> Path:
    host = cast.local()
    given = {
        "federation": "Nordic Federation",
        "host": "localhost",
        "postgres": admin,
        "state": str(folder / "state"),
        "trust_dir": str(trust_dir),
        "tls_cert": str(host.cert_path),
        "tls_key": str(host.key_path),
        "operator": str(cast["Ingrid Holm"].cert_path),
        **changes,
    }
    path = folder / "answers.toml"
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in given.items()))
    return path


def init(folder: Path, answers: Path, *words: str) -> Result:
    given = ["init", "--directory", str(folder / "etc"), "--answers", str(answers), *words]
    return CliRunner().invoke(main, given)


def test_an_installation_of_two_services_can_be_started_and_is_healthy(
    tmp_path: Path, admin: str, cast: Any, trust_dir: Path
) -> None:
    answers = answers_file(tmp_path, admin, cast, trust_dir, services=["accounting", "registry"])
    ran = init(tmp_path, answers)
    assert ran.exit_code == 0, ran.output
    assert "Ingrid Holm: federation operator of registry, accounting" in ran.output
    config = tmp_path / "etc" / "hanse.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    assert configured(config, {}) == ["accounting", "registry"]
    for name in ("registry", "accounting"):
        service = installed()[name]
        settings = service.settings.load(name, config, {})
        assert settings.federation == "Nordic Federation"
        db = Database(settings.database_url)
        with db.engine.connect() as connection:
            assert connection.execute(text("select current_user")).scalar() == f"hanse_{name}"
            assert is_current(service.package, connection)
            operators = text("select count(*) from followed where kind = 'grant'")
            if name == "accounting":
                assert connection.execute(operators).scalar() == 1
        db.close()
    registry, accounting = (
        installed()[name].settings.load(name, config, {}) for name in ("registry", "accounting")
    )
    assert registry.service_token == accounting.service_tokens["registry"]
    assert set(registry.service_tokens) == {"accounting"}
    assert registry.secret_key == accounting.secret_key


def test_it_may_be_run_again_and_keeps_secrets_data_and_the_file_of_before(
    tmp_path: Path, admin: str, cast: Any, trust_dir: Path
) -> None:
    answers = answers_file(tmp_path, admin, cast, trust_dir, services=["monitoring"])
    assert init(tmp_path, answers).exit_code == 0
    config = tmp_path / "etc" / "hanse.toml"
    first = installed()["monitoring"].settings.load("monitoring", config, {})
    db = Database(first.database_url)
    with db.transaction() as session:
        session.execute(text("insert into site (name) values ('CESNET')"))
    db.close()
    again = init(tmp_path, answers)
    assert again.exit_code == 0, again.output
    second = installed()["monitoring"].settings.load("monitoring", config, {})
    assert second.secret_key == first.secret_key
    assert init(tmp_path, answers).exit_code == 0
    assert len(list((tmp_path / "etc").glob("hanse.toml.before-*"))) == 2
    db = Database(second.database_url)
    with db.transaction() as session:
        assert session.execute(text("select name from site")).scalar() == "CESNET"
    db.close()


def test_a_group_may_read_settings_and_secrets(
    tmp_path: Path, admin: str, cast: Any, trust_dir: Path
) -> None:
    answers = answers_file(tmp_path, admin, cast, trust_dir, services=["registry"])
    unknown = init(tmp_path, answers, "--group", "nobody-of-that-name")
    assert unknown.exit_code == 1
    assert "groupadd --system nobody-of-that-name" in unknown.output
    mine = grp.getgrgid(os.getegid()).gr_name
    ran = init(tmp_path, answers, "--group", mine)
    assert ran.exit_code == 0, ran.output
    etc = tmp_path / "etc"
    secret_files = list((etc / "secrets").iterdir())
    assert secret_files
    for path, mode in [(etc, 0o750), (etc / "secrets", 0o750), *((one, 0o640) for one in secret_files)]:
        assert (path.stat().st_gid, path.stat().st_mode & 0o777) == (os.getegid(), mode)
    assert (etc / "hanse.toml").stat().st_mode & 0o777 == 0o640


def test_units_are_given_the_secret_where_init_puts_it(tmp_path: Path) -> None:
    """Every unit of a service may read the settings, and its credentials are files that there are."""
    folder = Path("/etc/hanse/secrets")
    made = secret(tmp_path, "secret_key").name
    units = Path(__file__).parents[2] / "deploy" / "systemd"
    states: dict[str, set[str]] = {}
    for unit in units.glob("hanse-*.service"):
        text = unit.read_text()
        if "HANSE_CONFIG" in text:
            assert "SupplementaryGroups=hanse\n" in text, unit.name
            assert f"LoadCredential=secret_key:{folder / made}\n" in text, unit.name
            user, state = (re.findall(rf"(?m)^{key}=(.+)$", text)[0] for key in ("User", "StateDirectory"))
            states.setdefault(state, set()).add(user)
            assert f"HANSE_DATA_DIR=/var/lib/{state}\n" in text, unit.name
    assert {len(users) for users in states.values()} == {1}, "systemd gives a folder to one user"
    assert f"| `{folder / made}` |" in (units / "README.md").read_text()


def test_every_key_is_there_explained_and_its_default_can_be_used(tmp_path: Path) -> None:
    urls = dict.fromkeys(SERVICES, "postgresql://somebody@localhost/x")
    written = settings_text(Answers().checked(), installed(), urls, tmp_path)
    tables = tomllib.loads(written)
    assert set(tables) == {"common", *SERVICES}
    # every default, uncommented, is one that the service takes; an empty secret must be given in its own way
    uncommented = re.sub(r"(?m)^#([a-z_]+ = )", r"\1", written)
    uncommented = re.sub(r'(?m)^[a-z_]+ = ""\n', "", uncommented)
    config = tmp_path / "all.toml"
    config.write_text(uncommented)
    for name, service in installed().items():
        service.settings.load(name, config, {})
        for key in service.settings.model_fields:
            if key != "service":
                assert re.search(rf"(?m)^#?{key}(_file)? = ", written), key


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("colour = 'blue'", "no answer called colour"),
        ("services = ['mailman']", "mailman was given"),
        ("services = []", "none was given"),
        ("host = 'a b'", "is not the name of a machine"),
        ("postgres = 'mysql://x'", "postgres: give an address"),
        ("operator = '/nowhere.pem'", "no certificate at /nowhere.pem"),
        ("federation = 'two\\nlines'", None),
        ('federation = "two\\nlines"', "must be one line"),
        ("federation = 7", "must be text"),
        ("elsewhere = {mailman = 'x'}", "must be a table of addresses"),
        ("not toml", "is not TOML"),
    ],
)
def test_a_wrong_answer_is_named(tmp_path: Path, content: str, sentence: str | None) -> None:
    path = tmp_path / "answers.toml"
    path.write_text(content)
    if sentence is None:
        assert read(path).federation == "two\\nlines"
        return
    with pytest.raises(Refused, match=sentence):
        read(path)


def test_questions_have_defaults_and_empty_answers_are_left_out() -> None:
    asked: list[str] = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return "accounting monitoring" if question.startswith("Services") else default

    answers = ask(answer)
    assert answers.services == ("accounting", "monitoring")
    assert (answers.operator, answers.mail_from) == (None, "hanse@localhost")
    assert len(asked) == 11


def test_a_postgresql_that_is_away_is_a_sentence(tmp_path: Path, cast: Any, trust_dir: Path) -> None:
    away = "postgresql://postgres@127.0.0.1:1/postgres"
    ran = init(tmp_path, answers_file(tmp_path, away, cast, trust_dir, services=["registry"]))
    assert ran.exit_code == 1
    assert "The database of registry cannot be made at 127.0.0.1" in ran.output
    assert not (tmp_path / "etc" / "hanse.toml").exists()
