"""What no table keeps when it is over, read from the log: roles and tokens as they stood at a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from hanse.revisions import Body, History, Revision
from registry.models import ApiCredential
from registry.schemas.fields import parse_time
from registry.states import State, by_id, standing, text_of

ERASED: Final = "somebody whose data was erased"
_ROLE: Final = "^role:[0-9]+$"


@dataclass(frozen=True)
class Holder:
    """Whose role it was."""

    id: int
    name: str


@dataclass(frozen=True)
class RoleThen:
    """A role as it was held, or asked for, with the names of the row that a role of today is."""

    id: int
    person: Holder
    role: str
    scope: str
    status: str
    requested_at: datetime
    requested_by: str
    granted_at: datetime | None = None
    granted_by: str | None = None
    request_reason: str = ""

    @property
    def person_id(self) -> int:
        """The number of the person."""
        return self.person.id


@dataclass(frozen=True)
class TokenThen:
    """A token that spoke for a site, with the names of the row that a token of today is."""

    id: int
    name: str
    key: str
    created_at: datetime
    not_after: datetime | None


@dataclass(frozen=True)
class ApiCredentialThen:
    """An API credential as it stood; `body` is what the log says. When it was used no log keeps."""

    id: str
    body: Body
    owner_name: str
    created_at: datetime
    renewed_at: datetime


def roles(
    session: Session,
    number: int,
    *,
    scope: str | None,
    person: int | None,
    status: str,
    before: int | None = None,
    limit: int | None = None,
) -> list[RoleThen]:
    """Roles that were held, or asked for, after revision `number`, the newest first: at most `limit` of those with an
    id below `before`.
    """
    where = [] if scope is None else [text_of("scope") == scope]
    people = None if person is None else [person]
    return _roles(session, number, where, people, status, before=before, limit=limit)


def requests(session: Session, number: int, limit: int) -> list[RoleThen]:
    """What waited for a decision after revision `number`, the oldest first, at most `limit`."""
    found = by_id(session, "role_request", as_of=str(number), limit=limit)
    return [_request(state) for state in found]


def roles_of(session: Session, number: int, people: Collection[int], status: str) -> list[RoleThen]:
    """The roles of some people after revision `number`, the newest first."""
    return _roles(session, number, [], people, status) if people else []


def _roles(
    session: Session,
    number: int,
    where: list[ColumnElement[bool]],
    people: Collection[int] | None,
    status: str,
    *,
    before: int | None = None,
    limit: int | None = None,
) -> list[RoleThen]:
    if status == "PENDING":
        whose = [] if people is None else [text_of("person").in_([str(one) for one in people])]
        found = by_id(
            session,
            "role_request",
            where=[*where, *whose],
            as_of=str(number),
            after=before,
            limit=limit,
            newest_first=True,
        )
        return [_request(state) for state in found]
    whose = [] if people is None else [text_of("principal").in_([f"person:{one}" for one in people])]
    is_role = History.entity_id.regexp_match(_ROLE)
    held = _newest(session, number, [*where, *whose, is_role], before, limit)
    began = _began(session, "grant", held)
    return [_held(one, body, began[one]) for one, body in held.items()]


def _standing(
    session: Session, kind: str, number: int, where: Iterable[ColumnElement[bool]]
) -> dict[str, Body]:
    rows = session.execute(
        select(History.entity_id, History.body).where(
            History.kind == kind, History.op == "put", standing(number), *where
        )
    )
    return {entity_id: body or {} for entity_id, body in rows}


def _newest(
    session: Session,
    number: int,
    where: Sequence[ColumnElement[bool]],
    before: int | None,
    limit: int | None,
) -> dict[str, Body]:
    """Grants of roles by the number of the role, the largest first."""
    order = (func.length(History.entity_id), History.entity_id)
    wanted = select(History.entity_id, History.body).where(
        History.kind == "grant", History.op == "put", standing(number), *where
    )
    if before is not None:
        mark = f"role:{before}"
        wanted = wanted.where(tuple_(*order) < tuple_(func.length(mark), mark))
    rows = session.execute(wanted.order_by(*(column.desc() for column in order)).limit(limit))
    return {entity_id: body or {} for entity_id, body in rows}


def _began(session: Session, kind: str, held: Mapping[str, Body]) -> dict[str, Revision]:
    """The revision that first put each of the entities: when and by whom a role was granted."""
    first = (
        select(History.entity_id, func.min(History.from_revision).label("number"))
        .where(History.kind == kind, History.entity_id.in_(list(held)))
        .group_by(History.entity_id)
        .subquery()
    )
    rows = session.execute(
        select(first.c.entity_id, Revision).join(Revision, Revision.number == first.c.number)
    )
    return {entity_id: revision for entity_id, revision in rows}


def _held(entity_id: str, body: Body, began: Revision) -> RoleThen:
    return RoleThen(
        id=int(entity_id.removeprefix("role:")),
        person=Holder(int(str(body["principal"]).removeprefix("person:")), body["name"] or ERASED),
        role=body["role"],
        scope=body["scope"],
        status="GRANTED",
        requested_at=began.at,
        requested_by=began.actor_name,
        granted_at=began.at,
        granted_by=began.actor_name,
    )


def _request(state: State) -> RoleThen:
    return RoleThen(
        id=int(state.id),
        person=Holder(int(state.body["person"]), state.body["name"] or ERASED),
        role=state.body["role"],
        scope=state.body["scope"],
        status="PENDING",
        requested_at=parse_time(state.body["requested_at"]),
        requested_by=state.body["name"] or "",
    )


def tokens(session: Session, number: int, site: str) -> list[TokenThen]:
    """Tokens that spoke for a site after revision `number`, the newest first."""
    where = [text_of("scope") == f"site:{site}", History.entity_id.regexp_match("^token:[0-9]+$")]
    held = _standing(session, "grant", number, where)
    known = [
        TokenThen(
            id=int(entity_id.removeprefix("token:")),
            name=body["name"],
            key=body["principal"],
            created_at=parse_time(body["not_before"]),
            not_after=None if body["not_after"] is None else parse_time(body["not_after"]),
        )
        for entity_id, body in held.items()
    ]
    return sorted(known, key=lambda token: -token.id)


def api_credentials(session: Session, number: int, site: str) -> list[ApiCredentialThen]:
    """API credentials of a site after revision `number`, by id."""
    found = by_id(session, "api_credential", where=[text_of("site") == site], as_of=str(number))
    rows = {
        row.id: row
        for row in session.scalars(
            select(ApiCredential).where(ApiCredential.id.in_([int(state.id) for state in found]))
        )
    }
    began = _began(session, "api_credential", {state.id: state.body for state in found})
    names = _names(session, number, {str(state.body["owner"]) for state in found})
    return [
        ApiCredentialThen(
            id=state.id,
            body=state.body,
            owner_name=names.get(str(state.body["owner"]), ERASED),
            created_at=rows[int(state.id)].created_at if int(state.id) in rows else began[state.id].at,
            renewed_at=parse_time(state.body["renewed_at"]),
        )
        for state in found
    ]


def _names(session: Session, number: int, people: Collection[str]) -> dict[str, str]:
    """What people were called after revision `number`, by their numbers: in an identity, else in a role."""
    holders = [text_of("principal").in_([f"person:{one}" for one in people])]
    found = {
        str(body["principal"]).removeprefix("person:"): body["name"] or ERASED
        for body in _standing(session, "grant", number, holders).values()
    }
    identities = _standing(session, "identity", number, [text_of("person").in_(list(people))])
    return found | {str(body["person"]): body["name"] or ERASED for body in identities.values()}


def counted(session: Session, kinds: Iterable[str], number: int | None) -> dict[str, int]:
    """How many entities of each kind stood after revision `number`; None = now."""
    rows = session.execute(
        select(History.kind, func.count())
        .where(History.kind.in_(list(kinds)), History.op == "put", standing(number))
        .group_by(History.kind)
    )
    return {kind: many for kind, many in rows}
