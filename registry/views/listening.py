"""Webhooks with their deliveries; subscriptions, and the way out of them without signing in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC, SIGNED_IN, allows
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.listing import cursor_of
from registry import states, subscriptions, webhooks
from registry.api.listening import beyond, settings, subscription_answer, webhook_answer
from registry.happenings import TOLD
from registry.rights import READ_LOG
from registry.schemas.listening import SubscriptionIn, WebhookIn
from registry.views import looking, saving

pages = Pages("registry_listening_pages", __name__)
DELIVERIES = 50
WEBHOOK = {
    "url": "Address",
    "description": "What it is for",
    "kinds": "Kinds",
    "sites": "Sites",
    "ngis": "NGIs",
    "vos": "VOs",
}
SUBSCRIPTION = {"whom": "About", "subject": "What", "means": "How"}
SUBJECTS = [("all", "downtimes and changes"), ("downtimes", "downtimes"), ("changes", "changes")]


@pages.get("/webhooks", permission=READ_LOG)
def all_webhooks() -> BaseResponse:
    """Own webhooks; operators see all."""
    return _webhooks_page(FormFaults())


def _webhooks_page(form: FormFaults, *, made: str = "", status: int = 200) -> BaseResponse:
    with ground().db.transaction() as session:
        found = webhooks.listed(session, current_principal())
        shown = [webhook_answer(session, row) for row in found]
        names = [site["name"] for site in looking.sites(session)]
        ngis = [state.body["name"] for state in states.by_name(session, "ngi")]
    return page(
        "registry/webhooks.html",
        title="Webhooks",
        sentence="Addresses that are told of changes, signed, and tried again until they take it.",
        crumbs=[("History", "/history")],
        api="/api/v1/webhooks",
        csv="/api/v1/webhooks.csv",
        status=status,
        webhooks=shown,
        form=form,
        labels=WEBHOOK,
        made=made,
        names=names,
        ngis=ngis,
        kinds=[(kind, "NGI" if kind == "ngi" else kind.replace("_", " ")) for kind in TOLD],
    )


@pages.post("/webhooks", permission=READ_LOG)
def register_webhook() -> BaseResponse:
    """Register a webhook and show its secret once."""

    def parse() -> WebhookIn:
        kept = {key: request.form.get(key, "").strip() for key in ("url", "description")}
        lists = {key: request.form.getlist(key) for key in ("kinds", "sites", "ngis")}
        vos = request.form.get("vos", "").replace(",", " ").split()
        return WebhookIn.model_validate({**kept, **lists, "vos": vos})

    return saving.small(
        WebhookIn,
        lambda db, form: webhooks.register(db, current_principal(), form, settings())[1],
        WEBHOOK,
        lambda faults, status: _webhooks_page(_one_text(faults), status=status),
        lambda secret: _webhooks_page(FormFaults(), made=secret, status=201),
        parse,
    )


def _one_text(faults: FormFaults) -> FormFaults:
    """VOs are typed in one field, and stay as they were typed."""
    return FormFaults({**faults.kept, "vos": request.form.get("vos", "")}, faults.faults, faults.summary)


@pages.get("/webhooks/<int:number>", permission=READ_LOG)
def one_webhook(number: int) -> BaseResponse:
    """A webhook: whether it takes what it is told, and each delivery."""
    return _webhook_page(number)


def _webhook_page(number: int, *, made: str = "", status: int = 200) -> BaseResponse:
    with ground().db.transaction() as session:
        row = webhooks.own(session, current_principal(), number)
        shown = webhook_answer(session, row)
        place = beyond(request.args.get("cursor"))
        found = webhooks.deliveries(session, number, request.args.get("state") or None, place, DELIVERIES + 1)
    last = found[DELIVERIES - 1] if len(found) > DELIVERIES else None
    return page(
        "registry/webhook.html",
        title=f"Webhook {number}",
        sentence=_webhook_sentence(shown),
        crumbs=[("Webhooks", "/webhooks")],
        api=f"/api/v1/webhooks/{number}/deliveries",
        status=status,
        refresh_s=None if made else 30,
        webhook=shown,
        made=made,
        deliveries=found[:DELIVERIES],
        next_cursor=cursor_of((last.created_at.isoformat(), last.id)) if last else None,
    )


def _webhook_sentence(shown: Mapping[str, Any]) -> str:
    if not shown["active"]:
        return f"Stopped: {shown['stopped_reason']}."
    if shown["failing_since"]:
        return f"The receiver takes nothing; {shown['waiting']} messages wait."
    return f"Works; {shown['waiting']} messages wait." if shown["waiting"] else "Works; nothing waits."


@pages.post("/webhooks/<int:number>/<act>", permission=READ_LOG)
def act_on_webhook(number: int, act: str) -> BaseResponse:
    """Test, stop, start, renew the secret, send again, remove."""
    db, principal = ground().db, current_principal()
    if act == "secret":
        made = webhooks.renew_secret(db, principal, number, settings())
        return _webhook_page(number, made=made, status=201)
    if act == "remove":
        webhooks.remove(db, principal, number)
        return redirect("/webhooks", 303)
    if act == "test":
        webhooks.try_out(db, principal, number)
    elif act == "resend":
        webhooks.send_again(db, principal, number, request.form.get("delivery", "")[:60])
    else:
        webhooks.edit(db, principal, number, webhooks.switched(act), settings())
    return redirect(f"/webhooks/{number}", 303)


@pages.get("/subscriptions", permission=SIGNED_IN)
def own_subscriptions() -> BaseResponse:
    """What the reader hears of, and by what means."""
    chosen = {name: request.args[name] for name in ("site", "ngi", "vo", "service") if request.args.get(name)}
    kept: dict[str, Any] = {"subject": request.args.get("subject", "all"), "means": "mail"}
    for name, value in chosen.items():
        kept["whom"] = f"{name}:{value}"
    return _subscriptions_page(FormFaults(kept))


def _subscriptions_page(form: FormFaults, status: int = 200) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        found = subscriptions.listed(session, principal) if principal.person is not None else []
        shown = [subscription_answer(session, row) for row in found]
        sites = looking.sites(session)
        ngis = [state.body["name"] for state in states.by_name(session, "ngi")]
        hooks = webhooks.listed(session, principal) if allows(principal, READ_LOG, *_scopes()) else []
        mine = [row for row in hooks if str(row.person_id) == principal.person]
    vos = sorted({share["vo"] for site in sites for share in site["supports"]})
    whom = [
        ("federation:", "The whole federation"),
        *((f"site:{site['name']}", f"Site {site['name']}") for site in sites),
        *((f"ngi:{name}", f"NGI {name}") for name in ngis),
        *((f"vo:{vo}", f"VO {vo}, all its sites") for vo in vos),
    ]
    asked = form.kept.get("whom", "")
    if asked.startswith("service:"):
        whom.insert(0, (asked, f"Service {asked.removeprefix('service:')}"))
    return page(
        "registry/subscriptions.html",
        title="Subscriptions",
        sentence="What you hear of: downtimes and changes, by mail or on a webhook.",
        crumbs=[("Account", "/account")],
        api="/api/v1/subscriptions",
        csv="/api/v1/subscriptions.csv",
        status=status,
        subscriptions=shown,
        form=form,
        labels=SUBSCRIPTION,
        whom=whom,
        subjects=SUBJECTS,
        means=[
            ("mail", "mail at once"),
            ("digest", f"one mail a day, at {settings().digest_at} UTC"),
            *((f"webhook:{row.id}", f"webhook {row.id}, {row.url}") for row in mine),
        ],
    )


def _scopes() -> list[str]:
    return [grant.scope for grant in current_principal().grants]


@pages.post("/subscriptions", permission=SIGNED_IN)
def subscribe() -> BaseResponse:
    """Subscribe to something."""

    def parse() -> SubscriptionIn:
        kept = request.form.to_dict()
        target, _, name = kept.get("whom", "").partition(":")
        means, _, hook = kept.get("means", "mail").partition(":")
        given: dict[str, Any] = {"target": target, "subject": kept.get("subject", "all"), "means": means}
        given |= {"service": name} if target == "service" else {"name": name} if name else {}
        given |= {"webhook": hook} if hook else {}
        return SubscriptionIn.model_validate(given)

    return saving.small(
        SubscriptionIn,
        lambda db, form: subscriptions.subscribe(db, current_principal(), form),
        SUBSCRIPTION,
        _subscriptions_page,
        lambda _: redirect("/subscriptions", 303),
        parse,
    )


@pages.post("/subscriptions/<int:number>/end", permission=SIGNED_IN)
def end_subscription(number: int) -> BaseResponse:
    """End an own subscription."""
    subscriptions.end(ground().db, current_principal(), number)
    return redirect("/subscriptions", 303)


@pages.get("/unsubscribe", permission=PUBLIC)
def unsubscribe() -> BaseResponse:
    """The way out of the mails, from their link; a second click ends them, since programs open links too."""
    return _unsubscribe_page(request.args.get("who", ""), ended=None)


def _unsubscribe_page(who: str, *, ended: int | None) -> BaseResponse:
    with ground().db.transaction() as session:
        rows = subscriptions.of_link(session, settings(), who)
        shown = [subscription_answer(session, row) for row in rows]
    return page(
        "registry/unsubscribe.html",
        title="End these mails",
        sentence="" if shown else "No mail is sent to this address any more.",
        who=who,
        subscriptions=shown,
        ended=ended,
        subjects=dict(SUBJECTS),
    )


@pages.post("/unsubscribe", permission=PUBLIC)
def confirm_unsubscribe() -> BaseResponse:
    """End one or all of them."""
    who, which = request.form.get("who", ""), request.form.get("which", "")
    number = int(which) if which.isdigit() and len(which) < 16 else None
    ended = subscriptions.end_by_link(ground().db, settings(), who, number)
    return _unsubscribe_page(who, ended=ended)
