"""Members provisioned by SCIM: what a resource says, carried out by the use cases with the rules of every day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hanse.errors import Refused
from hanse.identity.permissions import check
from hanse.identity.principals import Principal
from vomsdb import certificates, groups, lifetimes, members, people, subjects, suspensions, vos
from vomsdb.ledger import actor, revision
from vomsdb.models import Member, Person
from vomsdb.permissions import ARRANGE_MEMBER, CERTIFY, REMOVE, SUSPEND
from vomsdb.scim.asked import WHY, Wanted
from vomsdb.scim.faults import ScimRefused, bad_value
from vomsdb.scim.names import INDIGO_USER, MEMBERSHIP


def create(session: Session, asked: Wanted, by: Principal) -> int:
    """A member who has not signed the AUP yet: suspended until then, by the same rule as others. Gives the number.

    Raises ScimRefused, Refused, Conflict, Forbidden, NotFound.
    """
    vo_name = asked.vo or _only_vo(by)
    check(by, CERTIFY, f"vo:{vo_name}")
    vo = vos.held(session, vo_name)
    if vo.state != "production":
        raise Refused(f"{vo.name} is {vo.state} and takes no members.")
    if not asked.user_name or not asked.name or not asked.email:
        raise bad_value("userName, a name and an address in emails are needed.")
    if not asked.identities and not asked.sign_ins:
        raise bad_value(f"A member is known by something: give {INDIGO_USER} certificates or oidcIds.")
    person = _new_person(session, asked, vo.name, by)
    now = datetime.now(UTC)
    member = Member(
        vo=vo.name,
        person_id=person,
        state="suspended",
        suspension_code="FAILED_TO_SIGN_AUP",
        suspension_reason="The AUP was not signed yet; sign it on /me.",
        suspended_at=now,
        suspended_by=by.name,
        until=asked.until or now + timedelta(days=vo.membership_days),
        aup_version=0,
        aup_signed_at=now,
        aup_due=now,
    )
    if not now < member.until <= now + lifetimes.LONGEST:
        raise bad_value("endTime must lie ahead, at most ten years from now.")
    session.add(member)
    session.flush()
    _set_names(session, member, asked)
    for identity in asked.identities or ():
        certificates.attach(session, member, identity)
    for subject in asked.sign_ins or ():
        people.note_subject(session, person, subject)
    for role in sorted(asked.roles or ()):
        groups.enter(session, member, role)
    members.tell(session, member, "provisioned", by=by.name)
    with revision(session, actor(by), f"member created {WHY}") as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(vo.name)
    return member.id


def _only_vo(by: Principal) -> str:
    managed = {scope.removeprefix("vo:") for scope in by.scopes("vo_manager") if scope.startswith("vo:")}
    if len(managed) != 1:
        raise bad_value(f"Say in which VO: {MEMBERSHIP} vo.")
    return managed.pop()


def _new_person(session: Session, asked: Wanted, vo: str, by: Principal) -> int:
    """A new person; or the one behind what is shown, for who may in every VO that this one is in."""
    shown = {one.key for one in asked.identities or ()} | {one.key for one in asked.sign_ins or ()}
    try:
        known = people.for_membership(session, frozenset(shown), vo, by)
    except people.MemberAlready as fault:
        raise ScimRefused("uniqueness", fault.detail) from None
    if known is not None:
        return known
    newcomer = Person(name=asked.name or "", email=asked.email or "")
    session.add(newcomer)
    session.flush()
    return newcomer.id


def _set_names(session: Session, member: Member, asked: Wanted) -> None:
    try:
        with session.begin_nested():
            if asked.user_name and asked.user_name != f"{member.id}@{member.vo}":
                member.user_name = asked.user_name
            if asked.external_id is not None:
                member.external_id = asked.external_id or None
            session.flush()
    except IntegrityError:
        session.expire(member)
        raise ScimRefused(
            "uniqueness", f"There is a member with the userName {asked.user_name} already."
        ) from None


# --- changing ---


def hold(session: Session, member_id: int) -> None:
    """All memberships of the member's person, by id and before the log's lock, as everybody takes them."""
    person = select(Member.person_id).where(Member.id == member_id).scalar_subquery()
    theirs = select(Member.id).where(Member.person_id == person, Member.state != "removed")
    session.scalars(theirs.order_by(Member.id).with_for_update()).all()


def change(session: Session, member_id: int, asked: Wanted, by: Principal) -> None:
    """Makes the member, which the caller holds, what the resource says, one use case for each difference, all or none.

    Raises what those raise, and Forbidden for what the caller may not.
    """
    member = members.locked(session, member_id)
    profile = members.profile(session, member_id)
    scope = f"vo:{member.vo}"
    if asked.vo not in (None, member.vo):
        raise ScimRefused("mutability", "A membership stays in its VO.")
    if _names_differ(member, asked):
        check(by, CERTIFY, scope)
        _set_names(session, member, asked)
    name, email = asked.name or profile.person.name, asked.email or profile.person.email
    if (name, email) != (profile.person.name, profile.person.email):
        people.describe(session, member, name, email, by)
    _identities(session, profile, asked, by)
    _roles(session, profile, asked, by)
    if asked.until is not None and abs(asked.until - member.until) >= timedelta(seconds=1):
        check(by, REMOVE, scope)
        lifetimes.prolong(session, member_id, asked.until, by)
    if asked.active is not None and asked.active != (member.state == "active"):
        check(by, SUSPEND, scope)
        if asked.active:
            suspensions.restore(session, member_id, asked.reason, by)
        else:
            suspensions.suspend(session, member_id, "OTHER", asked.reason, by)


def _names_differ(member: Member, asked: Wanted) -> bool:
    own = member.user_name or f"{member.id}@{member.vo}"
    other_number = asked.external_id is not None and asked.external_id != (member.external_id or "")
    return other_number or (asked.user_name is not None and asked.user_name != own)


def _identities(session: Session, profile: members.Profile, asked: Wanted, by: Principal) -> None:
    """New ones first, so that the last one is never taken before there is another."""
    member, scope = profile.member, f"vo:{profile.member.vo}"
    held = {one.certificate.key: one.certificate.id for one in profile.certificates}
    shown = {one.key: one for one in asked.identities} if asked.identities is not None else None
    signed = {one.key: one.id for one in profile.subjects}
    wanted_sign_ins = {one.key: one for one in asked.sign_ins} if asked.sign_ins is not None else None
    if (shown is not None and set(shown) != set(held)) or (
        wanted_sign_ins is not None and set(wanted_sign_ins) != set(signed)
    ):
        check(by, CERTIFY, scope)
    for key, identity in (shown or {}).items():
        if key not in held:
            certificates.add(session, member.id, identity, by)
    for key, subject in (wanted_sign_ins or {}).items():
        if key not in signed:
            subjects.add(session, member.id, subject, by)
    if shown is not None:
        for key in sorted(set(held) - set(shown)):
            certificates.drop(session, member.id, held[key], WHY, by)
    if wanted_sign_ins is not None:
        for key in sorted(set(signed) - set(wanted_sign_ins)):
            subjects.drop(session, member.id, signed[key], WHY, by)


def _roles(session: Session, profile: members.Profile, asked: Wanted, by: Principal) -> None:
    if asked.roles is None:
        return
    held = {fqan for fqan in profile.fqans if "/Role=" in fqan}
    if any("/Role=" not in fqan for fqan in asked.roles):
        raise bad_value("A role reads /vo/group/Role=role; members of groups are changed at the group.")
    if held != asked.roles:
        check(by, ARRANGE_MEMBER, f"vo:{profile.member.vo}")
    for fqan in sorted(asked.roles - held):
        groups.give(session, profile.member.id, fqan, by)
    for fqan in sorted(held - asked.roles):
        groups.take(session, profile.member.id, fqan, by)


def remove(session: Session, member_id: int, by: Principal) -> None:
    """Ends the membership for good. Raises Forbidden, NotFound."""
    check(by, REMOVE, f"vo:{members.locked(session, member_id).vo}")
    lifetimes.remove(session, member_id, WHY, by)
