"""Lists: cursor paging, CSV, and answers that say "not changed" (ETag, RFC 9110 section 13)."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, Generic, TypeVar

from flask import Response, request
from pydantic import BaseModel, Field

from hanse.errors import FieldFault, Refused
from hanse.web.callers import current_principal
from hanse.web.ground import ground
from hanse.web.wire import QueryModel

Row = TypeVar("Row")
Item = TypeVar("Item")
Key = Sequence[str | int]
HELD_BYTES: Final = 4_194_304
SENT_BYTES: Final = 65_536
CSV: Final = "text/csv; charset=utf-8"
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


class CursorQuery(QueryModel):
    """`limit` rows after `cursor`, which is the `next` of the page before."""

    limit: int = Field(50, ge=1, le=500, description="Rows of a page, 1 to 500.")
    cursor: str | None = Field(None, max_length=1000, description="`next` of the page before.")


class Listing(BaseModel, Generic[Item]):
    """One page of a list; `next` is null on the last."""

    items: list[Item]
    next: str | None = None


def after(cursor: str | None) -> list[str | int] | None:
    """The sort key of the last row the reader has, from `cursor`; None at the start.

    Raises Refused if it is not ours.
    """
    if not cursor:
        return None
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, UnicodeError, RecursionError):
        key = None
    if not isinstance(key, list) or not all(type(part) in (str, int) for part in key):
        raise Refused(
            "The cursor is not one of ours.", FieldFault("cursor", "take it from `next` of the page before")
        )
    return key


def cursor_page(
    rows: Sequence[Row], limit: int, key: Callable[[Row], Key], show: Callable[[Row], Any] = lambda row: row
) -> dict[str, Any]:
    """{"items", "next"} from `limit + 1` rows that the caller read, sorted by `key`, after
    `after(query.cursor)`.
    """
    shown = rows[:limit]
    more = len(rows) > limit
    return {"items": [show(row) for row in shown], "next": cursor_of(key(shown[-1])) if more else None}


def cursor_of(key: Key) -> str:
    """An opaque text for the sort key of a row."""
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode().rstrip("=")


def csv_response(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], filename: str) -> Response:
    """`rows` as CSV (RFC 4180, UTF-8) with a head line of `columns`, to be saved as `filename`."""
    answer = Response("".join(csv_lines(rows, columns)), content_type=CSV)
    return conditional(saved_as(answer, filename))


def csv_stream(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], filename: str) -> Response:
    """The same for what is too long to be held, without an ETag."""
    lines = (part.encode() for part in csv_lines(rows, columns))
    return saved_as(spooled(lines, CSV), filename)


def spooled(parts: Iterable[bytes], content_type: str) -> Response:
    """An answer of any length: all of it is written to a file first, which goes with the answer.

    So a slow reader holds no connection of the database, and what fails half-way is an error and no half answer.
    """
    kept = SpooledTemporaryFile(max_size=HELD_BYTES)  # noqa: SIM115 - it is closed with the answer
    try:
        for part in parts:
            kept.write(part)
    except BaseException:
        kept.close()
        raise
    length = kept.tell()
    kept.seek(0)
    answer = Response(_sent(kept), content_type=content_type)
    answer.headers["Content-Length"] = str(length)
    answer.call_on_close(kept.close)
    return answer


def _sent(kept: IO[bytes]) -> Iterator[bytes]:
    with kept:
        while part := kept.read(SENT_BYTES):
            yield part


def csv_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """The head line of `columns`, then the rows, a few hundred lines at a time."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        writer.writerow([_cell(row.get(column)) for column in columns])
        if number % 500 == 0:
            yield lines.getvalue()
            lines.seek(0)
            lines.truncate()
    yield lines.getvalue()


def saved_as(answer: Response, filename: str) -> Response:
    """`answer`, which a browser keeps as a file of that name."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", filename)
    answer.headers["Content-Disposition"] = f'attachment; filename="{safe}"'
    return answer


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    # a spreadsheet runs text that begins like a formula, also behind white space; a plain number is none
    if isinstance(value, str) and re.match(r"\s*[=+@-]|[\t\r]", value) and not _NUMBER.fullmatch(value):
        return "'" + value
    return value


def conditional(response: Response, seen: str | None = None) -> Response:
    """Give a read an ETag over its body, and answer 304 when the caller holds the same.

    With `seen`, the version that the body was made of (`version_seen`), the tag tells both: the next question can
    be answered by the version alone, and a new version with the same body is still "not changed".
    """
    if request.method not in ("GET", "HEAD") or response.status_code != 200 or response.is_streamed:
        return response
    if seen is not None and "ETag" not in response.headers:
        response.set_etag(f"{seen}-{hashlib.sha256(response.get_data()).hexdigest()[:24]}")
        response.headers.setdefault("Vary", "Cookie, Authorization")
    response.add_etag()
    response.headers.setdefault("Cache-Control", "private, no-cache")
    if seen is not None and _body_held(response.get_etag()[0]):
        return _unchanged(response.headers["ETag"])
    response.make_conditional(request)
    return response


def version_seen() -> str | None:
    """The version of all that this service shows, for this caller; None where the service keeps none."""
    version = ground().version
    if version is None:
        return None
    viewer = hashlib.sha256(current_principal().key.encode()).hexdigest()[:8]
    return f"{version()}-{viewer}"


def not_changed(seen: str) -> Response | None:
    """304 when the caller has seen this very version already; nothing was read for it."""
    held = next((tag for tag in request.if_none_match if tag.startswith(f"{seen}-")), None)
    return None if held is None else _unchanged(f'"{held}"')


def _body_held(tag: str | None) -> bool:
    body = (tag or "").rpartition("-")[2]
    return any(held.count("-") >= 2 and held.rpartition("-")[2] == body for held in request.if_none_match)


def _unchanged(tag: str) -> Response:
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
    return Response(status=304, headers=headers)
