"""What members ask for: a group, a role, a further certificate, to leave.

pending -> approved | rejected (reason) | withdrawn | expired
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal, X509Identity
from vomsdb import certificates, group_managers, groups, mails, members, vos
from vomsdb.ledger import CLOCK, Ledger, actor, revision
from vomsdb.models import Member, MemberGroup, MemberRequest, MemberRole, Person
from vomsdb.permissions import SEE_ASKED

WORDS = {"group": "the group", "role": "the role", "certificate": "the certificate", "removal": "removal"}


@dataclass(frozen=True)
class Wish:
    """What is asked for: `fqan` of a group or role, `identity` of a further certificate, none of both to leave."""

    kind: str
    fqan: str | None = None
    identity: X509Identity | None = None
    motivation: str = ""
    certificate: bytes | None = None
    """The certificate itself (DER), so that its key can prove whose it is."""


def fqan_of(request: MemberRequest) -> str | None:
    """The group or role that is asked for."""
    return f"{request.path}/Role={request.role}" if request.role else request.path


def what(request: MemberRequest) -> str:
    """What is asked for, in words: `the role /vo/group/Role=operator`."""
    thing = fqan_of(request) or request.subject or "from the VO"
    return f"{WORDS[request.kind]} {thing}"


def ask(session: Session, vo: str, wish: Wish, by: Principal, within: timedelta) -> MemberRequest:
    """A member's request, told to whoever decides. Raises Refused, Conflict, NotFound."""
    member = own_member(session, vo, by)
    if member.state not in ("active", "suspended"):
        raise Conflict(f"Your membership of {vo} is {member.state}; ask its managers to prolong it first.")
    request = MemberRequest(
        vo=vo,
        member_id=member.id,
        kind=wish.kind,
        motivation=wish.motivation,
        expires_at=datetime.now(UTC) + within,
    )
    _fill(session, request, member, wish)
    try:
        with session.begin_nested():
            session.add(request)
            session.flush()
    except IntegrityError as fault:
        raise Conflict("You asked for this already, and it waits for a decision; see /me.") from fault
    if request.kind != "certificate":  # those are told when it is proved
        tell_deciders(session, request)
    with revision(session, actor(by), f"asked for {what(request)}") as ledger:
        put(ledger, request)
    return request


def own_member(session: Session, vo: str, by: Principal) -> Member:
    """The caller's own membership of the VO, held for change; raises NotFound."""
    own = [p.member for p in members.of_keys(session, by.keys | {by.key}) if p.member.vo == vo]
    if not own:
        raise NotFound(f"You are not a member of {vo}.")
    return members.locked(session, own[0].id)


def _fill(session: Session, request: MemberRequest, member: Member, wish: Wish) -> None:
    if wish.kind in ("group", "role"):
        _fill_fqan(session, request, member, wish.fqan or "")
    elif wish.kind == "certificate":
        identity = wish.identity
        if identity is None:
            fault = FieldFault("certificate", "must be pasted as PEM")
            raise Refused("Which certificate is to be added?", fault)
        certificates.check_free(session, member, identity)
        request.key, request.subject, request.issuer = (
            identity.key,
            identity.subject_slash,
            identity.issuer_slash,
        )
        request.subject_der, request.issuer_der = identity.subject_der, identity.issuer_der
        request.certificate, request.challenge = wish.certificate, challenge(member.vo)


def _fill_fqan(session: Session, request: MemberRequest, member: Member, fqan: str) -> None:
    path, role = groups.of_vo(session, member.vo, fqan)
    if (role is not None) != (request.kind == "role"):
        raise Refused("This cannot be asked for.", FieldFault("fqan", f"must name a {request.kind}"))
    if role is None and path == f"/{member.vo}":
        raise Refused("This cannot be asked for.", FieldFault("fqan", "is the group that all members are in"))
    held = (
        session.get(MemberRole, (member.id, path, role))
        if role is not None
        else session.get(MemberGroup, (member.id, path))
    )
    if held is not None:
        raise Conflict(f"You hold {fqan} already.")
    request.path, request.role = path, role


def challenge(vo: str) -> str:
    """A text for a key to sign: nobody can have had it signed before."""
    return f"{vo}: this key is mine. {secrets.token_hex(16)}"


def tell_deciders(session: Session, request: MemberRequest) -> None:
    """Queues a mail to everybody who may decide."""
    member = session.get_one(Member, request.member_id)
    deciders = {manager.email: manager.name for manager in vos.managers_of(session, request.vo)}
    if request.path is not None:
        managers = group_managers.above(session, request.vo, request.path)
        deciders.update({manager.email: manager.name for manager in managers})
    person = session.get_one(Person, member.person_id)
    facts = {"request": request, "person": person, "what": what(request)}
    for email, name in sorted(deciders.items()):
        mails.write(session, email, "request_waits", about(request), request.vo, name=name, **facts)


