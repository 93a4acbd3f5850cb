"""Pages for applicants: the form, and the confirmation of the address."""

from __future__ import annotations

from typing import Annotated

from flask import Response, redirect, request
from markupsafe import Markup
from pydantic import Field
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, Refused
from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import applications, aups, vos
from vomsdb.api.answers import settings
from vomsdb.api.people import terms
from vomsdb.applications import Form
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
        oidc=caller.oidc,
        institutions=bool(ground().providers),
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
