"""The letters of a VO: the usual words, or those of its managers, with a preview."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Response, flash, redirect, request
from markupsafe import Markup
from pydantic import Field
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Refused
from hanse.identity.permissions import allows
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import own_letters
from vomsdb.own_letters import KINDS, Text
from vomsdb.permissions import EDIT_CARD, SEE_MEMBERS
from vomsdb.schemas.fields import Wire
from vomsdb.views.frame import frame

pages = Pages("vomsdb_letter_pages", __name__)


class LetterForm(Wire):
    """Subject and text of a letter, and what to do with them."""

    subject: Annotated[str, Field(max_length=1000)] = ""
    body: Annotated[str, Field(max_length=20_000)] = ""
    action: Literal["preview", "save", "reset"]


@pages.get("/vos/<vo>/letters", permission=SEE_MEMBERS)
def list_letters(vo: str) -> Response:
    """Which letters are in the VO's own words."""
    with ground().db.transaction() as session:
        whole = frame(session, vo, "mails")
        own = own_letters.of_vo(session, vo)
    return page(
        "vomsdb/letters.html",
        title=vo,
        sentence=Markup("<b>{} of {}</b> letters are in your own words.").format(len(own), len(KINDS)),
        crumbs=[("VOs", "/vos"), ("Mails", f"/vos/{vo}/mails")],
        api=f"/api/v1/vos/{vo}/letters",
        kinds=KINDS.values(),
        own=own,
        **whole,
    )


@pages.get("/vos/<vo>/letters/<letter>", permission=SEE_MEMBERS)
def one_letter(vo: str, letter: str) -> Response:
    """The letter as it is sent now."""
    return _page(vo, letter, FormFaults(), None)


@pages.post("/vos/<vo>/letters/<letter>", permission=EDIT_CARD)
def change_letter(vo: str, letter: str) -> AnyResponse:
    """Shows how it would look, keeps it, or goes back to the usual words."""
    filled, form = read_form(LetterForm)
    if filled is None:
        return _page(vo, letter, form, None, 422)
    text, kept = Text(filled.subject, filled.body.replace("\r\n", "\n")), request.form.to_dict()
    try:
        if filled.action == "preview":
            shown = own_letters.preview(own_letters.kind_of(letter), text, vo)
            return _page(vo, letter, FormFaults(kept=kept), shown)
        with ground().db.transaction() as session:
            if filled.action == "reset":
                own_letters.reset(session, vo, letter, current_principal())
            else:
                own_letters.save(session, vo, letter, text, current_principal())
    except Refused as fault:
        return _page(vo, letter, FormFaults.of(fault, kept), None, 422)
    flash(
        "The usual words are sent again." if filled.action == "reset" else "Sent in your words from now on."
    )
    return redirect(f"/vos/{vo}/letters/{letter}", 303)


def _page(vo: str, letter: str, form: FormFaults, shown: Text | None, status: int = 200) -> Response:
    kind = own_letters.kind_of(letter)
    with ground().db.transaction() as session:
        whole = frame(session, vo, "mails")
        own = own_letters.of_vo(session, vo).get(letter)
    now = None if own is None else Text(own.subject, own.body)
    start = own_letters.start_of(kind) if now is None else now
    kept = form.kept or {"subject": start.subject, "body": start.body}
    return page(
        "vomsdb/letter.html",
        title=vo,
        sentence=Markup("Sent when <b>{}</b>.").format(kind.when),
        crumbs=[("VOs", "/vos"), ("Mails", f"/vos/{vo}/mails"), ("Letters", f"/vos/{vo}/letters")],
        api=f"/api/v1/vos/{vo}/letters",
        status=status,
        kind=kind,
        own=own,
        form=FormFaults(faults=form.faults, kept=kept),
        shown=shown or own_letters.preview(kind, now, vo),
        tried=shown is not None,
        may_edit=allows(current_principal(), EDIT_CARD, f"vo:{vo}"),
        **whole,
    )
