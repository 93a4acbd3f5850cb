"""The probe worker: claims due checks, runs them side by side under their deadlines, hands the results on.

One event loop runs the probes; the database is spoken to from threads, so that neither holds up the other.
Any number of workers may run; what one claimed and did not finish comes back when its lease ends.
"""

import asyncio
import os
import socket
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Thread

import structlog
from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from hanse.database import Database, JobRun
from monitoring.alerts import audience_of
from monitoring.clock import database_time, local_time
from monitoring.dispatch import dispatch
from monitoring.findings import Fault, Result, Status
from monitoring.machines import DatabaseJournal
from monitoring.models import Worker
from monitoring.probes import PROBES
from monitoring.recording import Bench, Outcome
from monitoring.running import run, target_of
from monitoring.schedule import Lease, claim, give_back
from monitoring.settings import MonitoringSettings
from monitoring.storing import Store
from monitoring.sweeping import Sweeper
from monitoring.wire.certificates import Trust
from monitoring.wire.sockets import Resolve, system_resolve

POLL_S = 0.5
BEAT_S = 5.0
FINISH_S = 5.0
BATCH = 100
_FORGET = text("delete from worker where seen_at < clock_timestamp() - interval '1 day'")
_PRUNE = text(
    "delete from job_run where job like 'probes by %' and due_at < clock_timestamp() - interval '2 days'"
)
log = structlog.get_logger(__name__)


@dataclass
class Minute:
    """What was run in one minute: the line that the run log gets."""

    begins: datetime
    scheduled: int = 0
    asked: int = 0
    troubled: int = 0
    latest_s: float = 0.0
    last: str = ""

    def add(self, outcome: Outcome) -> None:
        """Count one stored result."""
        lease = outcome.lease
        if lease.due_at is None:
            self.asked += 1
        else:
            self.scheduled += 1
            self.latest_s = max(self.latest_s, (outcome.started_at - lease.due_at).total_seconds())
        self.troubled += outcome.result.status != Status.OK
        self.last = f"{lease.probe} of {lease.url}"

    def sentence(self) -> str:
        """For the run log."""
        return (
            f"{self.scheduled} scheduled checks were run and {self.asked} asked for, {self.troubled} not"
            f" in order; the latest began {self.latest_s:.1f} s after it was due. Last: {self.last}."
        )


