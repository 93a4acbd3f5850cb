"""Deciding what members ask for: once, by who may there, never by who asked, first come first served."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, Forbidden, NotFound
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, X509Identity
from vomsdb import certificates, group_managers, groups, lifetimes, member_requests, members
from vomsdb.ledger import actor, revision
from vomsdb.models import Member, MemberRequest
from vomsdb.permissions import DECIDE_MEMBER


def approve(session: Session, vo: str, request_id: int, reason: str, by: Principal) -> MemberRequest:
    """The member gets what was asked for. Raises Refused, Forbidden, Conflict, NotFound."""
    request, member = _undecided(session, vo, request_id, by)
    if request.kind == "removal":
        _decided(request, "approved", reason or None, by)
        member_requests.tell_member(session, request)
        lifetimes.remove_as(session, [member], "asked to leave", actor(by))
    elif request.kind == "certificate":
        if request.proved_at is None:
            raise Conflict(
                "The member has not proved yet that this certificate is theirs; they do it on their page /me."
            )
        assert request.subject_der is not None
        assert request.issuer_der is not None
        certificates.attach(session, member, X509Identity(request.subject_der, request.issuer_der))
    else:
        fqan = member_requests.fqan_of(request) or ""
        group_managers.check_may_arrange(session, member, fqan, by)
        groups.enter(session, member, fqan)
    if request.state == "pending":
        _decided(request, "approved", reason or None, by)
        member_requests.tell_member(session, request)
    with revision(session, actor(by), f"approved: {member_requests.what(request)}") as ledger:
        member_requests.put(ledger, request)
        members.put(session, ledger, member)
        ledger.sites_differ(vo, urgent=request.kind == "removal")
    return request


def reject(session: Session, vo: str, request_id: int, reason: str, by: Principal) -> MemberRequest:
    """The request ends, with a reason that the member reads. Raises Refused, Forbidden, Conflict, NotFound."""
    members.need_reason(reason)
    request, _ = _undecided(session, vo, request_id, by)
    _decided(request, "rejected", reason, by)
    member_requests.tell_member(session, request)
    with revision(session, actor(by), f"rejected: {member_requests.what(request)}: {reason}") as ledger:
        member_requests.put(ledger, request)
    return request


def withdraw(session: Session, vo: str, request_id: int, by: Principal) -> MemberRequest:
    """Who asked takes it back. Raises Conflict, NotFound."""
    request, member = _locked(session, vo, request_id)
    if not group_managers.keys_of(session, member) & (by.keys | {by.key}):
        raise NotFound(f"You have no request {request_id} in {vo}.")
    if request.state != "pending":
        raise Conflict(f"The request is {request.state} and cannot be withdrawn.")
    request.state, request.decided_at = "withdrawn", datetime.now(UTC)
    with revision(session, actor(by), f"withdrawn: {member_requests.what(request)}") as ledger:
        member_requests.put(ledger, request)
    return request


def _locked(session: Session, vo: str, request_id: int) -> tuple[MemberRequest, Member]:
    """The request and its member, both held; the member first, as everybody else does."""
    named = MemberRequest.id == request_id, MemberRequest.vo == vo
    member_id = session.scalar(select(MemberRequest.member_id).where(*named))
    if member_id is None:
        raise NotFound(f"{vo} has no request {request_id}.")
    member = members.locked(session, member_id)
    query = select(MemberRequest).where(*named).with_for_update()
    request = session.scalar(query.execution_options(populate_existing=True))
    if request is None:
        raise NotFound(f"{vo} has no request {request_id} any more.")
    return request, member


def _undecided(session: Session, vo: str, request_id: int, by: Principal) -> tuple[MemberRequest, Member]:
    request, member = _locked(session, vo, request_id)
    check(by, DECIDE_MEMBER, *group_managers.scopes(vo, request.path or f"/{vo}"))
    if group_managers.keys_of(session, member) & (by.keys | {by.key}):
        raise Forbidden("Nobody decides about their own request; ask another manager.")
    if request.state in ("approved", "rejected"):
        raise Conflict(f"{request.decided_by_name} was quicker: the request is {request.state}.")
    if request.state != "pending":
        raise Conflict(f"The request is {request.state}; only pending ones can be decided.")
    if request.expires_at <= datetime.now(UTC):
        raise Conflict("The request has expired; the member must ask again.")
    return request, member


def _decided(request: MemberRequest, state: str, reason: str | None, by: Principal) -> None:
    request.state, request.reason = state, reason
    request.decided_at, request.decided_by = datetime.now(UTC), by.key
    request.decided_by_name = by.name
