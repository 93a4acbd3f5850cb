"""Debian's voms-server with a MariaDB of its own, filled with the same VO, for the bench to stand beside.

Both are started from a folder and end with the block; the tables are those that the package brings. The server logs
errors only. It finds people by the printed name of their certificate, for which its table gets an index.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.authority_house import VO, House, free_port, wait_for

_TABLES = Path("/usr/share/voms/voms-mysql.data")
_LIBRARY = Path("/usr/lib/voms/libvomsmysql.so")
_NEEDED = ("voms", "mariadbd", "mariadb-install-db", "mariadb", "mariadb-admin")
START_S = 60


class PeerMissing(Exception):
    """The peer cannot be had here; the sentence says why."""


@dataclass(frozen=True)
class Peer:
    """Where the server listens, and the processes whose work counts."""

    port: int
    server_pids: tuple[int, ...]
    database_pid: int


@contextmanager
def voms_server(house: House, members: int) -> Iterator[Peer]:
    """The server over the members of the house; raises PeerMissing."""
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    lacking = [name for name in _NEEDED if shutil.which(name, path=search) is None]
    if lacking or not _TABLES.exists() or not _LIBRARY.exists():
        raise PeerMissing(f"voms-server, voms-mysql-plugin or mariadb-server is not installed ({lacking})")
    folder = Path(tempfile.mkdtemp(prefix="hanse-bench-voms-"))
    database = None
    try:
        database = _start_mariadb(folder)
        _fill(folder, house, members)
        config, port = _start_voms(folder, house)
        yield Peer(port, tuple(_of_config(config)), database.pid)
    finally:
        for number in _of_config(folder / "voms.conf"):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
        if database is not None:
            database.terminate()
            with suppress(subprocess.TimeoutExpired):
                database.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> Sequence[str]:
    return ["--user=root"] if os.geteuid() == 0 else [f"--user={pwd.getpwuid(os.geteuid()).pw_name}"]


def _start_mariadb(folder: Path) -> subprocess.Popen[bytes]:
    data, log = folder / "data", (folder / "mariadb.log").open("wb")
    made = subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
         *_account()],
        stdout=log, stderr=log, check=False, timeout=120,
    )  # fmt: skip
    if made.returncode:
        raise PeerMissing(f"mariadb-install-db failed: {(folder / 'mariadb.log').read_text()[-500:]}")
    process = subprocess.Popen(
        ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={folder}/my.sock", "--skip-networking",
         f"--pid-file={folder}/my.pid", *_account()],
        stdout=log, stderr=log,
    )  # fmt: skip
    ends = time.monotonic() + START_S
    while time.monotonic() < ends and process.poll() is None:
        if (
            subprocess.run(_client(folder, "-e", "select 1"), capture_output=True, check=False).returncode
            == 0
        ):
            return process
        time.sleep(0.2)
    process.terminate()
    process.wait(20)
    raise PeerMissing(f"MariaDB did not start: {(folder / 'mariadb.log').read_text()[-500:]}")


def _client(folder: Path, *more: str) -> list[str]:
    return ["mariadb", "--no-defaults", f"--socket={folder}/my.sock", "-u", "root", *more]


def _sql(folder: Path, text: str, *more: str) -> None:
    subprocess.run(_client(folder, *more), input=text.encode(), check=True, timeout=120, capture_output=True)


def _fill(folder: Path, house: House, members: int) -> None:
    _sql(folder, "create database voms; create user 'voms'@'localhost' identified by 'bench';"
                 "grant all on voms.* to 'voms'@'localhost';")  # fmt: skip
    _sql(folder, _TABLES.read_text(errors="replace"), "voms")
    authority = "/C=EU/O=Bench/CN=Bench CA"
    people = ",".join(
        f"({n},'/C=EU/O=Bench/OU=People/CN=Person {n - 1}',1,'Person {n - 1}','','')"
        for n in range(1, members + 1)
    )
    held = ",".join(f"({n},{group},null,null)" for n in range(1, members + 1) for group in (1, 2))
    roles = ",".join(f"({n},1,1,null)" for n in range(1, members + 1) if n % 4 == 0)
    _sql(
        folder,
        f"insert into ca values (1,'{authority}','');"
        f"insert into `groups` values (1,'/{VO}',1,1),(2,'/{VO}/analysis',1,1);"
        "insert into roles values (1,'analyst');"
        f"insert into usr values {people};"
        f"insert into m (userid,gid,rid,cid) values {held};"
        f"insert into m (userid,gid,rid,cid) values {roles};"
        "insert into seqnumber values ('00'); insert into version values (2);"
        "create index usr_dn on usr (dn); analyze table usr, m;",
        "voms",
    )


def _start_voms(folder: Path, house: House) -> tuple[Path, int]:
    port = free_port()
    secret, key = folder / "secret", folder / "key.pem"
    secret.write_text("bench\n")
    key.write_bytes(house.authority.key_path.read_bytes())
    secret.chmod(0o640)  # it takes no other mode
    key.chmod(0o400)
    given = {
        "vo": VO, "port": port, "dbname": "voms", "username": "voms", "passfile": secret, "sqlloc": _LIBRARY,
        "logfile": folder / "voms.log", "loglevel": 1, "logtype": 7, "socktimeout": 30, "timeout": 86400, "code": 1,
        "mysql-socket": folder / "my.sock", "x509_cert_dir": house.ca.trust_dir, "backlog": 500,
        "x509_user_cert": house.authority.cert_path, "x509_user_key": key, "uri": f"localhost:{port}",
    }  # fmt: skip
    config = folder / "voms.conf"
    config.write_text("".join(f"--{name}={value}\n" for name, value in given.items()))
    output = (folder / "voms.out").open("wb")
    subprocess.Popen(
        ["/usr/sbin/voms", f"--conf={config}"],
        stdout=output, stderr=output, cwd=folder,
        env={**os.environ, "X509_CERT_DIR": str(house.ca.trust_dir)},
    ).wait(START_S)  # fmt: skip
    try:
        wait_for(port)
    except TimeoutError:
        said = "".join(
            (folder / name).read_text(errors="replace")
            for name in ("voms.out", "voms.log")
            if (folder / name).exists()
        )
        raise PeerMissing(f"voms-server did not start: {said[-500:]}") from None
    return config, port


def _of_config(config: Path) -> list[int]:
    """The server goes into the background under other numbers: its processes name their configuration."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(config).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(found)