def about(request: MemberRequest) -> str:
    """What mails about the request refer to."""
    return f"member_request:{request.id}"


def tell_member(session: Session, request: MemberRequest) -> None:
    """Queues a mail to whoever asked, about where the request stands."""
    member = session.get_one(Member, request.member_id)
    person = session.get_one(Person, member.person_id)
    facts = {"request": request, "person": person, "what": what(request)}
    mails.write(session, person.email, "request_decided", about(request), request.vo, **facts)


def put(ledger: Ledger, request: MemberRequest) -> None:
    """Requests stand in the log without what only concerns the person and the manager."""
    body = {
        "vo": request.vo,
        "member": str(request.member_id),
        "asks": request.kind,
        "fqan": fqan_of(request),
        "key": request.key,
        "state": request.state,
        "reason": request.reason,
    }
    ledger.put("member_request", str(request.id), body)


# --- looking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A request with who asks, and what a manager should know before approving."""

    request: MemberRequest
    person: Person
    doubts: tuple[str, ...]


def _in_reach(vo: str, by: Principal) -> ColumnElement[bool]:
    """Everything for who sees the whole VO, and what concerns their groups for group managers."""
    if group_managers.manages_vo(by, vo, SEE_ASKED):
        return true()
    return group_managers.within(MemberRequest.path, group_managers.managed(by, vo))


def in_vo(
    session: Session, vo: str, by: Principal, state: str | None = None, after: int = 0, limit: int = 50
) -> list[Asked]:
    """Requests that the caller may see, oldest first."""
    query = select(MemberRequest).where(MemberRequest.vo == vo, MemberRequest.id > after, _in_reach(vo, by))
    if state is not None:
        query = query.where(MemberRequest.state == state)
    return _asked(session, list(session.scalars(query.order_by(MemberRequest.id).limit(limit))))


def one(session: Session, vo: str, request_id: int, by: Principal) -> Asked:
    """One request, for who may see it and for who asked. Raises NotFound."""
    query = select(MemberRequest).where(MemberRequest.id == request_id, MemberRequest.vo == vo)
    own = MemberRequest.member_id.in_([p.member.id for p in members.of_keys(session, by.keys | {by.key})])
    found = session.scalar(query.where(_in_reach(vo, by) | own))
    if found is None:
        raise NotFound(f"{vo} has no request {request_id} that you may see.")
    return _asked(session, [found])[0]


def of_keys(session: Session, keys: frozenset[str]) -> list[MemberRequest]:
    """Somebody's own requests, newest first."""
    own = [profile.member.id for profile in members.of_keys(session, keys)]
    query = select(MemberRequest).where(MemberRequest.member_id.in_(own)).order_by(MemberRequest.id.desc())
    return list(session.scalars(query.limit(100)))


def pending_count(session: Session, vo: str, by: Principal) -> int:
    """How many requests wait that the caller may see."""
    waiting = (MemberRequest.vo == vo, MemberRequest.state == "pending", _in_reach(vo, by))
    return session.scalar(select(func.count()).select_from(MemberRequest).where(*waiting)) or 0


def _asked(session: Session, rows: list[MemberRequest]) -> list[Asked]:
    profiles = {p.member.id: p for p in members.of_ids(session, [row.member_id for row in rows])}
    return [Asked(row, profiles[row.member_id].person, _doubts(row, profiles[row.member_id])) for row in rows]


def _doubts(request: MemberRequest, profile: members.Profile) -> tuple[str, ...]:
    notes = []
    if profile.member.state != "active":
        notes.append(f"membership is {profile.member.state}")
    if request.kind == "role":
        notes.append(f"asks for a role: {request.role}")
    held = profile.certificates
    if request.kind == "certificate" and request.proved_at is None:
        notes.append("not proved yet that its key is the member's")
    if request.kind == "certificate" and request.subject in {one.certificate.subject for one in held}:
        notes.append("same name, another CA")
    elif request.kind == "certificate" and held:
        notes.append("another name than the certificate in use")
    return tuple(notes)


# --- what time alone changes --------------------------------------------------------------------------------------


def expire(session: Session, limit: int = 100) -> int:
    """Requests that nobody decided in time expire, and who asked is told; how many."""
    due = (
        select(MemberRequest)
        .where(MemberRequest.state == "pending", MemberRequest.expires_at <= func.now())
        .order_by(MemberRequest.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(due))
    for request in rows:
        request.state, request.decided_at = "expired", datetime.now(UTC)
        tell_member(session, request)
    if rows:
        with revision(session, CLOCK, "requests expired") as ledger:
            for request in rows:
                put(ledger, request)
    return len(rows)
