"""The loader as a process: takes messages from the inbox until it is told to stop. Any number may run."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from accounting import summaries
from accounting.loading import Loader, Outcome, says_nothing
from accounting.pseudonyms import KeyMissing
from hanse.database import FollowCursor

SUMMARISE_AFTER_S = 5.0
log = structlog.get_logger(__name__)


@dataclass
class Worker:
    """Loads what waits, and sums what was touched: after `SUMMARISE_AFTER_S` seconds, and whenever the inbox
    is empty.

    `registry_expected`: with a registry configured, nothing is judged before its feed was read once, since
    until then every site would be unknown.
    """

    loader: Loader
    poll_s: float = 1.0
    registry_expected: bool = False
    _told: str = field(default="", init=False)

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; lives through a restart of PostgreSQL and a full disk.

        Without the key of the pseudonyms everything waits, too.
        """
        while not stop.is_set():
            try:
                if not self.work(stop):
                    stop.wait(self.poll_s)
                self._told = ""
            except (SQLAlchemyError, KeyMissing) as error:
                if not says_nothing(error):
                    raise
                self._tell_waiting(str(error.__cause__ or error))
                stop.wait(max(self.poll_s, 1.0))

    def _tell_waiting(self, why: str) -> None:
        """Warn once for each cause: it may last for hours."""
        if why != self._told:
            log.warning("the loader waits", error=why)
        self._told = why

    def work(self, stop: Event | None = None) -> int:
        """Load what waits now, for at most `SUMMARISE_AFTER_S` seconds, and sum; returns how many were loaded."""
        if not self._registry_known():
            return 0
        count = 0
        until = time.monotonic() + SUMMARISE_AFTER_S
        while time.monotonic() < until and not (stop and stop.is_set()):
            with _collecting_after():
                outcomes = self.loader.load_batch()
            if not outcomes:
                break
            for outcome in outcomes:
                _tell(outcome)
            count += len(outcomes)
        if count or self._due():
            summaries.summarise(self.loader.db)
        return count

    def _registry_known(self) -> bool:
        if not self.registry_expected:
            return True
        with self.loader.db.transaction() as session:
            read = select(FollowCursor.pulled_at).where(FollowCursor.source == "registry")
            known = session.scalar(read) is not None
        if not known:
            log.info("the loader waits until the registry's feed was read once")
            self.loader.look_at_registry()
        return known

    def _due(self) -> bool:
        with self.loader.db.transaction() as session:
            return summaries.is_due(session)


@contextmanager
def _collecting_after() -> Iterator[None]:
    """Look for circles of garbage once after a batch. While it is loaded the records would be gone through again and
    again, a quarter of all the time, and they have no circles; how many there are at once the batch bounds.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)  # all that was made meanwhile is of the youngest generation
        if was_on:
            gc.enable()


def _tell(outcome: Outcome) -> None:
    log.info(
        "message judged",
        message=outcome.message,
        state=outcome.state,
        records=outcome.records,
        loaded=outcome.loaded,
        refused=outcome.refused,
        reason=outcome.reason or None,
    )
