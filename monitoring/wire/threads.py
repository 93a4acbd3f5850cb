"""Heavy probes: work that waits for a cloud for minutes, in a thread of its own beside the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from monitoring.findings import Fault, Status

T = TypeVar("T")
MOST = 32
_slots = threading.BoundedSemaphore(MOST)


class Budget:
    """How long a piece of work may take, seconds of the wall clock; it may be ended before."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._over = threading.Event()

    def left_s(self) -> float:
        """Seconds left, 0 when it is over."""
        return 0.0 if self._over.is_set() else max(0.0, self._ends - time.monotonic())

    def wait(self, seconds: float) -> bool:
        """Wait, no longer than the budget; whether anything is left."""
        self._over.wait(min(seconds, self.left_s()))
        return self.left_s() > 0

    def end(self) -> None:
        """Nothing more is to be begun."""
        self._over.set()


async def in_thread(work: Callable[[Budget], T], seconds: float) -> T:
    """What `work` returns or raises. When the caller is cancelled the work is told by its budget and ends by itself.

    Raises Fault local-resources when too many are under way already."""
    if not _slots.acquire(blocking=False):
        raise Fault("local-resources", f"This worker runs {MOST} heavy checks already", Status.UNKNOWN)
    loop, budget = asyncio.get_running_loop(), Budget(seconds)
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        ended: Future[T] = Future()
        try:
            ended.set_result(work(budget))
        except BaseException as error:  # noqa: BLE001 - raised to whoever waits
            ended.set_exception(error)
        finally:
            _slots.release()
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(_settle, done, ended)

    threading.Thread(target=run, name="heavy probe", daemon=True).start()
    try:
        return await done
    except asyncio.CancelledError:
        budget.end()
        raise


def _settle(done: "asyncio.Future[T]", ended: Future[T]) -> None:
    if done.done():
        return
    failure = ended.exception()
    if failure is not None:
        done.set_exception(failure)
    else:
        done.set_result(ended.result())
