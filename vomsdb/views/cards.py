"""Pages of VOs' cards: proposing a VO, keeping its card, and a supervisor's validation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from flask import Response, flash, redirect, request
from markupsafe import Markup
from pydantic import Field, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.permissions import SIGNED_IN, allows
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import cards, vos
from vomsdb.api.answers import settings
from vomsdb.api.cards import proposed
from vomsdb.cards import MIDDLEWARE, NEXT
from vomsdb.models import Vo
from vomsdb.permissions import EDIT_CARD, SEE_MEMBERS, SUPERVISE
from vomsdb.schemas.cards import ContactIn, Middleware, ProposalIn, Scope, StateIn
from vomsdb.schemas.fields import Line, Text, Wire
from vomsdb.views.frame import frame

pages = Pages("vomsdb_card_pages", __name__)
RESOURCES = (
    ("ram_per_core_mb", "Memory a core, MB"),
    ("scratch_mb", "Scratch space, MB"),
    ("max_cpu_minutes", "CPU time, minutes"),
    ("max_wall_minutes", "Wall time, minutes"),
    ("cores", "Cores at once"),
    ("storage_gb", "Storage, GB"),
)
Amount = Annotated[int, Field(ge=0, le=1_000_000_000)]


class CardForm(Wire):
    """The form on /vos/NAME/card: contacts and shares are lines of text."""

    description: Text = ""
    discipline: Line = ""
    scope: Scope = "Global"
    homepage: Line = ""
    alias: Line = ""
    enrolment_url: Line = ""
    support_unit: Line = ""
    middleware: list[Middleware] = Field(default_factory=list, max_length=6)
    contacts: Text = ""
    shares: Text = ""
    ram_per_core_mb: Amount | None = None
    scratch_mb: Amount | None = None
    max_cpu_minutes: Amount | None = None
    max_wall_minutes: Amount | None = None
    cores: Amount | None = None
    storage_gb: Amount | None = None
    other: Text = ""
    membership_days: Annotated[int, Field(ge=1, le=3660)] = 365


@pages.get("/vos/<vo>/card", permission=SEE_MEMBERS)
def card(vo: str) -> Response:
    """The card, to be changed by the VO's managers; its life, for the federation's operators."""
    return _page(vo, FormFaults())


@pages.post("/vos/<vo>/card", permission=EDIT_CARD)
def save(vo: str) -> AnyResponse:
    """Saves the card; refused ones keep what was typed."""
    filled, form = read_form(CardForm)
    if filled is None:
        return _page(vo, form, 422)
    try:
        with ground().db.transaction() as session:
            before = cards.details_of(vos.found(session, vo))
            details = replace(before, **_given(filled, before.contacts))
            cards.edit(session, vo, details, current_principal())
    except (Refused, Conflict) as fault:
        return _page(vo, FormFaults.of(fault, request.form.to_dict()), 422)
    flash("The card is saved.")
    return redirect(f"/vos/{vo}/card", 303)


def _given(filled: CardForm, before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    resources = {name: value for name, _ in RESOURCES if (value := getattr(filled, name)) is not None}
    plain = filled.model_dump(exclude={"contacts", "shares", "other", *(name for name, _ in RESOURCES)})
    return {
        **plain,
        "resources": {**resources, **({"other": filled.other} if filled.other else {})},
        "contacts": [
            _contact(line, number, before) for number, line in enumerate(_lines(filled.contacts), 1)
        ],
        "shares": dict(_share(line, number) for number, line in enumerate(_lines(filled.shares), 1)),
    }


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _contact(line: str, number: int, before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`security, Name, address, public`; the DN, for which a line has no place, stays with name and address."""
    parts = [part.strip() for part in line.split(",")]
    fault = FieldFault(
        "contacts", f"line {number} must read: role, name, e-mail, and public for everybody to see"
    )
    if len(parts) not in (3, 4) or (len(parts) == 4 and parts[3] != "public"):
        raise Refused("The card cannot be saved yet.", fault)
    try:
        given = ContactIn.model_validate(
            {
                "role": parts[0],
                "name": parts[1],
                "email": parts[2],
                "dn": next((one["dn"] for one in before if _same(one, parts) and one.get("dn")), ""),
                "public": len(parts) == 4,
            }
        )
    except ValidationError as refusal:
        raise Refused("The card cannot be saved yet.", fault) from refusal
    return given.model_dump()


def _same(contact: Mapping[str, Any], parts: list[str]) -> bool:
    return [contact.get("name"), contact.get("email")] == parts[1:3]


