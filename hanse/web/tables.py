"""Every list as CSV: the same address with `.csv`, the same filters, all its pages in one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flask import Response, request
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import to_jsonable_python

from hanse.errors import FieldFault, Refused
from hanse.web.listing import csv_response
from hanse.web.selection import chosen_fields
from hanse.web.wire import faults_of

MOST_ROWS: Final = 100_000
_CURSORS: Final = ("cursor", "before", "after")
_PAGING: Final = frozenset({*_CURSORS, "limit"})


def narrowed(query: type[BaseModel]) -> type[BaseModel]:
    """The filters of a list without its paging: a table is always whole."""
    kept: dict[str, Any] = {
        name: (field.annotation, field) for name, field in query.model_fields.items() if name not in _PAGING
    }
    config = ConfigDict(**{**query.model_config, "title": None})
    return create_model(f"{query.__name__}OfTable", __config__=config, __doc__=query.__doc__, **kept)


def table_of(
    handler: Callable[..., Any],
    models: Mapping[str, type[BaseModel]],
    parts: dict[str, BaseModel],
    columns: Sequence[str],
    filename: str,
) -> Response:
    """All pages that `handler` gives for the parts of this request, as one CSV file with `columns`.

    Raises Refused when there are more than MOST_ROWS rows: half a table would look like a whole one.
    """
    shown = chosen_fields(columns) or tuple(columns)
    rows = []
    for item in _items(handler, models, parts):
        rows.append({name: cell(item.get(name)) for name in shown})
        if len(rows) > MOST_ROWS:
            raise Refused(
                f"This table has more than {MOST_ROWS:,} rows.",
                FieldFault("filters", "narrow it down, or read the list page by page as JSON"),
            )
    return csv_response(rows, shown, filename)


def _items(
    handler: Callable[..., Any], models: Mapping[str, type[BaseModel]], parts: dict[str, BaseModel]
) -> Iterator[Mapping[str, Any]]:
    model = models.get("query")
    names = set(model.model_fields) if model is not None else set()
    cursor_name = next((name for name in _CURSORS if name in names), None)
    filters = parts["query"].model_dump(exclude_unset=True) if "query" in parts else {}
    cursor: object = None
    while True:
        asked = dict(parts)
        if model is not None:
            asked["query"] = _page_query(model, filters, cursor_name, cursor)
        page = _plain(handler(**asked))
        yield from page["items"]
        following = page.get("next")
        if cursor_name is None or following is None or following == cursor:
            return
        cursor = following


def _page_query(
    model: type[BaseModel], filters: Mapping[str, Any], cursor_name: str | None, cursor: object
) -> BaseModel:
    values = dict(filters)
    if cursor_name is not None and cursor is not None:
        values[cursor_name] = cursor
    if "limit" in model.model_fields:
        values["limit"] = _most(model)
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:  # a rule over several filters, which the table's own query does not have
        raise Refused("These filters do not go together.", *faults_of(error)) from None


def _most(model: type[BaseModel]) -> int:
    """The biggest page that the list gives."""
    limits = [getattr(one, "le", None) for one in model.model_fields["limit"].metadata]
    return next((int(one) for one in limits if one is not None), 100)


def _plain(answer: Any) -> Mapping[str, Any]:
    if isinstance(answer, tuple):
        answer = answer[0]
    plain: Mapping[str, Any] = to_jsonable_python(answer, by_alias=True)
    return plain


def cell(value: Any) -> Any:
    """One field as text: a list of words with spaces, anything deeper as JSON."""
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return " ".join(str(one) for one in value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return value


def file_name(path: str) -> str:
    """`sites.csv` for /api/v1/sites.csv."""
    return path.rstrip("/").rpartition("/")[2] or "table.csv"


def requested_file() -> str:
    """The name under which a browser keeps the table of this request."""
    return file_name(request.path)
