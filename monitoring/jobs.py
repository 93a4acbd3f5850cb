"""What runs on a schedule in the jobs process. Probes run in `hanse monitoring worker`."""

from hanse.database import Database
from hanse.follow import follow_jobs
from hanse.jobs import Job
from monitoring import attending, topology, upkeep
from monitoring.figures import daily
from monitoring.settings import MonitoringSettings


def jobs(settings: MonitoringSettings, db: Database) -> list[Job]:
    """Follow the registry, adopt its endpoints, watch the clock, count the days, attend to incidents,
    delete old results."""
    every_s = settings.follow_interval_s
    return [
        *follow_jobs(settings, db, "registry", "vomsdb"),
        Job("adopt endpoints", lambda: topology.adopt(db, settings), every_s=every_s),
        Job(
            "downtimes and missing results",
            lambda: upkeep.watch_clock(db, settings),
            every_s=min(15.0, every_s),
        ),
        Job(
            "availability and reliability", lambda: daily.make(db, settings), every_s=min(300.0, 20 * every_s)
        ),
        Job("attend to incidents", lambda: attending.attend(db, settings), every_s=min(60.0, every_s)),
        Job("digest", lambda: attending.digest(db, settings), daily_at="07:00"),
        Job("delete old results", lambda: upkeep.prune(db, settings), daily_at="03:10"),
    ]
