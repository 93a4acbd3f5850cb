"""Webhooks: register, change, stop; what each is told goes into the queue with the revision that it tells of.

A message is signed as the Standard Webhooks have it: `webhook-id`, `webhook-timestamp`, and `webhook-signature`, which
is "v1," and the base64 of HMAC-SHA256 over "id.timestamp.body" under the secret (the base64 after `whsec_`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import head
from registry import happenings, people, webhook_secrets
from registry.happenings import Filter, Happening, News
from registry.models import Ngi, Role, Site, Subscription, Webhook, WebhookDelivery
from registry.models.listening import DELIVERY_STATES
from registry.rights import READ_LOG, is_operator
from registry.schemas.fields import iso
from registry.schemas.listening import WebhookEdit, WebhookIn
from registry.settings import RegistrySettings

MOST = 20


def register(
    db: Database, principal: Principal, form: WebhookIn, settings: RegistrySettings
) -> tuple[int, str]:
    """Register a webhook of the caller; returns its id and its secret, which is shown this once.

    Raises Forbidden, NotFound (site, NGI), Refused (address, too many).
    """
    _check_url(form.url, settings)
    secret = webhook_secrets.new()
    sealed = webhook_secrets.seal_of(settings).close(secret)
    with db.transaction() as session:
        person = people.own(session, principal)
        held = session.scalar(select(func.count()).select_from(Webhook).where(Webhook.person_id == person.id))
        if (held or 0) >= MOST:
            raise Refused(f"You have {MOST} webhooks; remove one that is no longer used.")
        row = Webhook(person_id=person.id, url=form.url, secret=sealed, cursor=head(session))
        _set(session, row, form.model_dump())
        session.add(row)
        session.flush()
        return row.id, secret


def _check_url(url: str, settings: RegistrySettings) -> None:
    if urlsplit(url).scheme != "https" and not settings.webhook_private_addresses:
        raise Refused("The webhook was not saved.", FieldFault("url", "must begin with https://"))


def _set(session: Session, row: Webhook, values: Mapping[str, Any]) -> None:
    for field in ("url", "description", "kinds", "vos"):
        if values.get(field) is not None:
            setattr(row, field, values[field])
    if values.get("sites") is not None:
        row.site_ids = _ids(session, Site, values["sites"], "sites")
    if values.get("ngis") is not None:
        row.ngi_ids = _ids(session, Ngi, values["ngis"], "ngis")


def _ids(session: Session, table: type[Site] | type[Ngi], names: Sequence[str], field: str) -> list[int]:
    known = {
        name: number
        for number, name in session.execute(select(table.id, table.name).where(table.name.in_(names)))
    }
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise NotFound(
            f"There is no {field[:-1]} {', '.join(unknown)}.",
            FieldFault(field, "name one that is registered"),
        )
    return sorted(known.values())


def edit(
    db: Database, principal: Principal, number: int, form: WebhookEdit, settings: RegistrySettings
) -> None:
    """Change a webhook; `active` stops it, or starts it again from the present revision on."""
    if form.url is not None:
        _check_url(form.url, settings)
    with db.transaction() as session:
        row = own(session, principal, number, lock=True)
        _set(session, row, form.model_dump(exclude_unset=True))
        if form.active is True and not row.active:
            row.active, row.stopped_at, row.stopped_reason, row.failing_since = True, None, "", None
            row.cursor = head(session)
        elif form.active is False:
            stop(row, "Stopped by hand")


def stop(row: Webhook, reason: str) -> None:
    """Tell the webhook nothing more; deliveries that wait keep waiting."""
    if row.active:
        row.active, row.stopped_at, row.stopped_reason = False, datetime.now(UTC), reason


def remove(db: Database, principal: Principal, number: int) -> None:
    """Remove a webhook with its deliveries."""
    with db.transaction() as session:
        session.delete(own(session, principal, number, lock=True))


def renew_secret(db: Database, principal: Principal, number: int, settings: RegistrySettings) -> str:
    """A new secret, which is shown this once; what is sent from now on is signed with it."""
    secret = webhook_secrets.new()
    with db.transaction() as session:
        row = own(session, principal, number, lock=True)
        row.secret = webhook_secrets.seal_of(settings).close(secret)
    return secret


def own(session: Session, principal: Principal, number: int, *, lock: bool = False) -> Webhook:
    """The webhook, for its owner and for operators. Raises NotFound for everybody else too."""
    row = session.get(Webhook, number, with_for_update={"of": Webhook} if lock else None)
    mine = row is not None and principal.person == str(row.person_id)
    if row is None or not (mine or is_operator(principal)):
        raise NotFound(f"You have no webhook {number}.")
    return row


def listed(session: Session, principal: Principal) -> list[Webhook]:
    """Own webhooks, and for operators all, the newest first."""
    wanted = select(Webhook).order_by(Webhook.id.desc())
    if not is_operator(principal):
        wanted = wanted.where(Webhook.person_id == int(principal.person or -1))
    return list(session.scalars(wanted))


def waiting(session: Session, number: int) -> int:
    """How many deliveries of a webhook wait."""
    wanted = select(func.count()).where(
        WebhookDelivery.webhook_id == number, WebhookDelivery.state == "pending"
    )
    return session.scalar(wanted) or 0


def names(session: Session, row: Webhook) -> dict[str, list[str]]:
    """The sites and NGIs of the filters by their present names."""
    sites = session.scalars(select(Site.name).where(Site.id.in_(row.site_ids)).order_by(Site.name))
    ngis = session.scalars(select(Ngi.name).where(Ngi.id.in_(row.ngi_ids)).order_by(Ngi.name))
    return {"sites": list(sites), "ngis": list(ngis)}


def deliveries(
    session: Session, number: int, state: str | None, beyond: tuple[datetime, str] | None, limit: int
) -> list[WebhookDelivery]:
    """Deliveries of a webhook, the newest first, from the one beyond (created, id)."""
    wanted: Select[WebhookDelivery] = select(WebhookDelivery).where(WebhookDelivery.webhook_id == number)
    if state is not None:
        wanted = wanted.where(WebhookDelivery.state == state)
    if beyond is not None:
        at, one = beyond
        wanted = wanted.where(
            (WebhookDelivery.created_at < at)
            | ((WebhookDelivery.created_at == at) & (WebhookDelivery.id < one))
        )
    newest = wanted.order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
    return list(session.scalars(newest.limit(limit)))


def send_again(db: Database, principal: Principal, number: int, delivery: str) -> None:
    """Put a delivery into the queue once more, under the same id. Raises NotFound."""
    with db.transaction() as session:
        own(session, principal, number)
        row = session.get(WebhookDelivery, delivery, with_for_update=True)
        if row is None or row.webhook_id != number:
            raise NotFound("This webhook has no such delivery.")
        row.state, row.delivered_at, row.attempts = "pending", None, 0
        row.next_attempt_at = datetime.now(UTC)


def try_out(db: Database, principal: Principal, number: int) -> str:
    """Queue a message that tells of nothing, to see whether it arrives; returns the delivery's id."""
    with db.transaction() as session:
        own(session, principal, number)
        message = {
            "type": "registry.test",
            "timestamp": iso(datetime.now(UTC)),
            "data": {"webhook": str(number)},
        }
        row = WebhookDelivery(id=_new_id(), webhook_id=number, revision=None, body=_text(message))
        session.add(row)
        return row.id


