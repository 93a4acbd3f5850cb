"""A person of the other service as a new member: certificates, groups, attributes, signature and state at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from hanse.errors import Conflict, HanseError
from hanse.identity.principals import Principal
from vomsdb import aups, certificates, generic_attributes, groups, members
from vomsdb.importing.judged import Judged
from vomsdb.ledger import actor, revision
from vomsdb.models import Member, MemberCertificate, Person, Vo


def admit(
    session: Session, vo: Vo, one: Judged, owner: Person | None, ask_to_sign: bool, source: str, by: Principal
) -> Member:
    """A new member, as `owner` where the person is known here. Raises Conflict when no certificate is free."""
    person = owner or Person(name=one.name, email=one.email, institution=one.institution)
    session.add(person)
    session.flush()
    member = _member(session, vo, one, person, ask_to_sign, source)
    session.add(member)
    session.flush()
    attached = [_attach(session, member, one, number) for number in range(len(one.certificates))]
    if not any(attached):
        raise Conflict("None of its certificates is free: they belong to other people here.")
    enter_all(session, member, one)
    with revision(session, actor(by), f"imported from {source}: {one.record.record}") as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(vo.name)
    for name, value in sorted(one.record.attributes.items()):
        set_attribute(session, member, name, value, one, by)
    return member


def _member(session: Session, vo: Vo, one: Judged, person: Person, ask_to_sign: bool, source: str) -> Member:
    now = datetime.now(UTC)
    until = one.until(now, vo.membership_days)
    if one.record.until is None:
        one.notes.append(f"until: there is no end there, {vo.membership_days} days from now here")
    elif one.record.until > until:
        one.notes.append(f"until: ten years from now, the longest here, for {one.record.until:%d %b %Y}")
    elif one.record.until < until:
        one.notes.append(
            f"until: ended on {one.record.until:%d %b %Y} there; the days of grace count from now"
        )
    state = one.state(until, now)
    lapsed = one.code == "FAILED_TO_SIGN_AUP"
    signed = not lapsed and (one.record.signed or (one.record.signed is None and not ask_to_sign))
    days = 0 if lapsed else aups.in_force(session, vo.name).days_to_sign
    member = Member(
        vo=vo.name,
        person_id=person.id,
        state=state,
        since=min(one.record.since or now, now),
        until=until,
        aup_version=vo.aup_version if signed else 0,
        aup_signed_at=min(one.record.signed_at or one.record.since or now, now),
        aup_signed_by=f"{source}, at the import" if signed else None,
        aup_due=None if signed else now + timedelta(days=days),
    )
    if state == "suspended":
        member.suspension_code, member.suspension_reason = one.code, one.reason
        member.suspended_at, member.suspended_by = now, source
    return member


def _attach(session: Session, member: Member, one: Judged, number: int) -> bool:
    """Whether the certificate is the member's now; of another person's it is told."""
    shown = one.certificates[number]
    try:
        certificate = certificates.attach(session, member, shown.identity)
    except Conflict as fault:
        one.notes.append(f"certificate {shown.identity.subject_slash} left out: {fault.detail}")
        return False
    if shown.suspended:
        link = session.get_one(MemberCertificate, (member.id, certificate.id))
        link.state, link.suspension_reason = "suspended", shown.suspended
        session.flush()
    return True


def enter_all(session: Session, member: Member, one: Judged) -> None:
    """The groups and roles of the record, in our short form; those that the VO does not have are told."""
    for fqan in one.record.fqans:
        try:
            groups.enter(session, member, fqan)
        except HanseError as fault:
            one.notes.append(f"{fqan[:100]} left out: {fault.detail}")


def set_attribute(
    session: Session, member: Member, name: str, value: str, one: Judged, by: Principal
) -> bool:
    """Whether the member has the value now; what cannot be set is told."""
    try:
        generic_attributes.set_of_member(session, member.id, name, value, by)
    except HanseError as fault:
        one.notes.append(f"attribute {name[:64]} left out: {fault.detail}")
        return False
    return True
