"""People as they stood at a moment, read from the log: by which identities they were known, which roles they held.

The log knows of a person the name, the e-mail address, the ways to sign in and the roles; what else somebody says of
themselves stands outside of it, so that it can be erased, and is empty here. A person nobody could sign in as and who
held no role was not in the log; a suspended identity was none.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Row, Select, func, or_, select, tuple_, union
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from hanse.identity import names
from hanse.revisions import Body, History, Revision
from registry import remembered
from registry.models import Credential
from registry.remembered import ERASED, RoleThen
from registry.states import standing, text_of

_PREFIX: Final = len("person:")


@dataclass(frozen=True)
class IdentityThen:
    """A way to sign in as it stood: `id` is 0 when it is gone since. When it was used last no log keeps."""

    id: int
    kind: str
    realm: str
    key: str
    name: str
    subject: str
    issuer: str
    created_at: datetime
    not_after: datetime | None
    last_used_at: datetime | None = None
    suspended_at: datetime | None = None
    suspended_reason: str = ""
    subject_der: str | None = None
    issuer_der: str | None = None


@dataclass(frozen=True)
class PersonThen:
    """A person as the log knew them."""

    id: int
    name: str
    email: str | None
    credentials: Sequence[IdentityThen] = ()
    roles: Sequence[RoleThen] = ()
    requests: Sequence[RoleThen] = ()
    created_at: datetime | None = None
    forename: str = ""
    surname: str = ""
    title: str = ""
    telephone: str = ""
    works_from: str = ""
    works_until: str = ""
    last_login_at: datetime | None = None


@dataclass
class _Found:
    """What the log says of a person, as it is gathered."""

    name: str = ""
    email: str | None = None
    identities: list[tuple[str, Body]] = field(default_factory=list)


def listed(
    session: Session, number: int, q: str | None, after: int, limit: int | None = None
) -> list[PersonThen]:
    """People after revision `number`, by id from the one after `after`; `q` is a part of name or address."""
    people = [int(one) for one in session.scalars(_numbers(number, q, after).limit(limit))]
    return _people(session, number, dict(sorted(_gathered(session, number, people).items())))


def _numbers(number: int, q: str | None, after: int) -> Select[str]:
    """The numbers of people of then in their order: those whom an identity or a role of theirs tells of."""
    known = [
        _told(number, "identity", text_of("person"), q, [text_of("name"), text_of("email")]),
        _told(number, "grant", func.substr(text_of("principal"), _PREFIX + 1), q, [text_of("name")]).where(
            text_of("principal").like("person:%")
        ),
    ]
    person = union(*known).subquery().c.person
    order = (func.length(person), person)  # numbers without leading zeros: the longer is the larger
    mark = tuple_(func.length(str(after)), str(after))
    return select(person).where(person.is_not(None), tuple_(*order) > mark).order_by(*order)


def _told(
    number: int, kind: str, person: ColumnElement[str], q: str | None, fields: Sequence[ColumnElement[str]]
) -> Select[str]:
    wanted = select(person.label("person")).where(History.kind == kind, History.op == "put", standing(number))
    return wanted.where(or_(*(field.icontains(q, autoescape=True) for field in fields))) if q else wanted


def find(session: Session, number: int, person: int) -> PersonThen:
    """One person as of revision `number`. Raises NotFound when the log knew nobody of this id then."""
    found = _gathered(session, number, [person])
    if person not in found:
        raise NotFound(f"There was no person {person} at that time, as far as the log knows.")
    return _people(session, number, found)[0]


def holders(session: Session, number: int, scope: str) -> list[PersonThen]:
    """Those who held a role in a scope, by name."""
    held = remembered.roles(session, number, scope=scope, person=None, status="GRANTED")
    found = _gathered(session, number, {role.person_id for role in held})
    return sorted(_people(session, number, found), key=lambda one: one.name)


def _gathered(session: Session, number: int, people: Collection[int]) -> dict[int, _Found]:
    """Identities and roles of some by person; the name is that of an identity, else that of a role."""
    found: dict[int, _Found] = {}
    of_people = text_of("person").in_([str(one) for one in people])
    for entity_id, body in _bodies(session, "identity", number, of_people):
        told = found.setdefault(int(body["person"]), _Found())
        told.name, told.email = body["name"] or ERASED, body["email"]
        told.identities.append((entity_id, body))
    holds = text_of("principal").in_([f"person:{one}" for one in people])
    for _, body in _bodies(session, "grant", number, holds):
        told = found.setdefault(int(str(body["principal"]).removeprefix("person:")), _Found())
        told.name = told.name or body["name"] or ERASED
    return found


def _bodies(
    session: Session, kind: str, number: int, condition: ColumnElement[bool]
) -> list[tuple[str, Body]]:
    rows: Sequence[Row[str, Body | None]] = session.execute(
        select(History.entity_id, History.body)
        .where(History.kind == kind, History.op == "put", standing(number), condition)
        .order_by(History.id)
    ).all()
    return [(entity_id, body or {}) for entity_id, body in rows]


def _people(session: Session, number: int, found: Mapping[int, _Found]) -> list[PersonThen]:
    roles = _by_person(remembered.roles_of(session, number, found.keys(), "GRANTED"))
    requests = _by_person(remembered.roles_of(session, number, found.keys(), "PENDING"))
    keys = [key for told in found.values() for key, _ in told.identities]
    rows = {row.key: row for row in session.scalars(select(Credential).where(Credential.key.in_(keys)))}
    began = _began(session, keys)
    people = []
    for person, told in found.items():
        identities = [_identity(key, body, began[key], rows.get(key)) for key, body in told.identities]
        people.append(
            PersonThen(
                person,
                told.name,
                told.email,
                sorted(identities, key=lambda one: one.created_at),
                sorted(roles.get(person, ()), key=lambda role: role.id),
                sorted(requests.get(person, ()), key=lambda role: role.id),
                min((one.created_at for one in identities), default=None),
            )
        )
    return people


def _by_person(roles: Collection[RoleThen]) -> dict[int, list[RoleThen]]:
    found: dict[int, list[RoleThen]] = {}
    for role in roles:
        found.setdefault(role.person_id, []).append(role)
    return found


def _began(session: Session, keys: Sequence[str]) -> dict[str, datetime]:
    """When the log first heard of each identity."""
    rows = session.execute(
        select(History.entity_id, func.min(Revision.at))
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == "identity", History.entity_id.in_(keys))
        .group_by(History.entity_id)
    )
    return {key: at for key, at in rows}


def _identity(key: str, body: Body, began: datetime, row: Credential | None) -> IdentityThen:
    kind = key.partition(":")[0]
    subject = body["subject_slash"] or body.get("oidc_subject") or ""
    given = row.name if row is not None else ""
    realm = "X.509" if kind == "x509" else row.realm if row is not None else ""
    return IdentityThen(
        id=0 if row is None else row.id,
        kind=kind,
        realm=realm,
        key=key,
        name=given or (_common_name(body) if kind == "x509" else subject) or kind,
        subject=subject,
        issuer=_issuer(body),
        created_at=began if row is None else row.created_at,
        not_after=None if body["not_after"] is None else datetime.fromisoformat(body["not_after"]),
        subject_der=body["subject_der"],
        issuer_der=body["issuer_der"],
    )


def _common_name(body: Body) -> str:
    der = body["subject_der"]
    return (names.common_name(base64.b64decode(der)) or body["subject_slash"]) if der else ""


def _issuer(body: Body) -> str:
    der = body["issuer_der"]
    return names.slash(base64.b64decode(der)) if der else body.get("oidc_issuer") or ""
