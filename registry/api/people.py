"""/api/v1: oneself, and people."""

from __future__ import annotations

from collections.abc import Sequence

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, PathModel, current_principal, ground
from registry import identities, people, people_then, personal_data, states
from registry.api.answers import Body, Id, NumberPath
from registry.api.people_answers import person_answer
from registry.api.sites import token_answer
from registry.finding import number_cursor
from registry.models import Person, PersonalRead
from registry.people_then import PersonThen
from registry.rights import READ_PEOPLE, RUN_FEDERATION
from registry.schemas.people import (
    DecisionIn,
    ErasedOut,
    JoinIn,
    LinkClaim,
    LinkOut,
    MeIn,
    OidcLinkIn,
    PersonOut,
    PersonPage,
    PersonQuery,
    ReadList,
    ReadQuery,
    Said,
)
from registry.schemas.sites import OneQuery, TokenIn, TokenList, TokenMade
from registry.settings import RegistrySettings

api = Api("registry_people", __name__, "People", csv=True)


class IdentityPath(PathModel):
    """A person and one of their identities."""

    number: Id
    identity: Id


def _settings() -> RegistrySettings:
    held = ground().settings
    assert isinstance(held, RegistrySettings)
    return held


def _noted(what: str, read: list[int]) -> None:
    """Who reads about people is written down."""
    personal_data.note_read(ground().db, current_principal(), what, read, read_only=_settings().read_only)


@api.get("/me", permission=SIGNED_IN, summary="Who I am here", responses={200: PersonOut})
def me() -> Body:
    """The caller with identities and roles."""
    with ground().db.transaction() as session:
        return person_answer(people.own(session, current_principal()))


@api.post("/me", permission=SIGNED_IN, summary="Register", responses={201: PersonOut})
def register_me(body: MeIn) -> tuple[Body, int]:
    """Who shows a certificate or signs in with a provider becomes a person here; done again it changes nothing."""
    realms = _settings().oidc_realms
    return _person(identities.register(ground().db, current_principal(), body, realms)), 201


@api.patch("/me", permission=SIGNED_IN, summary="Change own name or address", responses={200: PersonOut})
def change_me(body: MeIn) -> Body:
    """Name and e-mail address; an address that is not sent is taken away."""
    return _person(people.edit_me(ground().db, current_principal(), body))


@api.get("/me/tokens", permission=SIGNED_IN, summary="Own tokens", responses={200: TokenList})
def my_tokens() -> Body:
    """Own tokens without their secrets, the newest first."""
    with ground().db.transaction() as session:
        mine = people.own(session, current_principal()).credentials
    return {"items": [token_answer(one) for one in reversed(mine) if one.kind == "token"]}


@api.post("/me/tokens", permission=SIGNED_IN, summary="Make an own token", responses={201: TokenMade})
def make_my_token(body: TokenIn) -> tuple[Body, int]:
    """A token that acts as the caller; it is shown this once."""
    row, token = people.make_token(ground().db, current_principal(), body)
    return {**token_answer(row), "token": token}, 201


@api.delete(
    "/me/tokens/<int:number>", permission=SIGNED_IN, summary="Withdraw an own token", responses={204: None}
)
def withdraw_my_token(path: NumberPath) -> None:
    """A token or a linked certificate; the last certificate stays."""
    people.withdraw(ground().db, current_principal(), path.number)


@api.post(
    "/me/links", permission=SIGNED_IN, summary="Begin to link another certificate", responses={201: LinkOut}
)
def begin_link() -> tuple[Body, int]:
    """A code for 30 minutes; show it with the other certificate."""
    code, until = people.begin_link(ground().db, current_principal())
    return {"code": code, "valid_until": until}, 201


@api.post(
    "/me/links/claim", permission=SIGNED_IN, summary="Link this certificate", responses={200: PersonOut}
)
def claim_link(body: LinkClaim) -> Body:
    """The certificate of this connection joins the person who made the code."""
    return _person(people.claim_link(ground().db, current_principal(), body.code))


@api.get("/people", permission=READ_PEOPLE, summary="People by id", responses={200: PersonPage})
def list_people(query: PersonQuery) -> Body:
    """People with identities and roles; `q` is a part of name or address."""
    after = number_cursor(query.cursor) or 0
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        found: Sequence[Person | PersonThen]
        if number is None:
            found = people.listed(session, query.q, after, query.limit + 1)
        else:
            found = people_then.listed(session, number, query.q, after, query.limit + 1)
        items = [person_answer(person) for person in found[: query.limit]]
    _noted("list of people", [int(one["id"]) for one in items])
    return {"items": items, "next": items[-1]["id"] if len(found) > query.limit else None}


@api.get("/people/<int:number>", permission=READ_PEOPLE, summary="One person", responses={200: PersonOut})
def one_person(path: NumberPath, query: OneQuery) -> Body:
    """A person with identities and roles; that it was read is written down for the person to see."""
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        found = (
            people.find(session, path.number)
            if number is None
            else people_then.find(session, number, path.number)
        )
        answer = person_answer(found)
    _noted("one person", [path.number])
    return answer


