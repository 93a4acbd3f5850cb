"""What the lists of scopes, types, projects, NGIs and groups share: a page by name, and one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement

from hanse.web import ground
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
