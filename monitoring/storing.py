"""Results on their way to the database: kept in memory while it is away, bounded, in order."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from threading import Event, Lock

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from hanse.database import Database, is_connection_loss
from monitoring.bulk import record_quiet
from monitoring.recording import Bench, Outcome, record

KEPT = 20_000
AT_ONCE = 200
RETRY_S = 1.0
log = structlog.get_logger(__name__)


@dataclass
class Store:
    """A queue and the loop that empties it. When it overflows the oldest result is dropped and counted."""

    db: Database
    bench: Bench
    stored: Callable[[Outcome], None]
    dropped: int = 0
    _queue: deque[Outcome] = field(default_factory=deque)
    _lock: Lock = field(default_factory=Lock)
    _filled: Event = field(default_factory=Event)

    def put(self, outcome: Outcome) -> None:
        """Hand over a result; never waits."""
        with self._lock:
            if len(self._queue) >= KEPT:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(outcome)
        self._filled.set()

    def __len__(self) -> int:
        return len(self._queue)

    def run(self, stop: Event) -> None:
        """Store until `stop` is set and the queue is empty or the database away."""
        while not (stop.is_set() and not self._queue):
            self._filled.wait(0.2)
            self._filled.clear()
            while self._queue:
                if not (self._store_quiet() and self._store_first()):
                    if stop.is_set():
                        log.warning(
                            "results are lost: the database is away at the end", count=len(self._queue)
                        )
                        return
                    stop.wait(RETRY_S)

    def _store_quiet(self) -> bool:
        """Store what changes nothing, many at once; what is left is stored one by one. False = no database."""
        with self._lock:
            batch = list(islice(self._queue, AT_ONCE))
        if len(batch) < 2:
            return True
        try:
            with self.db.transaction() as session:
                stored = record_quiet(session, batch, self.bench)
        except SQLAlchemyError as fault:
            if is_connection_loss(fault):
                log.warning("results wait for the database", waiting=len(self._queue))
                return False
            log.warning("a batch of results is stored one by one", error=str(fault.__cause__ or fault))
            return True
        except Exception:
            log.exception("a batch of results is stored one by one")
            return True
        with self._lock:
            gone = {id(outcome) for outcome in stored}
            left = [outcome for outcome in self._queue if id(outcome) not in gone]
            self._queue.clear()
            self._queue.extend(left)
        for outcome in stored:
            self.stored(outcome)
        return True

    def _store_first(self) -> bool:
        if not self._queue:
            return True
        outcome = self._queue[0]
        try:
            with self.db.transaction() as session:
                record(session, outcome, self.bench)
        except SQLAlchemyError as fault:
            if is_connection_loss(fault):
                log.warning("results wait for the database", waiting=len(self._queue))
                return False
            gone = isinstance(fault, IntegrityError)  # the endpoint was removed during its check
            log.error("result not stored", check=outcome.lease.check_id, gone=gone, error=str(fault))
            self.dropped += 1
        except Exception:
            log.exception("result not judged", check=outcome.lease.check_id)
            self.dropped += 1
        else:
            self.stored(outcome)
        with self._lock:
            if self._queue and self._queue[0] is outcome:
                self._queue.popleft()
        return True
