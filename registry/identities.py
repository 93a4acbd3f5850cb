"""What people are known by: certificates and subjects of identity providers; linked, suspended, taken away."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, Forbidden, NotFound, Refused
from hanse.identity import names
from hanse.identity.principals import Principal, X509Identity, oidc_key
from hanse.revisions import Change
from registry import mails, people
from registry.models import Credential, LinkCode, Person
from registry.recording import recording
from registry.schemas.people import MeIn, OidcLinkIn

LINK_HOURS = 24
MAILS_PER_HOUR = 3
SENT = (
    "If somebody here has this e-mail address, a code was sent to it. Enter the code on your account page within"
    f" {LINK_HOURS} hours."
)


def register(db: Database, principal: Principal, form: MeIn, realms: Mapping[str, str]) -> int:
    """Make a person of whoever shows a certificate or signs in with a provider; the id, also of who is here already.

    `realms` are the names of providers, each with its issuer. Raises Forbidden, Conflict.
    """
    if principal.oidc is None or principal.person is not None:
        return people.register_me(db, principal, form)
    shown = principal.oidc
    name = form.name or principal.name
    with recording(db, principal, f"{name} registered") as (session, recorded):
        person = people.create(session, recorded, name, form.email or principal.email)
        people.set_personal(person, form)
        realm = _realm_of(shown.issuer, realms)
        add_oidc_identity(session, recorded, person, realm, shown.issuer, shown.subject)
        return person.id


def _realm_of(issuer: str, realms: Mapping[str, str]) -> str:
    return next((name for name, known in realms.items() if known == issuer), issuer)


def ask_to_join(
    db: Database,
    principal: Principal,
    email: str,
    base_url: str = "",
    realms: Mapping[str, str] | None = None,
) -> None:
    """A newcomer's certificate or subject is to join the person of this address: a code goes there by mail.

    `realms` are the names of providers, each with its issuer; without one a subject stands under the issuer.

    It tells nobody whether there is such a person. Raises Forbidden for a caller who is somebody here already, or who
    shows neither certificate nor identity provider.
    """
    if principal.person is not None:
        raise Forbidden(
            "You are registered already; sign in with the identity that is to be linked, and ask then."
        )
    if principal.site is not None or not principal.key.startswith(("x509:", "oidc:")):
        raise Forbidden("Show the certificate that is to be linked, on the address that asks for one.")
    with db.transaction() as session:
        found = session.scalars(select(Person).where(func.lower(Person.email) == email.lower())).all()
        # two people with one address: neither may get the other's identity by it
        if len(found) == 1 and _may_mail(session, found[0].id):
            _send(session, found[0], base_url, _waiting_key(principal, realms or {}))


def ask_to_link(
    db: Database, principal: Principal, form: OidcLinkIn, realms: Mapping[str, str], base_url: str = ""
) -> None:
    """A subject of an identity provider is to be linked to the caller: a code goes to the caller's address."""
    issuer = realms.get(form.realm)
    if issuer is None:
        known = ", ".join(realms) or "none; an operator sets oidc_realms"
        raise Refused(
            "This identity provider is not known here.", FieldFault("realm", f"must be one of: {known}")
        )
    with db.transaction() as session:
        person = people.own(session, principal)
        if person.email is None:
            raise Refused("Save your e-mail address first; the code is sent there.")
        key = oidc_key(issuer, form.subject)
        _check_free(session, key, form.subject)
        if not _may_mail(session, person.id):
            raise Refused(f"{MAILS_PER_HOUR} codes were sent in the last hour; look into your mail, or wait.")
        waiting = LinkCode(key=key, realm=form.realm, oidc_issuer=issuer, oidc_subject=form.subject)
        _send(session, person, base_url, waiting)


def _waiting_key(principal: Principal, realms: Mapping[str, str]) -> LinkCode:
    if principal.oidc is not None:
        issuer, subject = principal.oidc.issuer, principal.oidc.subject
        realm = _realm_of(issuer, realms)
        return LinkCode(key=principal.key, realm=realm, oidc_issuer=issuer, oidc_subject=subject)
    code = LinkCode(key=principal.key, realm="X.509")
    if principal.x509 is not None:
        code.subject_der, code.issuer_der = principal.x509.subject_der, principal.x509.issuer_der
    return code


def _check_free(session: Session, key: str, subject: str) -> None:
    taken = session.scalar(
        select(Credential).where(
            (Credential.key == key) | ((Credential.kind == "oidc") & (Credential.oidc_subject == subject))
        )
    )
    if taken is not None:
        raise Conflict(
            "This identity belongs to somebody already; an identity is linked to one person or site."
        )


def _may_mail(session: Session, person: int) -> bool:
    """Nobody can fill the mailbox of somebody else."""
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    sent = session.scalar(
        select(func.count())
        .select_from(LinkCode)
        .where(LinkCode.person_id == person, LinkCode.key != "", LinkCode.made_at > hour_ago)
    )
    return (sent or 0) < MAILS_PER_HOUR


