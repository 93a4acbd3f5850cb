"""What runs on a schedule."""

from __future__ import annotations

from accounting import summaries
from accounting.settings import AccountingSettings
from hanse.database import Database
from hanse.follow import follow_jobs
from hanse.jobs import Job


def jobs(settings: AccountingSettings, db: Database) -> list[Job]:
    """Follow registry and membership; sum what a loader that died left unsummed."""
    return [
        *follow_jobs(settings, db, "registry", "vomsdb"),
        Job("summarise", lambda: _summarise(db), every_s=60),
    ]


def _summarise(db: Database) -> str:
    count = summaries.summarise(db)
    return f"{count} site-months summed." if count else "Nothing was left unsummed."
