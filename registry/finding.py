"""Finding sites, services and endpoints by what is said of them, now or in the past."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Text, cast, or_, select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.revisions import History
from registry.models import Service, ServiceType, Site
from registry.schemas.records import ListQuery
from registry.schemas.services import EndpointQuery, ServiceQuery
from registry.schemas.sites import SiteQuery
from registry.states import State, by_id, by_name, text_of


def sites(session: Session, query: SiteQuery, limit: int | None = None) -> list[State]:
    """Sites by name; `limit` of them, or all."""
    where = _equal(query, "country_code", "ngi", "middleware", "certification", "infrastructure")
    if query.scope is not None:
        where.append(holds("scopes", query.scope))
    if query.vo is not None:
        where.append(History.body["supports"].contains([{"vo": query.vo}]))
    if query.q:
        where.append(_mentions(query.q, "name", "official_name", "location", "country"))
    return by_name(session, "site", where=where, as_of=query.as_of, after=query.cursor, limit=limit)


def services(session: Session, query: ServiceQuery, limit: int | None = None) -> list[State]:
    """Services by id; `limit` of them, or all."""
    where = _equal(query, "site", "service_type")
    if query.scope is not None:
        where.append(holds("scopes", query.scope))
    if query.hostname is not None:
        where.append(text_of("hostname") == query.hostname.lower())
    for flag in ("production", "monitored"):
        if (wanted := getattr(query, flag)) is not None:
            where.append(text_of(flag) == str(wanted).lower())
    if query.q:
        where.append(
            _mentions_now(query.q, query, limit) if query.as_of is None else _mentions(query.q, *SOUGHT)
        )
    after = number_cursor(query.cursor)
    return by_id(session, "service", where=where, as_of=query.as_of, after=after, limit=limit)


SOUGHT = ("hostname", "service_type", "site")


def _mentions_now(part: str, query: ServiceQuery, limit: int | None) -> ColumnElement[bool]:
    """The same in the rows of the services, which are a tenth as long as the bodies: the first of them, where the rest
    of the question can be asked of the rows as well.
    """
    kinds = select(ServiceType.name).where(ServiceType.name.icontains(part, autoescape=True))
    sites_so_called = select(Site.id).where(Site.name.icontains(part, autoescape=True))
    rows = select(cast(Service.id, Text)).where(
        or_(
            Service.hostname.contains(part.lower(), autoescape=True),  # hosts are kept in small letters
            Service.service_type.in_(kinds),
            Service.site_id.in_(sites_so_called),
        )
    )
    for column, wanted in ((Service.production, query.production), (Service.monitored, query.monitored)):
        if wanted is not None:
            rows = rows.where(column.is_(wanted))
    if limit is not None and query.site is query.service_type is query.hostname is query.scope is None:
        after = number_cursor(query.cursor)
        rows = rows if after is None else rows.where(Service.id > after)
        rows = rows.order_by(Service.id).limit(limit)
    return History.entity_id.in_(rows)


def endpoints(session: Session, query: EndpointQuery, limit: int | None = None) -> list[State]:
    """Endpoints by id, of one site or of all; `limit` of them, or all."""
    where = [] if query.site is None else [text_of("site") == query.site]
    after = number_cursor(query.cursor)
    return by_id(session, "endpoint", where=where, as_of=query.as_of, after=after, limit=limit)


def named(
    session: Session,
    kind: str,
    query: ListQuery,
    *,
    where: Sequence[ColumnElement[bool]] = (),
    limit: int | None = None,
) -> list[State]:
    """Entities of a kind that has names, by name; `limit` of them, or all."""
    if query.q:
        where = [*where, _mentions(query.q, "name", "description")]
    return by_name(session, kind, where=where, as_of=query.as_of, after=query.cursor, limit=limit)


def holds(field: str, value: str) -> ColumnElement[bool]:
    """The list in a field of the body has the text in it."""
    condition: ColumnElement[bool] = History.body[field].contains([value])
    return condition


def number_cursor(cursor: str | None) -> int | None:
    """A cursor that is an id. Raises Refused for anything else."""
    if cursor is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", cursor):
        raise Refused("The cursor is not one of ours.", FieldFault("cursor", "take it from `next`"))
    return int(cursor)


def _equal(query: SiteQuery | ServiceQuery, *fields: str) -> list[ColumnElement[bool]]:
    given = {field: getattr(query, field) for field in fields}
    return [text_of(field) == value for field, value in given.items() if value is not None]


def _mentions(part: str, *fields: str) -> ColumnElement[bool]:
    return or_(*(text_of(field).icontains(part, autoescape=True) for field in fields))
