"""/downtimes.ics: the calendar of downtimes for calendar programs, and planned ones from such a program.

`curl --data-binary @plan.ics -H "Content-Type: text/calendar" -H "Authorization: Bearer TOKEN" .../downtimes.ics`
"""

from __future__ import annotations

from flask import Response, request

from hanse.errors import Refused
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, conditional, current_principal, ground
from hanse.web.bodies import measure_body
from hanse.web.rooms import json_answer
from hanse.web.wire import read_request
from registry import calendars, downtime_import
from registry.renderings.ical_reading import MOST_BYTES
from registry.rights import DECLARE_DOWNTIME
from registry.schemas.downtimes import CalendarQuery, ImportQuery
from registry.settings import RegistrySettings

protocol = Protocol("registry_ical", __name__)
CALENDAR = "text/calendar; charset=utf-8"


def _settings() -> RegistrySettings:
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    return settings


@protocol.route("/downtimes.ics", ["GET"], permission=PUBLIC)
def subscribe() -> Response:
    """RFC 5545, with ETag: a calendar program asks again each hour and mostly gets 304."""
    query = read_request({"query": CalendarQuery}, {})["query"]
    assert isinstance(query, CalendarQuery)
    answer = Response(calendars.feed(ground().db, _settings(), query), content_type=CALENDAR)
    answer.headers["Cache-Control"] = "public, max-age=300"
    answer.headers["Content-Disposition"] = 'inline; filename="downtimes.ics"'
    return conditional(answer)


@protocol.route("/downtimes.ics", ["POST"], permission=DECLARE_DOWNTIME)
def take() -> Response:
    """A calendar as the body; the answer says what became of each event, as JSON."""
    measure_body(request, MOST_BYTES)
    query = read_request({"query": ImportQuery}, {})["query"]
    assert isinstance(query, ImportQuery)
    importer = downtime_import.Importer(ground().db, _settings(), current_principal(), query.dry_run)
    found = downtime_import.take(importer, request.get_data(), query.site)
    return json_answer({"items": [downtime_import.body_of(one) for one in found]})


@protocol.errorhandler(Refused)
def refused(error: Refused) -> Response:
    """The sentence, then each fault on a line of its own."""
    lines = [error.detail, *(f"{fault.field}: {fault.reason}" for fault in error.fields)]
    return Response("".join(f"{line}\n" for line in lines), 422, content_type="text/plain; charset=utf-8")
