"""People behind certificates and sign-ins, whatever VOs they are in."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from hanse.errors import Conflict
from hanse.identity.permissions import check
from hanse.identity.principals import Principal, Subject
from vomsdb import members
from vomsdb.ledger import actor, revision
from vomsdb.models import Certificate, Member, Person, ProviderSubject
from vomsdb.permissions import CERTIFY


class MemberAlready(Conflict):
    """Who is to be made a member is one."""


# identities of one person, as the registry's feed tells them
_LINKED = text("""
    select distinct c.person_id from followed own
    join followed other on other.kind = 'identity' and other.body ->> 'person' = own.body ->> 'person'
    join certificate c on c.key = other.id
    where own.kind = 'identity' and own.id = :key
""")


def behind(session: Session, key: str) -> int | None:
    """The person who is known by this certificate or sign-in; None for a stranger."""
    certificate = select(Certificate.person_id).where(Certificate.key == key)
    subject = select(ProviderSubject.person_id).where(ProviderSubject.key == key)
    return session.scalar(certificate.union_all(subject).limit(1))


def for_membership(session: Session, shown: frozenset[str], vo: str, by: Principal) -> int | None:
    """The person behind what is shown, whom `by` may make a member of the VO without a request; None for a stranger.

    Raises Conflict for `by` themselves, for several people, a robot, a member of this VO, and one of a VO that
    `by` does not manage.
    """
    own = by.keys | {by.key}
    known = {person for key in shown if (person := behind(session, key)) is not None}
    if any(keys & own for keys in (shown, *(keys_of(session, person) for person in known))):
        raise Conflict("Nobody makes themselves a member; apply, and another manager decides.")
    if len(known) > 1:
        raise Conflict("What is shown belongs to several people here; link them first.")
    for person in known:
        living = select(Member).where(Member.person_id == person, Member.state != "removed")
        rows = session.scalars(living).all()
        if any(not by.has("vo_manager", f"vo:{row.vo}") for row in rows):
            raise Conflict("What is shown belongs to a member of another VO, who has to apply.")
        if any(row.vo == vo for row in rows):
            raise MemberAlready(f"What is shown belongs to a member of {vo} already.")
        if any(row.kind != "person" for row in rows):
            raise Conflict("What is shown belongs to a robot or a service, which is entered by its owner.")
    return known.pop() if known else None


def linked_to(session: Session, key: str) -> int | None:
    """The person here whose certificate the registry links to this sign-in; None unless it is one person."""
    found = session.scalars(_LINKED, {"key": key}).all()
    return int(found[0]) if len(found) == 1 else None


def keys_of(session: Session, person: int) -> frozenset[str]:
    """Every certificate and sign-in of the person."""
    certificates = select(Certificate.key).where(Certificate.person_id == person)
    subjects = select(ProviderSubject.key).where(ProviderSubject.person_id == person)
    return frozenset(session.scalars(certificates.union_all(subjects)))


def note_subject(session: Session, person: int, subject: Subject) -> ProviderSubject:
    """The person signs in by this subject too. Raises Conflict when it is somebody else's."""
    known = session.scalar(select(ProviderSubject).where(ProviderSubject.key == subject.key))
    if known is not None and known.person_id != person:
        raise Conflict("This sign-in belongs to another person here.")
    if known is None:
        known = ProviderSubject(
            person_id=person, key=subject.key, issuer=subject.issuer, subject=subject.subject
        )
        session.add(known)
        session.flush()
    return known


def describe(session: Session, member: Member, name: str, email: str, by: Principal) -> None:
    """Another name or address of a member's person, in all VOs: by who may in each. Raises Forbidden, Refused."""
    theirs = select(Member).where(Member.person_id == member.person_id, Member.state != "removed")
    rows = list(session.scalars(theirs.order_by(Member.id).with_for_update()))
    for row in rows:
        check(by, CERTIFY, f"vo:{row.vo}")
    person = session.get_one(Person, member.person_id)
    person.name, person.email = name, email
    session.flush()
    with revision(session, actor(by), "name or address changed") as ledger:
        for row in rows:
            members.put(session, ledger, row)
