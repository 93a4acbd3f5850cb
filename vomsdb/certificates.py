"""The certificates of a member: further ones, suspended ones, and those that turn out to be the same person's.

A certificate is known by subject and issuer together. The same subject from another CA is another person, until
somebody who may says that both are one; that act stands in the log.
"""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hanse.errors import Conflict, Forbidden, NotFound
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, X509Identity
from hanse.revisions import Actor
from vomsdb import lifetimes, members, people
from vomsdb.ledger import Ledger, actor, revision
from vomsdb.models import Application, Certificate, Member, MemberCertificate, Person, ProviderSubject
from vomsdb.permissions import LINK


def known(session: Session, key: str) -> Certificate | None:
    """The certificate with this key, whoever's it is."""
    return session.scalar(select(Certificate).where(Certificate.key == key))


def check_free(session: Session, member: Member, identity: X509Identity) -> None:
    """Raises Conflict when the certificate is the member's already, or another person's."""
    found = known(session, identity.key)
    if found is None:
        return
    if found.person_id != member.person_id:
        raise Conflict(
            "The certificate belongs to another person here. If both are one, a manager of all VOs concerned, "
            "or a federation operator, can link them."
        )
    if session.get(MemberCertificate, (member.id, found.id)) is not None:
        raise Conflict("The member has this certificate already.")


def add(session: Session, member_id: int, identity: X509Identity, by: Principal) -> Member:
    """A further certificate for a member. Raises Conflict, NotFound."""
    member = members.locked(session, member_id)
    attach(session, member, identity)
    _recorded(session, member, actor(by), f"certificate added: {identity.subject_slash}")
    return member


def attach(session: Session, member: Member, identity: X509Identity) -> Certificate:
    """The rows of a further certificate of a member held locked. Raises Conflict."""
    check_free(session, member, identity)
    certificate = known(session, identity.key)
    if certificate is None:
        certificate = Certificate(
            person_id=member.person_id,
            key=identity.key,
            subject_der=identity.subject_der,
            issuer_der=identity.issuer_der,
            subject=identity.subject_slash,
            issuer=identity.issuer_slash,
        )
        session.add(certificate)
        session.flush()
    session.add(MemberCertificate(member_id=member.id, certificate_id=certificate.id))
    session.flush()
    return certificate


def drop(session: Session, member_id: int, certificate_id: int, reason: str, by: Principal) -> Member:
    """Takes a certificate from a member; the last one stays. Raises Refused, Conflict, NotFound."""
    members.need_reason(reason)
    member = members.locked(session, member_id)
    link = _link(session, member, certificate_id)
    held = select(func.count()).select_from(MemberCertificate).where(MemberCertificate.member_id == member.id)
    if session.scalar(held) == 1:
        raise Conflict(
            "This is the member's only certificate; add another one first, or remove the membership."
        )
    certificate = session.get_one(Certificate, certificate_id)
    session.delete(link)
    session.flush()
    with revision(session, actor(by), f"certificate taken: {certificate.subject}: {reason}") as ledger:
        ledger.revoke(certificate.key, "vo_member", f"vo:{member.vo}")
        members.put(session, ledger, member)
        ledger.sites_differ(member.vo, urgent=True)
    return member


def _link(session: Session, member: Member, certificate_id: int) -> MemberCertificate:
    link = session.get(MemberCertificate, (member.id, certificate_id))
    if link is None:
        raise NotFound(f"Member {member.id} has no certificate {certificate_id}.")
    return link


def suspend_certificate(
    session: Session, member_id: int, certificate_id: int, reason: str, by: Principal
) -> Member:
    """Suspends one certificate of a member; the others go on. Raises Refused, Conflict or NotFound."""
    return _becomes(session, member_id, certificate_id, "suspended", reason, by)


def restore_certificate(
    session: Session, member_id: int, certificate_id: int, reason: str, by: Principal
) -> Member:
    """Ends the suspension of one certificate. Raises Refused, Conflict or NotFound."""
    return _becomes(session, member_id, certificate_id, "active", reason, by)


def _becomes(
    session: Session, member_id: int, certificate_id: int, state: str, reason: str, by: Principal
) -> Member:
    members.need_reason(reason)
    member = members.locked(session, member_id)
    link = _link(session, member, certificate_id)
    if link.state == state:
        raise Conflict(f"The certificate is {state} already.")
    link.state, link.suspension_reason = state, reason if state == "suspended" else None
    urgent = state == "suspended"
    _recorded(session, member, actor(by), f"certificate {state}: {reason}", urgent=urgent)
    return member


