"""/api/v1: oneself, people, roles."""

from __future__ import annotations

from hanse.identity import names
from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, current_principal, ground
from registry import people, roles
from registry.api.answers import Body, NumberPath
from registry.api.sites import token_answer
from registry.finding import number_cursor
from registry.models import Credential, Person, Role
from registry.rights import GRANT_ROLES, READ_PEOPLE, RUN_FEDERATION
from registry.schemas.people import (
    LinkClaim,
    LinkOut,
    MeIn,
    PersonOut,
    PersonPage,
    PersonQuery,
    RoleIn,
    RoleList,
    RoleOut,
    RoleQuery,
)
from registry.schemas.sites import TokenIn, TokenList, TokenMade

api = Api("registry_people", __name__, "People")


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
        shown = [person_answer(person) for person in found[: query.limit]]
    return {"items": shown, "next": shown[-1]["id"] if len(found) > query.limit else None}


@api.get("/people/<int:number>", permission=READ_PEOPLE, summary="One person", responses={200: PersonOut})
def one_person(path: NumberPath) -> Body:
    """A person with identities and roles."""
    return _person(path.number)


@api.delete(
    "/people/<int:number>", permission=RUN_FEDERATION, summary="Remove a person", responses={204: None}
)
def remove_person(path: NumberPath) -> None:
    """The person with identities, tokens and roles."""
    people.erase(ground().db, current_principal(), path.number, "")


@api.get("/roles", permission=READ_PEOPLE, summary="Roles, the newest first", responses={200: RoleList})
def list_roles(query: RoleQuery) -> Body:
    """Who holds which role."""
    with ground().db.transaction() as session:
        found = roles.listed(session, query.scope, query.person)
        return {"items": [role_answer(role) for role in found]}


@api.post("/roles", permission=GRANT_ROLES, summary="Grant a role", responses={201: RoleOut})
def grant_role(body: RoleIn) -> tuple[Body, int]:
    """Operators grant everything, NGI managers the roles of their sites, administrators security officers."""
    number = roles.grant(ground().db, current_principal(), body)
    with ground().db.transaction() as session:
        return role_answer(session.get_one(Role, number)), 201


@api.delete("/roles/<int:number>", permission=SIGNED_IN, summary="Withdraw a role", responses={204: None})
def withdraw_role(path: NumberPath) -> None:
    """By whoever may grant it, or by its holder."""
    roles.withdraw(ground().db, current_principal(), path.number, "")


def _person(number: int) -> Body:
    with ground().db.transaction() as session:
        return person_answer(people.find(session, number))


def person_answer(person: Person) -> Body:
    """A person for the wire."""
    return {
        "id": str(person.id),
        "name": person.name,
        "email": person.email,
        "identities": [identity_answer(one) for one in person.credentials],
        "roles": [role_answer(role) for role in person.roles],
    }


def identity_answer(row: Credential) -> Body:
    """A way to sign in, for the wire."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "key": row.key,
        "name": row.name,
        "subject": None if row.subject_der is None else names.slash(row.subject_der),
        "issuer": None if row.issuer_der is None else names.slash(row.issuer_der),
        "created_at": row.created_at,
        "not_after": row.not_after,
    }


def role_answer(role: Role) -> Body:
    """A role for the wire."""
    return {
        "id": str(role.id),
        "person": str(role.person_id),
        "person_name": role.person.name,
        "role": role.role,
        "scope": role.scope,
        "granted_at": role.granted_at,
        "granted_by": role.granted_by,
    }
