"""/api/v1: members, their certificates, groups and roles, their end and their suspension; robots and services."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hanse.errors import HanseError
from hanse.identity.permissions import SIGNED_IN, Permission
from hanse.identity.principals import Subject
from hanse.web import Api, authorise, current_principal, ground
from vomsdb import (
    certificates,
    group_managers,
    groups,
    lifetimes,
    members,
    robots,
    subjects,
    suspensions,
    vos,
)
from vomsdb.api.answers import cut, identity_of, member_out, number_after
from vomsdb.permissions import ARRANGE_MEMBER, CERTIFY, LINK, REMOVE, SEE_MEMBERS, SUSPEND
from vomsdb.robots import Account
from vomsdb.schemas.fields import (
    CertificatePath,
    MemberPath,
    MemberQuery,
    RestoreQuery,
    SubjectPath,
    VoPath,
)
from vomsdb.schemas.members import (
    CertificateIn,
    DoneOut,
    LinkIn,
    OwnerIn,
    ProlongAllIn,
    ProlongIn,
    RefusalOut,
    RobotIn,
    SubjectIn,
)
from vomsdb.schemas.people import (
    FqanIn,
    FqanQuery,
    MemberOut,
    MemberPage,
    RemovalQuery,
    SuspensionIn,
)

api = Api("vomsdb_members", __name__, "Members")


def member_answer(session: Session, member_id: int) -> MemberOut:
    """The member as it is now."""
    session.flush()
    return member_out(members.profile(session, member_id))


@api.get("/vos/<vo>/members", permission=SEE_MEMBERS, summary="Members", responses={200: MemberPage})
def list_members(path: VoPath, query: MemberQuery) -> MemberPage:
    """`q` looks into name, address and subject; removed ones only when asked for by state."""
    after = number_after(query.cursor)
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        found = members.search(
            session,
            path.vo,
            words=query.q,
            state=query.state or "",
            kind=query.kind or "",
            group=query.group,
            after=after,
            limit=query.limit + 1,
        )
    shown, more = cut(found, query.limit)
    items = [member_out(profile) for profile in shown]
    return MemberPage(items=items, next=str(items[-1].id) if more else None)


def member_in_reach(session: Session, member_id: int) -> members.Profile:
    """The member, when the caller is the member or may see the VO's members. Raises NotFound, Forbidden."""
    caller = current_principal()
    profile = members.profile(session, member_id)
    if not profile.keys & (caller.keys | {caller.key}):
        authorise(SEE_MEMBERS, f"vo:{profile.member.vo}")
    return profile


@api.get("/members/<member>", permission=SIGNED_IN, summary="A member", responses={200: MemberOut})
def one_member(path: MemberPath) -> MemberOut:
    """For the member and the VO's managers."""
    with ground().db.transaction() as session:
        return member_out(member_in_reach(session, path.member))


@api.delete("/members/<member>", permission=REMOVE, summary="End it", responses={200: MemberOut})
def remove(path: MemberPath, query: RemovalQuery) -> MemberOut:
    """For good; the member may ask to join again."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, REMOVE)
        lifetimes.remove(session, path.member, query.reason, current_principal())
        return member_answer(session, path.member)


def authorise_for(session: Session, member_id: int, permission: Permission) -> None:
    """Raises unless the caller has the permission in the member's VO; NotFound."""
    authorise(permission, f"vo:{members.profile(session, member_id).member.vo}")


def check_may_arrange(session: Session, member_id: int, fqan: str) -> None:
    """Raises unless the caller may give or take the group or role. NotFound."""
    member = members.locked(session, member_id)
    group_managers.check_may_arrange(session, member, fqan, current_principal())


@api.post("/members/<member>/suspension", permission=SUSPEND, summary="Suspend", responses={200: MemberOut})
def suspend(path: MemberPath, body: SuspensionIn) -> MemberOut:
    """At once: no attribute certificate from now, and the sites are told before all else."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, SUSPEND)
        caller = current_principal()
        if body.certificate is None:
            suspensions.suspend(session, path.member, body.code, body.reason, caller)
        else:
            certificates.suspend_certificate(session, path.member, body.certificate, body.reason, caller)
        return member_answer(session, path.member)


@api.delete("/members/<member>/suspension", permission=SUSPEND, summary="Restore", responses={200: MemberOut})
def restore(path: MemberPath, query: RestoreQuery) -> MemberOut:
    """A suspension for an unsigned AUP ends by signing alone."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, SUSPEND)
        caller = current_principal()
        if query.certificate is None:
            suspensions.restore(session, path.member, query.reason, caller)
        else:
            certificates.restore_certificate(session, path.member, query.certificate, query.reason, caller)
        return member_answer(session, path.member)


@api.put(
    "/members/<member>/fqans",
    permission=ARRANGE_MEMBER,
    summary="Give a group or role",
    responses={200: MemberOut},
)
def give(path: MemberPath, body: FqanIn) -> MemberOut:
    """A group brings those above it along."""
    with ground().db.transaction() as session:
        check_may_arrange(session, path.member, body.fqan)
        groups.give(session, path.member, body.fqan, current_principal())
        return member_answer(session, path.member)


