"""`/csv` and `/json` as EGI's accounting portal answers them: everything, a series in several parts.

A part that is not the last says `"partial": true` (more of the series follows in the next). Columns are to be read by
their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from flask import Response
from pydantic_core import to_json

from accounting import bulk
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, csv_stream, ground, spooled

egi_portal = Protocol("accounting_egi_portal", __name__)
ROWS_OF_A_PART: Final = 10_000


@egi_portal.route("/csv", ["GET"], permission=PUBLIC)
def whole_csv() -> Response:
    """Every row, with a head line."""
    named = (dict(zip(bulk.COLUMNS, row, strict=True)) for row in _rows())
    return csv_stream(named, bulk.COLUMNS, "usage.csv")


@egi_portal.route("/json", ["GET"], permission=PUBLIC)
def whole_json() -> Response:
    """Every row as `results` of one `series` each."""
    return spooled(as_series(_rows()), "application/json")


def _rows() -> Iterator[tuple[Any, ...]]:
    here = ground()
    return bulk.rows(here.db, here.settings.federation)


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
