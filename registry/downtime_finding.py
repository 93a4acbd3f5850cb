"""Finding downtimes by what they affect and when, as they are or as they were.

What is so now is picked from the tables, which have the indexes; what was so from the bodies of the revision log. A
test holds that both pick the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.revisions import History
from registry.models import (
    Downtime,
    DowntimeEndpoint,
    DowntimePart,
    DowntimeService,
    Ngi,
    Service,
    Site,
    VoShare,
)
from registry.schemas.downtimes import DowntimeFilter
from registry.schemas.fields import iso, parse_time
from registry.states import State, by_id, by_name, number_at, text_of

Condition = ColumnElement[bool]
_PLAIN = ("state", "severity", "classification")


def find(
    session: Session,
    query: DowntimeFilter,
    *,
    as_of: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[State]:
    """Downtimes, the latest declared first: those with an id below `after`, at most `limit`."""
    if number_at(session, as_of) is not None:
        where = _of_bodies(session, query, as_of)
        return by_id(
            session, "downtime", where=where, as_of=as_of, after=after, limit=limit, newest_first=True
        )
    statement = rows(query).order_by(Downtime.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(Downtime.id < after)
    return states_of(session, session.scalars(statement))


def in_order(
    session: Session,
    query: DowntimeFilter,
    sites: Sequence[str] | None,
    after: Sequence[str | int] | None,
    limit: int,
) -> list[tuple[int, datetime]]:
    """Ids with the time they are sorted by: what goes on by its end, what is planned by its start, what is past by its
    start with the latest first. Only of `sites`, when they are given; from the one after (time as ISO 8601, id).
    """
    time = Downtime.end_at if query.state == "ongoing" else Downtime.start_at
    key = tuple_(time, Downtime.id)
    statement = select(Downtime.id, time).where(*_of_rows(query))
    if sites is not None:
        statement = statement.where(Downtime.id.in_(_of_site(Site.name.in_(sites))))
    latest_first = query.state == "ended"
    if after is not None:
        last = _last(after)
        statement = statement.where(key < last if latest_first else key > last)
    order = [column.desc() if latest_first else column for column in (time, Downtime.id)]
    return [(number, at) for number, at in session.execute(statement.order_by(*order).limit(limit))]


MOST_OPEN = 500
"""Downtimes that went on, or were planned, at a moment: more are not sorted for a page."""


def in_order_then(
    session: Session,
    query: DowntimeFilter,
    sites: Sequence[str] | None,
    as_of: str | None,
    after: Sequence[str | int] | None,
    limit: int,
) -> list[State]:
    """The same as it was; what was past comes by its id, the latest declared first."""
    where = _of_bodies(session, query, as_of)
    if sites is not None:
        where.append(_has("sites", list(sites)))
    last = None if after is None else _cursor(after)
    if query.state == "ended":
        before = None if last is None else last[1]
        return by_id(
            session, "downtime", where=where, as_of=as_of, after=before, limit=limit, newest_first=True
        )
    edge = "end" if query.state == "ongoing" else "start"
    found = by_id(session, "downtime", where=where, as_of=as_of, limit=MOST_OPEN, newest_first=True)
    placed = sorted(((one.body[edge], int(one.id)), one) for one in found)
    return [one for place, one in placed if last is None or place > last][:limit]


def _cursor(after: Sequence[str | int]) -> tuple[str, int]:
    if len(after) != 2 or not isinstance(after[0], str) or not isinstance(after[1], int):
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", "take it from `next`"))
    return after[0], after[1]


def _last(after: Sequence[str | int]) -> ColumnElement[Any]:
    time, number = _cursor(after)
    try:
        return tuple_(literal(parse_time(time)), literal(number))
    except ValueError as error:
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", str(error))) from None


def states_of(session: Session, numbers: Iterable[int]) -> list[State]:
    """The downtimes of these ids as they are, in the order given."""
    wanted = [str(number) for number in numbers]
    found = by_id(session, "downtime", where=[History.entity_id.in_(wanted)])
    by_number = {state.id: state for state in found}
    return [by_number[one] for one in wanted if one in by_number]


def rows(query: DowntimeFilter) -> Select[int]:
    """The ids of the downtimes that fit, in no order."""
    return select(Downtime.id).where(*_of_rows(query))


def _of_rows(query: DowntimeFilter) -> list[Condition]:
    given = {name: getattr(query, name) for name in _PLAIN}
    where = [getattr(Downtime, name) == value for name, value in given.items() if value is not None]
    if query.since is not None:
        where.append(Downtime.end_at > query.since)
    if query.until is not None:
        where.append(Downtime.start_at < query.until)
    if query.series is not None:
        where.append(Downtime.series == query.series)
    where += [Downtime.id.in_(numbers) for numbers in _affecting(query)]
    if query.q:
        at_site = _of_site(Site.name.icontains(query.q, autoescape=True))
        where.append(or_(Downtime.description.icontains(query.q, autoescape=True), Downtime.id.in_(at_site)))
    return where


def _of_site(condition: Condition) -> Select[int]:
    return select(DowntimePart.downtime_id).join(Site).where(condition)


def _affecting(query: DowntimeFilter) -> list[Select[int]]:
    found = []
    if query.site is not None:
        found.append(_of_site(Site.name == query.site))
    if query.ngi is not None:
        found.append(_of_site(Site.ngi_id.in_(select(Ngi.id).where(Ngi.name == query.ngi))))
    if query.vo is not None:
        found.append(_of_site(Site.id.in_(select(VoShare.site_id).where(VoShare.vo == query.vo))))
    if query.service is not None:
        links = select(DowntimeService.downtime_id)
        found.append(links.where(DowntimeService.service_id == query.service))
    if query.endpoint is not None:
        ends = select(DowntimeEndpoint.downtime_id)
        found.append(ends.where(DowntimeEndpoint.endpoint_id == query.endpoint))
    if query.scope is not None:
        links = select(DowntimeService.downtime_id).join(Service)
        found.append(links.where(Service.scopes.contains([query.scope])))
    return found


def _of_bodies(session: Session, query: DowntimeFilter, as_of: str | None) -> list[Condition]:
    given = {name: getattr(query, name) for name in _PLAIN}
    where = [text_of(name) == value for name, value in given.items() if value is not None]
    number = number_at(session, as_of)
    if query.state in ("planned", "ongoing") and number is not None:
        where.append(_open_at(number))
    # ISO 8601 in UTC sorts as text once the fraction is cut: a downtime is known to the second
    if query.since is not None:
        where.append(func.left(text_of("end"), 19) > iso(query.since)[:19])
    if query.until is not None:
        where.append(func.left(text_of("start"), 19) < iso(query.until)[:19])
    if query.series is not None:
        where.append(text_of("series") == str(query.series))
    where += _affecting_bodies(session, query, as_of)
    if query.q:
        sites = cast(History.body["sites"], Text)
        found = (text_of("description"), sites)
        where.append(or_(*(column.icontains(query.q, autoescape=True) for column in found)))
    return where


def _open_at(number: int) -> Condition:
    """States that held after a revision and had not ended: said as the index on them has it, so that it serves."""
    return literal_column(
        "history.kind = 'downtime' and history.op = 'put' and history.body ->> 'state' <> 'ended'"
        f" and int8range(history.from_revision, history.to_revision) @> {number:d}::bigint",
        Boolean,
    )


def _affecting_bodies(session: Session, query: DowntimeFilter, as_of: str | None) -> list[Condition]:
    where: list[Condition] = []
    if query.site is not None:
        where.append(_has("sites", [query.site]))
    if query.ngi is not None:
        where.append(_has("sites", _named(session, text_of("ngi") == query.ngi, as_of)))
    if query.vo is not None:
        supports = History.body["supports"].contains([{"vo": query.vo}])
        where.append(_has("sites", _named(session, supports, as_of)))
    if query.service is not None:
        where.append(_has("services", [str(query.service)]))
    if query.endpoint is not None:
        where.append(_has("endpoints", [str(query.endpoint)]))
    if query.scope is not None:
        scoped = History.body["scopes"].contains([query.scope])
        found = by_id(session, "service", where=[scoped], as_of=as_of)
        where.append(_has("services", [state.id for state in found]))
    return where


def _has(field: str, wanted: list[str]) -> Condition:
    """Whether the list `field` of the body holds any of the texts."""
    condition: Condition = History.body[field].has_any(cast(wanted, ARRAY(Text)))
    return condition


def _named(session: Session, condition: Condition, as_of: str | None) -> list[str]:
    return [str(state.body["name"]) for state in by_name(session, "site", where=[condition], as_of=as_of)]
