"""The part of the ARGO Messaging Service that cloud-info-provider up to 0.13 publishes to (`--publisher ams`).

A machine of a site that is let in gets 200 with an id for each message, whatever it holds: what is wrong inside
is kept with its reason for the site to read, as with usage records. Refusals of the caller are AMS's envelope.
"""

from __future__ import annotations

from typing import Final

import structlog
from flask import Response, request

from hanse.ams import messages_of
from hanse.errors import NotFound, Refused, TooLarge
from hanse.identity.permissions import Permission
from hanse.identity.principals import Principal
from hanse.web import current_principal, ground
from hanse.web.ams import ams_room, answer
from registry import cloudinfo
from registry.cloudinfo_reading import sites_named
from registry.settings import RegistrySettings

MOST_MESSAGES: Final = 50
PUBLISH = Permission("publish what a cloud offers", frozenset({"site_machine"}))
log = structlog.get_logger(__name__)
protocol = ams_room("ams_information", __name__)


@protocol.route("/v1/projects/<project>/topics/<topic>:publish", ["POST"], permission=PUBLISH)
def publish(project: str, topic: str) -> Response:
    """Take documents; the topic's name says nothing, the credential says the site."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    if project != settings.cloudinfo_project:
        raise NotFound("ProjectUUID doesn't exist")
    messages = messages_of(request.get_data(), MOST_MESSAGES)
    principal = current_principal()
    return answer({"messageIds": [_take(principal, message.content) for message in messages]})


def _take(principal: Principal, content: bytes) -> str:
    """The id of a message: the beginning of its hash, so that the same text keeps its id."""
    arrival = cloudinfo.Arrival(content, "ams")
    site = _site_of(principal, content)
    try:
        cloudinfo.publish(ground().db, principal, site, arrival, keep_days=_keep_days())
    except (Refused, TooLarge) as refusal:  # kept with its reason by the use case
        log.warning("cloud_document_refused", site=site, sha256=arrival.sha256, faults=len(refusal.fields))
    return arrival.sha256[:16]


def _keep_days() -> float:
    held = ground().settings
    assert isinstance(held, RegistrySettings)
    return held.cloudinfo_days


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
