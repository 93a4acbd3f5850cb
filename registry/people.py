"""People, the certificates and tokens they sign in with."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, Forbidden, NotFound, Refused
from hanse.identity import names
from hanse.identity.principals import Principal, X509Identity
from hanse.identity.tokens import new_token, token_key
from hanse.revisions import Actor, Change, change
from registry import brief, entities, identity_bodies
from registry.models import Credential, HostCertificate, LinkCode, Person
from registry.recording import recording
from registry.schemas.people import MeIn
from registry.schemas.sites import TokenIn

CLOCK = Actor("clock", "the clock")
TOKEN_PREFIX = "hanse_person"  # noqa: S105 - how the tokens begin, not one of them
LINK_MINUTES = 30
MOST_TOKENS = 20


def register_me(db: Database, principal: Principal, form: MeIn) -> int:
    """Make a person of the owner of a certificate; returns the id, also when that person is here already.

    Raises Forbidden without a certificate: a token proves no new person.
    """
    if principal.person is not None:
        return int(principal.person)
    if principal.x509 is None:
        raise Forbidden("Register with your certificate, on the address that asks for one.")
    if principal.site is not None:
        raise Forbidden(f"This certificate is registered as a machine of {principal.site}, not as a person.")
    name = form.name or names.common_name(principal.x509.subject_der) or principal.x509.subject_slash
    with recording(db, principal, f"{name} registered") as (session, recorded):
        person = create(session, recorded, name, form.email)
        set_personal(person, form)
        add_certificate_identity(session, recorded, person, principal.x509)
        return person.id


def set_personal(person: Person, form: MeIn) -> None:
    """What a person says of themselves beside name and address; none of it stands in the log."""
    person.forename, person.surname, person.title = form.forename, form.surname, form.title
    person.telephone, person.works_from, person.works_until = (
        form.telephone,
        form.works_from,
        form.works_until,
    )


def create(session: Session, recorded: Change, name: str, email: str | None) -> Person:
    """Write a new person inside the caller's revision; the log learns of people through their identities."""
    person = Person(name=name, email=email, credentials=[], roles=[])
    session.add(person)
    session.flush()
    return person


def rename(session: Session, recorded: Change, person: Person, name: str, email: str | None) -> None:
    """Change name and e-mail address, and record the identities and roles that carry them."""
    person.name, person.email = name, email
    session.flush()
    for credential in person.credentials:
        put_credential(recorded, credential, person)
    for role in person.roles:
        entities.put_role(recorded, role)


def edit_me(db: Database, principal: Principal, form: MeIn) -> int:
    """Change the own name and e-mail address; returns the id."""
    with recording(db, principal, "Own name or address changed") as (session, recorded):
        person = own(session, principal)
        set_personal(person, form)
        rename(session, recorded, person, form.name or person.name, form.email)
        return person.id


def add_certificate_identity(
    session: Session, recorded: Change, person: Person, identity: X509Identity
) -> Credential:
    """Link an X.509 identity to a person inside the caller's revision. Raises Conflict when it is somebody's."""
    machine = session.scalar(select(HostCertificate).where(HostCertificate.key == identity.key).limit(1))
    if machine is not None:
        raise Conflict(f"{identity.subject_slash} is registered as a machine of {machine.site.name}.")
    credential = Credential(
        key=identity.key,
        kind="x509",
        realm="X.509",
        name=names.common_name(identity.subject_der) or identity.subject_slash,
        subject_der=identity.subject_der,
        issuer_der=identity.issuer_der,
    )
    person.credentials.append(credential)
    session.flush()
    put_credential(recorded, credential, person)
    return credential


def put_credential(recorded: Change, credential: Credential, person: Person) -> None:
    """Record a person's way to sign in; a suspended one is none."""
    if credential.suspended_at is not None:
        recorded.delete("identity", credential.key)
        return
    body = identity_bodies.credential_body(credential, name=person.name, email=person.email, site=None)
    recorded.put("identity", credential.key, body)


def own(session: Session, principal: Principal) -> Person:
    """The person behind the principal. Raises Forbidden for machines and unregistered certificates."""
    person = None if principal.person is None else session.get(Person, _number(principal.person))
    if person is None:
        raise Forbidden("Register first: POST /api/v1/me with your certificate.")
    return person


def _number(person: str) -> int:
    return int(person) if person.isdigit() else -1


def find(session: Session, number: int) -> Person:
    """The person. Raises NotFound."""
    person = session.get(Person, number)
    if person is None:
        raise NotFound(f"There is no person {number}.")
    return person


