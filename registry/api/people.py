"""/api/v1: oneself, people, roles."""

from __future__ import annotations

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, PathModel, current_principal, ground
from registry import identities, people, personal_data, remembered, role_requests, roles, states
from registry.api.answers import Body, Id, NumberPath
from registry.api.sites import token_answer
from registry.finding import number_cursor
from registry.models import Credential, Person, PersonalRead, Role, RoleAction
from registry.models.role_names import shown
from registry.rights import GRANT_ROLES, READ_PEOPLE, RUN_FEDERATION
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
    RoleActionList,
    RoleActionQuery,
    RoleIn,
    RoleList,
    RoleOut,
    RoleQuery,
    RoleRequestIn,
    Said,
)
from registry.schemas.sites import TokenIn, TokenList, TokenMade
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


@api.post("/me", permission=SIGNED_IN, summary="Register with a certificate", responses={201: PersonOut})
def register_me(body: MeIn) -> tuple[Body, int]:
    """The owner of the certificate becomes a person here; done again it changes nothing."""
    return _person(people.register_me(ground().db, current_principal(), body)), 201


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
        found = people.listed(session, query.q, after, query.limit + 1)
        items = [person_answer(person) for person in found[: query.limit]]
    _noted("list of people", [int(one["id"]) for one in items])
    return {"items": items, "next": items[-1]["id"] if len(found) > query.limit else None}


@api.get("/people/<int:number>", permission=READ_PEOPLE, summary="One person", responses={200: PersonOut})
def one_person(path: NumberPath) -> Body:
    """A person with identities and roles; that it was read is written down for the person to see."""
    answer = _person(path.number)
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
    identities.ask_to_join(ground().db, current_principal(), body.email, _settings().url)
    return {"detail": identities.SENT}, 202


@api.post(
    "/me/identities/confirm", permission=SIGNED_IN, summary="Enter a mailed code", responses={200: PersonOut}
)
def confirm_identity(body: LinkClaim) -> Body:
    """By the person who got the mail, or with the identity that is to be linked."""
    return _person(identities.confirm(ground().db, current_principal(), body.code))


@api.get("/roles", permission=READ_PEOPLE, summary="Roles, the newest first", responses={200: RoleList})
def list_roles(query: RoleQuery) -> Body:
    """Who holds which role."""
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        if number is not None:
            then = remembered.roles(
                session, number, scope=query.scope, person=query.person, status=query.status
            )
            return {"items": then}
        found = roles.listed(session, query.scope, query.person, query.status)
        return {"items": [role_answer(role) for role in found]}


@api.post("/roles", permission=GRANT_ROLES, summary="Grant a role", responses={201: RoleOut})
def grant_role(body: RoleIn) -> tuple[Body, int]:
    """Whoever decides about roles there (docs/operator.md) grants it, asked for or not."""
    number = roles.grant(ground().db, current_principal(), body, _settings().url)
    with ground().db.transaction() as session:
        return role_answer(session.get_one(Role, number)), 201


@api.delete("/roles/<int:number>", permission=SIGNED_IN, summary="Withdraw a role", responses={204: None})
def withdraw_role(path: NumberPath) -> None:
    """By whoever may grant it, or by its holder; an own request is taken back."""
    roles.withdraw(ground().db, current_principal(), path.number, "", _settings().url)


@api.post("/roles/<int:number>/revoke", permission=SIGNED_IN, summary="Revoke a role", responses={204: None})
def revoke_role(path: NumberPath, body: DecisionIn) -> None:
    """As DELETE, with a reason that stands in the log and is mailed to the person."""
    roles.withdraw(ground().db, current_principal(), path.number, body.reason, _settings().url)


@api.post("/role-requests", permission=SIGNED_IN, summary="Ask for a role", responses={201: RoleOut})
def ask_for_role(body: RoleRequestIn) -> tuple[Body, int]:
    """For oneself; those who can decide are told by mail."""
    number = role_requests.request(ground().db, current_principal(), body, _settings().url)
    with ground().db.transaction() as session:
        return role_answer(session.get_one(Role, number)), 201


