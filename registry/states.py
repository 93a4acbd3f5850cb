"""Reading entities as they are, or as they were: every read of the JSON API comes from the rows of the revision log.

A row of the log holds its state from one revision to another, so a look into the past is the same query as a look at
the present, with a number in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, NotFound, Refused
from hanse.revisions import Body, History, Revision
from registry.schemas.fields import parse_time


@dataclass(frozen=True)
class State:
    """An entity as it stands from `revision` on, which was written at `at` by `actor_name`."""

    id: str
    body: Body
    revision: int
    at: datetime
    actor_name: str


def text_of(field: str) -> ColumnElement[str]:
    """A field of the body as text, for filters."""
    column: ColumnElement[str] = History.body[field].astext
    return column


def number_at(session: Session, as_of: str | None) -> int | None:
    """The revision that `as_of` (a time or a number) means; None for now. Raises Refused for anything else."""
    if as_of is None or as_of.strip().lower() in ("", "now"):
        return None
    if re.fullmatch(r"[0-9]{1,18}", as_of.strip()):
        return int(as_of)
    try:
        moment = parse_time(as_of.replace(" ", "+"))  # a plus sign that was not escaped arrives as a space
    except ValueError as error:
        raise Refused("As of when?", FieldFault("as_of", f"{error}, or a revision number")) from None
    return session.scalar(select(func.max(Revision.number)).where(Revision.at <= moment)) or 0


def moment_of(session: Session, number: int) -> datetime | None:
    """When the revision `number`, or the last before it, was written; None before the first."""
    return session.scalar(select(func.max(Revision.at)).where(Revision.number <= number))


def _standing(number: int | None) -> ColumnElement[bool]:
    if number is None:
        return History.to_revision.is_(None)
    return and_(
        History.from_revision <= number, or_(History.to_revision > number, History.to_revision.is_(None))
    )


_Columns = Select[str, Body | None, int, datetime, str]


def _states(kind: str, number: int | None) -> _Columns:
    return (
        select(History.entity_id, History.body, Revision.number, Revision.at, Revision.actor_name)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == kind, History.op == "put", _standing(number))
    )


def _state(row: Row[str, Body | None, int, datetime, str]) -> State:
    return State(row[0], row[1] or {}, row[2], row[3], row[4])


def find(session: Session, kind: str, entity_id: str, as_of: str | None = None) -> State:
    """One entity by id. Raises NotFound when there is, or was then, none."""
    return _one(session, kind, History.entity_id == entity_id, entity_id, as_of)


def find_named(session: Session, kind: str, name: str, as_of: str | None = None) -> State:
    """One entity by name, as it was called then. Raises NotFound when there is, or was then, none."""
    return _one(session, kind, text_of("name") == name, name, as_of)


def _one(
    session: Session, kind: str, condition: ColumnElement[bool], called: str, as_of: str | None
) -> State:
    row = session.execute(_states(kind, number_at(session, as_of)).where(condition)).first()
    if row is None:
        then = f" as of {as_of}" if as_of else ""
        raise NotFound(f"There is no {kind.replace('_', ' ')} {called}{then}.")
    return _state(row)


def by_name(
    session: Session,
    kind: str,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    as_of: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[State]:
    """Entities in the order of their names, from the one after `after`; at most `limit`."""
    name = text_of("name").collate("C")
    statement = _states(kind, number_at(session, as_of)).where(*where).order_by(name)
    if after is not None:
        statement = statement.where(name > after)
    return [_state(row) for row in session.execute(statement.limit(limit))]


def by_id(
    session: Session,
    kind: str,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    as_of: str | None = None,
    after: int | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> list[State]:
    """Entities in the order of their ids, from the one after `after`; at most `limit`."""
    number = cast(History.entity_id, BigInteger)
    statement = _states(kind, number_at(session, as_of)).where(*where)
    statement = statement.order_by(number.desc() if newest_first else number)
    if after is not None:
        statement = statement.where(number < after if newest_first else number > after)
    return [_state(row) for row in session.execute(statement.limit(limit))]


@dataclass(frozen=True)
class Event:
    """One change of one entity: who made it, when and why, and which fields went from what to what.

    `number` counts the changes of the log; a page of them ends before one.
    """

    number: int
    revision: int
    at: datetime
    actor: str
    actor_name: str
    reason: str
    kind: str
    id: str
    op: str
    name: str
    site: str
    changes: Mapping[str, tuple[Any, Any]]

    @property
    def by_the_clock(self) -> bool:
        """True for what happened because its time had come."""
        return self.actor == "clock"


def events(
    session: Session,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Event]:
    """Changes, the newest first; only those whose number is below `before`."""
    page = select(History.id).join(Revision, Revision.number == History.from_revision).where(*where)
    if before is not None:
        page = page.where(History.id < before)
    page = page.order_by(History.id.desc()).limit(limit)
    rows = session.execute(
        select(History, Revision, _body_before(session))
        .join(Revision, Revision.number == History.from_revision)
        .where(History.id.in_(page))
        .order_by(History.id.desc())
    )
    return [_event(row, revision, earlier) for row, revision, earlier in rows]


def _body_before(session: Session) -> Any:
    earlier = History.__table__.alias("earlier")
    return (
        select(earlier.c.body)
        .where(
            earlier.c.kind == History.kind,
            earlier.c.entity_id == History.entity_id,
            earlier.c.to_revision == History.from_revision,
        )
        .limit(1)
        .scalar_subquery()
    )


def _event(row: History, revision: Revision, earlier: Body | None) -> Event:
    body = row.body or earlier or {}
    return Event(
        number=row.id,
        revision=revision.number,
        at=revision.at,
        actor=revision.actor,
        actor_name=revision.actor_name,
        reason=revision.reason,
        kind=row.kind,
        id=row.entity_id,
        op=row.op,
        name=called(row.kind, body),
        site=site_of(row.kind, body),
        changes=differences(earlier, row.body) if earlier and row.body else {},
    )


def differences(old: Body, new: Body) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, as (old, new)."""
    return {
        field: (old.get(field), new.get(field))
        for field in {**old, **new}
        if old.get(field) != new.get(field)
    }


def called(kind: str, body: Body) -> str:
    """What to call an entity in a sentence."""
    if kind in ("service", "endpoint"):
        return f"{body.get('service_type')} on {body.get('hostname')}"
    if kind == "downtime":
        return f"downtime at {body.get('site')}"
    if kind == "host_certificate":
        return str(body.get("dn"))
    if kind == "grant":
        return f"{str(body.get('role')).replace('_', ' ')} in {body.get('scope')} for {body.get('name')}"
    return str(body.get("name") or kind)


def site_of(kind: str, body: Body) -> str:
    """The site that an entity belongs to; "" for none."""
    if kind == "site":
        return str(body.get("name") or "")
    if kind == "grant":
        scope = str(body.get("scope"))
        return scope.removeprefix("site:") if scope.startswith("site:") else ""
    return str(body.get("site") or "")


def of_site(name: str) -> ColumnElement[bool]:
    """Changes of a site and of all that hangs on it, machines' identities and people's roles included."""
    return or_(
        and_(History.kind == "site", text_of("name") == name),
        and_(
            History.kind.in_(["service", "endpoint", "downtime", "host_certificate", "identity"]),
            text_of("site") == name,
        ),
        and_(History.kind == "grant", text_of("scope") == f"site:{name}"),
    )
