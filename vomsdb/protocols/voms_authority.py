"""The attribute authority: a process of its own, on a port of its own, that alone reads the signing key."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from sqlalchemy.exc import SQLAlchemyError

from hanse.children import die_with_parent
from hanse.database import Database, is_connection_loss
from hanse.identity.tls import server_context
from hanse.identity.trust import TrustError, TrustStore
from hanse.identity.voms import SigningAuthority, VomsError
from hanse.settings import SettingsError
from vomsdb import attributes
from vomsdb.attributes import Fault
from vomsdb.protocols import voms_aa
from vomsdb.protocols.voms_listener import Limits, Listener
from vomsdb.settings import VomsdbSettings

log = structlog.get_logger("vomsdb.aa")
_ASKS_TO_END: Final = (signal.SIGTERM, signal.SIGINT)


class Clerk:
    """Answers calls: checks the chain, reads the tables, signs, and says why not."""

    def __init__(self, db: Database, authority: SigningAuthority, trust: TrustStore, cap: timedelta) -> None:
        self._db, self._authority, self._trust, self._cap = db, authority, trust, cap

    def respond(self, call: voms_aa.Call, chain: list[x509.Certificate]) -> bytes:
        """The whole answer; raises Fault."""
        if not chain:
            raise attributes.no_such_user(
                "No client certificate was shown. Use voms-proxy-init with your certificate and key."
            )
        ask = voms_aa.read(call)
        try:
            verified = self._trust.verify(chain)
            with self._db.transaction() as session:
                issued = attributes.issue(session, self._authority, ask, verified, self._cap)
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
class _TlsFiles:
    trust_dir: Path
    tls_cert: Path
    tls_key: Path


def signing_authority(settings: VomsdbSettings) -> SigningAuthority:
    """The authority from the files of the settings; raises SettingsError with a sentence."""
    try:
        mode = settings.aa_key.stat().st_mode
        if mode & 0o077:
            raise SettingsError(f"{settings.aa_key} can be read by others; chmod 600 it.")
        return SigningAuthority.from_files(
            settings.aa_cert, settings.aa_key, settings.aa_host, settings.aa_port
        )
    except OSError as fault:
        raise SettingsError(f"{fault.filename} cannot be read: {fault.strerror}.") from fault
    except (ValueError, VomsError) as fault:
        raise SettingsError(f"{settings.aa_cert} and {settings.aa_key} cannot be used: {fault}") from fault


def run(settings: VomsdbSettings) -> None:
    """Serves in the foreground until SIGTERM or SIGINT; child processes do the work and end with this one."""
    authority = signing_authority(settings)
    bound = socket.create_server((settings.aa_bind, settings.aa_port), backlog=1024)
    log.info("attribute authority listens", host=settings.aa_bind, port=settings.aa_port)
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
            _add_child(children, lambda: stopping, lambda: asyncio.run(_serve(settings, authority, bound)))
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


async def _serve(settings: VomsdbSettings, authority: SigningAuthority, bound: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ASKS_TO_END:
        loop.add_signal_handler(number, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_END)
    files = _TlsFiles(settings.trust_dir, settings.aa_cert, settings.aa_key)
    db = Database(settings.database_url, pool_size=settings.aa_threads)
    clerk = Clerk(db, authority, TrustStore(settings.trust_dir), timedelta(seconds=settings.ac_lifetime_s))
    limits = Limits(settings.aa_threads, settings.aa_connections, settings.aa_timeout_s)
    await Listener(bound, lambda: server_context(files), clerk.respond, limits).serve(stop)
    db.close()
