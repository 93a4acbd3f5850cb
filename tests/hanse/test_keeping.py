"""Backup and restore: everything comes back, what is spoilt is refused before anything is touched."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from hanse.cli import main
from hanse.database import Database
from hanse.doctor.advice import Patient
from hanse.doctor.rounds import services
from hanse.errors import Refused
from hanse.keeping import places
from hanse.keeping.backup import BEFORE, MANIFEST, back_up, in_order
from hanse.keeping.programs import program
from hanse.keeping.restore import restore
from hanse.revisions import Actor, change, feed_epoch
from hanse.settings import ServiceSettings

FreshDatabase = Callable[[str], AbstractContextManager[Database]]
ANNA = Actor("x509:anna", "Anna Lindqvist")


@pytest.fixture
def patients(settings_for: Callable[..., Any], database_for: Callable[[str], Database]) -> list[Patient]:
    """The registry and monitoring with something in them, in databases and in files."""
    made = []
    for name in ("registry", "monitoring"):
        db = database_for(name)
        with db.transaction() as session:
            if name == "registry":
                with change(session, ANNA, "a first site") as log:
                    log.put("site", "1", {"name": "CESNET", "about": "ž" * 50})
                feed_epoch(session)
            else:
                session.execute(text("insert into site (name) values ('CESNET')"))
        db.engine.dispose()
        settings = settings_for(ServiceSettings, name, db)
        (settings.data_dir / "kept").mkdir()
        (settings.data_dir / "kept" / "file.parquet").write_bytes(b"kept " + name.encode())
        (settings.data_dir / "gocdb-answers").mkdir()
        (settings.data_dir / "gocdb-answers" / "x").write_bytes(b"made anew")
        made.append(Patient(name, name, settings))
    return made


def seen(patient: Patient) -> dict[str, list[Any]]:
    """Every row of every table of a service but the life of its log, and its files."""
    db = Database(patient.settings.database_url, pool_size=1)
    found: dict[str, list[Any]] = {}
    with db.engine.connect() as connection:
        for table in connection.execute(
            text("select tablename from pg_tables where schemaname = 'public'")
        ).scalars():
            if table != "feed_identity":
                rows = connection.execute(text(f'select t::text from "{table}" t')).scalars()
                found[table] = sorted(rows)
    db.close()
    folder = patient.settings.data_dir
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files.pop("gocdb-answers/x", None)
    return {**found, "files": sorted(files.items())}


def spoil(patient: Patient) -> None:
    """What an accident does."""
    db = Database(patient.settings.database_url, pool_size=1)
    with db.transaction() as session:
        session.execute(text("delete from history" if patient.name == "registry" else "delete from site"))
    db.close()
    (patient.settings.data_dir / "kept" / "file.parquet").unlink()
    (patient.settings.data_dir / "new").write_text("of after the backup")


def epoch(patient: Patient) -> str:
    db = Database(patient.settings.database_url, pool_size=1)
    with db.transaction() as session:
        life = feed_epoch(session)
    db.close()
    return life


def test_everything_comes_back(patients: list[Patient], tmp_path: Path) -> None:
    before = [seen(one) for one in patients]
    life = epoch(patients[0])
    *_, last = back_up(patients, tmp_path / "backups")
    folder = Path(last)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.name != MANIFEST)
    for one in patients:
        spoil(one)
    with pytest.raises(Refused, match="is not empty; --replace"):
        list(restore(folder, patients))
    told = list(restore(folder, patients, replace=True))
    assert told[1:] == ["monitoring: restored", "registry: restored"]
    assert [seen(one) for one in patients] == before
    assert epoch(patients[0]) != life
    assert (patients[0].settings.data_dir.with_name("registry.before") / "new").exists()


def test_into_empty_databases_without_being_asked_twice(
    patients: list[Patient], tmp_path: Path, fresh_database: FreshDatabase, postgres: Any
) -> None:
    registry = patients[0]
    *_, folder = back_up([registry], tmp_path / "backups")
    postgres.create_database("empty_one")
    try:
        elsewhere = registry.settings.model_copy(
            update={"database_url": postgres.dsn("empty_one"), "data_dir": tmp_path / "elsewhere"}
        )
        list(restore(Path(folder), [Patient("registry", "registry", elsewhere)]))
        assert seen(Patient("registry", "registry", elsewhere)) == seen(registry)
    finally:
        postgres.drop_database("empty_one")


def test_what_is_spoilt_or_not_whole_is_refused_and_nothing_is_touched(
    patients: list[Patient], tmp_path: Path
) -> None:
    *_, last = back_up(patients, tmp_path / "backups")
    folder = Path(last)
    before = [seen(one) for one in patients]
    dump = folder / "registry.dump"
    good = dump.read_bytes()
    dump.write_bytes(good[:-1] + b"x")
    with pytest.raises(Refused, match="is not what was written"):
        list(restore(folder, patients, replace=True))
    dump.unlink()
    with pytest.raises(Refused, match="cannot be read"):
        list(restore(folder, patients, replace=True))
    dump.write_bytes(good)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["services"]["registry"]["heads"] = ["9999"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(Refused, match="from a newer version of Hanse"):
        list(restore(folder, patients, replace=True))
    del manifest["services"]["registry"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(Refused, match="holds nothing of registry"):
        list(restore(folder, patients, replace=True))
    (folder / MANIFEST).write_text("{")
    with pytest.raises(Refused, match="is not a whole backup"):
        list(restore(folder, patients, replace=True))
    assert [seen(one) for one in patients] == before


def test_nobody_may_use_the_database_meanwhile(patients: list[Patient], tmp_path: Path) -> None:
    *_, folder = back_up(patients, tmp_path / "backups")
    db = Database(patients[0].settings.database_url, pool_size=1)
    with (
        db.engine.connect(),
        pytest.raises(Refused, match="1 connections use the database of registry: stop"),
    ):
        list(restore(Path(folder), patients, replace=True))
    db.close()


def test_one_that_was_cut_short_has_another_name_and_is_taken_away(
    patients: list[Patient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backups"
    steps = back_up(patients, target)
    next(steps)
    (left,) = target.iterdir()
    assert left.name.endswith(".part")
    with pytest.raises(Refused, match="is not a whole backup"):
        list(restore(left, patients, replace=True))
    del steps
    *_, last = back_up(patients, target)
    assert [path.name for path in target.iterdir()] == [Path(last).name]


def told_by(url: str, question: str) -> Any:
    db = Database(url, pool_size=1)
    with db.transaction() as session:
        said = session.execute(text(question)).scalar()
    db.close()
    return said


def _no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str, server: int) -> Path:
        raise Refused(f"There is no {name}")

    monkeypatch.setattr("hanse.keeping.restore.program", none)


def _no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: Any) -> None:
        raise Refused("pg_restore failed")

    monkeypatch.setattr("hanse.keeping.restore.run", fails)


def _no_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = places.change

    def fails(targets: dict[str, Path]) -> None:
        whole(targets)
        raise Refused("the power went")

    monkeypatch.setattr("hanse.keeping.restore.places.change", fails)


@pytest.mark.parametrize("fault", [_no_program, _no_tables, _no_rename])
def test_what_was_there_is_there_when_a_restore_fails(
    patients: list[Patient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    registry = patients[0]
    *_, folder = back_up([registry], tmp_path / "backups")
    good = seen(registry)
    spoil(registry)
    before = seen(registry)
    with monkeypatch.context() as patched:
        fault(patched)
        with pytest.raises(Refused):
            list(restore(Path(folder), [registry], replace=True))
    assert seen(registry) == before
    list(restore(Path(folder), [registry], replace=True))
    assert seen(registry) == good


def test_a_restore_that_was_killed_loses_nothing_and_may_be_repeated(
    patients: list[Patient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = patients[0]
    *_, folder = back_up([registry], tmp_path / "backups")
    good = seen(registry)
    spoil(registry)
    with monkeypatch.context() as patched:
        _no_rename(patched)
        settled = iter([lambda *_: None] * 2)  # as if nobody were there any more
        patched.setattr("hanse.keeping.restore._settle", lambda *given: next(settled)(*given))
        with pytest.raises(Refused, match="the power went"):
            list(restore(Path(folder), [registry], replace=True))
    assert told_by(registry.settings.database_url, f"select count(*) from {BEFORE}.history") == 0
    with pytest.raises(Refused, match="is not empty"):
        list(restore(Path(folder), [registry]))
    list(restore(Path(folder), [registry], replace=True))
    assert seen(registry) == good
    assert (registry.settings.data_dir.with_name("registry.before") / "new").read_text()
    assert told_by(registry.settings.database_url, f"select to_regnamespace('{BEFORE}')") is None


def test_files_elsewhere_and_a_data_dir_behind_a_link_come_back(
    patients: list[Patient], tmp_path: Path
) -> None:
    plain = patients[0].settings
    archive, key = tmp_path / "far" / "archive", tmp_path / "keys" / "signing.pem"
    archive.mkdir(parents=True)
    key.parent.mkdir()
    (archive / "part-1.parquet").write_bytes(b"rows")
    (archive / ".part-2.parquet.new").write_bytes(b"a draft")
    key.write_text("the key")
    inside = plain.data_dir / "made" / "inside"
    inside.parent.mkdir()
    inside.write_text("in data_dir")
    link = tmp_path / "link"
    link.symlink_to(plain.data_dir)
    elsewhere = {"archive_dir": archive, "signing_key": key, "inside": inside, "none": tmp_path / "none"}
    patient = replace(
        patients[0], settings=plain.model_copy(update={"data_dir": link}), kept=lambda settings: elsewhere
    )
    *_, folder = back_up([patient], tmp_path / "backups")
    (archive / "part-1.parquet").unlink()
    (archive / "later").write_text("x")
    key.write_text("another key")
    inside.unlink()
    (plain.data_dir / "kept" / "file.parquet").unlink()
    list(restore(Path(folder), [patient], replace=True))
    assert [path.name for path in archive.iterdir()] == ["part-1.parquet"]
    assert (archive.with_name("archive.before") / "later").exists()
    assert (key.read_text(), key.with_name("signing.pem.before").read_text()) == ("the key", "another key")
    assert inside.read_text() == "in data_dir"
    assert link.is_symlink()
    assert (link / "kept" / "file.parquet").read_bytes() == b"kept registry"
    del elsewhere["archive_dir"]
    *_, said = restore(Path(folder), [patient], replace=True)
    assert said.endswith(
        "registry.archive_dir.tar.gz stays in the backup, since archive_dir is not in the settings"
    )


def test_what_root_restores_belongs_to_the_owner_of_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, data_dir = tmp_path / "keys" / "signing.pem", tmp_path / "data"
    key.parent.mkdir()
    data_dir.mkdir()
    key.write_text("the key")
    packed = {places.DATA_DIR: tmp_path / "data.tar.gz", "signing_key": tmp_path / "key.tar.gz"}
    targets = {places.DATA_DIR: data_dir, "signing_key": key}
    for name, archive in packed.items():
        places.pack(archive, targets[name], name)
    given: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(places.os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        places.os, "lchown", lambda path, user, group: given.update({str(path): (user, group)})
    )
    places.change(places.unpack(packed, targets))
    owner = (key.stat().st_uid, key.stat().st_gid)
    assert given[f"{key}.new/signing_key"] == given[f"{data_dir}.new"] == owner


def test_a_place_where_a_disk_is_mounted_is_refused(
    patients: list[Patient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = patients[0]
    *_, folder = back_up([registry], tmp_path / "backups")
    before = seen(registry)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == registry.settings.data_dir)
    with pytest.raises(Refused, match="is where a disk is mounted"):
        list(restore(Path(folder), [registry], replace=True))
    assert seen(registry) == before


def test_who_is_just_going_is_waited_for(
    patients: list[Patient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = patients[0]
    *_, folder = back_up([registry], tmp_path / "backups")
    db = Database(registry.settings.database_url, pool_size=1)
    connection = db.engine.connect()

    def pause(seconds: float) -> None:
        connection.close()
        db.close()
        time.sleep(seconds)

    monkeypatch.setattr("hanse.keeping.restore.WAIT_S", 60.0)
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pause)
    monkeypatch.setattr("hanse.keeping.restore.time", clock)
    list(restore(Path(folder), [registry], replace=True))
    assert connection.closed


def test_the_services_say_what_they_have_elsewhere(settings_for: Callable[..., Any], tmp_path: Path) -> None:
    found = {}
    db = Database("postgresql://nobody@127.0.0.1:1/not_asked", pool_size=1)
    for name, key in (("accounting", "archive_dir"), ("vomsdb", "signing_key_previous")):
        service = services()[name]
        settings = settings_for(service.settings, name, db, **{key: tmp_path / key})
        assert service.kept is not None
        found[name] = service.kept(settings)
    assert found == {
        "accounting": {"archive_dir": tmp_path / "archive_dir"},
        "vomsdb": {
            "signing_key": tmp_path / "vomsdb" / "federation-signing.pem",
            "signing_key_previous": tmp_path / "signing_key_previous",
        },
    }


def test_a_link_among_the_files_is_refused(patients: list[Patient], tmp_path: Path) -> None:
    (patients[0].settings.data_dir / "kept" / "linked").symlink_to(tmp_path)
    with pytest.raises(Refused, match="linked is a symbolic link"):
        list(back_up([patients[0]], tmp_path / "backups"))


def test_followers_go_before_those_that_they_follow(patients: list[Patient]) -> None:
    assert [one.name for one in in_order(patients)] == ["monitoring", "registry"]


def test_an_older_program_than_the_server_is_not_used() -> None:
    with pytest.raises(Refused, match="install postgresql-client-99"):
        program("pg_dump", 99)


def test_the_commands(patients: list[Patient], tmp_path: Path) -> None:
    registry = patients[0]
    config = tmp_path / "hanse.toml"
    config.write_text(
        f'[registry]\ndatabase_url = "{registry.settings.database_url}"\nsecret_key = "sixteen characters"\n'
        f'data_dir = "{registry.settings.data_dir}"\n'
    )
    made = CliRunner().invoke(main, ["--config", str(config), "backup", str(tmp_path / "backups")])
    assert made.exit_code == 0, made.output
    folder = made.output.strip().splitlines()[-1]
    refused = CliRunner().invoke(main, ["--config", str(config), "restore", folder])
    assert refused.exit_code == 1
    assert "is not empty; --replace" in refused.output
    back = CliRunner().invoke(main, ["--config", str(config), "restore", folder, "--replace"])
    assert back.exit_code == 0, back.output
    assert "registry: restored" in back.output
