"""The part of the ARGO Messaging Service that cloud-info-provider up to 0.13 publishes to (`--publisher ams`).

A machine of a site that is let in gets 200 with an id for each message, whatever it holds: what is wrong inside
is kept with its reason for the site to read, as with usage records. Refusals of the caller are AMS's envelope.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import structlog
from flask import Response, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from hanse.database import is_connection_loss
from hanse.errors import Forbidden, HanseError, NotFound, Refused, TooLarge, Unauthorised, Unavailable
from hanse.identity.permissions import Permission
from hanse.identity.principals import Principal
from hanse.web import Protocol, current_principal, ground
from registry import cloudinfo
from registry.cloudinfo_reading import sites_named
from registry.settings import RegistrySettings

MOST_MESSAGES: Final = 50
PUBLISH = Permission("publish what a cloud offers", frozenset({"site_machine"}))
log = structlog.get_logger(__name__)
protocol = Protocol("ams_information", __name__, token_parameter="key")  # noqa: S106 - the name of a parameter, no secret

_WORDS: Final[dict[type[HanseError], tuple[int, str, str]]] = {
    Unauthorised: (401, "Unauthorized", "UNAUTHORIZED"),
    Forbidden: (403, "Access to this resource is forbidden", "FORBIDDEN"),
    NotFound: (404, "", "NOT_FOUND"),
    TooLarge: (413, "Message size is too large", "INVALID_ARGUMENT"),
    Unavailable: (503, "", "INTERNAL_SERVER_ERROR"),
    Refused: (400, "", "INVALID_ARGUMENT"),
}


def _answer(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json; charset=utf-8")


def _fault(code: int, message: str, status: str) -> Response:
    return _answer({"error": {"code": code, "message": message, "status": status}}, code)


@protocol.route("/v1/projects/<project>/topics/<topic>:publish", ["POST"], permission=PUBLISH)
def publish(project: str, topic: str) -> Response:
    """Take documents; the topic's name says nothing, the credential says the site."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    if project != settings.cloudinfo_project:
        raise NotFound("ProjectUUID doesn't exist")
    contents = _contents(request.get_data())
    principal = current_principal()
    return _answer({"messageIds": [_take(principal, content) for content in contents]})


def _take(principal: Principal, content: bytes) -> str:
    """The id of a message: the beginning of its hash, so that the same text keeps its id."""
    arrival = cloudinfo.Arrival(content, "ams")
    site = _site_of(principal, content)
    try:
        cloudinfo.publish(ground().db, principal, site, arrival)
    except (Refused, TooLarge) as refusal:  # kept with its reason by the use case
        log.warning("cloud_document_refused", site=site, sha256=arrival.sha256, faults=len(refusal.fields))
    return arrival.sha256[:16]


def _site_of(principal: Principal, content: bytes) -> str:
    """The site that the machine speaks for; of several, the one that the document names."""
    scopes = principal.scopes("site_machine")
    own = sorted(scope.removeprefix("site:") for scope in scopes if scope.startswith("site:"))
    if len(own) == 1:
        return own[0]
    named = [site for site in own if site in sites_named(content)]
    if len(named) == 1:
        return named[0]
    raise Refused(
        "Topic can't be matched: the credential speaks for several sites, and the message names none"
    )


def _contents(body: bytes) -> list[bytes]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("Invalid Message Arguments") from None
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not 0 < len(messages) <= MOST_MESSAGES:
        raise Refused("Invalid Message Arguments")
    return [_content(message) for message in messages]


def _content(message: object) -> bytes:
    content = message.get("data") if isinstance(message, dict) else None
    if not isinstance(content, str):
        raise Refused("Invalid Message Arguments")
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return content.encode("utf-8", "replace")  # refused as what it is, where the site can read it


@protocol.errorhandler(HanseError)
def refuse(error: HanseError) -> Response:
    """Our errors in AMS's words."""
    for kind, (code, message, status) in _WORDS.items():
        if isinstance(error, kind):
            return _fault(code, message or error.detail, status)
    return _fault(500, "Internal Error", "INTERNAL_SERVER_ERROR")


@protocol.errorhandler(HTTPException)
def refuse_request(error: HTTPException) -> Response:
    """Errors of the HTTP layer: a body that is too large, a method that is not there."""
    if isinstance(error, RequestEntityTooLarge):
        return refuse(TooLarge(""))
    code = error.code or 500
    return _fault(code, error.name, {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(code, "BAD_REQUEST"))


@protocol.errorhandler(DBAPIError)
def refuse_without_database(error: DBAPIError) -> Response:
    """No database: 503, so that the sender tries again."""
    if is_connection_loss(error):
        return refuse(Unavailable("The messages cannot be stored at the moment; send them again later"))
    log.error("publishing failed", error=str(error))
    return _fault(500, "Internal Error", "INTERNAL_SERVER_ERROR")
