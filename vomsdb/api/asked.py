"""/api/v1: what members ask for, decisions one by one and in bulk, and the managers of groups."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from hanse.errors import HanseError, NotFound
from hanse.identity.permissions import SIGNED_IN
from hanse.identity.trust import TrustStore
from hanse.web import Api, Listing, current_principal, ground
from vomsdb import decisions, group_managers, member_decisions, member_requests, proofs, vos
from vomsdb.api.answers import asked_out, cut, group_manager_out, number_after, settings
from vomsdb.api.vos import manager_of
from vomsdb.member_requests import Wish
from vomsdb.permissions import APPOINT_IN_GROUP, DECIDE_MEMBER, SEE_ASKED, SEE_MEMBERS
from vomsdb.proofs import signature_from_text
from vomsdb.schemas.asked import (
    DecidedOut,
    DecisionsIn,
    DecisionsOut,
    GroupManagerIn,
    GroupManagerOut,
    GroupManagerQuery,
    MemberRequestIn,
    MemberRequestOut,
    MemberRequestPage,
    ProofIn,
    ProofOut,
)
from vomsdb.schemas.fields import AskedQuery, RequestPath, VoPath
from vomsdb.schemas.people import DecisionIn
from vomsdb.schemas.vos import ManagerIn
from vomsdb.vos import certificate_from_text, identity_from_pem

api = Api("vomsdb_asked", __name__, "Requests of members")


@api.post("/vos/<vo>/member-requests", permission=SIGNED_IN, summary="Ask", responses={201: MemberRequestOut})
def ask(path: VoPath, body: MemberRequestIn) -> tuple[MemberRequestOut, int]:
    """A member asks for a group, a role, a further certificate, or to leave."""
    caller = current_principal()
    identity = identity_from_pem(body.certificate, "certificate") if body.certificate else None
    held = certificate_from_text(body.certificate, "certificate") if body.certificate else None
    wish = Wish(body.kind, body.fqan, identity, body.motivation, held)
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        made = member_requests.ask(session, path.vo, wish, caller, timedelta(days=settings().request_days))
        return asked_out(member_requests.one(session, path.vo, made.id, caller)), 201


@api.get(
    "/vos/<vo>/member-requests",
    permission=SEE_ASKED,
    summary="What members ask for",
    responses={200: MemberRequestPage},
)
def list_asked(path: VoPath, query: AskedQuery) -> MemberRequestPage:
    """Oldest first; managers of groups see what concerns their groups."""
    after = number_after(query.cursor)
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        group_managers.check_in_vo(current_principal(), path.vo, SEE_ASKED)
        found = member_requests.in_vo(
            session, path.vo, current_principal(), query.state, after, query.limit + 1
        )
    shown, more = cut(found, query.limit)
    items = [asked_out(asked) for asked in shown]
    return MemberRequestPage(items=items, next=str(items[-1].id) if more else None)


@api.get(
    "/vos/<vo>/member-requests/<request>",
    permission=SIGNED_IN,
    summary="One of them",
    responses={200: MemberRequestOut},
)
def one_asked(path: RequestPath) -> MemberRequestOut:
    """For who asked and for who decides."""
    with ground().db.transaction() as session:
        return asked_out(member_requests.one(session, path.vo, path.request, current_principal()))


@api.post(
    "/vos/<vo>/member-requests/<request>/decision",
    permission=DECIDE_MEMBER,
    summary="Approve or reject it",
    responses={200: MemberRequestOut},
)
def decide(path: RequestPath, body: DecisionIn) -> MemberRequestOut:
    """Once, by a manager of the VO or of the group, who is not the member."""
    act = member_decisions.approve if body.decision == "approve" else member_decisions.reject
    caller = current_principal()
    with ground().db.transaction() as session:
        act(session, path.vo, path.request, body.reason, caller)
        return asked_out(member_requests.one(session, path.vo, path.request, caller))


@api.post(
    "/vos/<vo>/member-requests/<request>/withdrawal",
    permission=SIGNED_IN,
    summary="Take it back",
    responses={200: MemberRequestOut},
)
def withdraw(path: RequestPath) -> MemberRequestOut:
    """By who asked."""
    caller = current_principal()
    with ground().db.transaction() as session:
        member_decisions.withdraw(session, path.vo, path.request, caller)
        return asked_out(member_requests.one(session, path.vo, path.request, caller))


@api.post(
    "/vos/<vo>/member-requests/<request>/proof",
    permission=SIGNED_IN,
    summary="Prove that a certificate is one's own",
    responses={200: ProofOut},
)
def prove(path: RequestPath, body: ProofIn) -> ProofOut:
    """With a signature by the member who asked, without one by who signed in with the certificate itself."""
    caller = current_principal()
    with ground().db.transaction() as session:
        request, own = proofs.asked(session, path.request, caller)
        if request.vo != path.vo:
            raise NotFound(f"{path.vo} has no request {path.request}.")
        if body.signature or own:
            signature = signature_from_text(body.signature)
            done = proofs.by_signature(
                session, path.request, signature, caller, TrustStore(settings().trust_dir)
            )
        else:
            done = proofs.by_sign_in(session, path.request, caller)
        assert done.proved_at is not None
        return ProofOut(id=done.id, vo=done.vo, subject=done.subject or "", proved_at=done.proved_at)


@api.get(
    "/me/member-requests",
    permission=SIGNED_IN,
    summary="What I asked for",
    responses={200: Listing[MemberRequestOut]},
)
def mine() -> Listing[MemberRequestOut]:
    """Newest first, in all VOs."""
    caller = current_principal()
    with ground().db.transaction() as session:
        own = member_requests.of_keys(session, caller.keys | {caller.key})
        items = [asked_out(member_requests.one(session, one.vo, one.id, caller)) for one in own]
    return Listing[MemberRequestOut](items=items)


@api.post(
    "/vos/<vo>/decisions", permission=DECIDE_MEMBER, summary="Decide many", responses={200: DecisionsOut}
)
def decide_many(path: VoPath, body: DecisionsIn) -> DecisionsOut:
    """Each by itself and by its own rules: what somebody else was quicker with does not stop the rest."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
    group_managers.check_in_vo(current_principal(), path.vo, DECIDE_MEMBER)
    items = [_decided(path.vo, "request", number, body) for number in body.requests]
    items += [_decided(path.vo, "member_request", number, body) for number in body.member_requests]
    return DecisionsOut(items=items)