def _send(session: Session, person: Person, base_url: str, waiting: LinkCode) -> None:
    code = secrets.token_hex(24)  # no dash: people type and double-click it
    waiting.code_hash, waiting.person_id = _hash(code), person.id
    waiting.valid_until = datetime.now(UTC) + timedelta(hours=LINK_HOURS)
    session.add(waiting)
    what = waiting.oidc_subject or (names.slash(waiting.subject_der) if waiting.subject_der else waiting.key)
    body = (
        f"Dear {person.name},\n\nsomebody asks to be known as you when signing in with\n\n  {what}\n\n"
        f"If that is you, enter this code on your account page within {LINK_HOURS} hours:\n\n  {code}\n\n"
        + (f"{base_url}/account\n\n" if base_url else "")
        + "If it is not you, do nothing: without the code nothing is linked.\n"
    )
    assert person.email is not None
    mails.queue(session, person.email, "Another way to sign in", body, about=f"person:{person.id}")


def confirm(db: Database, principal: Principal, code: str) -> int:
    """Link the identity for which the code was mailed; returns the person's id.

    The one who enters it is that person, or shows that identity. Raises Refused for a code that is used up or too old,
    Forbidden for somebody else.
    """
    with recording(db, principal, "Another identity linked by a mailed code") as (session, recorded):
        found = session.scalar(
            select(LinkCode).where(LinkCode.code_hash == _hash(code), LinkCode.key != "").with_for_update()
        )
        if found is None or found.valid_until <= datetime.now(UTC):
            raise Refused(
                "This code is used up or too old; ask for another.",
                FieldFault("code", "is not valid any more"),
            )
        if principal.key != found.key and principal.person != str(found.person_id):
            raise Forbidden(
                "Sign in as the person who got the mail, or with the identity that is to be linked."
            )
        person = people.find(session, found.person_id)
        session.delete(found)
        _link(session, recorded, person, found)
        return person.id


def _link(session: Session, recorded: Change, person: Person, found: LinkCode) -> None:
    if found.subject_der is not None and found.issuer_der is not None:
        people.add_certificate_identity(
            session, recorded, person, X509Identity(found.subject_der, found.issuer_der)
        )
        return
    add_oidc_identity(session, recorded, person, found.realm, found.oidc_issuer, found.oidc_subject)


def add_oidc_identity(
    session: Session, recorded: Change, person: Person, realm: str, issuer: str, subject: str
) -> Credential:
    """Link a subject of an identity provider inside the caller's revision. Raises Conflict when it is somebody's."""
    key = oidc_key(issuer, subject)
    _check_free(session, key, subject)
    credential = Credential(
        key=key, kind="oidc", name=realm, realm=realm, oidc_issuer=issuer, oidc_subject=subject
    )
    person.credentials.append(credential)
    session.flush()
    people.put_credential(recorded, credential, person)
    return credential


def suspend(db: Database, operator: Principal, person: int, number: int, reason: str) -> None:
    """An identity proves nothing until it is let in again. Raises Refused without a reason."""
    if not reason:
        raise Refused("Say why.", FieldFault("reason", "must be given: the person sees it"))
    with recording(db, operator, reason) as (session, recorded):
        credential = _of(session, person, number)
        _not_the_one_in_use(operator, credential)
        credential.suspended_at, credential.suspended_reason = datetime.now(UTC), reason
        session.flush()
        recorded.delete("identity", credential.key)


def let_in(db: Database, operator: Principal, person: int, number: int, reason: str) -> None:
    """End the suspension of an identity."""
    with recording(db, operator, reason or "Identity let in again") as (session, recorded):
        credential = _of(session, person, number)
        credential.suspended_at, credential.suspended_reason = None, ""
        session.flush()
        people.put_credential(recorded, credential, people.find(session, person))


def unlink(db: Database, operator: Principal, person: int, number: int, reason: str) -> None:
    """An operator takes an identity or a token from a person, the last one too."""
    with recording(db, operator, reason or f"Identity {number} of person {person} taken away") as (
        session,
        recorded,
    ):
        credential = _of(session, person, number)
        _not_the_one_in_use(operator, credential)
        recorded.delete("identity", credential.key)
        session.delete(credential)


def _not_the_one_in_use(operator: Principal, credential: Credential) -> None:
    """Nobody locks themselves out by a slip."""
    if credential.key == operator.key:
        raise Refused("You are signed in with this one; sign in with another to take it away.")


def _of(session: Session, person: int, number: int) -> Credential:
    credential = session.get(Credential, number, with_for_update=True)
    if credential is None or credential.person_id != person:
        raise NotFound(f"Person {person} has no identity {number}.")
    return credential


def seen(db: Database, principal: Principal) -> None:
    """Note that a person was here, and with what. No revision: it is no change of the registry."""
    now = datetime.now(UTC)
    with db.transaction() as session:
        session.execute(
            update(Person).where(Person.id == int(principal.person or 0)).values(last_login_at=now)
        )
        session.execute(update(Credential).where(Credential.key == principal.key).values(last_used_at=now))


def forget_codes(db: Database) -> str:
    """Forget the codes whose time is over; a sentence for the run log."""
    with db.transaction() as session:
        gone = session.scalars(
            delete(LinkCode).where(LinkCode.valid_until < datetime.now(UTC)).returning(LinkCode.code_hash)
        ).all()
    return f"{len(gone)} codes forgotten."


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
