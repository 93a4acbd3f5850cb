"""The part of the ARGO Messaging Service that publishers of usage records speak (stock ssmsend,
argo-ams-library).

A publisher who is let in gets 200 for whatever it sends: stock senders stop their whole queue at a 4xx, so
content is judged later, by the loader. Success is exactly 200 with one message id a message, as strings,
given only after the messages are safe. Every other answer is AMS's JSON envelope; an empty body would crash
the client.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Response, current_app, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from accounting.inbox import Arrival, Inbox, Sender
from accounting.permissions import PUBLISH
from accounting.settings import AccountingSettings
from hanse.database import is_connection_loss
from hanse.errors import Forbidden, HanseError, NotFound, Refused, TooLarge, Unauthorised, Unavailable
from hanse.identity.permissions import PUBLIC
from hanse.identity.principals import Principal
from hanse.web import Protocol, current_principal, ground

MOST_MESSAGES = 1000
log = structlog.get_logger(__name__)
ams = Protocol("ams", __name__, token_parameter="key")  # noqa: S106 - the name of a parameter, no secret


def answer(content: Mapping[str, Any], status: int = 200) -> Response:
    """AMS's way of answering: JSON with its charset spelt out."""
    return Response(json.dumps(content), status, content_type="application/json; charset=utf-8")


def fault(code: int, message: str, status: str) -> Response:
    """AMS's error envelope."""
    return answer({"error": {"code": code, "message": message, "status": status}}, code)


@ams.route("/v1/version", ["GET"], permission=PUBLIC)
def version() -> Response:
    """Which server this is."""
    return answer({"release": "1.5.0", "product": "hanse", "interface": "ams"})


@ams.route("/v1/status", ["GET"], permission=PUBLIC)
def status() -> Response:
    """Whether the server lives."""
    return answer({"status": "ok"})


@ams.route("/v1/projects/<project>/topics", ["GET"], permission=PUBLISH)
def topics(project: str) -> Response:
    """The topics that can be published to."""
    _demand_project(project)
    shown = [_topic(project, name) for name in _settings().ams_topics]
    return answer({"topics": shown, "nextPageToken": "", "totalSize": len(shown)})


@ams.route("/v1/projects/<project>/topics/<topic>", ["GET"], permission=PUBLISH)
def topic(project: str, topic: str) -> Response:
    """One topic."""
    _demand_topic(project, topic)
    return answer(_topic(project, topic))


@ams.route("/v1/projects/<project>/topics/<topic>:publish", ["POST"], permission=PUBLISH)
def publish(project: str, topic: str) -> Response:
    """Take messages into the inbox; they are on disk before the answer goes out."""
    _demand_topic(project, topic)
    arrivals = _arrivals(request.get_data())
    inbox = current_app.extensions["accounting.inbox"]
    assert isinstance(inbox, Inbox)
    numbers = inbox.accept(arrivals, _sender(current_principal()), source="ams", topic=topic)
    return answer({"messageIds": [str(number) for number in numbers]})


@ams.errorhandler(HanseError)
def refuse(error: HanseError) -> Response:
    """Our errors in AMS's words."""
    for kind, made in _WORDS.items():
        if isinstance(error, kind):
            code, message, status_ = made
            return fault(code, message or error.detail, status_)
    return fault(500, "Internal Error", "INTERNAL_SERVER_ERROR")


@ams.errorhandler(HTTPException)
def refuse_request(error: HTTPException) -> Response:
    """Errors of the HTTP layer: a body that is too large, a method that is not there."""
    if isinstance(error, RequestEntityTooLarge):
        return refuse(TooLarge(""))
    code = error.code or 500
    return fault(code, error.name, {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(code, "BAD_REQUEST"))


@ams.errorhandler(SQLAlchemyError)
def refuse_without_database(error: SQLAlchemyError) -> Response:
    """No database or no room: 503, so that the sender keeps the message and tries again."""
    if is_connection_loss(error) or _out_of_room(error):
        log.error("a message could not be stored", error=str(error.__cause__ or error))
        return refuse(Unavailable("The messages cannot be stored at the moment; send them again later"))
    log.exception("publishing failed")
    return fault(500, "Internal Error", "INTERNAL_SERVER_ERROR")


@ams.errorhandler(Exception)
def refuse_in_any_case(error: Exception) -> Response:
    """A fault of ours still needs the envelope: the client reads nothing else."""
    log.exception("publishing failed", error=str(error))
    return fault(500, "Internal Error", "INTERNAL_SERVER_ERROR")


_WORDS: dict[type[HanseError], tuple[int, str, str]] = {
    Unauthorised: (401, "Unauthorized", "UNAUTHORIZED"),
    Forbidden: (403, "Access to this resource is forbidden", "FORBIDDEN"),
    NotFound: (404, "", "NOT_FOUND"),
    TooLarge: (413, "Message size is too large", "INVALID_ARGUMENT"),
    Unavailable: (503, "", "INTERNAL_SERVER_ERROR"),
    Refused: (400, "", "INVALID_ARGUMENT"),
}


def _out_of_room(error: SQLAlchemyError) -> bool:
    # class 53: disk full, out of memory, too many connections; 25006: a standby that only reads
    sqlstate = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return bool(sqlstate and (sqlstate.startswith("53") or sqlstate in ("25006", "58030")))


def _settings() -> AccountingSettings:
    settings = ground().settings
    assert isinstance(settings, AccountingSettings)
    return settings


def _demand_project(project: str) -> None:
    if project != _settings().ams_project:
        raise NotFound("ProjectUUID doesn't exist")


def _demand_topic(project: str, topic: str) -> None:
    _demand_project(project)
    if topic not in _settings().ams_topics:
        raise NotFound("Topic doesn't exist")


def _topic(project: str, name: str) -> dict[str, Any]:
    return {"name": f"/projects/{project}/topics/{name}"}


def _sender(principal: Principal) -> Sender:
    sites = sorted(
        scope.removeprefix("site:") for scope in principal.scopes("site_machine") if scope.startswith("site:")
    )
    return Sender(principal.key, principal.name, sites[0] if len(sites) == 1 else "")


def _arrivals(body: bytes) -> list[Arrival]:
    """The messages of a request; the content type is not looked at, since ssmsend sends none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("Invalid Message Arguments") from None
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not messages or len(messages) > MOST_MESSAGES:
        raise Refused("Invalid Message Arguments")
    return [_arrival(message) for message in messages]


def _arrival(message: object) -> Arrival:
    if not isinstance(message, dict):
        raise Refused("Invalid Message Arguments")
    content, attributes = message.get("data", ""), message.get("attributes") or {}
    if not isinstance(content, str) or not isinstance(attributes, dict):
        raise Refused("Invalid Message Arguments")
    empaid = attributes.get("empaid", "")
    empaid = empaid if isinstance(empaid, str) else json.dumps(empaid)
    try:
        return Arrival(base64.b64decode("".join(content.split()), validate=True), empaid)
    except (binascii.Error, ValueError):
        reason = "The data attribute of the message is not base64; encode the signed text before publishing."
        return Arrival(content.encode("utf-8", "replace"), empaid, reason)
