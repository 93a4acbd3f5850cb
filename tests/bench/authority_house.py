"""A VO of 10,000 in a private database, certificates of some of its members, and clients like voms-proxy-init."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import insert, text

from demo.ca import CertificateAuthority, Issued
from hanse.database import Database
from hanse.identity.principals import X509Identity
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from vomsdb.models import (
    Aup,
    Certificate,
    Group,
    Member,
    MemberCertificate,
    MemberGroup,
    MemberRole,
    Person,
    Role,
    Vo,
)

VO = "vo.example.org"
CONTEXT = multiprocessing.get_context("fork")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class House:
    """The folder, the CA with the authority's certificate, the members that ask, and the database."""

    folder: Path
    ca: CertificateAuthority
    authority: Issued
    people: tuple[Issued, ...]
    database_url: str
    database_pid: int


@contextmanager
def open_house(members: int, asking: int) -> Iterator[House]:
    """The VO with so many members, of whom the first `asking` have certificates and keys."""
    folder, data = (Path(tempfile.mkdtemp(prefix=f"hanse-bench-aa-{part}-")) for part in ("files", "data"))
    try:
        ca = CertificateAuthority.create(folder / "ca", "/C=EU/O=Bench/CN=Bench CA")
        people = tuple(ca.issue(f"/C=EU/O=Bench/OU=People/CN=Person {n}") for n in range(asking))
        host = ca.issue("/C=EU/O=Bench/OU=Services/CN=localhost", host="localhost")
        with PrivatePostgres(data, durable=True) as server:
            server.create_database("vomsdb")
            url = server.dsn("vomsdb")
            upgrade("vomsdb", url)
            _fill(url, members, [X509Identity.from_certificate(one.cert) for one in people])
            assert server.pid is not None
            yield House(folder, ca, host, people, url, server.pid)
    finally:
        for place in (folder, data):
            shutil.rmtree(place, ignore_errors=True)


def _fill(url: str, members: int, known: Sequence[X509Identity]) -> None:
    """Each member has a certificate, is in the root group, a group below it, and one of four holds a role."""
    db, now = Database(url), datetime.now(UTC)
    made = range(1, members + 1)
    stranger = known[0]
    identities = [known[n - 1] if n <= len(known) else stranger for n in made]
    with db.transaction() as session:
        vo = {"name": VO, "description": "the bench", "aup_version": 1, "membership_days": 365}
        session.execute(insert(Vo), [{**vo, "ac_lifetime_s": 86400}])
        aup = {"vo": VO, "version": 1, "text": "Be kind.", "published_by": "bench"}
        session.execute(insert(Aup), [aup])
        session.execute(insert(Group), [{"path": p, "vo": VO} for p in (f"/{VO}", f"/{VO}/analysis")])
        session.execute(insert(Role), [{"vo": VO, "name": "analyst"}])
        session.execute(
            insert(Person), [{"name": f"Person {n}", "email": "", "institution": ""} for n in made]
        )
        session.execute(
            insert(Certificate),
            [
                {
                    "person_id": n,
                    "key": one.key if n <= len(known) else f"bench:{n}",
                    "subject_der": one.subject_der,
                    "issuer_der": one.issuer_der,
                    "subject": f"/C=EU/O=Bench/OU=People/CN=Person {n - 1}",
                    "issuer": one.issuer_slash,
                }
                for n, one in zip(made, identities, strict=True)
            ],
        )
        member = {"vo": VO, "until": now + timedelta(days=300), "aup_version": 1, "aup_signed_at": now}
        session.execute(insert(Member), [{**member, "person_id": n} for n in made])
        session.execute(insert(MemberCertificate), [{"member_id": n, "certificate_id": n} for n in made])
        session.execute(insert(MemberGroup), [{"member_id": n, "path": f"/{VO}/analysis"} for n in made])
        holding = [{"member_id": n, "path": f"/{VO}", "role": "analyst"} for n in made if n % 4 == 0]
        session.execute(insert(MemberRole), holding)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
    db.close()


# --- asking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """What a run gave: answers, seconds by the clock, each answer's milliseconds, processor seconds of the server."""

    answers: int
    seconds: float
    taken_ms: tuple[float, ...]
    server_s: float

    @property
    def a_second(self) -> float:
        """Answers a second by the clock."""
        return self.answers / self.seconds

    @property
    def cost_ms(self) -> float:
        """Processor time of the server for an answer, in milliseconds."""
        return self.server_s / self.answers * 1000

    @property
    def p50(self) -> float:
        """The median of the answers, in milliseconds."""
        return statistics.median(self.taken_ms)


REST = f"0GET /generate-ac?fqans=/{VO}&lifetime=43200 HTTP/1.0\nUser-Agent: bench\nAccept: */*\nHost: localhost\n\n"
LEGACY = (
    '0<?xml version="1.0" encoding="US-ASCII"?><voms>'
    f"<command>G/{VO}</command><base64>1</base64><version>4</version><lifetime>43200</lifetime></voms>"
)


def ask_for(
    house: House, port: int, request: str, seconds: float, server: Callable[[], float], clients: int = 4
) -> Rate:
    """So many processes ask, each on a new connection with the next certificate; every answer is looked at."""
    parts = [house.people[number::clients] for number in range(clients)]
    ends, processes = [], []
    for part in parts:
        here, there = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_asking, args=(there, house, part, port, request, seconds))
        process.start()
        ends.append(here)
        processes.append(process)
    for end in ends:
        assert end.recv() == "ready"
    before, began = server(), time.monotonic()
    for end in ends:
        end.send("go")
    taken = [one for end in ends for one in end.recv()]
    took, used = time.monotonic() - began, server() - before
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return Rate(len(taken), took, tuple(taken), used)


def _asking(
    end: Connection, house: House, people: Sequence[Issued], port: int, request: str, seconds: float
) -> None:
    contexts = [_context(house, one) for one in people]
    sent = request.encode()
    _answer(contexts[0], port, sent)
    end.send("ready")
    end.recv()
    taken: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        received = _answer(contexts[len(taken) % len(contexts)], port, sent)
        taken.append((time.perf_counter() - began) * 1000)
        assert b"</ac>" in received, received[:500]
        assert b"<error>" not in received, received[:500]
    end.send(taken)


def _context(house: House, one: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(house.ca.bundle))
    context.load_cert_chain(one.cert_path, one.key_path)
    return context


def _answer(context: ssl.SSLContext, port: int, sent: bytes) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True) as tls,
    ):
        tls.sendall(sent[:1])
        tls.sendall(sent[1:])
        received = b""
        while part := tls.recv(65536):
            received += part
    return received


# --- processor time -----------------------------------------------------------------------------------------------


def processor_s(*parents: int) -> float:
    """What the processes and their children used so far, in seconds, ended children that were waited for included."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) in parents:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) in parents:
            total += sum(map(int, fields[11:13]))
    return total * _TICK_S


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 30) -> None:
    """Until somebody listens; raises TimeoutError."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")
