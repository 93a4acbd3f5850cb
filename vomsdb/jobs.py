"""What the membership service does on a schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Unavailable
from hanse.follow import Follower
from hanse.jobs import Job
from vomsdb import (
    aups,
    clients,
    digest,
    lifetimes,
    mails,
    manifests,
    member_requests,
    publishing,
    pushing,
    replication,
    unanswered,
    vos,
)
from vomsdb.models import Vo
from vomsdb.press import Authority, Press
from vomsdb.promise import Promise
from vomsdb.pushing import Pace
from vomsdb.settings import VomsdbSettings
from vomsdb.snapshots import SigningKey

_DAY_S = 86400
log = structlog.get_logger(__name__)
MOST_BATCHES = 50


def press_of(settings: VomsdbSettings) -> Press:
    """What signs documents; the key is made on first use."""
    return Press(
        federation=settings.federation,
        key=SigningKey.at(settings.signing_key_path),
        valid_for=timedelta(seconds=settings.manifest_valid_s),
        next_key=_key(settings.signing_key_next),
        previous_key=_key(settings.signing_key_previous),
        keys_for=timedelta(days=settings.signing_key_days),
        authorities=lambda: _authorities(settings),
        authorities_change_at=settings.aa_next_from,
    )


def _key(path: Path | None) -> SigningKey | None:
    return None if path is None else SigningKey.at(path)


def _authorities(settings: VomsdbSettings) -> list[Authority] | None:
    """Our attribute authority as the sites' vomsdir names it; None while a certificate of it cannot be read."""
    try:
        texts = clients.all_files("vo", settings)
    except Unavailable as fault:
        log.warning("manifests without attribute authority", reason=str(fault))
        return None
    return [Authority(one.host, tuple(one.lsc.splitlines())) for one in texts]


def pace_of(settings: VomsdbSettings) -> Pace:
    """How often and how long agents are pushed to."""
    return Pace(settings.push_timeout_s, settings.push_retry_s, settings.push_retry_max_s)


def jobs(settings: VomsdbSettings, db: Database) -> list[Job]:
    """The jobs of the service, as its `jobs` process runs them."""
    press, pace = press_of(settings), pace_of(settings)
    followed: set[object] = set()
    found = [
        Job("publish", lambda: publish(db, press, followed), every_s=settings.publish_interval_s),
        Job("push", lambda: push(db, press, pace), every_s=settings.publish_interval_s),
        _replication(settings, db, press),
        Job(
            "what time changes",
            lambda: by_the_clock(db, settings.confirmation_hours, settings.membership_grace_days),
            every_s=60,
        ),
        Job("purge", lambda: purge(db), daily_at="02:10"),
        Job("digest", lambda: digests(db, settings), daily_at=settings.digest_daily_at),
    ]
    if settings.smtp_host:
        relay = mails.Relay(settings.smtp_host, settings.smtp_port, settings.mail_from)
        found.append(Job("mails", lambda: mails.deliver(db, relay), every_s=settings.mail_interval_s))
    if settings.registry_url:
        token = settings.service_token.get_secret_value()
        registry = Follower(db, "registry", settings.registry_url, token)
        found.append(registry.job(settings.follow_interval_s))
    return found


def _replication(settings: VomsdbSettings, db: Database, press: Press) -> Job:
    """Daily at its time; at shorter or longer intervals on the interval's own grid."""
    interval = settings.replication_interval_s
    spread = timedelta(seconds=min(settings.replication_jitter_s, interval / 4))

    def run() -> str:
        with db.transaction() as session:
            sites, pairs = replication.tell_all(session, press, None, spread)
        return f"{pairs} manifests to sign for {sites} sites."

    if interval == _DAY_S:
        return Job("replication", run, daily_at=settings.replication_daily_at)
    return Job("replication", run, every_s=interval)


def publish(db: Database, press: Press, followed: set[object] | None = None) -> str:
    """New snapshots where something changed, and replicas as the registry tells them.

    `followed` remembers from one run to the next what was read of the registry, so that nothing is asked for twice.
    """
    with db.transaction() as session:
        read = publishing.registry_read(session)
        if read is None or followed is None or read not in followed:
            publishing.follow_the_registry(session)
        changed = publishing.publish_changed(session, press)
    if followed is not None:
        followed.clear()
        followed.add(read)
    fresh = _in_batches(
        db,
        lambda session: manifests.write(session, press, older_than=press.valid_for / 3, most=manifests.BATCH),
    )
    return f"{changed} VOs had changed; {fresh} manifests renewed."


def push(db: Database, press: Press, pace: Pace) -> str:
    """Pushes that are due."""
    taken, refused = pushing.push_due(db, press, pace, pushing.post(pace))
    return f"{taken} agents told, {refused} refused or out of reach."


def digests(db: Database, settings: VomsdbSettings) -> str:
    """The day's mails to the managers of VOs that are not at every site in time."""
    promised = Promise(timedelta(seconds=settings.late_after_s), timedelta(seconds=settings.breach_after_s))
    today, written = datetime.now(UTC).date(), 0
    with db.transaction() as session:
        names = list(session.scalars(select(Vo.name).order_by(Vo.name)))
    for vo in names:
        with db.transaction() as session:
            written += digest.write(session, vo, promised, settings, today)
    return f"{written} digests written."


def by_the_clock(db: Database, confirmation_hours: float, grace_days: float = 30) -> str:
    """Memberships that end, AUPs that lapse and requests that expire become revisions when it happens.

    Each kind is done in batches of a transaction each, until nothing is due or a minute's share is done. Applicants
    are warned when a third of their time to confirm is left.
    """
    ended = _in_batches(db, lifetimes.end_what_has_ended)
    removed = _in_batches(db, lambda session: lifetimes.clean_up(session, timedelta(days=grace_days)))
    unsigned = _in_batches(db, aups.suspend_unsigned)
    expired = _in_batches(db, unanswered.expire) + _in_batches(db, member_requests.expire)
    told = _in_batches(db, lifetimes.warn_of_end) + _in_batches(db, aups.remind)
    told += _in_batches(db, lambda session: unanswered.warn(session, timedelta(hours=confirmation_hours) / 3))
    return (
        f"{ended} memberships ended, {removed} removed, {unsigned} suspended for the AUP, {expired} requests expired, "
        f"{told} people warned."
    )


def _in_batches(db: Database, act: Callable[[Session], int]) -> int:
    """How many were due; a run that finds more than it may do leaves the rest to the next minute."""
    done = 0
    for _ in range(MOST_BATCHES):
        with db.transaction() as session:
            found = act(session)
        done += found
        if found == 0:
            break
    return done


def purge(db: Database) -> str:
    """Forgets what nobody needs any more, and writes anew what the feed should tell of the VOs."""
    with db.transaction() as session:
        requests, documents = unanswered.purge(session), publishing.purge(session)
    with db.transaction() as session:
        vos.put_all(session)
    return f"{requests} old requests and {documents} old snapshots forgotten."