def listed(session: Session, q: str | None, after: int, limit: int) -> list[Person]:
    """People by id from the one after `after`; `q` is a part of name or address."""
    wanted = select(Person).where(Person.id > after).order_by(Person.id).limit(limit)
    if q:
        wanted = wanted.where(
            or_(Person.name.icontains(q, autoescape=True), Person.email.icontains(q, autoescape=True))
        )
    return list(session.scalars(wanted.options(*brief.of_people())))


def make_token(db: Database, principal: Principal, form: TokenIn) -> tuple[Credential, str]:
    """A token that acts as the person; returns it with its row. It is shown this once."""
    token = new_token(TOKEN_PREFIX)
    with recording(db, principal, form.reason or f"Token “{form.name}” made") as (session, recorded):
        person = own(session, principal)
        if sum(one.kind == "token" for one in person.credentials) >= MOST_TOKENS:
            raise Refused(f"You have {MOST_TOKENS} tokens; withdraw one that is no longer used.")
        credential = new_token_row(token, form)
        person.credentials.append(credential)
        session.flush()
        put_credential(recorded, credential, person)
    return credential, token


def new_token_row(token: str, form: TokenIn) -> Credential:
    """The row of a fresh token: its hash, its purpose and its end."""
    now = datetime.now(UTC)
    return Credential(
        key=token_key(token),
        kind="token",
        name=form.name,
        created_at=now,
        not_after=now + timedelta(days=form.valid_days),
    )


def withdraw(db: Database, principal: Principal, number: int) -> None:
    """Take away an own token or identity; the last certificate stays, or nobody could sign in again."""
    with recording(db, principal, "Own credential withdrawn") as (session, recorded):
        person = own(session, principal)
        credential = next((one for one in person.credentials if one.id == number), None)
        if credential is None:
            raise NotFound(f"You have no token or identity {number}.")
        others = [one for one in person.credentials if one is not credential and one.suspended_at is None]
        # a subject that was never shown may be mistyped: it does not count as a way in
        ways_in = [one for one in others if one.kind == "x509" or (one.kind == "oidc" and one.last_used_at)]
        if credential.kind == "x509" and not ways_in:
            raise Refused(
                "This is your last certificate; link another one first.", FieldFault("id", "the last one")
            )
        recorded.delete("identity", credential.key)
        person.credentials.remove(credential)


def begin_link(db: Database, principal: Principal) -> tuple[str, datetime]:
    """A one-time code with which another certificate joins the person; returns it with its end."""
    code = secrets.token_hex(12)  # no leading dash: people type it into commands too
    until = datetime.now(UTC) + timedelta(minutes=LINK_MINUTES)
    with db.transaction() as session:
        person = own(session, principal)
        session.execute(
            delete(LinkCode).where(
                or_(
                    and_(LinkCode.person_id == person.id, LinkCode.key == ""),
                    LinkCode.valid_until < datetime.now(UTC),
                )
            )
        )
        session.add(LinkCode(code_hash=_hash(code), person_id=person.id, valid_until=until))
    return code, until


def claim_link(db: Database, principal: Principal, code: str) -> int:
    """Link the certificate that the caller shows to the person of the code; returns the person's id."""
    if principal.x509 is None or principal.kind != "x509":
        raise Forbidden("Show the certificate that is to be linked, on the address that asks for one.")
    with recording(db, principal, "Another certificate linked") as (session, recorded):
        found = session.scalar(
            select(LinkCode).where(LinkCode.code_hash == _hash(code), LinkCode.key == "").with_for_update()
        )
        if found is None or found.valid_until <= datetime.now(UTC):
            raise Refused(
                "This code is used up or too old; make another.", FieldFault("code", "is not valid any more")
            )
        person = find(session, found.person_id)
        session.delete(found)
        if principal.person is not None and int(principal.person) != person.id:
            raise Conflict("This certificate belongs to another person here; an operator can sort it out.")
        if principal.person is None:
            add_certificate_identity(session, recorded, person, principal.x509)
        return person.id


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def end_expired(db: Database) -> str:
    """Withdraw the tokens whose time is over; a sentence for the run log."""
    now = datetime.now(UTC)
    with db.transaction() as session, change(session, CLOCK, "Tokens ended") as recorded:
        ended = list(session.scalars(select(Credential).where(Credential.not_after <= now).with_for_update()))
        for credential in ended:
            recorded.delete("identity", credential.key)
            if credential.site_id is not None:
                recorded.delete("grant", f"token:{credential.id}")
            session.delete(credential)
    return f"{len(ended)} tokens ended." if ended else "No token ended."
