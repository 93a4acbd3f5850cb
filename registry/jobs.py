"""What the registry does on a schedule."""

from __future__ import annotations

from hanse.database import Database
from hanse.follow import Follower
from hanse.jobs import Job
from registry import downtime_drafts, downtimes, people
from registry.settings import RegistrySettings


def jobs(settings: RegistrySettings, db: Database) -> list[Job]:
    """The clock of downtimes and tokens, and the membership feed: it says who manages which VO."""
    scheduled = [
        Job("downtimes", lambda: downtimes.move_with_clock(db), every_s=settings.clock_interval_s),
        Job("downtime drafts", lambda: downtime_drafts.tidy(db, settings), every_s=300, jitter_s=30),
        Job("tokens", lambda: people.end_expired(db), every_s=max(settings.clock_interval_s, 60)),
    ]
    if settings.vomsdb_url:
        token = settings.service_token.get_secret_value()
        scheduled.append(Follower(db, "vomsdb", settings.vomsdb_url, token).job(settings.follow_interval_s))
    return scheduled
