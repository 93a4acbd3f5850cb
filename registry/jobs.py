"""What the registry does on a schedule."""

from __future__ import annotations

from hanse.database import Database
from hanse.follow import Follower
from hanse.jobs import Job
from registry import (
    api_credentials,
    downtime_drafts,
    downtimes,
    identities,
    mails,
    people,
    personal_data,
    policy_contacts,
    policy_proposals,
    subscriptions,
    webhook_sending,
)
from registry.settings import RegistrySettings


def jobs(settings: RegistrySettings, db: Database) -> list[Job]:
    """The clock of downtimes and tokens, and the membership feed: it says who manages which VO."""
    if settings.read_only:  # a copy for fail-over: whatever changes, the first registry changes it
        return []
    scheduled = [
        Job("downtimes", lambda: downtimes.move_with_clock(db), every_s=settings.clock_interval_s),
        Job("downtime drafts", lambda: downtime_drafts.tidy(db, settings), every_s=300, jitter_s=30),
        Job("tokens", lambda: people.end_expired(db), every_s=max(settings.clock_interval_s, 60)),
    ]
    scheduled += [
        Job("API credentials", lambda: api_credentials.watch(db, settings), daily_at="04:10", jitter_s=60),
        Job("link codes", lambda: identities.forget_codes(db), daily_at="04:20"),
        Job("old mails", lambda: mails.prune(db, settings.mail_days), daily_at="04:30"),
        Job(
            "reads of people",
            lambda: personal_data.prune_reads(db, settings.personal_read_days),
            daily_at="04:40",
        ),
    ]
    scheduled += [
        Job(
            "certification policy",
            lambda: policy_proposals.review(db, settings),
            every_s=settings.policy_interval_s,
            jitter_s=min(60, settings.policy_interval_s / 10),
        ),
        Job(
            "contacts asked",
            lambda: policy_contacts.ask_when_due(db, settings),
            daily_at="05:10",
            jitter_s=60,
        ),
    ]
    scheduled += [
        Job("webhooks", lambda: webhook_sending.run(db, settings), every_s=settings.webhook_interval_s),
        Job("subscriptions", lambda: subscriptions.tell(db, settings), every_s=settings.mail_interval_s),
        Job("digests", lambda: subscriptions.digest(db, settings), daily_at=settings.digest_at, jitter_s=60),
    ]
    if settings.smtp_host:
        relay = mails.Relay(settings.smtp_host, settings.smtp_port, settings.mail_from)
        scheduled.append(Job("mails", lambda: mails.deliver(db, relay), every_s=settings.mail_interval_s))
    if settings.vomsdb_url:
        token = settings.service_token.get_secret_value()
        scheduled.append(Follower(db, "vomsdb", settings.vomsdb_url, token).job(settings.follow_interval_s))
    return scheduled
