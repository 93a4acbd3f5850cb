"""Answering as the ARGO Messaging Service does. Clients read its JSON envelope only: an empty body crashes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import structlog
from flask import Response
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from hanse.database import is_connection_loss, is_out_of_room
from hanse.errors import Forbidden, HanseError, NotFound, Refused, TooLarge, Unauthorised, Unavailable
from hanse.web.rooms import Protocol

log = structlog.get_logger(__name__)

_WORDS: Final[Mapping[type[HanseError], tuple[int, str, str]]] = {
    Unauthorised: (401, "Unauthorized", "UNAUTHORIZED"),
    Forbidden: (403, "Access to this resource is forbidden", "FORBIDDEN"),
    NotFound: (404, "", "NOT_FOUND"),
    TooLarge: (413, "Message size is too large", "INVALID_ARGUMENT"),
    Unavailable: (503, "", "INTERNAL_SERVER_ERROR"),
    Refused: (400, "", "INVALID_ARGUMENT"),
}


def answer(content: Mapping[str, Any], status: int = 200) -> Response:
    """AMS's way of answering: JSON with its charset spelt out."""
    return Response(json.dumps(content), status, content_type="application/json; charset=utf-8")


def fault(code: int, message: str, status: str) -> Response:
    """AMS's error envelope."""
    return answer({"error": {"code": code, "message": message, "status": status}}, code)


def ams_room(name: str, import_name: str) -> Protocol:
    """A room whose errors are AMS's envelope; the token may stand in the address (`?key=`), for older clients."""
    room = Protocol(name, import_name, token_parameter="key")  # noqa: S106 - the name of a parameter, no secret
    room.errorhandler(HanseError)(refuse)
    room.errorhandler(HTTPException)(_refuse_request)
    room.errorhandler(SQLAlchemyError)(_refuse_without_database)
    room.errorhandler(Exception)(_refuse_in_any_case)
    return room


def refuse(error: HanseError) -> Response:
    """Our errors in AMS's words."""
    for kind, (code, message, status) in _WORDS.items():
        if isinstance(error, kind):
            return fault(code, message or error.detail, status)
    return _internal()


def _refuse_request(error: HTTPException) -> Response:
    """Errors of the HTTP layer: a body that is too large, a method that is not there."""
    if isinstance(error, RequestEntityTooLarge):
        return refuse(TooLarge(""))
    code = error.code or 500
    return fault(code, error.name, {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(code, "BAD_REQUEST"))


def _refuse_without_database(error: SQLAlchemyError) -> Response:
    """No database or no room: 503, so that the sender keeps the message and tries again."""
    if is_connection_loss(error) or is_out_of_room(error):
        log.error("a message could not be stored", error=str(error.__cause__ or error))
        return refuse(Unavailable("The messages cannot be stored at the moment; send them again later"))
    log.exception("publishing failed")
    return _internal()


def _refuse_in_any_case(error: Exception) -> Response:
    """A fault of ours still needs the envelope."""
    log.exception("publishing failed", error=str(error))
    return _internal()


def _internal() -> Response:
    return fault(500, "Internal Error", "INTERNAL_SERVER_ERROR")
