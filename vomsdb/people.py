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
