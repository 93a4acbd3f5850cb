"""Pages of somebody's own affairs: where everything stands, what comes next, what to ask for."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Literal

from flask import Response, redirect, request
from markupsafe import Markup
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.permissions import SIGNED_IN
from hanse.identity.principals import Principal
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form, saved_as
from vomsdb import (
    applications,
    aups,
    clients,
    decisions,
    finding,
    groups,
    member_decisions,
    member_requests,
    members,
    personal_data,
    promise,
    vos,
)
from vomsdb.api.answers import promise as promised
from vomsdb.api.answers import settings
from vomsdb.member_requests import Wish
from vomsdb.models import Application
from vomsdb.schemas.fields import Fqan, Pem, Text, Wire
from vomsdb.vos import certificate_from_text, identity_from_pem

pages = Pages("vomsdb_me_pages", __name__)


@pages.get("/me", permission=SIGNED_IN)
def me() -> Response:
    """Where is my request, what do I do next, where can I run."""
    caller = current_principal()
    keys = caller.keys | {caller.key}
    with ground().db.transaction() as session:
        own = members.of_keys(session, keys)
        requests = applications.of_keys(session, keys)
        chosen = _chosen(own, request.args.get("vo", ""))
        context = _membership(session, chosen) if chosen else {}
        steps = _steps(session, requests[0], chosen) if requests else []
        asked = member_requests.of_keys(session, keys)
        due = [(p.member.vo, vos.found(session, p.member.vo).aup_version) for p in own if _must_sign(p)]
    return page(
        "vomsdb/me.html",
        title=f"Welcome, {caller.name.split()[0]}",
        sentence=_sentence(own, requests),
        api="/api/v1/me/memberships",
        refresh_s=30,
        profiles=own,
        requests=requests,
        asked=[(one, member_requests.what(one)) for one in asked],
        steps=steps,
        chosen=chosen,
        caller=caller,
        client=request.args.get("client", "java"),
        due=due,
        registry_url=settings().registry_url.rstrip("/"),
        **context,
    )


def _must_sign(profile: members.Profile) -> bool:
    member = profile.member
    return member.aup_due is not None or member.suspension_code == "FAILED_TO_SIGN_AUP"


def _chosen(own: list[members.Profile], wanted: str) -> members.Profile | None:
    active = [profile for profile in own if profile.member.state == "active"]
    return next((p for p in active if p.member.vo == wanted), active[0] if active else None)


def _membership(session: Session, chosen: members.Profile) -> dict[str, Any]:
    here = settings()
    vo = chosen.member.vo
    places = finding.places(session, promise.pairs(session, promised(), vo=vo), vo)
    return {
        "places": places,
        "place": next(
            (p for p in places if p.site == request.args.get("site")), places[0] if places else None
        ),
        "commands": clients.commands(
            vo, here.url, request.args.get("client", "java"), here.client_certificates_dir
        ),
        "managers": vos.managers_of(session, vo),
    }


def _sentence(own: list[members.Profile], requests: list[Application]) -> Markup:
    active = [profile for profile in own if profile.member.state == "active"]
    if active:
        known = any(profile.certificates for profile in active)
        next_step = (
            "get your proxy, then start a machine" if known else "send your certificate, to get a proxy"
        )
        words = Markup("You are a member of <b>{}</b>. Next: ") + next_step + "."
        return words.format(", ".join(profile.member.vo for profile in active))
    waiting = next((one for one in requests if one.state in applications.OPEN), None)
    if waiting is not None and waiting.state == "submitted":
        words = Markup("<b>Next: open the link in the mail to {}</b> and confirm your request to join {}.")
        return words.format(waiting.email, waiting.vo)
    if waiting is not None:
        return Markup("Your request to join <b>{}</b> waits for a manager. Nothing to do for you.").format(
            waiting.vo
        )
    if own:
        return Markup("Your membership of <b>{}</b> is {}.").format(own[0].member.vo, own[0].member.state)
    return Markup("<b>Next: find a VO</b> and ask to join it.")


def _steps(
    session: Session, application: Application, chosen: members.Profile | None
) -> list[dict[str, object]]:
    def note(at: datetime | None) -> str:
        return "" if at is None else f"{at:%d %b %Y, %H:%M}"

    confirmed, decided = application.confirmed_at, application.decided_at
    steps: list[dict[str, object]] = [
        {"title": "Sent", "state": "ok", "note": note(application.created_at)},
        {"title": f"AUP version {application.aup_version} accepted", "state": "ok", "note": ""},
        {
            "title": "E-mail confirmed",
            "state": "ok" if confirmed else "working" if application.state == "submitted" else "",
            "note": note(confirmed) or f"mail sent to {application.email}",
        },
    ]
    if application.state in ("rejected", "withdrawn", "expired"):
        reason = f"{note(decided)} {application.reason or ''}".strip()
        return [*steps, {"title": application.state.capitalize(), "state": "bad", "note": reason}]
    by = f"{note(decided)}, by {application.decided_by_name}" if decided else "a manager decides"
    state = "ok" if decided else "working" if confirmed else ""
    steps.append({"title": "Approved" if decided else "Decision", "state": state, "note": by})
    own = decided and chosen is not None and chosen.member.id == application.member_id
    if own and chosen is not None and not chosen.certificates:
        steps.append({"title": "At the sites", "state": "", "note": "once you have a certificate"})
    elif own and chosen is not None:
        reached = finding.reached(session, chosen.member)
        done = reached.sites > 0 and reached.there == reached.sites
        words = f"{reached.there} of {reached.sites}"
        steps.append({"title": "At the sites", "state": "ok" if done else "working", "note": words})
    else:
        steps.append({"title": "At the sites", "state": "", "note": ""})
    return steps


@pages.post("/me/withdraw/<int:request_id>", permission=SIGNED_IN)
def withdraw(request_id: int) -> AnyResponse:
    """Takes an open request back."""
    caller = current_principal()
    with ground().db.transaction() as session:
        decisions.withdraw(session, _vo_of(session, request_id, caller), request_id, caller)
    return redirect("/me", 303)


def _vo_of(session: Session, request_id: int, caller: Principal) -> str:
    own = applications.of_keys(session, caller.keys | {caller.key})
    found = next((one.vo for one in own if one.id == request_id), None)
    if found is None:
        raise NotFound(f"You have no request {request_id}.")
    return found


@pages.post("/vos/<name>/aups/<int:version>/sign", permission=SIGNED_IN)
def sign(name: str, version: int) -> AnyResponse:
    """Signs the version in force."""
    with ground().db.transaction() as session:
        aups.sign(session, name, version, current_principal())
    return redirect("/me", 303)


@pages.get("/me/data.json", permission=SIGNED_IN)
def my_data() -> Response:
    """All that is kept of the caller, as a file."""
    with ground().db.transaction() as session:
        number = personal_data.person_of(session, current_principal())
        data = personal_data.everything_of(session, number)
    answer = Response(json.dumps(data, indent=1, ensure_ascii=False), content_type="application/json")
    return saved_as(answer, "membership-data.json")


class EraseForm(Wire):
    """Who erases themselves writes the word, so that no slip does it."""

    word: Literal["erase"]


@pages.post("/me/erase", permission=SIGNED_IN)
def erase_me() -> AnyResponse:
    """Ends all memberships of the caller and takes out what is personal; it cannot be undone."""
    filled, _ = read_form(EraseForm)
    if filled is None:
        raise Refused("Nothing was erased.", FieldFault("word", "must be: erase"))
    caller = current_principal()
    with ground().db.transaction() as session:
        personal_data.erase(session, personal_data.person_of(session, caller), "", caller)
    return redirect("/me", 303)


# --- asking for more ----------------------------------------------------------------------------------------------


class AskForm(Wire):
    """The form on /vos/NAME/ask."""

    kind: Literal["group", "role", "certificate", "removal"]
    fqan: Fqan | None = None
    pem: Pem = ""
    motivation: Text = ""


@pages.get("/vos/<name>/ask", permission=SIGNED_IN)
def ask(name: str) -> Response:
    """A member chooses what to ask for."""
    return _ask_page(name, FormFaults())


@pages.post("/vos/<name>/ask", permission=SIGNED_IN)
def send_ask(name: str) -> AnyResponse:
    """Sends it to whoever decides; refused ones keep what was typed."""
    filled, form = read_form(AskForm)
    if filled is None:
        return _ask_page(name, form, 422)
    try:
        identity = identity_from_pem(filled.pem, "pem") if filled.kind == "certificate" else None
        held = certificate_from_text(filled.pem, "pem") if filled.kind == "certificate" else None
        wish = Wish(filled.kind, filled.fqan, identity, filled.motivation, held)
        with ground().db.transaction() as session:
            within = timedelta(days=settings().request_days)
            made = member_requests.ask(session, name, wish, current_principal(), within)
    except (Refused, Conflict) as fault:
        return _ask_page(name, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect("/me" if identity is None else f"/me/asked/{made.id}/prove", 303)


def _ask_page(name: str, form: FormFaults, status: int = 200) -> Response:
    caller = current_principal()
    with ground().db.transaction() as session:
        vo = vos.found(session, name)
        own = [p for p in members.of_keys(session, caller.keys | {caller.key}) if p.member.vo == name]
        if not own:
            raise NotFound(f"You are not a member of {name}; ask to join it first.")
        tree, roles = groups.tree(session, name), vos.roles_of(session, name)
        managers = vos.managers_of(session, name)
    held, paths = own[0].fqans, [size.group.path for size in tree]
    return page(
        "vomsdb/ask.html",
        title=f"Ask for more in {name}",
        sentence=Markup("<b>{}</b> decides, or whoever manages the group.").format(
            " or ".join(manager.name for manager in managers)
        ),
        crumbs=[("VOs", "/vos"), (name, f"/vos/{name}")],
        api=f"/api/v1/vos/{name}/member-requests",
        status=status,
        vo=vo,
        form=form,
        groups=[path for path in paths if path not in held],
        roles=[f for p in paths for r in roles if (f := f"{p}/Role={r.name}") not in held],
    )


@pages.post("/me/asked/<int:request_id>/withdraw", permission=SIGNED_IN)
def withdraw_asked(request_id: int) -> AnyResponse:
    """Takes back what a member asked for."""
    caller = current_principal()
    with ground().db.transaction() as session:
        own = member_requests.of_keys(session, caller.keys | {caller.key})
        found = next((one for one in own if one.id == request_id), None)
        if found is None:
            raise NotFound(f"You have no request {request_id}.")
        member_decisions.withdraw(session, found.vo, request_id, caller)
    return redirect("/me", 303)