def _decided(
    vo: str, kind: Literal["request", "member_request"], number: int, body: DecisionsIn
) -> DecidedOut:
    try:
        with ground().db.transaction() as session:
            decisions.decide(session, vo, kind, number, body.decision, body.reason, current_principal())
    except HanseError as fault:
        return DecidedOut(kind=kind, id=number, decided=False, detail=fault.detail)
    detail = "approved" if body.decision == "approve" else "rejected"
    return DecidedOut(kind=kind, id=number, decided=True, detail=detail)


# --- managers of groups -------------------------------------------------------------------------------------------


@api.get(
    "/vos/<vo>/group-managers",
    permission=SEE_MEMBERS,
    summary="Managers of groups",
    responses={200: Listing[GroupManagerOut]},
)
def list_group_managers(path: VoPath) -> Listing[GroupManagerOut]:
    """By group."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        items = [group_manager_out(one) for one in group_managers.of_vo(session, path.vo)]
    return Listing[GroupManagerOut](items=items)


@api.post(
    "/vos/<vo>/group-managers",
    permission=APPOINT_IN_GROUP,
    summary="Appoint a manager of a group",
    responses={201: GroupManagerOut},
)
def appoint(path: VoPath, body: GroupManagerIn) -> tuple[GroupManagerOut, int]:
    """For the group and those below it."""
    manager = manager_of(ManagerIn(**body.model_dump(exclude={"group"})), "manager")
    with ground().db.transaction() as session:
        made = group_managers.appoint(session, path.vo, body.group, manager, current_principal())
        session.refresh(made)
        return group_manager_out(made), 201


@api.delete(
    "/vos/<vo>/group-managers",
    permission=APPOINT_IN_GROUP,
    summary="Dismiss a manager of a group",
    responses={204: None},
)
def dismiss(path: VoPath, query: GroupManagerQuery) -> None:
    """The VO's managers decide for the group then."""
    with ground().db.transaction() as session:
        group_managers.dismiss(session, path.vo, query.group, query.key, current_principal())
