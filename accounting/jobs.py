"""What runs on a schedule."""

from __future__ import annotations

from datetime import UTC, datetime

from accounting import archive, bulk_replay, crosschecks, membership, summaries
from accounting.archive.keeping import before_of
from accounting.forwarding.sending import make_forwarder
from accounting.loading import make_loader
from accounting.models import Mail
from accounting.settings import AccountingSettings
from hanse import mails
from hanse.database import Database
from hanse.follow import follow_jobs
from hanse.jobs import Job


def jobs(settings: AccountingSettings, db: Database) -> list[Job]:
    """Follow registry and membership; sum what a loader that died left unsummed; compare, tell, and replay."""
    loader = make_loader(settings, db)
    found = [
        *follow_jobs(settings, db, "registry", "vomsdb"),
        Job("summarise", lambda: _summarise(db), every_s=60),
        Job("cross-checks", lambda: cross_check(settings, db), every_s=settings.cross_check_interval_s),
        Job("replays", lambda: bulk_replay.work_off(loader), every_s=settings.replay_interval_s),
    ]
    if settings.smtp_host:
        relay = mails.Relay(settings.smtp_host, settings.smtp_port, settings.mail_from)
        found.append(Job("mails", lambda: mails.deliver(db, Mail, relay), every_s=settings.mail_interval_s))
    if settings.keep_raw_months:
        found.append(Job("archive", lambda: keep_less(settings, db), daily_at="02:40"))
    if settings.forward_url:
        found.append(Job("forward", lambda: forward(settings, db), daily_at=settings.forward_at))
    return found


def forward(settings: AccountingSettings, db: Database) -> str:
    """Bring the higher federation up to date; a sentence for the run log."""
    with make_forwarder(settings, db) as forwarder:
        return forwarder.forward().sentence


def keep_less(settings: AccountingSettings, db: Database) -> str:
    """Archive what is older than keep_raw_months; a sentence for the run log."""
    before = before_of(datetime.now(UTC), settings.keep_raw_months)
    done = archive.archive(db, settings.archive_folder, before, "a job")
    rows = sum(each.rows for each in done)
    return f"{rows:,} rows went into {len(done)} archive files." if done else "Nothing is old enough to go."


def cross_check(settings: AccountingSettings, db: Database) -> str:
    """Carry out the cross-checks and tell the owners of what is new; a sentence for the run log."""
    now = datetime.now(UTC)
    asked = membership.asking(settings)
    seen = crosschecks.look(
        db, now, months=settings.cross_check_months, silent_days=settings.silent_days,
        ask_members=asked.subjects if asked else None,
        issuers=[provider.issuer for provider in settings.sign_in.values()],
    )  # fmt: skip
    return f"{seen} {crosschecks.tell_owners(db, now, settings.url)}"


def _summarise(db: Database) -> str:
    count = summaries.summarise(db)
    words = f"{count} site-months summed." if count else "Nothing was left unsummed."
    with db.transaction() as session:
        waiting = summaries.waits_for_archive(session)
    if waiting:
        kind, site, month = min(waiting, key=lambda each: each[2])
        words += (
            f" {len(waiting)} wait for records in the archive, the oldest for {kind} of {site} in {month:%Y-%m}: hanse"
            f" accounting restore {month:%Y-%m}."
        )
    return words
