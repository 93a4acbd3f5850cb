"""/api/v1: identity cards of VOs, proposals, and a supervisor's validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from hanse.identity.permissions import PUBLIC, SIGNED_IN, allows
from hanse.web import Api, current_principal, ground
from vomsdb import cards, vos
from vomsdb.api.answers import settings, vo_out
from vomsdb.models import Vo
from vomsdb.permissions import EDIT_CARD, SEE_MEMBERS, SUPERVISE
from vomsdb.schemas.cards import CardIn, CardOut, ProposalIn, StateIn
from vomsdb.schemas.fields import VoPath
from vomsdb.vos import Card

api = Api("vomsdb_cards", __name__, "Identity cards")


def card_out(session: Session, vo: Vo) -> CardOut:
    """The whole card, as far as the caller may see: contacts that are not public are for the VO's managers."""
    session.flush()
    session.refresh(vo)
    plain = vo_out(vo, vos.active_members(session, vo.name), vos.managers_of(session, vo.name)).model_dump()
    whole = allows(current_principal(), SEE_MEMBERS, f"vo:{vo.name}")
    more: dict[str, Any] = {
        name: getattr(vo, name) for name in CardOut.model_fields if name not in plain and name != "contacts"
    }
    contacts = [one for one in vo.contacts if whole or one.get("public")]
    return CardOut(**plain, **more, contacts=contacts)


@api.get("/vos/<vo>/card", permission=PUBLIC, summary="The whole card", responses={200: CardOut})
def one_card(path: VoPath) -> CardOut:
    """Contacts that are not public are left out for who does not manage the VO."""
    with ground().db.transaction() as session:
        return card_out(session, vos.found(session, path.vo))


@api.put("/vos/<vo>/card", permission=EDIT_CARD, summary="Change the card", responses={200: CardOut})
def edit(path: VoPath, body: CardIn) -> CardOut:
    """What is left out stays as it is."""
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    with ground().db.transaction() as session:
        details = replace(cards.details_of(vos.found(session, path.vo)), **given)
        return card_out(session, cards.edit(session, path.vo, details, current_principal()))


@api.post(
    "/vos/<vo>/validation-request",
    permission=EDIT_CARD,
    summary="Ask for validation",
    responses={200: CardOut},
)
def ask_for_validation(path: VoPath) -> CardOut:
    """The managers say that the card of a new VO is complete."""
    with ground().db.transaction() as session:
        return card_out(session, cards.ask_for_validation(session, path.vo, current_principal()))


@api.post("/vos/<vo>/state", permission=SUPERVISE, summary="Validate or end it", responses={200: CardOut})
def move(path: VoPath, body: StateIn) -> CardOut:
    """new becomes production, production suspended, and back; closed is the end."""
    with ground().db.transaction() as session:
        return card_out(session, cards.move(session, path.vo, body.state, body.reason, current_principal()))


@api.post("/vo-proposals", permission=SIGNED_IN, summary="Propose a VO", responses={201: CardOut})
def propose(body: ProposalIn) -> tuple[CardOut, int]:
    """It is new until a federation operator validates it; nobody joins it before."""
    with ground().db.transaction() as session:
        vo = cards.propose(session, proposed(body), body.email, current_principal())
        return card_out(session, vo), 201


def proposed(body: ProposalIn) -> Card:
    """What is proposed, with the usual days."""
    return Card(
        name=body.name,
        description=body.description,
        discipline=body.discipline,
        scope=body.scope,
        homepage=body.homepage,
        aup_text=body.aup_text,
        membership_days=settings().membership_days,
        ac_lifetime_s=settings().ac_lifetime_s,
    )
