"""People behind certificates and sign-ins, whatever VOs they are in."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from hanse.errors import Conflict
from hanse.identity.principals import Subject
from vomsdb.models import Certificate, ProviderSubject

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
