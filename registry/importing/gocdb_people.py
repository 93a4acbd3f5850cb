"""Taking over people and their roles: who is here already is found again, and loses nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from hanse.errors import HanseError
from hanse.identity import names
from hanse.identity.principals import X509Identity
from hanse.revisions import Change
from registry import people, roles
from registry.importing.gocdb_context import Context
from registry.importing.gocdb_records import Bundle, Record, UserRecord
from registry.importing.issuers import Issuer, identity_of
from registry.importing.merging import Action, Finding
from registry.models import Credential, Person
from registry.models.role_names import BY_SHOWN, ROLE_TYPES


def take_people(context: Context, bundle: Bundle, issuers: Sequence[Issuer]) -> None:
    """Everybody who was read, with roles; what of them is personal stands in their own row alone."""
    change = context.revision(f"Imported from {bundle.source}: people and roles")
    subjects = _subjects(context)
    for user in bundle.users:
        record = Record(user.key, None, user.name)
        with context.trying("person", record):
            _user(context, change, user, record, issuers, subjects)


def _user(
    context: Context,
    change: Change,
    user: UserRecord,
    record: Record,
    issuers: Sequence[Issuer],
    subjects: Mapping[str, set[int]],
) -> None:
    notes: list[str] = []
    identity = _identity(user, issuers, notes)
    person = _here(context, user, identity, subjects)
    if person is None and context.removed_here("person", record):
        return
    new = person is None
    if person is None:
        person = people.create(context.session, change, user.name[:255], user.email or None)
    done = _fill(context, change, person, user)
    if identity is not None:
        done += _link(context, change, person, identity, notes)
    done += _roles(context, change, person, user, notes)
    changes = {what: (None, value) for what, value in done}
    action: Action = "add" if new else "change" if done else "same"
    context.report.note(Finding(action, "person", user.name, user.key, changes, tuple(notes)))
    context.memory.remember("person", record.key, person.id, {})


def _identity(user: UserRecord, issuers: Sequence[Issuer], notes: list[str]) -> X509Identity | None:
    """The certificate's identity where its issuer is known; what cannot be linked is noted."""
    found = None
    for realm, value in user.identifiers.items():
        if realm != "X.509":
            notes.append(f"{realm} identifier not linked: its provider's address is not told there")
            continue
        identity = identity_of(value, issuers)
        if isinstance(identity, str):
            notes.append(f"certificate not linked: {identity}")
        else:
            found = identity
    return found


def _subjects(context: Context) -> dict[str, set[int]]:
    """Who signs in with certificates of which subject, whoever issued them."""
    found: dict[str, set[int]] = {}
    rows = select(Credential.subject_der, Credential.person_id).where(
        Credential.kind == "x509", Credential.person_id.is_not(None)
    )
    for subject, person in context.session.execute(rows):
        if subject is not None and person is not None:
            found.setdefault(names.slash(subject), set()).add(person)
    return found


def _here(
    context: Context, user: UserRecord, identity: X509Identity | None, subjects: Mapping[str, set[int]]
) -> Person | None:
    """By the last import, the certificate, its subject or an e-mail address, where one person alone has that."""
    before = context.memory.find("person", user.key)
    if before is not None and (row := context.session.get(Person, int(before.entity_id))) is not None:
        return row
    if identity is not None:
        owner = context.session.scalar(select(Credential.person_id).where(Credential.key == identity.key))
        if owner is not None:
            return context.session.get(Person, owner)
    certificate = user.identifiers.get("X.509", "")
    owners = subjects.get(certificate, set())
    if len(owners) == 1:
        return context.session.get(Person, next(iter(owners)))
    if not user.email or owners:
        return None
    same = select(Person).where(func.lower(Person.email) == user.email.lower()).limit(2)
    rows = list(context.session.scalars(same))
    return rows[0] if len(rows) == 1 else None


def _fill(context: Context, change: Change, person: Person, user: UserRecord) -> list[tuple[str, str]]:
    """Only what is empty here is filled: people look after their own row."""
    done = []
    for name in ("title", "telephone", "works_from", "works_until"):
        value = getattr(user, name)[:255]
        if value and not getattr(person, name):
            setattr(person, name, value)
            done.append((name, value))
    if user.email and not person.email:
        people.rename(context.session, change, person, person.name, user.email)
        done.append(("email", user.email))
    context.session.flush()
    return done


def _link(
    context: Context, change: Change, person: Person, identity: X509Identity, notes: list[str]
) -> list[tuple[str, str]]:
    owner = context.session.scalar(select(Credential.person_id).where(Credential.key == identity.key))
    if owner == person.id:
        return []
    try:
        people.add_certificate_identity(context.session, change, person, identity)
    except HanseError as error:
        notes.append(f"certificate not linked: {error}")
        return []
    return [("certificate", identity.subject_slash)]


def _roles(
    context: Context, change: Change, person: Person, user: UserRecord, notes: list[str]
) -> list[tuple[str, str]]:
    done = []
    for shown, kind, name in user.roles:
        role = BY_SHOWN.get(shown.casefold())
        if role is None or ROLE_TYPES[role.name].held_at != kind:
            notes.append(f"role {shown} in {kind} {name} left out: there is no such role here")
            continue
        scope = f"{kind}:{name}"
        try:
            owner = roles.resolve_scope(context.session, role.name, scope)
        except HanseError as error:
            notes.append(f"role {shown} in {scope} left out: {error}")
            continue
        if roles.standing(context.session, person.id, role.name, owner) is None:
            reason = f"Imported from {context.report.source}"
            roles.create(context.session, change, person, role.name, owner, context.principal, reason)
            done.append((shown, scope))
    return done