def _new_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def spread(db: Database) -> int:
    """Put what happened since into the queue of each webhook that wants it; returns how many messages.

    Message and cursor are one transaction: a process that dies in between has told nothing and forgotten nothing.
    """
    with db.transaction() as session:
        behind = list(
            session.scalars(
                select(Webhook.id).where(Webhook.active, Webhook.cursor < head(session)).order_by(Webhook.id)
            )
        )
    return sum(_spread_to(db, number) for number in behind)


def _spread_to(db: Database, number: int) -> int:
    with db.transaction() as session:
        row = session.get(Webhook, number, with_for_update={"of": Webhook, "skip_locked": True})
        if row is None or not row.active:
            return 0
        if not _entitled(session, row):
            stop(row, "Its owner holds no role here any more")
            return 0
        filters = _filters(session, row)
        found = happenings.after(session, row.cursor)
        told = 0
        for news in found:
            met = [
                one
                for one in news.happenings
                if any(since < news.revision and wanted.lets(one) for since, wanted in filters)
            ]
            told += enqueue(session, row.id, news, met) if met else 0
        if found:
            row.cursor = found[-1].revision
        return told


def _entitled(session: Session, row: Webhook) -> bool:
    """Whether the owner still is one of those who run the federation."""
    held = select(Role.id).where(
        Role.person_id == row.person_id, Role.status == "GRANTED", Role.role.in_(READ_LOG.roles)
    )
    return session.scalar(held.limit(1)) is not None