def _recorded(session: Session, member: Member, by: Actor, reason: str, *, urgent: bool = False) -> None:
    session.flush()
    with revision(session, by, reason) as ledger:
        members.put(session, ledger, member)
        ledger.sites_differ(member.vo, urgent=urgent)


# --- two that are one ---------------------------------------------------------------------------------------------


def link(session: Session, member_id: int, key: str, reason: str, by: Principal) -> Member:
    """The person behind the certificate `key` is this member: their memberships and certificates become one.

    Where both are members of a VO, the certificates join this member's and the other membership is removed.
    Only who may in every VO concerned may do so, those that either has left too. Raises Refused, Forbidden, Conflict,
    NotFound.
    """
    members.need_reason(reason)
    found = known(session, key)
    person_id = session.scalar(select(Member.person_id).where(Member.id == member_id))
    if found is None or person_id is None:
        raise NotFound("No member is known by this certificate; add it as a further certificate.")
    if found.person_id == person_id:
        raise Conflict("Both are one person here already.")
    for shown in (*_keys(session, found.person_id), *_keys(session, person_id)):
        if shown in by.keys | {by.key}:
            raise Forbidden(
                "Nobody links their own certificates; ask another manager or a federation operator."
            )
    other = found.person_id
    rows = _held_memberships(session, (person_id, other))
    member = members.locked(session, member_id)
    for vo in sorted({row.vo for row in rows}):
        check(by, LINK, f"vo:{vo}")
    if any(row.kind != "person" for row in rows):
        raise Conflict("A robot or a service is nobody's other self; only people can be linked.")
    living = [row for row in rows if row.state != "removed"]
    _join(session, living, person_id, other, actor(by), f"{found.subject} is the same person: {reason}")
    return member


def _keys(session: Session, person_id: int) -> list[str]:
    return sorted(people.keys_of(session, person_id))


def _held_memberships(session: Session, people: tuple[int, int]) -> list[Member]:
    theirs = select(Member).where(Member.person_id.in_(people)).order_by(Member.id)
    return list(session.scalars(theirs.with_for_update().execution_options(populate_existing=True)))


def _join(session: Session, rows: list[Member], person_id: int, other: int, by: Actor, reason: str) -> None:
    kept = {row.vo: row for row in rows if row.person_id == person_id}
    with revision(session, by, reason) as ledger:
        for row in rows:
            if row.person_id == other and row.vo in kept:
                _absorb(session, ledger, row, kept[row.vo])
        for table in (Member, Certificate, ProviderSubject):
            session.execute(update(table).where(table.person_id == other).values(person_id=person_id))
        _forget_person(session, other)
        session.flush()
        for row in rows:
            session.refresh(row)
            members.put(session, ledger, row)
            ledger.sites_differ(row.vo, urgent=True)


def _absorb(session: Session, ledger: Ledger, gone: Member, kept: Member) -> None:
    """The certificates of one membership go over to the other, suspended ones stay suspended; the rest falls away."""
    links = session.scalars(select(MemberCertificate).where(MemberCertificate.member_id == gone.id)).all()
    for one in links:
        certificate = session.get_one(Certificate, one.certificate_id)
        ledger.revoke(certificate.key, "vo_member", f"vo:{gone.vo}")
        one.member_id = kept.id
        if gone.state == "suspended":  # linking ends no suspension
            one.state = "suspended"
            one.suspension_reason = one.suspension_reason or gone.suspension_reason
    # a sign-in counts for all memberships of a person, so it cannot stay suspended in one: it is taken
    sign_ins = select(ProviderSubject).where(ProviderSubject.person_id == gone.person_id)
    for sign_in in session.scalars(sign_ins).all():
        ledger.revoke(sign_in.key, "vo_member", f"vo:{gone.vo}")
        if gone.state == "suspended":
            session.delete(sign_in)
    gone.state, gone.suspension_code, gone.suspension_reason = "removed", None, None
    lifetimes.let_go(session, ledger, [gone.id])
    session.execute(update(Member).where(Member.owner_id == gone.id).values(owner_id=kept.id))
    session.execute(update(Application).where(Application.member_id == gone.id).values(member_id=kept.id))
    session.flush()


def _forget_person(session: Session, number: int) -> None:
    session.flush()
    session.delete(session.get_one(Person, number))
