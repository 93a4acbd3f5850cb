"""Pages for applicants and members: apply, confirm, and where everything stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from flask import Response, redirect, request
from markupsafe import Markup
from pydantic import Field
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, NotFound, Refused
from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.identity.principals import Principal
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import applications, aups, clients, decisions, finding, members, promise, vos
from vomsdb.api.answers import promise as promised
from vomsdb.api.answers import settings
from vomsdb.api.people import terms
from vomsdb.applications import Form
from vomsdb.models import Application
from vomsdb.schemas.fields import Line, Name, Text, Wire

pages = Pages("vomsdb_applicant_pages", __name__)


class ApplyForm(Wire):
    """The form on /vos/NAME/apply."""

    name: Name
    email: Name
    institution: Line = ""
    motivation: Text = ""
    aup_version: Annotated[int, Field(ge=1)]
    aup_accepted: bool = False


@pages.get("/vos/<name>/apply", permission=SIGNED_IN)
def apply(name: str) -> Response:
    """The form, filled with what is known of the applicant."""
    caller = current_principal()
    kept = {"name": caller.name, "email": caller.email or ""}
    return _form(name, FormFaults(kept=kept))


@pages.post("/vos/<name>/apply", permission=SIGNED_IN)
def send(name: str) -> AnyResponse:
    """Sends the request; refused ones keep what was typed."""
    filled, form = read_form(ApplyForm)
    if filled is None:
        return _form(name, form, 422)
    try:
        with ground().db.transaction() as session:
            made = Form(**filled.model_dump())
            applications.submit(session, name, made, current_principal(), terms())
    except (Refused, Conflict) as fault:
        return _form(name, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect("/me", 303)


def _form(name: str, form: FormFaults, status: int = 200) -> Response:
    caller = current_principal()
    with ground().db.transaction() as session:
        vo = vos.found(session, name)
        aup = aups.in_force(session, name)
        managers = vos.managers_of(session, name)
    return page(
        "vomsdb/apply.html",
        title=f"Join {name}",
        sentence=Markup("Fill this in, confirm your address, and <b>{}</b> decides.").format(
            " or ".join(manager.name for manager in managers)
        ),
        crumbs=[("VOs", "/vos"), (name, f"/vos/{name}")],
        api=f"/api/v1/vos/{name}/requests",
        status=status,
        vo=vo,
        aup=aup,
        form=form,
        identity=caller.x509,
        tls_url=settings().tls_url.rstrip("/") + f"/vos/{name}/apply",
    )


@pages.get("/confirm/<token>", permission=PUBLIC)
def confirm_page(token: str) -> Response:
    """Shows what would be confirmed. Mail scanners follow links, so reading changes nothing."""
    with ground().db.transaction() as session:
        application = applications.by_token(session, token)
    return page(
        "vomsdb/confirm.html",
        title="Confirm your address",
        sentence=Markup("<b>{}</b> asks to join <b>{}</b>.").format(application.name, application.vo),
        application=application,
        token=token,
    )


@pages.post("/confirm/<token>", permission=PUBLIC)
def confirm(token: str) -> Response:
    """The token is the proof; it works once."""
    with ground().db.transaction() as session:
        application = applications.confirm(session, token, terms())
        managers = vos.managers_of(session, application.vo)
    return page(
        "vomsdb/confirmed.html",
        title="Thank you",
        sentence=Markup("Your request to join <b>{}</b> waits for {} now.").format(
            application.vo, " or ".join(manager.name for manager in managers)
        ),
        application=application,
    )


# --- /me ----------------------------------------------------------------------------------------------------------


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
        due = [(p.member.vo, vos.found(session, p.member.vo).aup_version) for p in own if _must_sign(p)]
    return page(
        "vomsdb/me.html",
        title=f"Welcome, {caller.name.split()[0]}",
        sentence=_sentence(own, requests),
        api="/api/v1/me/memberships",
        refresh_s=30,
        profiles=own,
        requests=requests,
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
        words = Markup("You are a member of <b>{}</b>. Next: get your proxy, then start a machine.")
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
    if decided and chosen is not None and chosen.member.id == application.member_id:
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
