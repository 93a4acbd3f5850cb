"""What the service holds of a person: given out on request, erased on request; the log stays whole.

Erasing ends memberships and offices, takes out what is personal from the tables and from every state of the log, and
leaves numbers, times and the keys of certificates, which are hashes. Signed documents that sites were given hold the
certificate's name until the site has a newer one; `publishing.purge` forgets them a week after.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, delete, func, or_, select, update
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Actor, History, Revision, change, forget_actor
from vomsdb import lifetimes, suspensions
from vomsdb.ledger import actor
from vomsdb.models import (
    Application,
    Base,
    Certificate,
    GroupManager,
    ImportedRecord,
    Mail,
    Member,
    MemberCertificate,
    MemberRequest,
    Person,
    ProviderSubject,
    Vo,
    VoManager,
)

_REVISION: Table = Revision.metadata.tables["revision"]
#: Columns in which somebody's name may stand beside a thing: who decided, suspended, signed, published.
_BESIDE = re.compile(r"(_by|_by_name)\Z")
_SENTENCES = re.compile(r"(\A|_)reason\Z")


@dataclass(frozen=True)
class _Named:
    """A person with everything that names them."""

    person: Person
    keys: tuple[str, ...]
    subjects: tuple[str, ...]
    members: tuple[Member, ...]
    stands_as: str
    shared_name: bool

    @property
    def texts(self) -> list[str]:
        """What names the person in a sentence, the longest first; a name that another has too stays."""
        found = {self.person.email, *self.subjects} | (set() if self.shared_name else {self.person.name})
        return sorted(found - {""}, key=len, reverse=True)


def person_of(session: Session, principal: Principal) -> int:
    """The number of whoever calls. Raises NotFound for who was never a member."""
    keys = principal.keys | {principal.key}
    certificates = select(Certificate.person_id).where(Certificate.key.in_(keys))
    subjects = select(ProviderSubject.person_id).where(ProviderSubject.key.in_(keys))
    found = session.scalar(certificates.union_all(subjects).limit(1))
    if found is None:
        raise NotFound(
            "Nothing is kept of you as a person: you were never a member of a VO. See /me for requests."
        )
    return found


def _named(session: Session, number: int) -> _Named:
    person = session.get(Person, number)
    if person is None:
        raise NotFound(f"There is no person {number}.")
    owned = list(session.scalars(select(Certificate).where(Certificate.person_id == number)))
    signed_in = list(session.scalars(select(ProviderSubject).where(ProviderSubject.person_id == number)))
    mine = select(Member).where(Member.person_id == number).order_by(Member.id)
    same = select(Person.id).where(Person.name == person.name, Person.id != number).limit(1)
    return _Named(
        person=person,
        keys=(*(one.key for one in owned), *(one.key for one in signed_in)),
        subjects=tuple({one.subject for one in owned} | {one.subject for one in signed_in}),
        members=tuple(session.scalars(mine)),
        stands_as=f"erased person {number}",
        shared_name=session.scalar(same) is not None,
    )


# --- given out ----------------------------------------------------------------------------------------------------


def everything_of(session: Session, number: int) -> dict[str, Any]:
    """All that the service holds of a person, as JSON takes it. Raises NotFound."""
    named = _named(session, number)
    ids = [member.id for member in named.members]
    about = [f"member:{member_id}" for member_id in ids]
    made = session.scalars(select(Revision).where(Revision.actor.in_(named.keys)).order_by(Revision.number))
    rows: dict[str, Any] = {
        "certificates": select(Certificate).where(Certificate.person_id == number).order_by(Certificate.id),
        "sign_ins": select(ProviderSubject).where(ProviderSubject.person_id == number),
        "memberships": select(Member).where(Member.person_id == number).order_by(Member.id),
        "robots": select(Member).where(Member.owner_id.in_(ids)).order_by(Member.id),
        "requests": select(MemberRequest).where(MemberRequest.member_id.in_(ids)).order_by(MemberRequest.id),
        "applications": select(Application).where(Application.key.in_(named.keys)).order_by(Application.id),
        "manager_of": select(VoManager).where(VoManager.key.in_(named.keys)).order_by(VoManager.vo),
        "group_manager_of": select(GroupManager).where(GroupManager.key.in_(named.keys)),
        "mails": select(Mail).where(or_(Mail.about.in_(about), _to(named))).order_by(Mail.id),
    }
    found = {name: [_columns(row) for row in session.scalars(query)] for name, query in rows.items()}
    changes = [{"revision": one.number, "at": one.at.isoformat(), "reason": one.reason} for one in made]
    return {"person": _columns(named.person), **found, "changes_made": changes}


def _to(named: _Named) -> Any:
    return (Mail.recipient == named.person.email) & (Mail.recipient != "")


def _columns(row: Any) -> dict[str, Any]:
    """The columns of a row; bytes and secrets are left out, times stand as text."""
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    kept = {k: v for k, v in values.items() if not isinstance(v, bytes) and k not in ("token_hash", "body")}
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in kept.items()}


# --- erased -------------------------------------------------------------------------------------------------------


def erase(session: Session, number: int, reason: str, by: Principal) -> str:
    """Takes a person out; the name that stands in the log now. Raises Refused, NotFound.

    Who was suspended by hand does not erase themselves, and with that what is held against them.
    """
    named = _named(session, number)
    _check(session, named, reason)
    own = bool(set(named.keys) & (by.keys | {by.key}))
    who = Actor(by.key, named.stands_as) if own else actor(by)
    living = select(Member).where(Member.person_id == number, Member.state != "removed").order_by(Member.id)
    rows = list(session.scalars(living.with_for_update().execution_options(populate_existing=True)))
    if own and any(row.suspension_code in suspensions.BY_HAND for row in rows):
        raise Refused("A membership is suspended; ask a federation operator to erase you.")
    if rows:
        lifetimes.remove_as(session, rows, "erased on request", who)
    _forget_log(session, named, who, reason or "personal data erased on request")
    _forget_rows(session, named)
    forget_actor(session, named.keys, named.stands_as)
    _forget_beside(session, named)
    named.person.name, named.person.email = named.stands_as, ""
    named.person.institution, named.person.erased_at = "", datetime.now(UTC)
    session.flush()
    return named.stands_as


def _check(session: Session, named: _Named, reason: str) -> None:
    if named.person.erased_at is not None:
        raise Refused(f"The person was erased {named.person.erased_at:%d %b %Y} already.")
    if any(text in reason for text in named.texts):
        fault = FieldFault("reason", "names the person; say it without the name")
        raise Refused("The reason stays in the log.", fault)
    for office in session.scalars(select(VoManager).where(VoManager.key.in_(named.keys))):
        many = session.scalar(select(func.count()).select_from(VoManager).where(VoManager.vo == office.vo))
        if many == 1:
            raise Refused(f"{office.vo} would have no manager; somebody must be appointed there first.")


def _forget_log(session: Session, named: _Named, who: Actor, reason: str) -> None:
    """Every state of the log that is about the person, now and then, without the name."""
    ids = [str(member.id) for member in named.members]
    about = select(History.kind, History.entity_id).where(
        ((History.kind == "membership") & History.entity_id.in_(ids))
        | ((History.kind == "grant") & History.body["principal"].astext.in_(named.keys))
        | ((History.kind == "member_request") & History.body["member"].astext.in_(ids))
        | ((History.kind == "application") & History.body["key"].astext.in_(named.keys))
        | _own_values(named)
    )
    entities = list(session.execute(about.distinct()))
    _forget_values_told(session, named)
    offices = [*_offices(session, named)]
    with change(session, who, reason) as log:
        for kind, entity_id in entities:
            log.redact(kind, entity_id, _without_name(named.stands_as))
            if kind == "attribute_value":  # the rows went with the memberships
                log.delete(kind, entity_id)
        for key, role, scope in offices:
            log.delete("grant", f"{key} {role} {scope}")


def _own_values(named: _Named) -> ColumnElement[bool]:
    of_person: ColumnElement[bool] = History.body["member"].astext.in_(
        [str(member.id) for member in named.members]
    )
    return (History.kind == "attribute_value") & of_person


def _forget_values_told(session: Session, named: _Named) -> None:
    """What was set stands in the sentences too: `attribute nickname = anna`."""
    setting = select(History.from_revision).where(_own_values(named))
    reason = _REVISION.c.reason
    told = _REVISION.c.number.in_(setting) & reason.like("attribute % = %")
    session.execute(update(_REVISION).where(told).values(reason=func.split_part(reason, " = ", 1)))


def _offices(session: Session, named: _Named) -> list[tuple[str, str, str]]:
    vo = session.execute(select(VoManager.key, VoManager.vo).where(VoManager.key.in_(named.keys)))
    found = [(key, "vo_manager", f"vo:{name}") for key, name in vo]
    group = session.execute(
        select(GroupManager.key, GroupManager.path).where(GroupManager.key.in_(named.keys))
    )
    return found + [(key, "vo_group_manager", f"group:{path}") for key, path in group]


def _without_name(stands_as: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def rewrite(body: dict[str, Any]) -> dict[str, Any]:
        changed = {**body, "name": stands_as} if "name" in body else dict(body)
        return {**changed, **{field: None for field in ("reason", "value") if field in changed}}

    return rewrite


def _forget_rows(session: Session, named: _Named) -> None:
    ids = [member.id for member in named.members]
    applied = list(session.scalars(select(Application.id).where(Application.key.in_(named.keys))))
    asked = list(session.scalars(select(MemberRequest.id).where(MemberRequest.member_id.in_(ids))))
    about = [f"member:{n}" for n in ids] + [f"application:{n}" for n in applied]
    about += [f"member_request:{n}" for n in asked]
    session.execute(delete(Mail).where(or_(Mail.about.in_(about), _to(named))))
    session.execute(delete(Application).where(Application.id.in_(applied)))
    session.execute(delete(MemberRequest).where(MemberRequest.id.in_(asked)))
    session.execute(delete(MemberCertificate).where(MemberCertificate.member_id.in_(ids)))
    session.execute(delete(Certificate).where(Certificate.person_id == named.person.id))
    session.execute(delete(ProviderSubject).where(ProviderSubject.person_id == named.person.id))
    for table in (VoManager, GroupManager):
        session.execute(delete(table).where(table.key.in_(named.keys)))
    session.execute(
        update(Member)
        .where(Member.id.in_(ids))
        .values(suspended_by=None, purpose="", user_name=None, external_id=None)
    )
    # that they were imported stays known, so that the next import does not bring them back
    imported = ImportedRecord.entity_id.in_([str(number) for number in ids])
    session.execute(update(ImportedRecord).where(imported).values(values={}))
    for vo in session.scalars(select(Vo)):
        kept = [one for one in vo.contacts if not _is_contact(named, one)]
        if len(kept) < len(vo.contacts):
            vo.contacts = kept


def _is_contact(named: _Named, contact: dict[str, Any]) -> bool:
    return any(contact.get(field) in named.texts for field in ("name", "email", "dn"))


def _forget_beside(session: Session, named: _Named) -> None:
    """Names beside other things (who decided, who signed), in the sentences that say why, and in mails to others."""
    columns: list[tuple[Table, Column[Any]]] = [(_REVISION, _REVISION.c.reason)]
    for table in Base.metadata.sorted_tables:
        columns += [(table, one) for one in table.columns if _may_name(one)]
    for table, column in columns:
        for text in named.texts:
            pattern = r"(?<!\w)" + re.escape(text) + r"(?!\w)"
            changed = func.regexp_replace(column, pattern, named.stands_as, "g")
            held = column.contains(text, autoescape=True)
            session.execute(update(table).where(held).values({column: changed}))


def _may_name(column: Column[Any]) -> bool:
    named = _BESIDE.search(column.name) or _SENTENCES.search(column.name)
    mail = column.table is Mail.__table__ and column.name in ("subject", "body")
    return mail or (named is not None and isinstance(column.type, String) and column.name != "decided_by")
