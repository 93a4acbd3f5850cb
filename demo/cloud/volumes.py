"""The volumes of a simulated cloud, kept in a journal of their own as machines are. Its owner holds the lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from demo.cloud.journal import Journal
from demo.cloud.things import Taken, Volume


class Volumes:
    """Volumes by id. Not safe for threads by itself."""

    def __init__(self, journal: Path, clock: Callable[[], float]) -> None:
        self._journal = Journal(journal)
        self._clock = clock
        self._volumes: dict[str, Volume] = {}
        for record in self._journal.lines():
            self._replay(record)
        self._journal.rewrite({"volume": asdict(one)} for one in self._volumes.values())

    def all(self) -> list[Volume]:
        """Those that exist, in order of creation."""
        return sorted(
            (one for one in self._volumes.values() if one.deleted is None), key=lambda one: one.created
        )

    def get(self, volume_id: str) -> Volume | None:
        """One that exists."""
        found = self._volumes.get(volume_id)
        return None if found is None or found.deleted is not None else found

    def add(self, wanted: Volume) -> Volume:
        """Keep a new one; its time is set here."""
        volume = replace(wanted, created=self._clock())
        self._store(volume)
        return volume

    def delete(self, volume_id: str) -> None:
        """Delete one; it stays in the journal until it is reported."""
        self._store(replace(self._volumes[volume_id], deleted=self._clock()))

    def unreported(self) -> list[Volume]:
        """Those that were deleted and not forgotten yet."""
        return [one for one in self._volumes.values() if one.deleted is not None]

    def forget(self, volume_id: str) -> None:
        """Drop a deleted one."""
        self._journal.append({"reported": volume_id})
        self._volumes.pop(volume_id, None)

    def taken(self) -> Taken:
        """What all of them take."""
        alive = self.all()
        return Taken(disk_gb=sum(one.size_gb for one in alive), volumes=len(alive))

    def _store(self, volume: Volume) -> None:
        self._journal.append({"volume": asdict(volume)})
        self._volumes[volume.id] = volume

    def _replay(self, record: dict[str, Any]) -> None:
        if "reported" in record:
            self._volumes.pop(str(record["reported"]), None)
        else:
            volume = Volume(**record["volume"])
            self._volumes[volume.id] = volume
