"""The page on which a further certificate is proved to be the asker's."""

from __future__ import annotations

from typing import Annotated

from flask import Response, flash, redirect, request
from markupsafe import Markup
from pydantic import Field
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Refused
from hanse.identity.permissions import SIGNED_IN
from hanse.identity.trust import TrustStore
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import members, proofs
from vomsdb.api.answers import settings
from vomsdb.proofs import signature_from_text
from vomsdb.schemas.fields import Wire

pages = Pages("vomsdb_proof_pages", __name__)


class SignatureForm(Wire):
    """What the key made of the challenge; empty for who signed in with the certificate."""

    signature: Annotated[str, Field(max_length=4096)] = ""


@pages.get("/me/asked/<int:request_id>/prove", permission=SIGNED_IN)
def prove(request_id: int) -> Response:
    """For who asked: how to prove it. For who signed in with the certificate: a button that does."""
    return _page(request_id, FormFaults())


@pages.post("/me/asked/<int:request_id>/prove", permission=SIGNED_IN)
def send_proof(request_id: int) -> AnyResponse:
    """Checks the signature, or takes the word of whoever signed in with the certificate itself."""
    filled, form = read_form(SignatureForm)
    if filled is None:
        return _page(request_id, form, 422)
    caller = current_principal()
    try:
        with ground().db.transaction() as session:
            _, own = proofs.asked(session, request_id, caller)
            if own:
                signature = signature_from_text(filled.signature)
                trust = TrustStore(settings().trust_dir)
                proofs.by_signature(session, request_id, signature, caller, trust)
            else:
                proofs.by_sign_in(session, request_id, caller)
    except Refused as fault:
        return _page(request_id, FormFaults.of(fault, request.form.to_dict()), 422)
    flash("Proved: the managers are told, and decide now.")
    return redirect("/me", 303) if own else _page(request_id, FormFaults())


def _page(request_id: int, form: FormFaults, status: int = 200) -> Response:
    caller = current_principal()
    with ground().db.transaction() as session:
        asked, own = proofs.asked(session, request_id, caller)
        name = members.profile(session, asked.member_id).person.name
    words = Markup("{} asks to use this certificate in <b>{}</b>.").format(
        "You ask" if own else name, asked.vo
    )
    if own:
        words = Markup(
            "<b>Show that the key of this certificate is yours</b>, and the managers of {} decide."
        )
        words = words.format(asked.vo)
    return page(
        "vomsdb/prove.html",
        title="Prove a certificate" if own else "Is this you?",
        sentence=words,
        crumbs=[("My membership", "/me")] if own else [],
        api=f"/api/v1/vos/{asked.vo}/member-requests/{request_id}",
        status=status,
        asked=asked,
        own=own,
        name=name,
        form=form,
        here=f"/me/asked/{request_id}/prove",
        tls_url=settings().tls_url.rstrip("/") + f"/me/asked/{request_id}/prove",
        command=_command(asked.challenge or ""),
    )


def _command(challenge: str) -> str:
    """Prints the signature in base64; the path of the key is the only thing to change."""
    return (
        f"printf '%s' \\\n  '{challenge}' \\\n"
        "  | openssl dgst -sha256 -sign ~/.globus/userkey.pem \\\n"
        "  | openssl base64"
    )