def _share(line: str, number: int) -> tuple[str, int]:
    """`/vo/group 15`"""
    found = re.fullmatch(r"(/\S+)\s+(\d{1,3})\s*%?", line)
    if found is None:
        fault = FieldFault("shares", f"line {number} must read: /group or /group/Role=role, and the per cent")
        raise Refused("The card cannot be saved yet.", fault)
    return found[1], int(found[2])


def typed(vo: Vo) -> dict[str, Any]:
    """The card as the form shows it."""
    contacts = [
        ", ".join(
            [str(one[f]) for f in ("role", "name", "email")] + (["public"] if one.get("public") else [])
        )
        for one in vo.contacts
    ]
    names = [field for field in CardForm.model_fields if hasattr(vo, field)]
    return {
        **{name: getattr(vo, name) for name in names},
        **vo.resources,
        "contacts": "\n".join(contacts),
        "shares": "\n".join(f"{fqan} {share}" for fqan, share in sorted(vo.shares.items())),
    }


def _page(name: str, form: FormFaults, status: int = 200) -> Response:
    caller = current_principal()
    with ground().db.transaction() as session:
        whole = frame(session, name, "card")
    vo = whole["vo"]
    words = Markup("<b>{}</b>{}.")
    since = (
        f", validated by {vo.validated_by or 'the operators'}" if vo.validated_at else ", not validated yet"
    )
    return page(
        "vomsdb/card.html",
        title=name,
        sentence=words.format(vo.state.capitalize(), since),
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{name}/card",
        status=status,
        form=form if form else FormFaults(kept=typed(vo)),
        middleware=MIDDLEWARE,
        chosen=form.kept.get("middleware", []) if form else vo.middleware,
        resources=RESOURCES,
        may_edit=allows(caller, EDIT_CARD, f"vo:{name}") and vo.state != "closed",
        may_supervise=allows(caller, SUPERVISE, "federation"),
        next_states=NEXT[vo.state],
        **whole,
    )


@pages.post("/vos/<vo>/card/validation", permission=EDIT_CARD)
def ask_for_validation(vo: str) -> AnyResponse:
    """The managers say that the card is complete."""
    try:
        with ground().db.transaction() as session:
            cards.ask_for_validation(session, vo, current_principal())
    except Refused as fault:
        kept = FormFaults.of(fault, {})
        return _page(vo, FormFaults(_kept(vo), kept.faults, kept.summary), 422)
    flash("The federation's operators were asked to validate the VO.")
    return redirect(f"/vos/{vo}/card", 303)


def _kept(vo: str) -> dict[str, Any]:
    with ground().db.transaction() as session:
        return typed(vos.found(session, vo))


@pages.post("/vos/<vo>/card/state", permission=SUPERVISE)
def move(vo: str) -> AnyResponse:
    """A supervisor's word."""
    filled, faults = read_form(StateIn)
    if filled is None:
        raise Refused("Nothing was changed.", *(FieldFault(k, v) for k, v in faults.faults.items()))
    with ground().db.transaction() as session:
        cards.move(session, vo, filled.state, filled.reason, current_principal())
    flash(f"{vo} is {filled.state} now.")
    return redirect(f"/vos/{vo}/card", 303)


@pages.get("/propose-vo", permission=SIGNED_IN)
def propose() -> Response:
    """A form for a new VO, and for operators those that wait."""
    return _proposal(FormFaults(kept={"email": current_principal().email or ""}))


def _proposal(form: FormFaults, status: int = 200) -> Response:
    caller = current_principal()
    with ground().db.transaction() as session:
        waiting = cards.waiting(session)
    return page(
        "vomsdb/propose.html",
        title="Propose a VO",
        sentence=Markup("A federation operator validates it; <b>nobody joins it before</b>."),
        crumbs=[("VOs", "/vos")],
        api="/api/v1/vo-proposals",
        status=status,
        form=form,
        waiting=waiting if allows(caller, SUPERVISE, "federation") else [],
        identity=caller.x509,
        tls_url=settings().tls_url.rstrip("/") + "/propose-vo",
    )


@pages.post("/propose-vo", permission=SIGNED_IN)
def send_proposal() -> AnyResponse:
    """Makes the new VO; refused ones keep what was typed."""
    filled, form = read_form(ProposalIn)
    if filled is None:
        return _proposal(form, 422)
    try:
        with ground().db.transaction() as session:
            cards.propose(session, proposed(filled), filled.email, current_principal())
    except (Refused, Conflict) as fault:
        return _proposal(FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/vos/{filled.name}/card", 303)
