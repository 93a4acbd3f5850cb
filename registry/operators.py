"""The first federation operator, made on the machine itself: there is nobody yet who could grant the role."""

from __future__ import annotations

from cryptography import x509
from sqlalchemy import select

from hanse.database import Database
from hanse.identity.principals import Principal, X509Identity
from registry import people, roles
from registry.models import Credential, Person
from registry.recording import recording

MACHINE = Principal(key="machine", kind="service", name="the command on the machine")


def add_operator(db: Database, certificate: x509.Certificate, name: str) -> str:
    """Make the certificate's owner a federation operator; repeatable. Returns the principal's key."""
    identity = X509Identity.from_certificate(certificate)
    with recording(db, MACHINE, f"{name or identity.name} made federation operator") as (session, recorded):
        credential = session.scalar(select(Credential).where(Credential.key == identity.key))
        person = session.get(Person, credential.person_id) if credential and credential.person_id else None
        if person is None:
            person = people.create(session, recorded, name or identity.name, None)
            people.add_certificate_identity(session, recorded, person, identity)
        if not any(role.role == "federation_operator" for role in person.roles):
            roles.create(session, recorded, person, "federation_operator", None, MACHINE)
    return identity.key
