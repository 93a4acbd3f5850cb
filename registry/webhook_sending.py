"""The queue of webhooks: claimed in batches, sent under a deadline, tried again until a receiver answers 2xx."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.http import HttpError, Policy, fetch, public_address
from hanse.sealing import Unreadable
from registry import mails, webhook_secrets, webhooks
from registry.models import Webhook, WebhookDelivery
from registry.settings import RegistrySettings

FIRST_RETRY_S, LONGEST_RETRY_S, MOST_ATTEMPTS = 10, 6 * 3600, 20
BATCH, AT_ONCE = 32, 8
GONE = 410
_UNREADABLE = "Its secret cannot be read: the secret key of the registry was changed; make a new secret"


@dataclass(frozen=True)
class Message:
    """One delivery with all that sending it needs, so that no connection is held while it is sent."""

    id: str
    webhook: int
    url: str
    secret: str
    body: str
    attempts: int


@dataclass(frozen=True)
class Claimed:
    """What one look at the queue found: `seen` deliveries, their messages, webhooks whose secret cannot be read."""

    messages: list[Message]
    unreadable: list[int]
    seen: int


@dataclass(frozen=True)
class Outcome:
    """How an attempt went: the status that was answered, or None and why."""

    status: int | None
    answer: str

    @property
    def good(self) -> bool:
        """True for 2xx."""
        return self.status is not None and 200 <= self.status < 300


def run(db: Database, settings: RegistrySettings) -> str:
    """One round: queue what is new, send what is due, forget what is old. A sentence for the run log."""
    webhook_secrets.seal_plain(db, settings)
    told = webhooks.spread(db)
    good = bad = 0
    while (claimed := claim(db, settings)).seen:
        for number in claimed.unreadable:
            stop_unreadable(db, number, settings)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as senders:
            outcomes = list(senders.map(lambda one: send(one, settings), claimed.messages))
        for message, outcome in zip(claimed.messages, outcomes, strict=True):
            settle(db, message, outcome, settings)
            good, bad = good + outcome.good, bad + (not outcome.good)
        if claimed.seen < BATCH:
            break
    prune(db, settings.webhook_log_days)
    return f"{told} queued, {good} delivered, {bad} failed."


def claim(db: Database, settings: RegistrySettings) -> Claimed:
    """Deliveries that are due, each put off first: one whose sender dies is sent again, under the same id.

    Those that cannot be signed are left as they are; `stop_unreadable` takes their webhooks out of the queue.
    """
    now = datetime.now(UTC)
    with db.transaction() as session:
        rows = session.execute(
            select(WebhookDelivery, Webhook)
            .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
            .where(
                WebhookDelivery.state == "pending",
                WebhookDelivery.next_attempt_at <= now,
                Webhook.active,
            )
            .order_by(WebhookDelivery.next_attempt_at, WebhookDelivery.created_at)
            .limit(BATCH)
            .with_for_update(of=WebhookDelivery, skip_locked=True)
        ).all()
        seal = webhook_secrets.seal_of(settings)
        messages, unreadable = [], set()
        for row, webhook in rows:
            try:
                secret = webhook_secrets.opened(seal, webhook.secret)
            except Unreadable:
                unreadable.add(webhook.id)
                continue
            row.attempts += 1
            row.last_attempt_at = now
            row.next_attempt_at = now + timedelta(
                seconds=settings.webhook_deadline_s * BATCH / AT_ONCE + 30 + pause_s(row.attempts)
            )
            messages.append(Message(row.id, webhook.id, webhook.url, secret, row.body, row.attempts))
        return Claimed(messages, sorted(unreadable), len(rows))


def stop_unreadable(db: Database, number: int, settings: RegistrySettings) -> None:
    """Stop a webhook whose secret cannot be read and tell its owner, unless it has a new secret by now.

    A transaction of its own: whoever holds deliveries must not wait for a webhook, since settling locks that first.
    """
    with db.transaction() as session:
        webhook = session.get(Webhook, number, with_for_update={"of": Webhook})
        if webhook is None:
            return
        try:
            webhook_secrets.opened(webhook_secrets.seal_of(settings), webhook.secret)
        except Unreadable:
            _stop(session, webhook, _UNREADABLE, settings)


def pause_s(attempts: int) -> float:
    """Seconds until the next attempt: 10, 30, 90 ... up to six hours."""
    return float(min(FIRST_RETRY_S * 3 ** (attempts - 1), LONGEST_RETRY_S))


def send(message: Message, settings: RegistrySettings) -> Outcome:
    """POST one message. Redirects are not followed; only a setting lets it go elsewhere than to the public internet."""
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": webhooks.signature(message.secret, message.id, timestamp, message.body),
    }
    policy = Policy(address=None if settings.webhook_private_addresses else public_address)
    try:
        answer = fetch(
            "POST",
            message.url,
            headers=headers,
            body=message.body.encode(),
            deadline_s=settings.webhook_deadline_s,
            max_bytes=65_536,
            policy=policy,
        )
    except HttpError as error:
        return Outcome(None, str(error)[:500])
    return Outcome(answer.status, answer.text[:500].replace("\0", ""))


def settle(db: Database, message: Message, outcome: Outcome, settings: RegistrySettings) -> None:
    """Write down how it went; stop a webhook that has failed for too long, and tell its owner."""
    now = datetime.now(UTC)
    with db.transaction() as session:
        webhook = session.get(Webhook, message.webhook, with_for_update={"of": Webhook})
        row = session.get(WebhookDelivery, message.id, with_for_update=True)
        if row is None or webhook is None:  # removed meanwhile
            return
        row.last_status, row.last_answer = outcome.status, outcome.answer
        if outcome.good:
            row.state, row.delivered_at = "delivered", now
            webhook.failing_since = None
            return
        row.next_attempt_at = now + timedelta(seconds=pause_s(message.attempts))
        if message.attempts >= MOST_ATTEMPTS:
            row.state = "failed"
        webhook.failing_since = webhook.failing_since or now
        limit = timedelta(days=settings.webhook_give_up_days)
        if outcome.status == GONE:
            _stop(session, webhook, "The receiver answered 410: it is gone for good", settings)
        elif now - webhook.failing_since > limit:
            days = f"{settings.webhook_give_up_days:g}"
            _stop(session, webhook, f"Nothing was taken for {days} days: {_told(outcome)}", settings)


def _told(outcome: Outcome) -> str:
    return outcome.answer if outcome.status is None else f"the receiver answered {outcome.status}"


def _stop(session: Session, webhook: Webhook, reason: str, settings: RegistrySettings) -> None:
    if not webhook.active:
        return
    webhooks.stop(webhook, reason)
    if webhook.person.email:
        mails.queue(
            session,
            webhook.person.email,
            f"Your webhook {webhook.id} was stopped",
            f"{reason}.\n\nIt was to be told of changes in {settings.federation} at\n{webhook.url}\n\n"
            f"Mend the receiver, then start it again and send again what is missing:\n"
            f"{settings.url.rstrip('/')}/webhooks/{webhook.id}\n",
            about=f"webhook:{webhook.id}",
        )


def prune(db: Database, days: float) -> None:
    """Forget deliveries that are done and older than `days`."""
    before = datetime.now(UTC) - timedelta(days=days)
    with db.transaction() as session:
        session.execute(
            delete(WebhookDelivery).where(
                WebhookDelivery.created_at < before, WebhookDelivery.state != "pending"
            )
        )