@dataclass
class ProbeWorker:
    """One worker process. `run()` until `stop`."""

    db: Database
    settings: MonitoringSettings
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    resolve: Resolve = system_resolve
    trust: Trust = field(init=False)
    store: Store = field(init=False)
    journal: DatabaseJournal = field(init=False)
    running: dict[asyncio.Task[None], Lease] = field(default_factory=dict)
    done: int = 0
    _minute: Minute | None = None
    _clock_ahead: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.trust = Trust(self.settings.trust_dir)
        self.journal = DatabaseJournal(self.db)
        bench = Bench(self.settings.rules, audience_of(self.settings))
        self.store = Store(self.db, bench, self._stored)

    def run(self, stop: Event) -> None:
        """Probe, store and alert until `stop`; then finish what runs within five seconds."""
        ended = Event()
        threads = [
            Thread(target=self.store.run, args=(ended,), name="store"),
            Thread(target=dispatch, args=(self.db, self.settings, stop), name="dispatch"),
        ]
        for thread in threads:
            thread.start()
        log.info("worker started", worker=self.name, slots=self.settings.probe_slots)
        try:
            asyncio.run(self._probe_until(stop))
        finally:
            stop.set()
            ended.set()
            for thread in threads:
                thread.join()
            self._log_minute()
        log.info("worker stopped", worker=self.name, checks=self.done)

    async def _probe_until(self, stop: Event) -> None:
        beat = asyncio.create_task(self._beat_until(stop))
        options = self.settings.probe_options.get("occi-compute", {})
        sweeper = Sweeper(self.db, self.journal, self.trust, self.settings.credential, options)
        sweep = asyncio.create_task(sweeper.run(stop))
        while not stop.is_set():
            leases = await self._claim()
            for lease in leases:
                task = asyncio.create_task(self._probe(lease))
                self.running[task] = lease
                task.add_done_callback(lambda ended: self.running.pop(ended, None))
            if len(leases) < BATCH:
                await asyncio.sleep(POLL_S)
        await beat
        await sweep
        await self._finish()

    async def _claim(self) -> list[Lease]:
        free = min(self.settings.probe_slots - len(self.running), BATCH)
        if free <= 0:
            return []
        try:
            return await asyncio.to_thread(self._claim_now, free)
        except SQLAlchemyError as fault:
            log.warning("probing waits for the database", error=str(fault.__cause__ or fault))
            return []

    def _claim_now(self, free: int) -> list[Lease]:
        on_host = Counter(lease.host for lease in self.running.values())
        busy = [host for host, count in on_host.items() if count >= self.settings.per_host]
        with self.db.transaction() as session:
            leases = claim(session, self.name, free, busy)
            self._clock_ahead = database_time(session) - local_time()
            kept: list[Lease] = []
            surplus: list[Lease] = []
            for lease in leases:
                on_host[lease.host] += 1
                (kept if on_host[lease.host] <= self.settings.per_host else surplus).append(lease)
            give_back(session, surplus, self.name)
        return kept

    async def _probe(self, lease: Lease) -> None:
        started = local_time() + self._clock_ahead
        result = await self._result(lease)
        self.store.put(Outcome(lease, result, started, self.name))

    async def _result(self, lease: Lease) -> Result:
        try:
            target = target_of(lease.url, lease.options)
            return await run(
                PROBES[lease.probe],
                target,
                self.trust,
                credential=self.settings.credential,
                deadline_s=lease.deadline_s,
                resolve=self.resolve,
                journal=self.journal,
            )
        except Fault as fault:
            return Result(Status.UNKNOWN, fault.summary, fault.reason, 0.0)
        except Exception as fault:
            log.exception("a probe failed in itself", probe=lease.probe, url=lease.url)
            said = f"The probe {lease.probe} failed in itself ({type(fault).__name__}); see the worker's log"
            return Result(Status.UNKNOWN, said, "probe-broken", 0.0)

    async def _finish(self) -> None:
        if self.running:
            await asyncio.wait(list(self.running), timeout=FINISH_S)
        unfinished = list(self.running.values())
        for task in list(self.running):
            task.cancel()
        if unfinished:
            await asyncio.to_thread(self._return, unfinished)

    def _return(self, leases: list[Lease]) -> None:
        try:
            with self.db.transaction() as session:
                give_back(session, leases, self.name)
        except SQLAlchemyError as fault:
            log.warning("leases end by themselves: the database is away", error=str(fault.__cause__ or fault))

    # --- what it says about itself ---

    def _stored(self, outcome: Outcome) -> None:
        self.done += 1
        begins = outcome.started_at.replace(second=0, microsecond=0)
        if self._minute is None or self._minute.begins < begins:
            self._log_minute()
            self._minute = Minute(begins)
        self._minute.add(outcome)

    def _log_minute(self) -> None:
        minute = self._minute
        if minute is None or not minute.scheduled + minute.asked:
            return
        values = {"finished_at": func.clock_timestamp(), "outcome": "ok", "detail": minute.sentence()}
        row = insert(JobRun).values(
            job=f"probes by {self.name}", due_at=minute.begins, started_at=minute.begins, **values
        )
        try:
            with self.db.transaction() as session:
                session.execute(row.on_conflict_do_update(index_elements=["job", "due_at"], set_=values))
                session.execute(_PRUNE)
        except SQLAlchemyError as fault:
            log.warning("the run log waits for the database", error=str(fault.__cause__ or fault))

    async def _beat_until(self, stop: Event) -> None:
        started = local_time() + self._clock_ahead
        while not stop.is_set():
            await asyncio.to_thread(self._beat, started)
            for _ in range(int(BEAT_S / POLL_S)):
                if stop.is_set():
                    break
                await asyncio.sleep(POLL_S)

    def _beat(self, started: datetime) -> None:
        values = {
            "seen_at": func.clock_timestamp(),
            "running": len(self.running),
            "done": self.done,
            "dropped": self.store.dropped,
        }
        row = insert(Worker).values(name=self.name, started_at=started, **values)
        try:
            with self.db.transaction() as session:
                session.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))
                session.execute(_FORGET)
        except SQLAlchemyError as fault:
            log.warning(
                "the worker's sign of life waits for the database", error=str(fault.__cause__ or fault)
            )
        self._log_minute()
