"""/api/v1: what is kept of a person, given out and erased; and the mails of a VO with their delivery."""

from __future__ import annotations

from datetime import UTC, datetime

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, current_principal, ground
from vomsdb import mails, personal_data, vos
from vomsdb.api.answers import cut, number_after
from vomsdb.permissions import PERSONAL, SEE_MEMBERS
from vomsdb.schemas.fields import PersonPath, SentQuery, VoPath
from vomsdb.schemas.members import ErasedOut, ErasureIn, PersonalOut
from vomsdb.schemas.replication import MailOut, MailPage

api = Api("vomsdb_personal", __name__, "Personal data")


@api.get("/me/data", permission=SIGNED_IN, summary="All that is kept of me", responses={200: PersonalOut})
def my_data() -> PersonalOut:
    """Memberships, certificates, requests, mails, and what was done."""
    with ground().db.transaction() as session:
        number = personal_data.person_of(session, current_principal())
        return PersonalOut(made_at=datetime.now(UTC), data=personal_data.everything_of(session, number))


@api.post("/me/erasure", permission=SIGNED_IN, summary="Erase me", responses={200: ErasedOut})
def erase_me() -> ErasedOut:
    """Ends all memberships at once, then takes out what is personal. It cannot be undone."""
    caller = current_principal()
    with ground().db.transaction() as session:
        number = personal_data.person_of(session, caller)
        return ErasedOut(stands_as=personal_data.erase(session, number, "", caller))


@api.get(
    "/people/<person>/data",
    permission=PERSONAL,
    summary="All that is kept of somebody",
    responses={200: PersonalOut},
)
def data_of(path: PersonPath) -> PersonalOut:
    """By a federation operator, on the person's request; `person` stands with each member."""
    with ground().db.transaction() as session:
        return PersonalOut(made_at=datetime.now(UTC), data=personal_data.everything_of(session, path.person))


@api.post(
    "/people/<person>/erasure", permission=PERSONAL, summary="Erase somebody", responses={200: ErasedOut}
)
def erase(path: PersonPath, body: ErasureIn) -> ErasedOut:
    """By a federation operator, on the person's request. It cannot be undone."""
    with ground().db.transaction() as session:
        stands_as = personal_data.erase(session, path.person, body.reason, current_principal())
    return ErasedOut(stands_as=stands_as)


@api.get("/vos/<vo>/mails", permission=SEE_MEMBERS, summary="Mails of a VO", responses={200: MailPage})
def mails_of(path: VoPath, query: SentQuery) -> MailPage:
    """Newest first, without their text; the cursor is the number of the last one seen."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        before = number_after(query.cursor)
        found = mails.of_vo(session, path.vo, query.state, before, query.limit + 1)
    shown, more = cut(found, query.limit)
    items = [MailOut.model_validate(mail, from_attributes=True) for mail in shown]
    return MailPage(items=items, next=str(items[-1].id) if more else None)
