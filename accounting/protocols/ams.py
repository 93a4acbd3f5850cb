"""The part of the ARGO Messaging Service that publishers of usage records speak (stock ssmsend,
argo-ams-library).

A publisher who is let in gets 200 for whatever it sends: stock senders stop their whole queue at a 4xx, so
content is judged later, by the loader. Success is exactly 200 with one message id a message, as strings,
given only after the messages are safe. Every other answer is AMS's JSON envelope; an empty body would crash
the client.
"""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, request

from accounting.arrivals import arrival_of
from accounting.inbox import Inbox
from accounting.permissions import PUBLISH
from accounting.protocols.senders import sender_of
from accounting.settings import AccountingSettings
from hanse.ams import messages_of
from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import current_principal, ground
from hanse.web.ams import ams_room, answer

MOST_MESSAGES = 1000
ams = ams_room("ams", __name__)


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
    arrivals = [arrival_of(message) for message in messages_of(request.get_data(), MOST_MESSAGES)]
    inbox = current_app.extensions["accounting.inbox"]
    assert isinstance(inbox, Inbox)
    numbers = inbox.accept(arrivals, sender_of(current_principal()), source="ams", topic=topic)
    return answer({"messageIds": [str(number) for number in numbers]})


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