@api.delete(
    "/people/<int:number>", permission=RUN_FEDERATION, summary="Erase a person", responses={200: ErasedOut}
)
def remove_person(path: NumberPath) -> Body:
    """Rows, names in the log, mails; the log keeps numbers and times. Sites that lost a contact are named."""
    done = personal_data.erase(ground().db, current_principal(), path.number, "")
    return {"stands_as": done.stands_as, "sites": list(done.sites)}


@api.delete("/me", permission=SIGNED_IN, summary="Erase oneself", responses={200: ErasedOut})
def remove_me() -> Body:
    """As for an operator. The last operator, and who answers for API credentials, must hand over first."""
    with ground().db.transaction() as session:
        number = people.own(session, current_principal()).id
    done = personal_data.erase(ground().db, current_principal(), number, "")
    return {"stands_as": done.stands_as, "sites": list(done.sites)}


@api.get("/me/data", permission=SIGNED_IN, summary="Everything held about me", responses={200: None})
def my_data() -> Body:
    """All rows about the caller, what they changed, what was decided, and who read about them."""
    with ground().db.transaction() as session:
        return personal_data.everything_of(session, people.own(session, current_principal()))


@api.get("/me/reads", permission=SIGNED_IN, summary="Who read about me", responses={200: ReadList})
def my_reads(query: ReadQuery) -> Body:
    """The newest first; `cursor` is the `next` of the page before."""
    with ground().db.transaction() as session:
        own = people.own(session, current_principal())
        return _reads(personal_data.reads_of(session, own.id, before=number_cursor(query.cursor), limit=101))


@api.get(
    "/people/<int:number>/reads",
    permission=RUN_FEDERATION,
    summary="Who read about a person",
    responses={200: ReadList},
)
def reads_of_person(path: NumberPath, query: ReadQuery) -> Body:
    """The newest first."""
    with ground().db.transaction() as session:
        before = number_cursor(query.cursor)
        return _reads(personal_data.reads_of(session, path.number, before=before, limit=101))


def _reads(found: list[PersonalRead]) -> Body:
    items = [
        {"id": str(one.id), "at": one.at, "by": one.reader_name, "what": one.what} for one in found[:100]
    ]
    return {"items": items, "next": items[-1]["id"] if len(found) > 100 else None}


@api.post(
    "/people/<int:number>/identities/<int:identity>/suspend",
    permission=RUN_FEDERATION,
    summary="Suspend an identity",
    responses={200: PersonOut},
)
def suspend_identity(path: IdentityPath, body: DecisionIn) -> Body:
    """It proves nothing until it is let in again; the reason is shown to the person."""
    identities.suspend(ground().db, current_principal(), path.number, path.identity, body.reason)
    return _person(path.number)


@api.post(
    "/people/<int:number>/identities/<int:identity>/let-in",
    permission=RUN_FEDERATION,
    summary="End the suspension of an identity",
    responses={200: PersonOut},
)
def let_in_identity(path: IdentityPath, body: DecisionIn) -> Body:
    """From now on it signs its person in again."""
    identities.let_in(ground().db, current_principal(), path.number, path.identity, body.reason)
    return _person(path.number)


@api.delete(
    "/people/<int:number>/identities/<int:identity>",
    permission=RUN_FEDERATION,
    summary="Take an identity from a person",
    responses={204: None},
)
def unlink_identity(path: IdentityPath) -> None:
    """Also the last one; the person can be known by another that is linked later."""
    identities.unlink(ground().db, current_principal(), path.number, path.identity, "")


@api.post(
    "/me/identities",
    permission=SIGNED_IN,
    summary="Link a subject of an identity provider",
    responses={202: Said},
)
def link_subject(body: OidcLinkIn) -> tuple[Body, int]:
    """A code is sent to the own e-mail address; give it to /me/identities/confirm."""
    settings = _settings()
    identities.ask_to_link(ground().db, current_principal(), body, settings.oidc_realms, settings.url)
    return {"detail": "A code was sent to your e-mail address."}, 202


@api.post(
    "/me/identities/join",
    permission=SIGNED_IN,
    summary="Join this certificate to the person of an address",
    responses={202: Said},
)
def join_by_mail(body: JoinIn) -> tuple[Body, int]:
    """For a certificate that nobody knows yet. The answer is the same whether or not there is such a person."""
    here = _settings()
    identities.ask_to_join(ground().db, current_principal(), body.email, here.url, here.oidc_realms)
    return {"detail": identities.SENT}, 202


@api.post(
    "/me/identities/confirm", permission=SIGNED_IN, summary="Enter a mailed code", responses={200: PersonOut}
)
def confirm_identity(body: LinkClaim) -> Body:
    """By the person who got the mail, or with the identity that is to be linked."""
    return _person(identities.confirm(ground().db, current_principal(), body.code))


def _person(number: int) -> Body:
    with ground().db.transaction() as session:
        return person_answer(people.find(session, number))
