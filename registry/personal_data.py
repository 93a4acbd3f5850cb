"""What the registry holds of a person: given out on request, erased on request, and who read it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Column, ColumnElement, Table, Text, cast, delete, false, func, or_, select, update
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Change, History, Revision, forget_actor
from registry import entities, people, roles
from registry.models import (
    ApiCredential,
    Base,
    Contact,
    ContactConfirmation,
    DowntimeDraft,
    Mail,
    Person,
    PersonalRead,
    Role,
    RoleAction,
    Site,
)
from registry.recording import recording

log = structlog.get_logger(__name__)
# columns, and fields of bodies, that hold a person's name beside the thing they are about, whichever room they are of
_NAME_COLUMNS = re.compile(r"(\Aby|_by|by_name|(reader|person|actor|owner|first|decided|sender)_name)\Z")
# those that hold sentences in which a name may stand
_SENTENCES = re.compile(r"(\A|_)(reason|subject|body)\Z")
_REVISION: Table = Revision.metadata.tables["revision"]
_OWN_TABLES = frozenset({"person", "credential"})


@dataclass(frozen=True)
class Erased:
    """What became of it: the name that stands in the log now, and the sites whose contacts were changed."""

    stands_as: str
    sites: tuple[str, ...]


def note_read(
    db: Database, principal: Principal, what: str, read: Iterable[int], *, read_only: bool = False
) -> None:
    """Write down who read about whom; about oneself is no matter of record. A fail-over copy logs it instead."""
    own = int(principal.person) if principal.person is not None and principal.person.isdigit() else None
    whom = sorted({number for number in read if number != own})
    if not whom:
        return
    if read_only:
        log.info("personal_data_read", reader=principal.key, what=what, people=whom)
        return
    with db.transaction() as session:
        row = PersonalRead(
            reader_key=principal.key, reader_name=principal.name, reader_id=own, what=what, people=whom
        )
        session.add(row)


def reads_of(
    session: Session, person: int, *, before: int | None = None, limit: int = 100
) -> list[PersonalRead]:
    """Who read about the person, the newest first; `before` is the id of the last one seen."""
    wanted = select(PersonalRead).where(PersonalRead.people.contains([person]))
    wanted = wanted.order_by(PersonalRead.id.desc()).limit(limit)
    return list(session.scalars(wanted if before is None else wanted.where(PersonalRead.id < before)))


def prune_reads(db: Database, days: float) -> str:
    """Forget who read what longer ago than `days`; a sentence for the run log."""
    before = datetime.now(UTC) - timedelta(days=days)
    with db.transaction() as session:
        gone = session.scalars(
            delete(PersonalRead).where(PersonalRead.at < before).returning(PersonalRead.id)
        ).all()
    return f"{len(gone)} reads of personal data forgotten."


def everything_of(session: Session, person: Person) -> dict[str, Any]:
    """All that the registry holds of a person, as JSON takes it."""
    keys = [one.key for one in person.credentials]
    done = session.scalars(
        select(RoleAction)
        .where((RoleAction.person_id == person.id) | (RoleAction.by_person_id == person.id))
        .order_by(RoleAction.id)
    )
    revisions = session.scalars(select(Revision).where(Revision.actor.in_(keys)).order_by(Revision.number))
    programs = session.scalars(select(ApiCredential).where(ApiCredential.owner_id == person.id))
    contacts = session.execute(
        select(Site.name, Contact.kind, Contact.name, Contact.email)
        .join(Contact, Contact.site_id == Site.id)
        .where(Contact.email.is_not(None), func.lower(Contact.email) == (person.email or "").lower())
    )
    sent = session.scalars(select(Mail).where(Mail.recipient == (person.email or "")).order_by(Mail.id))
    drafts = session.scalars(select(DowntimeDraft).where(DowntimeDraft.owner == f"person:{person.id}"))
    return {
        "person": _columns(person),
        "identities": [_columns(one) for one in person.credentials],
        "roles": [{**_columns(one), "scope": one.scope} for one in [*person.roles, *person.requests]],
        "role_actions": [_columns(one) for one in done],
        "api_credentials": [{**_columns(one), "site": one.site.name} for one in programs],
        "contact_of": [dict(row._mapping) for row in contacts],
        "mails": [_columns(one) for one in sent],
        "downtime_drafts": [_columns(one) for one in drafts],
        "changes_made": [{"revision": one.number, "at": one.at, "reason": one.reason} for one in revisions],
        "read_by": [_columns(one) for one in reads_of(session, person.id, limit=10_000)],
    }


def _columns(row: Any) -> dict[str, Any]:
    """The columns of a row; bytes are left out, the text beside them says the same."""
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {key: value for key, value in values.items() if not isinstance(value, bytes)}


def erase(db: Database, principal: Principal, number: int, reason: str) -> Erased:
    """Take a person out of the registry: rows, names in the log and beside other things; the log stays whole.

    Raises NotFound; Refused for the last federation operator, when API credentials would stand without an owner, and
    for a reason that names the person.
    """
    stands_as = f"erased person {number}"
    actor = replace(principal, name=stands_as) if principal.person == str(number) else principal
    with recording(db, actor, reason or f"Person {number} erased") as (session, recorded):
        person = people.find(session, number)
        _check_erasable(session, person, reason)
        named = _Named(session, person, stands_as)
        sites = _forget_contacts(session, recorded, named)
        _end_rows(session, recorded, person)
        _forget_history(session, recorded, named)
        _forget_beside(session, recorded, named)
        forget_actor(session, [*(one.key for one in person.credentials), f"person:{number}"], stands_as)
        _forget_sentences(session, named)
        session.delete(person)
        session.flush()
    return Erased(stands_as, tuple(sites))


class _Named:
    """What names a person. `name` is None when somebody else has it too: what stands beside things may be theirs."""

    def __init__(self, session: Session, person: Person, stands_as: str) -> None:
        same = select(Person.id).where(Person.name == person.name, Person.id != person.id).limit(1)
        self.number = person.id
        self.name = None if session.scalar(same) else person.name
        self.address = person.email or ""
        self.email = self.address.lower()
        self.subjects = {one.subject for one in person.credentials if one.subject}
        self.stands_as = stands_as

    def own_body(self, body: dict[str, Any]) -> dict[str, Any]:
        """An identity, a grant or a request of the person, without what is personal."""
        without = {key: None if key in _PERSONAL else value for key, value in body.items()}
        return {**without, "name": self.stands_as} if "name" in without else without

    @property
    def texts(self) -> list[str]:
        """What names the person in a sentence, the longest first."""
        return sorted({self.name or "", self.address, *self.subjects} - {""}, key=len, reverse=True)

    def beside(self, value: Any, key: str = "") -> Any:
        """A body about something else: the name where it says who did it or why, and the person among its contacts."""
        if isinstance(value, dict):
            return {inner: self.beside(given, inner) for inner, given in value.items()}
        if isinstance(value, list):
            kept = [one for one in value if key != "contacts" or not self._is_contact(one)]
            return [self.beside(one, "contact" if key == "contacts" else key) for one in kept]
        if self.name is not None and value == self.name and _NAME_COLUMNS.search(key):
            return self.stands_as
        if isinstance(value, str) and _SENTENCES.search(key):
            for text in self.texts:
                value = re.sub(_as_word(text), self.stands_as, value)
        return value

    def _is_contact(self, contact: Any) -> bool:
        if not isinstance(contact, dict):
            return False
        by_address = bool(self.email) and str(contact.get("email") or "").lower() == self.email
        return by_address or (self.name is not None and contact.get("name") == self.name)


def _as_word(text: str) -> str:
    """A pattern, the same for Python and PostgreSQL: the text, not as a part of a longer word."""
    return r"(?<!\w)" + re.escape(text) + r"(?!\w)"


def _check_erasable(session: Session, person: Person, reason: str) -> None:
    if any(text in reason for text in (person.name, person.email or "") if text):
        raise Refused(
            "The reason stays in the log.", FieldFault("reason", "names the person; say it without the name")
        )
    for role in person.roles:
        roles.check_removable(session, role)
    kept = session.scalars(select(ApiCredential).where(ApiCredential.owner_id == person.id)).all()
    if kept:
        where = ", ".join(sorted({one.site.name for one in kept}))
        raise Refused(
            f"{person.name} answers for API credentials of {where}; somebody with a role there must take them over,"
            " or they must be deleted, first."
        )


def _end_rows(session: Session, recorded: Change, person: Person) -> None:
    for credential in person.credentials:
        recorded.delete("identity", credential.key)
    session.execute(delete(DowntimeDraft).where(DowntimeDraft.owner == f"person:{person.id}"))
    for role in session.scalars(select(Role).where(Role.person_id == person.id)):
        entities.delete_role(recorded, role.id)


def _forget_contacts(session: Session, recorded: Change, named: _Named) -> list[str]:
    """Sites that name the person as a contact, by address or by name, lose that contact; their names."""
    by_address = (
        (Contact.email.is_not(None)) & (func.lower(Contact.email) == named.email) & (named.email != "")
    )
    by_name = Contact.name == named.name if named.name is not None else false()
    found = session.scalars(select(Contact).where(or_(by_address, by_name))).all()
    changed = {row.site_id for row in found}
    for row in found:
        session.delete(row)
    session.flush()
    sites = session.scalars(select(Site).where(Site.id.in_(changed)).order_by(Site.name)).all()
    for site in sites:
        session.expire(site, ["contacts"])
        entities.put_site(recorded, site)
    return [site.name for site in sites]


def _forget_history(session: Session, recorded: Change, named: _Named) -> None:
    """Redact every state of the log that is about the person or names them, now and then."""
    number = str(named.number)
    own = select(History.kind, History.entity_id).where(
        ((History.kind == "identity") & (History.body["person"].astext == number))
        | ((History.kind == "grant") & (History.body["principal"].astext == f"person:{number}"))
        | ((History.kind == "role_request") & (History.body["person"].astext == number))
    )
    for kind, entity_id in session.execute(own.distinct()):
        recorded.redact(kind, entity_id, named.own_body)
    others = select(History.kind, History.entity_id).where(
        History.kind.not_in(("identity", "grant", "role_request")), _holding(named)
    )
    for kind, entity_id in session.execute(others.distinct()):
        recorded.redact(kind, entity_id, named.beside)


def _holding(named: _Named) -> ColumnElement[bool]:
    """Bodies in which name or address stands somewhere."""
    written = cast(History.body, Text)
    texts = {text for text in (named.name, named.address, named.email) if text}
    return or_(false(), *(written.contains(text, autoescape=True) for text in sorted(texts)))


def _forget_beside(session: Session, recorded: Change, named: _Named) -> None:
    """Names beside other things (who declared, who decided), and mails to the address."""
    if named.email:
        session.execute(delete(Mail).where(func.lower(Mail.recipient) == named.email))
        asked = delete(ContactConfirmation).where(func.lower(ContactConfirmation.email) == named.email)
        for number in session.scalars(asked.returning(ContactConfirmation.id)):
            recorded.delete("contact_confirmation", str(number))
    for told, whose in (
        (RoleAction.person_name, RoleAction.person_id),
        (RoleAction.by_name, RoleAction.by_person_id),
    ):
        session.execute(update(RoleAction).where(whose == named.number).values({told: named.stands_as}))
    session.execute(
        update(PersonalRead).where(PersonalRead.reader_id == named.number).values(reader_name=named.stands_as)
    )
    if named.name is None:
        return
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if table.name in _OWN_TABLES or not isinstance(column.type, Text):
                continue
            if _NAME_COLUMNS.search(column.name):
                session.execute(update(table).where(column == named.name).values({column: named.stands_as}))


def _forget_sentences(session: Session, named: _Named) -> None:
    """Reasons and mails are sentences: name, address and subjects are taken out where they stand as whole words."""
    columns: list[tuple[Table, Column[Any]]] = [(_REVISION, _REVISION.c.reason)]
    for table in Base.metadata.sorted_tables:
        columns += [(table, one) for one in table.columns if _is_sentence(table, one)]
    for table, column in columns:
        for text in named.texts:
            changed = func.regexp_replace(column, _as_word(text), named.stands_as, "g")
            held = column.contains(text, autoescape=True)
            session.execute(update(table).where(held).values({column: changed}))


def _is_sentence(table: Table, column: Column[Any]) -> bool:
    return (
        table.name not in _OWN_TABLES
        and isinstance(column.type, Text)
        and _SENTENCES.search(column.name) is not None
    )


_PERSONAL = ("email", "subject_slash", "subject_der", "issuer_der", "oidc_issuer", "oidc_subject")