@api.delete(
    "/members/<member>/fqans",
    permission=ARRANGE_MEMBER,
    summary="Take a group or role",
    responses={200: MemberOut},
)
def take(path: MemberPath, query: FqanQuery) -> MemberOut:
    """A group takes those below it along."""
    with ground().db.transaction() as session:
        check_may_arrange(session, path.member, query.fqan)
        groups.take(session, path.member, query.fqan, current_principal())
        return member_answer(session, path.member)


# --- the end ------------------------------------------------------------------------------------------------------


@api.post("/members/<member>/end", permission=REMOVE, summary="Prolong", responses={200: MemberOut})
def prolong(path: MemberPath, body: ProlongIn) -> MemberOut:
    """Without `until` by the VO's usual days; also a membership that ended some days ago."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, REMOVE)
        lifetimes.prolong(session, path.member, body.until, current_principal())
        return member_answer(session, path.member)


@api.post("/vos/<vo>/prolongations", permission=REMOVE, summary="Prolong many", responses={200: DoneOut})
def prolong_all(path: VoPath, body: ProlongAllIn) -> DoneOut:
    """Each by itself: one that is refused does not stop the others."""
    authorise(REMOVE, f"vo:{path.vo}")
    done, refused = [], []
    for number in body.members:
        try:
            with ground().db.transaction() as session:
                members.in_vo(session, path.vo, number)
                lifetimes.prolong(session, number, body.until, current_principal())
            done.append(number)
        except HanseError as fault:
            refused.append(RefusalOut(id=number, detail=fault.detail))
    return DoneOut(done=done, refused=refused)


# --- certificates -------------------------------------------------------------------------------------------------


@api.post(
    "/members/<member>/certificates",
    permission=CERTIFY,
    summary="Add a certificate",
    responses={200: MemberOut},
)
def add_certificate(path: MemberPath, body: CertificateIn) -> MemberOut:
    """One that belongs to another person here is refused: that is linking."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, CERTIFY)
        certificates.add(session, path.member, identity_of(body, "certificate"), current_principal())
        return member_answer(session, path.member)


@api.delete(
    "/members/<member>/certificates/<certificate>",
    permission=CERTIFY,
    summary="Take a certificate",
    responses={200: MemberOut},
)
def drop_certificate(path: CertificatePath, query: RemovalQuery) -> MemberOut:
    """The last one stays."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, CERTIFY)
        certificates.drop(session, path.member, path.certificate, query.reason, current_principal())
        return member_answer(session, path.member)


@api.post(
    "/members/<member>/subjects", permission=CERTIFY, summary="Add a sign-in", responses={200: MemberOut}
)
def add_subject(path: MemberPath, body: SubjectIn) -> MemberOut:
    """By who may in all VOs of the person, since it counts in all; somebody else's is refused."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, CERTIFY)
        subjects.add(session, path.member, Subject(body.issuer, body.subject), current_principal())
        return member_answer(session, path.member)


@api.delete(
    "/members/<member>/subjects/<subject>",
    permission=CERTIFY,
    summary="Take a sign-in",
    responses={200: MemberOut},
)
def drop_subject(path: SubjectPath, query: RemovalQuery) -> MemberOut:
    """The last thing that a member is known by stays."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, CERTIFY)
        subjects.drop(session, path.member, path.subject, query.reason, current_principal())
        return member_answer(session, path.member)


@api.post("/members/<member>/links", permission=LINK, summary="Two are one", responses={200: MemberOut})
def link(path: MemberPath, body: LinkIn) -> MemberOut:
    """By who may in every VO that either is in; what the other person has becomes this one's."""
    with ground().db.transaction() as session:
        identity = identity_of(body, "certificate")
        certificates.link(session, path.member, identity.key, body.reason, current_principal())
        return member_answer(session, path.member)


# --- robots and services ------------------------------------------------------------------------------------------


@api.post(
    "/vos/<vo>/robots", permission=CERTIFY, summary="Create a robot or service", responses={201: MemberOut}
)
def create_robot(path: VoPath, body: RobotIn) -> tuple[MemberOut, int]:
    """An active member answers for it, reads its mails and signs the AUP for it."""
    with ground().db.transaction() as session:
        authorise(CERTIFY, f"vo:{path.vo}")
        vos.found(session, path.vo)
        identity = identity_of(body, "certificate")
        account = Account(body.kind, body.name, body.purpose, body.owner, identity)
        made = robots.create(session, path.vo, account, current_principal())
        return member_answer(session, made.id), 201


@api.post("/members/<member>/owner", permission=CERTIFY, summary="Another owner", responses={200: MemberOut})
def hand_over(path: MemberPath, body: OwnerIn) -> MemberOut:
    """Who answers for a robot or a service from now on."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, CERTIFY)
        robots.hand_over(session, path.member, body.owner, body.reason, current_principal())
        return member_answer(session, path.member)