def _filters(session: Session, row: Webhook) -> list[tuple[int, Filter]]:
    """What the webhook is told, each from a revision on: by its own filters, and by the subscriptions that use it.

    One without filters is told what its subscriptions ask for, and everything when it has none.
    """
    asked = session.scalars(select(Subscription).where(Subscription.webhook_id == row.id)).all()
    filters = [(one.cursor, happenings.asked_by(one)) for one in asked]
    if not asked or any((row.kinds, row.site_ids, row.ngi_ids, row.vos)):
        filters.append((0, filter_of(row)))
    return filters


def filter_of(row: Webhook) -> Filter:
    """The filter of a webhook. What only repeats its service or its site is told to those alone who ask for it."""
    kinds = frozenset(row.kinds) or frozenset(happenings.TOLD) - {"endpoint"}
    return Filter(
        kinds=kinds,
        sites=frozenset(map(str, row.site_ids)),
        ngis=frozenset(map(str, row.ngi_ids)),
        vos=frozenset(row.vos),
    )


def enqueue(session: Session, webhook: int, news: News, met: Sequence[Happening]) -> int:
    """Queue one revision for a webhook, once; 0 when it is there already."""
    values = {
        "id": _new_id(),
        "webhook_id": webhook,
        "revision": news.revision,
        "body": _text(message_of(news, met)),
    }
    once = insert(WebhookDelivery).values(values).on_conflict_do_nothing().returning(WebhookDelivery.id)
    return int(session.scalar(once) is not None)


def message_of(news: News, met: Sequence[Happening]) -> dict[str, Any]:
    """What a receiver is sent of a revision."""
    return {
        "type": "registry.changed",
        "timestamp": iso(news.at),
        "data": {
            "revision": news.revision,
            "by": news.actor_name,
            "reason": news.reason,
            "changes": [
                {
                    "kind": one.kind,
                    "id": one.id,
                    "act": one.act,
                    "name": one.name,
                    "fields": {field: list(pair) for field, pair in one.fields.items()},
                    "body": one.body,
                }
                for one in met
            ],
        },
    }


def signature(secret: str, delivery: str, timestamp: int, body: str) -> str:
    """The value of `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(webhook_secrets.PREFIX))
    signed = hmac.new(key, f"{delivery}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()


def switched(act: str) -> WebhookEdit:
    """The change that a button makes. Raises NotFound for a word that is no button."""
    if act not in ("start", "stop"):
        raise NotFound(f"A webhook cannot be told to {act[:20]}.")
    return WebhookEdit(active=act == "start")


def count_by_state(session: Session) -> dict[str, int]:
    """How many deliveries there are in each state; every state is named."""
    rows = session.execute(select(WebhookDelivery.state, func.count()).group_by(WebhookDelivery.state))
    return {**dict.fromkeys(DELIVERY_STATES, 0), **{state: many for state, many in rows}}


def count_stopped(session: Session) -> int:
    """How many webhooks are told nothing."""
    return session.scalar(select(func.count()).select_from(Webhook).where(Webhook.active.is_(False))) or 0
