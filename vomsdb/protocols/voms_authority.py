"""The attribute authority: a process of its own, on a port of its own, that alone reads the signing keys."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from cryptography import x509
from sqlalchemy.exc import SQLAlchemyError

from hanse.children import die_with_parent
from hanse.database import Database, is_connection_loss
from hanse.identity.tls import server_context
from hanse.identity.trust import TrustError, TrustStore
from hanse.identity.voms import VomsError
from vomsdb import attributes
from vomsdb.attributes import Fault
from vomsdb.protocols import voms_aa
from vomsdb.protocols.voms_connections import DirectQueries
from vomsdb.protocols.voms_keys import Keys, keys_of
from vomsdb.protocols.voms_listener import Limits, Listener
from vomsdb.settings import VomsdbSettings
from vomsdb.standing import Looks

log = structlog.get_logger("vomsdb.aa")
#: Seconds after which CAs, revocation lists and keys are looked at again: hundreds of connections come in each.
LOOK_S: Final = 1.0
_ASKS_TO_END: Final = (signal.SIGTERM, signal.SIGINT)


class Clerk:
    """Answers calls: checks the chain, reads the tables, signs, and says why not."""

    def __init__(self, looks: Looks, keys: Keys, trust: TrustStore, cap: timedelta) -> None:
        self._looks, self._keys, self._trust, self._cap = looks, keys, trust, cap

    def respond(self, call: voms_aa.Call, chain: list[x509.Certificate]) -> bytes:
        """The whole answer; raises Fault."""
        if not chain:
            raise attributes.no_such_user(
                "No client certificate was shown. Use voms-proxy-init with your certificate and key."
            )
        ask = voms_aa.read(call)
        try:
            verified = self._trust.verify(chain)
            issued = attributes.issue(self._looks, self._keys.authority(), ask, verified, self._cap)
        except TrustError as fault:
            raise attributes.no_such_user(f"Your certificate is not accepted: {fault}") from fault
        except VomsError as fault:
            raise attributes.bad_request(str(fault)) from fault
        except SQLAlchemyError as fault:
            raise _database_fault(fault) from fault
        log.info("issued", subject=verified.identity.subject_slash, fqans=list(issued.fqans))
        return voms_aa.answer(call, issued)


def _database_fault(fault: SQLAlchemyError) -> Fault:
    log.error("database", reason=str(fault))
    if is_connection_loss(fault):
        return Fault(
            "InternalError", 500, 1003, "The membership database does not answer; try again in a minute."
        )
    return Fault("InternalError", 500, 1006, "The attribute authority cannot answer this; its log says why.")


@dataclass(frozen=True)
class Desk:
    """A host of the authority: its keys, and the socket on which it listens."""

    keys: Keys
    bound: socket.socket
    _kept: list[tuple[float, ssl.SSLContext]] = field(default_factory=list)

    def context(self) -> ssl.SSLContext:
        """The context for the next connection; whether its files changed is looked at when LOOK_S have passed.

        The clerk verifies every chain, so who has expired or was revoked reads that in the answer.
        """
        if not self._kept or time.monotonic() - self._kept[0][0] > LOOK_S:
            self._kept[:] = [(time.monotonic(), server_context(self.keys.tls(), in_words=True))]
        return self._kept[0][1]


def _desk(settings: VomsdbSettings, keys: Keys) -> Desk:
    host, port = keys.place
    bound = socket.create_server((settings.aa_bind, port), backlog=1024)
    log.info("attribute authority listens", name=host, address=settings.aa_bind, port=port)
    return Desk(keys, bound)


def run(settings: VomsdbSettings) -> None:
    """Serves in the foreground until SIGTERM or SIGINT; child processes do the work and end with this one."""
    desks = [_desk(settings, keys) for keys in keys_of(settings)]
    children: set[int] = set()
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    for number in _ASKS_TO_END:
        signal.signal(number, stop)
    while not stopping or children:
        if not stopping and len(children) < settings.aa_processes:
            _add_child(children, lambda: stopping, lambda: asyncio.run(_serve(settings, desks)))
            continue
        child, status = os.wait()
        children.discard(child)
        if not stopping:
            log.error(
                "a process of the attribute authority ended; another one takes its place", status=status
            )
            time.sleep(1)  # one that dies at once must not be started in a tight circle


def _add_child(children: set[int], stopping: Callable[[], bool], work: Callable[[], None]) -> None:
    """Forks one that does `work`, unless we are stopping.

    The signals that ask us to end wait meanwhile, in the child until it listens to them: one that came between would
    miss the child, and the parent would wait for it for ever.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKS_TO_END)
    try:
        # a signal that came before the mask has its handler run by now
        if not stopping():
            children.add(_fork(work))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_END)


def _fork(work: Callable[[], None]) -> int:
    ask_to_die = die_with_parent()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        ask_to_die()
        work()
        code = 0
    except Exception:
        log.exception("a process of the attribute authority failed")
    finally:
        sys.stderr.flush()
        os._exit(code)


async def _serve(settings: VomsdbSettings, desks: Sequence[Desk]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ASKS_TO_END:
        loop.add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_END)
    db = Database(settings.database_url, pool_size=settings.aa_threads)
    looks = Looks(DirectQueries(db).query)
    trust = TrustStore(settings.trust_dir, LOOK_S)
    cap = timedelta(seconds=settings.ac_lifetime_s)
    limits = Limits(settings.aa_threads, settings.aa_connections, settings.aa_timeout_s)
    listeners = [
        Listener(desk.bound, desk.context, Clerk(looks, desk.keys, trust, cap).respond, limits)
        for desk in desks
    ]
    await asyncio.gather(*(listener.serve(stop) for listener in listeners))
    db.close()
