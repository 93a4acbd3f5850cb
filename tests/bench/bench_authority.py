"""Attribute certificates: each on a new TLS connection with a client certificate, RSA-2048, in a VO of 10,000.

Four client processes on the same cores ask as the C++ client does, in both forms. Beside it the bare limit: a server
that shakes hands and makes one RSA-2048 signature, nothing else; and, where it is installed, Debian's voms-server with
MariaDB in the older form. Processor time of a server is what others on the machine change least.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from pydantic import SecretStr

from hanse.children import die_with_parent
from hanse.identity.tls import server_context
from tests.bench.authority_house import (
    LEGACY,
    REST,
    House,
    Rate,
    ask_for,
    free_port,
    open_house,
    processor_s,
    wait_for,
)
from tests.bench.measure import line
from tests.bench.peer_voms import PeerMissing, voms_server
from vomsdb.protocols import voms_authority
from vomsdb.protocols.voms_keys import TlsFiles
from vomsdb.settings import VomsdbSettings

MEMBERS, ASKING, SECONDS = 10_000, 100, 10.0
LEAST_TIMES = 3


def main(members: int = MEMBERS, asking: int = ASKING, seconds: float = SECONDS, beside: bool = True) -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with open_house(members, asking) as house:
        bare = _measured(house, LEGACY, seconds, _bare_server)
        older = _measured(house, LEGACY, seconds, _authority)
        newer = _measured(house, REST, seconds, _authority)
        peer = _peer(house, members, seconds) if beside else None
    for name, found in (("older form", older), ("REST", newer)):
        line(f"certificates, {name}", found.a_second, "/s", "bare limit", bare.a_second)
        line(f"server processor time a certificate, {name}", found.cost_ms, "ms", "bare limit", bare.cost_ms)
        line(f"one certificate, {name}, p50", found.p50, "ms", "bare limit", bare.p50)
    if peer is None:
        return
    line("certificates, older form", older.a_second, "/s", "voms-server", peer.a_second)
    line("server processor time a certificate", older.cost_ms, "ms", "voms-server", peer.cost_ms)
    line("one certificate, p50", older.p50, "ms", "voms-server", peer.p50)
    times = older.a_second / peer.a_second
    line("of voms-server, by processor time", peer.cost_ms / older.cost_ms, "times")
    line("of voms-server, by the clock", times, "times", limit=LEAST_TIMES, at_least=True)


def _measured(house: House, request: str, seconds: float, serve: Callable[[House, int], None]) -> Rate:
    """Once to warm up, then the run; databases count with the server that asks them."""
    port = free_port()
    with _child(lambda: serve(house, port)) as server:
        wait_for(port)
        ask_for(house, port, request, 1, lambda: 0)
        return ask_for(house, port, request, seconds, lambda: processor_s(server, house.database_pid))


def _peer(house: House, members: int, seconds: float) -> Rate | None:
    try:
        with voms_server(house, members) as peer:
            ask_for(house, peer.port, LEGACY, 1, lambda: 0)
            used = (*peer.server_pids, peer.database_pid)
            return ask_for(house, peer.port, LEGACY, seconds, lambda: processor_s(*used))
    except PeerMissing as reason:
        print(f"without voms-server: {reason}", flush=True)
        return None


@contextmanager
def _child(work: Callable[[], None]) -> Iterator[int]:
    number = os.fork()
    if number == 0:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield number
    finally:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
        os.waitpid(number, 0)


def _authority(house: House, port: int) -> None:
    settings = VomsdbSettings(
        service="vomsdb",
        database_url=house.database_url,
        secret_key=SecretStr("a secret of the bench alone"),
        data_dir=house.folder,
        trust_dir=house.ca.trust_dir,
        aa_port=port,
        aa_cert=house.authority.cert_path,
        aa_key=house.authority.key_path,
    )
    voms_authority.run(settings)


def _bare_server(house: House, port: int) -> None:
    """Two processes that shake hands with the same context, read once, sign once and answer; no proxies, no names."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    bound = socket.create_server(("127.0.0.1", port), backlog=256)
    context = server_context(
        TlsFiles(house.ca.trust_dir, house.authority.cert_path, house.authority.key_path)
    )
    ask_to_die = die_with_parent()
    if os.fork() == 0:
        ask_to_die()
    while True:
        connection, _ = bound.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            _acknowledge(tls)
            received = b""
            while b"</voms>" not in received and (part := tls.recv(65536)):
                _acknowledge(tls)
                received += part
            signed = house.authority.key.sign(received, padding.PKCS1v15(), hashes.SHA256())
            tls.sendall(b"<ac>" + signed.hex().encode() * 8 + b"</ac>")


def _acknowledge(tls: socket.socket) -> None:
    """What the client sends next is not to wait for 40 ms."""
    tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


if __name__ == "__main__":
    main()