@api.get("/role-requests", permission=SIGNED_IN, summary="Requests I may decide", responses={200: RoleList})
def waiting_requests() -> Body:
    """The oldest first; everybody sees the own ones too (GET /me)."""
    with ground().db.transaction() as session:
        return {"items": [role_answer(role) for role in role_requests.for_me(session, current_principal())]}


@api.post(
    "/role-requests/<int:number>/grant",
    permission=GRANT_ROLES,
    summary="Grant a request",
    responses={200: RoleOut},
)
def grant_request(path: NumberPath, body: DecisionIn) -> Body:
    """By whoever decides about roles there."""
    role_requests.accept(ground().db, current_principal(), path.number, body.reason, _settings().url)
    with ground().db.transaction() as session:
        return role_answer(session.get_one(Role, path.number))


@api.post(
    "/role-requests/<int:number>/reject",
    permission=GRANT_ROLES,
    summary="Reject a request",
    responses={204: None},
)
def reject_request(path: NumberPath, body: DecisionIn) -> None:
    """With a reason, which is mailed to the person."""
    role_requests.reject(ground().db, current_principal(), path.number, body.reason, _settings().url)


@api.get(
    "/role-actions",
    permission=READ_PEOPLE,
    summary="What was decided about roles",
    responses={200: RoleActionList},
)
def role_actions(query: RoleActionQuery) -> Body:
    """Requested, granted, rejected, revoked, laid down: by whom, when and why; the newest first."""
    with ground().db.transaction() as session:
        found = roles.actions(
            session,
            scope=query.scope,
            person=query.person,
            before=number_cursor(query.cursor),
            limit=query.limit + 1,
        )
        items = [role_action_answer(one) for one in found[: query.limit]]
    return {"items": items, "next": items[-1]["id"] if len(found) > query.limit else None}


def _person(number: int) -> Body:
    with ground().db.transaction() as session:
        return person_answer(people.find(session, number))


def person_answer(person: Person) -> Body:
    """A person for the wire."""
    return {
        "id": str(person.id),
        "name": person.name,
        "forename": person.forename,
        "surname": person.surname,
        "title": person.title,
        "email": person.email,
        "telephone": person.telephone,
        "works_from": person.works_from,
        "works_until": person.works_until,
        "last_login_at": person.last_login_at,
        "identities": [identity_answer(one) for one in person.credentials],
        "roles": [role_answer(role) for role in person.roles],
        "requests": [role_answer(role) for role in person.requests],
    }


def identity_answer(row: Credential) -> Body:
    """A way to sign in, for the wire."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "realm": row.realm,
        "key": row.key,
        "name": row.name,
        "subject": row.subject or None,
        "issuer": row.issuer or None,
        "created_at": row.created_at,
        "not_after": row.not_after,
        "last_used_at": row.last_used_at,
        "suspended_at": row.suspended_at,
        "suspended_reason": row.suspended_reason,
    }


def role_answer(role: Role) -> Body:
    """A role for the wire."""
    return {
        "id": str(role.id),
        "person": str(role.person_id),
        "person_name": role.person.name,
        "role": role.role,
        "role_name": shown(role.role),
        "scope": role.scope,
        "status": role.status,
        "requested_at": role.requested_at,
        "requested_by": role.requested_by,
        "request_reason": role.request_reason,
        "granted_at": role.granted_at,
        "granted_by": role.granted_by,
    }


def role_action_answer(row: RoleAction) -> Body:
    """What was decided, for the wire."""
    return {
        "id": str(row.id),
        "at": row.at,
        "action": row.action,
        "role": row.role,
        "role_name": shown(row.role),
        "scope": row.scope,
        "person": None if row.person_id is None else str(row.person_id),
        "person_name": row.person_name,
        "by": row.by_name,
        "old_status": row.old_status,
        "new_status": row.new_status,
        "reason": row.reason,
    }
