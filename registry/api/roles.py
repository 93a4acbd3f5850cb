"""/api/v1: roles: who holds which, asking for one, deciding, and what was decided."""

from __future__ import annotations

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, current_principal, ground
from registry import remembered, role_requests, roles, states
from registry.api.answers import Body, NumberPath
from registry.api.people_answers import role_action_answer, role_answer
from registry.finding import number_cursor
from registry.models import Role
from registry.remembered import RoleThen
from registry.rights import GRANT_ROLES, READ_PEOPLE
from registry.schemas.people import (
    DecisionIn,
    RoleActionList,
    RoleActionQuery,
    RoleIn,
    RoleList,
    RoleOut,
    RolePage,
    RoleQuery,
    RoleRequestIn,
)
from registry.schemas.sites import OneQuery
from registry.settings import RegistrySettings

api = Api("registry_roles", __name__, "People", csv=True)


def _url() -> str:
    """Where this registry is, for mails."""
    held = ground().settings
    assert isinstance(held, RegistrySettings)
    return held.url


@api.get("/roles", permission=READ_PEOPLE, summary="Roles, the newest first", responses={200: RolePage})
def list_roles(query: RoleQuery) -> Body:
    """Who holds which role."""
    before = number_cursor(query.cursor)
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        found: list[Role] | list[RoleThen]
        if number is None:
            found = roles.listed(
                session, query.scope, query.person, query.status, before=before, limit=query.limit + 1
            )
        else:
            found = remembered.roles(
                session,
                number,
                scope=query.scope,
                person=query.person,
                status=query.status,
                before=before,
                limit=query.limit + 1,
            )
        items = [role_answer(role) for role in found[: query.limit]]
    return {"items": items, "next": items[-1]["id"] if len(found) > query.limit else None}


@api.post("/roles", permission=GRANT_ROLES, summary="Grant a role", responses={201: RoleOut})
def grant_role(body: RoleIn) -> tuple[Body, int]:
    """Whoever decides about roles there (docs/operator.md) grants it, asked for or not."""
    number = roles.grant(ground().db, current_principal(), body, _url())
    with ground().db.transaction() as session:
        return role_answer(session.get_one(Role, number)), 201


@api.delete("/roles/<int:number>", permission=SIGNED_IN, summary="Withdraw a role", responses={204: None})
def withdraw_role(path: NumberPath) -> None:
    """By whoever may grant it, or by its holder; an own request is taken back."""
    roles.withdraw(ground().db, current_principal(), path.number, "", _url())


@api.post("/roles/<int:number>/revoke", permission=SIGNED_IN, summary="Revoke a role", responses={204: None})
def revoke_role(path: NumberPath, body: DecisionIn) -> None:
    """As DELETE, with a reason that stands in the log and is mailed to the person."""
    roles.withdraw(ground().db, current_principal(), path.number, body.reason, _url())


@api.post("/role-requests", permission=SIGNED_IN, summary="Ask for a role", responses={201: RoleOut})
def ask_for_role(body: RoleRequestIn) -> tuple[Body, int]:
    """For oneself; those who can decide are told by mail."""
    number = role_requests.request(ground().db, current_principal(), body, _url())
    with ground().db.transaction() as session:
        return role_answer(session.get_one(Role, number)), 201


@api.get("/role-requests", permission=SIGNED_IN, summary="Requests I may decide", responses={200: RoleList})
def waiting_requests(query: OneQuery) -> Body:
    """The oldest first; everybody sees the own ones too (GET /me)."""
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        if number is not None:
            then = role_requests.for_me_then(session, current_principal(), number)
            return {"items": [role_answer(role) for role in then]}
        return {"items": [role_answer(role) for role in role_requests.for_me(session, current_principal())]}


@api.post(
    "/role-requests/<int:number>/grant",
    permission=GRANT_ROLES,
    summary="Grant a request",
    responses={200: RoleOut},
)
def grant_request(path: NumberPath, body: DecisionIn) -> Body:
    """By whoever decides about roles there."""
    role_requests.accept(ground().db, current_principal(), path.number, body.reason, _url())
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
    role_requests.reject(ground().db, current_principal(), path.number, body.reason, _url())


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
            until=moment.at if (moment := states.moment(session, query.as_of)) else None,
            limit=query.limit + 1,
        )
        items = [role_action_answer(one) for one in found[: query.limit]]
    return {"items": items, "next": items[-1]["id"] if len(found) > query.limit else None}
