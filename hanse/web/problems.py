"""Errors as answers: RFC 9457 problem+json for machines, a page with the same sentence for people."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import structlog
from flask import Flask, Response, current_app, g, has_request_context, request
from pydantic import BaseModel, Field
from pydantic_core import to_json
from sqlalchemy.exc import DataError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from hanse import errors
from hanse.database import is_connection_loss
from hanse.errors import FieldFault, HanseError
from hanse.web.pages import error_page

log = structlog.get_logger("hanse.web")

STATUS_OF: Mapping[type[HanseError], int] = {
    errors.Refused: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Forbidden: 403,
    errors.Unauthorised: 401,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}
AWAY = "The database of this service does not answer at the moment; try again in some seconds."
UNKNOWN = (
    "Something went wrong here that we did not foresee; it is in the log of this service under the number {}."
)


class ProblemField(BaseModel):
    """One field that was not as it should be; `record` counts from 1 in a list of records."""

    field: str
    reason: str
    record: int | None = None


class Problem(BaseModel):
    """An error as RFC 9457 describes it; `detail` is a sentence that says what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[ProblemField] = Field(default_factory=list)


def problem(
    status: int,
    detail: str,
    *,
    fields: Iterable[FieldFault] = (),
    title: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An application/problem+json answer of `status` whose detail is the sentence `detail`."""
    body = Problem(
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.path if has_request_context() else None,
        request_id=g.get("request_id") if has_request_context() else None,
        errors=[ProblemField(field=f.field, reason=f.reason, record=f.record) for f in fields],
    )
    answer = Response(to_json(body, exclude_none=True), status, content_type="application/problem+json")
    answer.headers.update(headers or {})
    return answer


def status_of(error: HanseError) -> int:
    """The HTTP status for one of our errors, by the nearest class in STATUS_OF;
    500 for the bare HanseError.
    """
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def install_error_answers(app: Flask) -> None:
    """Make every exception of `app` an answer in the form that its room speaks."""
    app.register_error_handler(HanseError, _hanse_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(SQLAlchemyError, _database_error)
    app.register_error_handler(Exception, _unforeseen)


def _hanse_error(error: HanseError) -> Response:
    return answer_error(status_of(error), error.detail, fields=error.fields)


def _http_error(error: HTTPException) -> Response:
    if error.response is not None or (error.code or 500) < 400:
        made = error.get_response()
        assert isinstance(made, Response)
        return made
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name.lower() in ("allow", "retry-after")}
    sentence = _SENTENCES.get(status) or error.description or HTTPStatus(status).phrase
    if status == 413:
        sentence = (
            f"The body is larger than {current_app.config['MAX_CONTENT_LENGTH']:,} bytes; send it in parts."
        )
    if error.description != type(error).description and status in (400, 415):
        sentence = error.description or sentence
    return answer_error(status, sentence, headers=headers)


def _database_error(error: SQLAlchemyError) -> Response:
    if is_connection_loss(error):
        log.warning("database_away", reason=type(error).__name__)
        return answer_error(503, AWAY, headers={"Retry-After": "5"})
    if isinstance(error, DataError):
        log.warning("value_does_not_fit", reason=str(error.orig))
        return answer_error(422, "A value is too large or too small to be kept; send one of the usual size.")
    return _unforeseen(error)


def _unforeseen(error: Exception) -> Response:
    number = g.get("request_id", "")
    log.error("unforeseen", request_id=number, path=request.path, exc_info=error)
    return answer_error(500, UNKNOWN.format(number))


_SENTENCES: Mapping[int, str] = {
    400: "The request cannot be read; send it again as HTTP and this address ask for it.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    415: "The body is of a kind that this address does not take.",
    406: "This address cannot answer in the form that was asked for.",
    429: "Too many tries in a short time; wait a minute, then try again.",
}


def answer_error(
    status: int, sentence: str, *, fields: Iterable[FieldFault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """The error in the form the caller reads: problem+json, a page, or plain text for other protocols."""
    extra = dict(headers or {})
    if status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="hanse"'
    form = _wanted_form()
    if form == "problem":
        return problem(status, sentence, fields=fields, headers=extra)
    if form == "text":
        return Response(sentence + "\n", status, headers=extra, content_type="text/plain; charset=utf-8")
    return _error_page(status, sentence, tuple(fields), extra)


def _wanted_form() -> str:
    view = current_app.view_functions.get(request.endpoint or "")
    room = getattr(view, "hanse_room", None)
    if room == "protocol":
        return "text"
    if room == "api" or request.path.startswith(("/api/", "/v1/", "/openapi.json")):
        return "problem"
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return "problem" if best == "application/json" and room != "pages" else "page"


def _error_page(
    status: int, sentence: str, fields: tuple[FieldFault, ...], headers: Mapping[str, str]
) -> Response:
    # the frame shows who is signed in, and that may be the very thing that fails
    try:
        answer = error_page(status, sentence, fields)
    except (SQLAlchemyError, HanseError, HTTPException) as fault:
        log.warning("bare_error_page", reason=str(fault))
        answer = Response(
            _BARE.format(status=status, sentence=html.escape(sentence)), status, content_type="text/html"
        )
    answer.headers.update(headers)
    return answer


_BARE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{status} · Hanse</title>'
    '<link rel="stylesheet" href="/assets/hanse.css"></head>'
    '<body><main class="bare"><h1>{sentence}</h1><p><a href="/">Home</a></p></main></body></html>'
)
