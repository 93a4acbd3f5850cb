"""`/csv` and `/json` as EGI's accounting portal answers them: everything, a series in several parts.

A part that is not the last says `"partial": true` (more of the series follows in the next). Columns are to be read by
their names. Both are open to everybody and long, so each process makes them every few minutes and not for each reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from flask import Response, current_app
from pydantic_core import to_json

from accounting import bulk
from accounting.protocols.kept_answers import KeptAnswer
from hanse.database import Database
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, saved_as
from hanse.web.listing import CSV, csv_lines

egi_portal = Protocol("accounting_egi_portal", __name__)
ROWS_OF_A_PART: Final = 10_000


@egi_portal.route("/csv", ["GET"], permission=PUBLIC)
def whole_csv() -> Response:
    """Every row, with a head line."""
    return saved_as(_kept("csv").answer(), "usage.csv")


@egi_portal.route("/json", ["GET"], permission=PUBLIC)
def whole_json() -> Response:
    """Every row as `results` of one `series` each."""
    return _kept("json").answer()


def _kept(name: str) -> KeptAnswer:
    kept = current_app.extensions["accounting.egi_portal"][name]
    assert isinstance(kept, KeptAnswer)
    return kept


def kept_answers(db: Database, federation: str) -> dict[str, KeptAnswer]:
    """The documents of an application, under the names of their formats."""
    return {
        "csv": KeptAnswer(lambda: as_csv(bulk.rows(db, federation)), CSV),
        "json": KeptAnswer(lambda: as_series(bulk.rows(db, federation)), "application/json"),
    }


def as_csv(rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """The rows as CSV with a head line."""
    named = (dict(zip(bulk.COLUMNS, row, strict=True)) for row in rows)
    return (part.encode() for part in csv_lines(named, bulk.COLUMNS))


def as_series(rows: Iterable[tuple[Any, ...]], size: int = ROWS_OF_A_PART) -> Iterator[bytes]:
    """The rows as one JSON document, in parts of `size` rows; without any row one series without values."""
    found = iter(rows)
    part = list(islice(found, size))
    yield b'{"results":['
    while True:
        following = list(islice(found, size))
        series: dict[str, Any] = {"name": "summary", "columns": bulk.COLUMNS, "values": part}
        if following:
            series["partial"] = True
        yield to_json({"series": [series]})
        if not following:
            break
        yield b","
        part = following
    yield b"]}\n"
