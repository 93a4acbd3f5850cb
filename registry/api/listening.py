"""/api/v1: webhooks with their deliveries, and subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, PathModel, current_principal, ground
from hanse.web.listing import after, cursor_page
from registry import subscriptions, webhooks
from registry.api.answers import Body, Id, NumberPath
from registry.models import Subscription, Webhook, WebhookDelivery
from registry.rights import READ_LOG
from registry.schemas.listening import (
    DeliveryPage,
    DeliveryQuery,
    SubscriptionIn,
    SubscriptionList,
    SubscriptionOut,
    WebhookEdit,
    WebhookIn,
    WebhookList,
    WebhookMade,
    WebhookOut,
)
from registry.settings import RegistrySettings

api = Api("registry_listening", __name__, "Listening", csv=True)


class DeliveryPath(PathModel):
    """A delivery of a webhook."""

    number: Id
    delivery: Annotated[str, Field(max_length=60)]


def settings() -> RegistrySettings:
    """The registry's settings."""
    found = ground().settings
    assert isinstance(found, RegistrySettings)
    return found


@api.get("/webhooks", permission=READ_LOG, summary="Own webhooks", responses={200: WebhookList})
def list_webhooks() -> Body:
    """Own webhooks, the newest first; operators see all."""
    with ground().db.transaction() as session:
        found = webhooks.listed(session, current_principal())
        return {"items": [webhook_answer(session, row) for row in found]}


@api.post("/webhooks", permission=READ_LOG, summary="Register a webhook", responses={201: WebhookMade})
def register_webhook(body: WebhookIn) -> tuple[Body, int]:
    """An https address that is told of changes from now on. The secret is shown this once."""
    number, secret = webhooks.register(ground().db, current_principal(), body, settings())
    return {**_one(number), "secret": secret}, 201


@api.get("/webhooks/<int:number>", permission=READ_LOG, summary="One webhook", responses={200: WebhookOut})
def one_webhook(path: NumberPath) -> Body:
    """An own webhook."""
    return _one(path.number)


@api.patch(
    "/webhooks/<int:number>", permission=READ_LOG, summary="Change a webhook", responses={200: WebhookOut}
)
def change_webhook(path: NumberPath, body: WebhookEdit) -> Body:
    """Only the fields that are sent; `active` stops it, or starts it again."""
    webhooks.edit(ground().db, current_principal(), path.number, body, settings())
    return _one(path.number)


@api.delete("/webhooks/<int:number>", permission=READ_LOG, summary="Remove a webhook", responses={204: None})
def remove_webhook(path: NumberPath) -> None:
    """The webhook with its deliveries."""
    webhooks.remove(ground().db, current_principal(), path.number)


@api.post(
    "/webhooks/<int:number>/secret",
    permission=READ_LOG,
    summary="A new secret for a webhook",
    responses={201: WebhookMade},
)
def renew_secret(path: NumberPath) -> tuple[Body, int]:
    """The old one signs nothing any more; the new one is shown this once."""
    secret = webhooks.renew_secret(ground().db, current_principal(), path.number, settings())
    return {**_one(path.number), "secret": secret}, 201


@api.post(
    "/webhooks/<int:number>/test",
    permission=READ_LOG,
    summary="Send a test message",
    responses={202: None},
)
def try_webhook(path: NumberPath) -> tuple[Body, int]:
    """Queued; how it went stands among the deliveries."""
    return {"delivery": webhooks.try_out(ground().db, current_principal(), path.number)}, 202


@api.get(
    "/webhooks/<int:number>/deliveries",
    permission=READ_LOG,
    summary="Deliveries of a webhook, the newest first",
    responses={200: DeliveryPage},
)
def list_deliveries(path: NumberPath, query: DeliveryQuery) -> Body:
    """What was sent, how often it was tried and what was answered."""
    with ground().db.transaction() as session:
        webhooks.own(session, current_principal(), path.number)
        found = webhooks.deliveries(session, path.number, query.state, beyond(query.cursor), query.limit + 1)
        return cursor_page(
            found, query.limit, lambda row: (row.created_at.isoformat(), row.id), delivery_answer
        )


def beyond(cursor: str | None) -> tuple[datetime, str] | None:
    """The place of a cursor among deliveries. Raises Refused when it is none of ours."""
    key = after(cursor)
    if key is None:
        return None
    try:
        at, one = datetime.fromisoformat(str(key[0])), str(key[1])
    except (ValueError, IndexError):
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", "take it from `next`")) from None
    if at.tzinfo is None:
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", "take it from `next`"))
    return at, one


@api.post(
    "/webhooks/<int:number>/deliveries/<delivery>/resend",
    permission=READ_LOG,
    summary="Send a delivery again",
    responses={202: None},
)
def send_again(path: DeliveryPath) -> tuple[Body, int]:
    """Under the same id, so that a receiver which has it already can tell."""
    webhooks.send_again(ground().db, current_principal(), path.number, path.delivery)
    return {"delivery": path.delivery}, 202


def _one(number: int) -> Body:
    with ground().db.transaction() as session:
        return webhook_answer(session, webhooks.own(session, current_principal(), number))


def webhook_answer(session: Session, row: Webhook) -> Body:
    """A webhook for the wire, without its secret."""
    return {
        "id": str(row.id),
        "owner": row.person.name,
        "url": row.url,
        "description": row.description,
        "kinds": list(row.kinds),
        "vos": list(row.vos),
        **webhooks.names(session, row),
        "active": row.active,
        "failing_since": row.failing_since,
        "stopped_at": row.stopped_at,
        "stopped_reason": row.stopped_reason,
        "created_at": row.created_at,
        "waiting": webhooks.waiting(session, row.id),
    }


def delivery_answer(row: WebhookDelivery) -> Body:
    """A delivery for the wire."""
    return {
        "id": row.id,
        "revision": row.revision,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "next_attempt_at": row.next_attempt_at if row.state == "pending" else None,
        "last_attempt_at": row.last_attempt_at,
        "last_status": row.last_status,
        "last_answer": row.last_answer,
        "delivered_at": row.delivered_at,
        "body": row.body,
    }


@api.get(
    "/subscriptions", permission=SIGNED_IN, summary="Own subscriptions", responses={200: SubscriptionList}
)
def list_subscriptions() -> Body:
    """What the caller hears of, the newest first."""
    with ground().db.transaction() as session:
        found = subscriptions.listed(session, current_principal())
        return {"items": [subscription_answer(session, row) for row in found]}


@api.post("/subscriptions", permission=SIGNED_IN, summary="Subscribe", responses={201: SubscriptionOut})
def subscribe(body: SubscriptionIn) -> tuple[Body, int]:
    """Downtimes, changes or both of a site, a service, an NGI, a VO's sites or the federation."""
    number = subscriptions.subscribe(ground().db, current_principal(), body)
    with ground().db.transaction() as session:
        return subscription_answer(session, session.get_one(Subscription, number)), 201


@api.delete(
    "/subscriptions/<int:number>", permission=SIGNED_IN, summary="End a subscription", responses={204: None}
)
def unsubscribe(path: NumberPath) -> None:
    """Nothing more is told of it."""
    subscriptions.end(ground().db, current_principal(), path.number)


def subscription_answer(session: Session, row: Subscription) -> Body:
    """A subscription for the wire."""
    return {
        "id": str(row.id),
        "target": row.target,
        "about": subscriptions.about(session, row),
        "subject": row.subject,
        "means": row.means,
        "webhook": None if row.webhook_id is None else str(row.webhook_id),
        "created_at": row.created_at,
    }
