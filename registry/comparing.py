"""What differs between two moments: of the whole federation, of one NGI, of one site."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, aliased

from hanse.errors import FieldFault, Refused
from hanse.revisions import NEVER, History
from registry.differences import changes
from registry.older import filled
from registry.states import called, site_of
from registry.trail import DERIVED, Wanted, entities_of


@dataclass(frozen=True)
class Difference:
    """One entity that is not what it was. `changes` are (old, new) by field, when it is there at both moments."""

    kind: str
    id: str
    name: str
    site: str
    act: Literal["added", "changed", "removed"]
    changes: Mapping[str, tuple[Any, Any]]


def compare(
    session: Session,
    before: int,
    after: int,
    which: Wanted,
    *,
    beyond: tuple[str, str] | None = None,
    limit: int = 100,
) -> list[Difference]:
    """Entities of `which` that differ between two revisions, by kind and id, from the one beyond (kind, id).

    Without a kind, what only repeats other entities (endpoints, grants, identities) is left out. What went back to
    where it was is no difference.
    """
    found: list[Difference] = []
    while len(found) < limit:
        keys = _touched(session, before, after, which, beyond, limit)
        found += _differences(session, before, after, keys)
        if len(keys) < limit:
            break
        beyond = keys[-1]
    return found[:limit]


def _touched(
    session: Session, before: int, after: int, which: Wanted, beyond: tuple[str, str] | None, limit: int
) -> list[tuple[str, str]]:
    key = (History.kind, func.length(History.entity_id), History.entity_id)
    wanted = select(History.kind, History.entity_id).where(
        History.from_revision > before, History.from_revision <= after
    )
    wanted = wanted.where(History.kind.not_in(DERIVED) if which.kind is None else History.kind == which.kind)
    chosen = entities_of(which)
    if chosen is not None:
        wanted = wanted.where(tuple_(History.kind, History.entity_id).in_(chosen))
    if beyond is not None:
        wanted = wanted.where(tuple_(*key) > tuple_(beyond[0], len(beyond[1]), beyond[1]))
    rows = session.execute(wanted.group_by(History.kind, History.entity_id).order_by(*key).limit(limit))
    return [(kind, entity_id) for kind, entity_id in rows]


def _differences(session: Session, before: int, after: int, keys: list[tuple[str, str]]) -> list[Difference]:
    old, new = _standing(session, before, keys), _standing(session, after, keys)
    made = (_difference(kind, one, old.get((kind, one)), new.get((kind, one))) for kind, one in keys)
    return [one for one in made if one is not None]


def _standing(
    session: Session, number: int, keys: list[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    then = aliased(History)
    rows = session.execute(
        select(then.kind, then.entity_id, then.body).where(
            tuple_(then.kind, then.entity_id).in_(keys),
            then.from_revision <= number,
            func.coalesce(then.to_revision, NEVER) > number,
            then.op == "put",
        )
    )
    return {(kind, one): filled(kind, one, body or {}) for kind, one, body in rows}


def _difference(
    kind: str, entity_id: str, old: dict[str, Any] | None, new: dict[str, Any] | None
) -> Difference | None:
    body = new or old
    if body is None or old == new:
        return None
    act: Literal["added", "changed", "removed"] = (
        "added" if old is None else "removed" if new is None else "changed"
    )
    pairs = changes(old, new) if old and new else {}
    return Difference(kind, entity_id, called(kind, body), site_of(kind, body), act, pairs)


def cursor(found: Sequence[Difference], limit: int) -> str | None:
    """Where to go on after a page; None after the last."""
    if len(found) < limit:
        return None
    return f"{found[-1].kind}/{found[-1].id}"


def beyond(cursor: str | None) -> tuple[str, str] | None:
    """The kind and id of a cursor. Raises Refused when it is none of ours."""
    if cursor is None:
        return None
    kind, slash, entity_id = cursor.partition("/")
    if not slash or not re.fullmatch(r"[a-z_]{1,40}", kind):
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", "take it from `next`"))
    return kind, entity_id
