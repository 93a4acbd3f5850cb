"""What no table keeps when it is over, read from the log: roles and tokens as they stood at a moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from hanse.revisions import Body, History, Revision
from registry.models.role_names import shown
from registry.schemas.fields import parse_time
from registry.states import State, by_id, standing, text_of


def roles(
    session: Session, number: int, *, scope: str | None, person: int | None, status: str
) -> list[dict[str, Any]]:
    """Roles that were held, or asked for, after revision `number`, as the API shows them, the newest first."""
    where: list[ColumnElement[bool]] = []
    if scope is not None:
        where.append(text_of("scope") == scope)
    if status == "PENDING":
        if person is not None:
            where.append(text_of("person") == str(person))
        found = by_id(session, "role_request", where=where, as_of=str(number), newest_first=True)
        return [_request(state) for state in found]
    where.append(History.entity_id.regexp_match("^role:[0-9]+$"))
    if person is not None:
        where.append(text_of("principal") == f"person:{person}")
    held = _standing(session, "grant", number, where)
    began = _began(session, "grant", held)
    known = [_held(one, body, began[one]) for one, body in held.items()]
    return sorted(known, key=lambda role: -int(role["id"]))


def _standing(
    session: Session, kind: str, number: int, where: Iterable[ColumnElement[bool]]
) -> dict[str, Body]:
    rows = session.execute(
        select(History.entity_id, History.body).where(
            History.kind == kind, History.op == "put", standing(number), *where
        )
    )
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


def _held(entity_id: str, body: Body, began: Revision) -> dict[str, Any]:
    return {
        **_who(body),
        "id": entity_id.removeprefix("role:"),
        "person": str(body["principal"]).removeprefix("person:"),
        "status": "GRANTED",
        "requested_at": began.at,
        "requested_by": began.actor_name,
        "request_reason": "",
        "granted_at": began.at,
        "granted_by": began.actor_name,
    }


def _request(state: State) -> dict[str, Any]:
    return {
        **_who(state.body),
        "id": state.id,
        "person": state.body["person"],
        "status": "PENDING",
        "requested_at": parse_time(state.body["requested_at"]),
        "requested_by": state.body["name"] or "",
        "request_reason": "",
        "granted_at": None,
        "granted_by": None,
    }


def _who(body: Body) -> dict[str, Any]:
    return {
        "person_name": body["name"] or "somebody whose data was erased",
        "role": body["role"],
        "role_name": shown(body["role"]),
        "scope": body["scope"],
    }


def tokens(session: Session, number: int, site: str) -> list[dict[str, Any]]:
    """Tokens that spoke for a site after revision `number`, as the API shows them, the newest first."""
    where = [text_of("scope") == f"site:{site}", History.entity_id.regexp_match("^token:[0-9]+$")]
    held = _standing(session, "grant", number, where)
    known = [
        {
            "id": entity_id.removeprefix("token:"),
            "name": body["name"],
            "key": body["principal"],
            "created_at": parse_time(body["not_before"]),
            "not_after": None if body["not_after"] is None else parse_time(body["not_after"]),
        }
        for entity_id, body in held.items()
    ]
    return sorted(known, key=lambda token: -int(token["id"]))


def counted(session: Session, kinds: Iterable[str], number: int | None) -> dict[str, int]:
    """How many entities of each kind stood after revision `number`; None = now."""
    rows = session.execute(
        select(History.kind, func.count())
        .where(History.kind.in_(list(kinds)), History.op == "put", standing(number))
        .group_by(History.kind)
    )
    return {kind: many for kind, many in rows}
