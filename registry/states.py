"""Reading entities as they are, or as they were: every read of the JSON API comes from the rows of the revision log.

A row of the log holds its state from one revision to another, so a look into the past is the same query as a look at
the present, with a number in it. A new kind of entity needs nothing here (where its bodies grow: `registry.older`):
`by_name(session, "project", as_of=...)`, `by_id`, `find`, `find_named` do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Boolean, ColumnElement, Row, Select, Text, and_, func, literal_column, select, tuple_
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, NotFound, Refused
from hanse.revisions import NEVER, Body, History, Revision, head, number_at_time
from registry.older import filled
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
    """A field of the body as text, for filters. Spelt out and no parameter, so that the indexes on it serve."""
    if not re.fullmatch(r"[a-z_]+", field):
        raise ValueError(f"{field} is no field of a body")
    return literal_column(f"(history.body ->> '{field}')", Text)


def name_of() -> ColumnElement[str]:
    """The name of an entity in the order of the bytes, as the indexes have it."""
    return text_of("name").collate("C")


def number_at(session: Session, as_of: str | None) -> int | None:
    """The revision that `as_of` (a time or a number) means; None for now. Raises Refused for anything else.

    A number that no revision has yet means the newest: what is kept under it must hold for good.
    """
    if as_of is None or as_of.strip().lower() in ("", "now"):
        return None
    if re.fullmatch(r"[0-9]{1,18}", as_of.strip()):
        return min(int(as_of), head(session))
    try:
        moment = parse_time(as_of.replace(" ", "+"))  # a plus sign that was not escaped arrives as a space
    except ValueError as error:
        raise Refused("As of when?", FieldFault("as_of", f"{error}, or a revision number")) from None
    return number_at_time(session, moment)


def moment_of(session: Session, number: int) -> datetime | None:
    """When the revision `number`, or the last before it, was written; None before the first."""
    before = select(Revision.at).where(Revision.number <= number)
    return session.scalar(before.order_by(Revision.number.desc()).limit(1))


@dataclass(frozen=True)
class Moment:
    """A look at the past: the last revision that counts, and the time, for what is kept by time and no revision."""

    number: int
    at: datetime


def moment(session: Session, as_of: str | None) -> Moment | None:
    """The moment that `as_of` means; None for now. Raises Refused.

    A revision stands for the time at which it was written, the newest one for now: nothing was changed since.
    """
    number = number_at(session, as_of)
    if number is None or as_of is None:
        return None
    now = datetime.now(UTC)
    if not re.fullmatch(r"[0-9]{1,18}", as_of.strip()):
        return Moment(number, min(parse_time(as_of.replace(" ", "+")), now))
    if number >= head(session):
        return Moment(number, now)
    return Moment(number, moment_of(session, number) or _BEFORE_ALL)


_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


def standing(number: int | None) -> ColumnElement[bool]:
    """States that held after revision `number`; None for those that hold now."""
    if number is None:
        return History.to_revision.is_(None)
    # both ends stand in the indexes of `hanse.revisions`: what did not hold then is passed by unread
    return and_(
        History.from_revision <= number,
        func.coalesce(History.to_revision, literal_column(str(NEVER))) > number,
    )


_Columns = Select[str, Body | None, int, datetime, str]


def _states(kind: str, number: int | None) -> _Columns:
    return (
        select(History.entity_id, History.body, Revision.number, Revision.at, Revision.actor_name)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == kind, literal_column("history.op = 'put'", Boolean), standing(number))
    )


def _state(row: Row[str, Body | None, int, datetime, str], kind: str) -> State:
    return State(row[0], filled(kind, row[0], row[1] or {}), row[2], row[3], row[4])


def find(session: Session, kind: str, entity_id: str, as_of: str | None = None) -> State:
    """One entity by id. Raises NotFound when there is, or was then, none."""
    return _one(session, kind, History.entity_id == entity_id, entity_id, as_of)


def find_named(session: Session, kind: str, name: str, as_of: str | None = None) -> State:
    """One entity by name, as it was called then. Raises NotFound when there is, or was then, none."""
    return _one(session, kind, name_of() == name, name, as_of)


def _one(
    session: Session, kind: str, condition: ColumnElement[bool], called: str, as_of: str | None
) -> State:
    row = session.execute(_states(kind, number_at(session, as_of)).where(condition)).first()
    if row is None:
        then = f" as of {as_of}" if as_of else ""
        raise NotFound(f"There is no {kind.replace('_', ' ')} {called}{then}.")
    return _state(row, kind)


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
    statement = _states(kind, number_at(session, as_of)).where(*where).order_by(name_of())
    if after is not None:
        statement = statement.where(name_of() > after)
    return [_state(row, kind) for row in session.execute(statement.limit(limit))]


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
    # numbers without leading zeros: the longer is the larger, and text sorts those of one length
    length = func.length(History.entity_id)
    order = (length, History.entity_id)
    statement = _states(kind, number_at(session, as_of)).where(*where)
    statement = statement.order_by(*(column.desc() if newest_first else column for column in order))
    if after is not None:
        mark = tuple_(func.length(str(after)), str(after))
        statement = statement.where(tuple_(*order) < mark if newest_first else tuple_(*order) > mark)
    return [_state(row, kind) for row in session.execute(statement.limit(limit))]


def called(kind: str, body: Body) -> str:
    """What to call an entity in a sentence."""
    if kind in ("service", "endpoint"):
        return f"{body.get('service_type')} on {body.get('hostname')}"
    if kind == "downtime":
        return f"downtime at {body.get('site')}"
    if kind == "host_certificate":
        return str(body.get("dn"))
    if kind == "api_credential":
        return f"API credential {body.get('identifier')}"
    if kind in ("grant", "role_request"):
        return f"{str(body.get('role')).replace('_', ' ')} in {body.get('scope')} for {body.get('name')}"
    return str(body.get("name") or kind)


def site_of(kind: str, body: Body) -> str:
    """The site that an entity belongs to; "" for none."""
    if kind == "site":
        return str(body.get("name") or "")
    if kind in ("grant", "role_request"):
        scope = str(body.get("scope"))
        return scope.removeprefix("site:") if scope.startswith("site:") else ""
    return str(body.get("site") or "")
