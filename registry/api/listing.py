"""What the lists of scopes, types, projects, NGIs and groups share: a page by name, one of them, the same as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Response
from sqlalchemy import ColumnElement

from hanse.web import csv_response, ground
from registry import finding, states
from registry.api.answers import Body, tagged, with_revision
from registry.schemas.records import ListQuery

Answer = tuple[Body, int, dict[str, str]]
Show = Callable[[states.State], Body]
Where = Sequence[ColumnElement[bool]]


def page_by_name(kind: str, query: ListQuery, where: Where = (), show: Show = with_revision) -> Body:
    """A page of the list; `next` is the name to go on after."""
    with ground().db.transaction() as session:
        found = finding.named(session, kind, query, where=where, limit=query.limit + 1)
    shown = [show(state) for state in found[: query.limit]]
    return {"items": shown, "next": shown[-1]["name"] if len(found) > query.limit else None}


def one_by_name(
    kind: str, name: str, as_of: str | None = None, *, show: Show = with_revision, status: int = 200
) -> Answer:
    """One of them with its revision as ETag. Raises NotFound."""
    with ground().db.transaction() as session:
        state = states.find_named(session, kind, name, as_of)
    body, _, headers = tagged(state, show(state))
    return body, status, headers


def csv_by_name(
    kind: str,
    query: ListQuery,
    columns: Sequence[str],
    where: Where = (),
    show: Show = with_revision,
) -> Response:
    """The whole list with the same filters; lists in a cell are separated by spaces."""
    with ground().db.transaction() as session:
        found = finding.named(session, kind, query, where=where)
    return csv_response([_flat(show(state)) for state in found], columns, f"{kind.replace('_', '-')}s.csv")


def _flat(body: Body) -> Body:
    return {
        key: " ".join(map(str, value)) if isinstance(value, list) else value for key, value in body.items()
    }
