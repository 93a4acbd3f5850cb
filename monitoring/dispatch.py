"""Sending what is queued: a few threads, each message leased, failures retried with growing waits.

Apart from probing in every way, so that a dead sink never holds up a check.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hanse.database import Database, is_connection_loss
from monitoring import alerts
from monitoring.letters import Letter
from monitoring.notifiers import NOTIFIERS, NotSent
from monitoring.settings import MonitoringSettings

SENDERS = 4
# Inside the 60 s for which a message is leased, with the time that sending took.
NOTE_WITHIN_S, NOTE_PAUSE_S = 25.0, 0.5
FIRST_WAIT_S, LONGEST_WAIT_S = 15.0, 1800.0
# With waits growing to half an hour these are about 26 hours.
MOST_ATTEMPTS = 60
log = structlog.get_logger(__name__)


def wait_after(attempt: int) -> float | None:
    """Seconds to wait after the failed attempt number `attempt`; None = give up."""
    if attempt >= MOST_ATTEMPTS:
        return None
    return float(min(FIRST_WAIT_S * 2 ** min(attempt - 1, 20), LONGEST_WAIT_S))


def dispatch(db: Database, settings: MonitoringSettings, stop: Event, *, poll_s: float = 1.0) -> None:
    """Send until `stop`. Survives a database that goes away: what was leased comes back by itself."""
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="alert") as senders:
        while not stop.is_set():
            try:
                busy = send_due(db, settings, senders)
            except SQLAlchemyError as fault:
                log.warning("alerts wait for the database", error=str(fault.__cause__ or fault))
                busy = False
            if not busy:
                stop.wait(poll_s)


def send_due(db: Database, settings: MonitoringSettings, senders: ThreadPoolExecutor) -> bool:
    """One round; whether there was something to send."""
    with db.transaction() as session:
        letters = alerts.claim(session, SENDERS)
    list(senders.map(lambda letter: deliver(db, settings, letter), letters))
    return bool(letters)


def deliver(db: Database, settings: MonitoringSettings, letter: Letter) -> bool:
    """Send one message and note how it went; whether it went out.

    What went out while the database is away is noted when it is back, as long as the lease lasts: nobody gets it
    twice, and the recovery behind it does not wait for the lease to end.
    """
    try:
        detail = NOTIFIERS[letter.notifier](letter, alerts.means_of(settings))
    except Exception as fault:  # noqa: BLE001 - a notifier's own fault must not stop the sending of others
        detail, for_good = _why(fault)
        wait = None if for_good else wait_after(letter.attempt)
        said = {"number": letter.number, "notifier": letter.notifier, "attempt": letter.attempt}
        log.warning("alert not sent", reason=detail, again_in_s=wait, **said)
        _note(db, lambda session: alerts.not_sent(session, letter, detail, wait))
        return False
    _note(db, lambda session: alerts.sent(session, letter, detail))
    log.info("alert sent", number=letter.number, letter_event=letter.event, notifier=letter.notifier)
    return True


def _note(db: Database, write: Callable[[Session], None]) -> None:
    """Write how a message went, again each second while the database is away. Raises what else goes wrong."""
    deadline = time.monotonic() + NOTE_WITHIN_S
    while True:
        try:
            with db.transaction() as session:
                write(session)
            return
        except SQLAlchemyError as fault:
            if not is_connection_loss(fault) or time.monotonic() > deadline:
                raise
        time.sleep(NOTE_PAUSE_S)


def _why(fault: Exception) -> tuple[str, bool]:
    """What to say of a message that did not go out, and whether another attempt is of no use."""
    if isinstance(fault, NotSent):
        return fault.detail, fault.for_good
    log.error("a notifier failed in itself", exc_info=fault)
    return f"the notifier failed in itself ({type(fault).__name__}); see the worker's log", False
