"""Takes away what probes left behind at endpoints, also at those that nobody probes any more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

import structlog
from sqlalchemy.exc import SQLAlchemyError

from hanse.database import Database
from monitoring.findings import Fault
from monitoring.machines import DatabaseJournal, orphaned
from monitoring.probes.occi_lives import Lives, cloud_of
from monitoring.wire.certificates import Trust
from monitoring.wire.threads import Budget, in_thread

EVERY_S, TIDY_S, REQUEST_S, LOOK_S = 300.0, 60.0, 20.0, 0.5
log = structlog.get_logger(__name__)


@dataclass
class Sweeper:
    """One worker's broom. Two that sweep the same endpoint do no harm: what is gone is gone.

    `options` are those of the probe that makes machines, so that both log in to the same project."""

    db: Database
    journal: DatabaseJournal
    trust: Trust
    credential: tuple[Path, Path] | None
    options: Mapping[str, str] = field(default_factory=dict)
    every_s: float = EVERY_S

    async def run(self, stop: Event) -> None:
        """Sweep every few minutes until `stop`."""
        while not stop.is_set():
            await self.sweep(stop)
            for _ in range(int(self.every_s / LOOK_S)):
                if stop.is_set():
                    return
                await asyncio.sleep(LOOK_S)

    async def sweep(self, stop: Event) -> None:
        """Each endpoint with something left behind, one after the other."""
        try:
            places = await asyncio.to_thread(self._places)
        except SQLAlchemyError as fault:
            log.warning("sweeping waits for the database", error=str(fault.__cause__ or fault))
            return
        for url in places:
            if stop.is_set():
                return
            try:
                troubles = await in_thread(partial(self._tidy, url), TIDY_S)
            except (Fault, SQLAlchemyError) as fault:
                troubles = [str(fault)]
            log.info("what probes left behind", url=url, left="; ".join(troubles) or "nothing")

    def _places(self) -> list[str]:
        with self.db.transaction() as session:
            return orphaned(session)

    def _tidy(self, url: str, budget: Budget) -> list[str]:
        cloud = cloud_of(url, self.options, self.trust, self.credential, REQUEST_S)
        with cloud:
            return Lives(cloud, url, self.journal, budget).tidy(TIDY_S)
